#include "frontend/session/credentials.h"

#include <argon2.h>
#include <crypt.h>
#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#include "frontend/session/auth.h"
#include "proto/base/assert.h"
#include "proto/base/bytes.h"
#include "proto/base/mem.h"

/* OWASP's figures for Argon2id; deploy/docs/ARCHITECTURE.md, section 5. */
#define ARGON2_MEMORY_KIB 19456
#define ARGON2_PASSES 2
#define ARGON2_LANES 1
#define ARGON2_SALT_BYTES 16
#define ARGON2_HASH_BYTES 32
#define SCRAM_ITERATIONS 4096 /* RFC 7677, 4 */
#define SCRAM_SALT_BYTES 16
#define HASH_TEXT_BYTES_MAX 512

static enum err bytes_set(struct arena *arena, ProtobufCBinaryData *out, const void *p, size_t n)
{
    out->data = arena_dup(arena, p, n);
    out->len = out->data == NULL ? 0 : n;
    return out->data == NULL ? ERR_NOMEM : OK;
}

/* --- SCRAM (RFC 5802, 3): StoredKey = H(HMAC(SaltedPassword, "Client Key")), ServerKey = HMAC(SaltedPassword, "Server
 * Key"). SASLprep leaves ASCII passwords as they are; others are taken as their UTF-8 bytes. --- */

static bool scram_keys(const EVP_MD *md, struct slice password, const uint8_t *salt, uint8_t *stored, uint8_t *server)
{
    uint8_t salted[EVP_MAX_MD_SIZE];
    uint8_t client[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    size_t size = EVP_MD_size(md);
    bool good = PKCS5_PBKDF2_HMAC((const char *)password.p, password.n, salt, SCRAM_SALT_BYTES, SCRAM_ITERATIONS, md,
                                  size, salted) == 1 &&
                HMAC(md, salted, size, (const uint8_t *)"Client Key", 10, client, &n) != NULL &&
                EVP_Digest(client, n, stored, &n, md, NULL) == 1 &&
                HMAC(md, salted, size, (const uint8_t *)"Server Key", 10, server, &n) != NULL;
    OPENSSL_cleanse(salted, sizeof(salted));
    OPENSSL_cleanse(client, sizeof(client));
    return good;
}

static enum err scram_make(struct slice password, struct rng *rng, struct arena *arena, Pb__Credentials *out)
{
    uint8_t salt[SCRAM_SALT_BYTES];
    uint8_t stored[EVP_MAX_MD_SIZE];
    uint8_t server[EVP_MAX_MD_SIZE];
    rng_fill(rng, salt, sizeof(salt));
    out->scram_iterations = SCRAM_ITERATIONS;
    enum err e = bytes_set(arena, &out->scram_salt, salt, sizeof(salt));
    if (e == OK && !scram_keys(EVP_sha256(), password, salt, stored, server)) {
        e = ERR_NOMEM;
    }
    if (e == OK) {
        e = bytes_set(arena, &out->scram_sha256_stored, stored, SHA256_DIGEST_LENGTH);
    }
    if (e == OK) {
        e = bytes_set(arena, &out->scram_sha256_server, server, SHA256_DIGEST_LENGTH);
    }
    if (e == OK && !scram_keys(EVP_sha1(), password, salt, stored, server)) {
        e = ERR_NOMEM;
    }
    if (e == OK) {
        e = bytes_set(arena, &out->scram_sha1_stored, stored, SHA_DIGEST_LENGTH);
    }
    return e == OK ? bytes_set(arena, &out->scram_sha1_server, server, SHA_DIGEST_LENGTH) : e;
}

enum err credentials_make(struct slice password, struct rng *rng, struct arena *arena, Pb__Credentials *out)
{
    uint8_t salt[ARGON2_SALT_BYTES];
    char text[HASH_TEXT_BYTES_MAX];
    Pb__Credentials made = PB__CREDENTIALS__INIT;
    rng_fill(rng, salt, sizeof(salt));
    int rc = argon2id_hash_encoded(ARGON2_PASSES, ARGON2_MEMORY_KIB, ARGON2_LANES, password.p, password.n, salt,
                                   sizeof(salt), ARGON2_HASH_BYTES, text, sizeof(text));
    if (rc != ARGON2_OK) {
        return ERR_NOMEM;
    }
    enum err e = bytes_set(arena, &made.argon2id, text, strlen(text));
    if (e == OK) {
        e = scram_make(password, rng, arena, &made);
    }
    if (e == OK) {
        *out = made;
    }
    return e;
}

/* --- import --- */

/* Without a leading "{SCHEME}", which Dovecot and others write; the hash says itself what it is. */
static struct slice scheme_skip(struct slice hash)
{
    if (hash.n > 0 && hash.p[0] == '{') {
        size_t end = slice_find(hash, '}');
        return slice_sub(hash, end + 1, hash.n);
    }
    return hash;
}

static bool starts_with(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

/* Whether libargon2 can read it: a hash of the wrong shape would be an account that nobody can log in to. */
static bool argon2_usable(const char *text)
{
    int rc = argon2id_verify(text, "x", 1);
    return rc == ARGON2_OK || rc == ARGON2_VERIFY_MISMATCH;
}

/* Whether crypt(3) makes hashes of this very shape. */
static bool crypt_usable(const char *text)
{
    struct crypt_data *state = mem_zalloc(sizeof(*state));
    const char *got = state == NULL ? NULL : crypt_r("x", text, state);
    bool usable = got != NULL && got[0] == text[0] && strlen(got) == strlen(text);
    mem_free(state);
    return usable;
}

static bool hash_is_crypt(struct slice text)
{
    static const char *const prefixes[] = {"$1$", "$5$", "$6$", "$2a$", "$2b$", "$2y$", "$y$", "$gy$", "$7$"};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (starts_with(text, prefixes[i])) {
            return true;
        }
    }
    return false;
}

enum err credentials_import(struct slice hash, struct arena *arena, Pb__Credentials *out)
{
    char text[HASH_TEXT_BYTES_MAX];
    Pb__Credentials made = PB__CREDENTIALS__INIT;
    struct slice bare = scheme_skip(slice_trim(hash));
    bool argon2 = starts_with(bare, "$argon2id$");
    if (bare.n >= sizeof(text) || memchr(bare.p, '\0', bare.n) != NULL || (!argon2 && !hash_is_crypt(bare))) {
        return ERR_UNSUPPORTED;
    }
    memcpy(text, bare.p, bare.n);
    text[bare.n] = '\0';
    if (argon2 ? !argon2_usable(text) : !crypt_usable(text)) {
        return ERR_INVAL;
    }
    enum err e = bytes_set(arena, argon2 ? &made.argon2id : &made.crypt, bare.p, bare.n);
    if (e == OK) {
        *out = made;
    }
    return e;
}

/* --- verify --- */

static void copy_text(char out[HASH_TEXT_BYTES_MAX], ProtobufCBinaryData in)
{
    size_t n = in.len < HASH_TEXT_BYTES_MAX ? in.len : HASH_TEXT_BYTES_MAX - 1;
    memcpy(out, in.data, n);
    out[n] = '\0';
}

static enum err argon2_verify_text(ProtobufCBinaryData encoded, struct slice password)
{
    char text[HASH_TEXT_BYTES_MAX];
    copy_text(text, encoded);
    int rc = argon2id_verify(text, password.p, password.n);
    if (rc == ARGON2_MEMORY_ALLOCATION_ERROR) {
        return ERR_NOMEM;
    }
    return rc == ARGON2_OK ? OK : ERR_AUTH;
}

static enum err crypt_verify_text(ProtobufCBinaryData hash, struct slice password)
{
    char text[HASH_TEXT_BYTES_MAX];
    char *phrase = mem_alloc(password.n + 1);
    struct crypt_data *state = mem_zalloc(sizeof(*state));
    enum err e = phrase == NULL || state == NULL ? ERR_NOMEM : ERR_AUTH;
    copy_text(text, hash);
    /* crypt's phrase ends at a NUL: a password with one could match its own beginning. */
    if (e == ERR_AUTH && memchr(password.p, '\0', password.n) == NULL) {
        memcpy(phrase, password.p, password.n);
        phrase[password.n] = '\0';
        const char *got = crypt_r(phrase, text, state);
        size_t n = strlen(text);
        if (got != NULL && strlen(got) == n && CRYPTO_memcmp(got, text, n) == 0) {
            e = OK;
        }
    }
    if (phrase != NULL) {
        OPENSSL_cleanse(phrase, password.n + 1);
    }
    if (state != NULL) {
        OPENSSL_cleanse(state, sizeof(*state));
    }
    mem_free(phrase);
    mem_free(state);
    return e;
}

enum err credentials_verify(const Pb__Credentials *c, struct slice password)
{
    if (password.n == 0) {
        return ERR_AUTH;
    }
    if (c->argon2id.len > 0) {
        return argon2_verify_text(c->argon2id, password);
    }
    return c->crypt.len > 0 ? crypt_verify_text(c->crypt, password) : ERR_AUTH;
}

void credentials_fingerprint(const uint8_t key[32], struct account_id account, struct slice password, uint8_t out[32])
{
    uint8_t id[8];
    unsigned n = 0;
    HMAC_CTX ctx;
    put_be64(id, account.v);
    HMAC_CTX_init(&ctx);
    int good = HMAC_Init_ex(&ctx, key, 32, EVP_sha256(), NULL) == 1 && HMAC_Update(&ctx, id, sizeof(id)) == 1 &&
               HMAC_Update(&ctx, password.p, password.n) == 1 && HMAC_Final(&ctx, out, &n) == 1;
    HMAC_CTX_cleanup(&ctx);
    ASSERT(good && n == 32); /* BoringSSL's HMAC fails only for misuse */
}
