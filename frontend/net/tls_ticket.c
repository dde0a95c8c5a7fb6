#include "frontend/net/tls_ticket.h"

#include <openssl/cipher.h>
#include <openssl/crypto.h>
#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <string.h>

#include "proto/base/assert.h"
#include "proto/base/mem.h"
#include "proto/base/rng.h"

#define CIPHER_KEY_BYTES 16
#define HMAC_KEY_BYTES 32
#define IV_BYTES 16

struct ticket_key {
    uint8_t name[SSL_TICKET_KEY_NAME_LEN];
    uint8_t cipher[CIPHER_KEY_BYTES];
    uint8_t hmac[HMAC_KEY_BYTES];
};

struct tls_tickets {
    pthread_mutex_t lock;
    struct clock *clock;
    struct ticket_key now;
    struct ticket_key before;
    uint64_t born_ms;
};

enum err tls_tickets_new(struct clock *clock, struct tls_tickets **out_tickets)
{
    struct tls_tickets *t = mem_zalloc(sizeof(*t));
    if (t == NULL) {
        return ERR_NOMEM;
    }
    int rc = pthread_mutex_init(&t->lock, NULL);
    ASSERT(rc == 0);
    t->clock = clock;
    t->born_ms = clock_mono_ms(clock);
    rng_fill(rng_system(), &t->now, sizeof(t->now));
    rng_fill(rng_system(), &t->before, sizeof(t->before)); /* opens nothing: nobody sealed with it */
    *out_tickets = t;
    return OK;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (t != NULL) {
        (void)pthread_mutex_destroy(&t->lock); /* cannot fail: nobody holds it */
        OPENSSL_cleanse(t, sizeof(*t));
        mem_free(t);
    }
}

/* Under the lock. After two lifetimes without a handshake the older key is not kept either. */
static void rotate(struct tls_tickets *t)
{
    uint64_t now_ms = clock_mono_ms(t->clock);
    uint64_t age_ms = now_ms - t->born_ms;
    if (age_ms < TLS_TICKET_KEY_MS) {
        return;
    }
    t->before = t->now;
    rng_fill(rng_system(), &t->now, sizeof(t->now));
    if (age_ms >= 2 * TLS_TICKET_KEY_MS) {
        rng_fill(rng_system(), &t->before, sizeof(t->before));
    }
    t->born_ms = now_ms;
}

static int seal(const struct ticket_key *k, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac)
{
    memcpy(name, k->name, sizeof(k->name));
    rng_fill(rng_system(), iv, IV_BYTES);
    bool ok = EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, k->cipher, iv) == 1 &&
              HMAC_Init_ex(hmac, k->hmac, sizeof(k->hmac), EVP_sha256(), NULL) == 1;
    return ok ? 1 : -1;
}

static int open_with(const struct ticket_key *k, const uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac, int answer)
{
    bool ok = HMAC_Init_ex(hmac, k->hmac, sizeof(k->hmac), EVP_sha256(), NULL) == 1 &&
              EVP_DecryptInit_ex(cipher, EVP_aes_128_cbc(), NULL, k->cipher, iv) == 1;
    return ok ? answer : -1;
}

int tls_tickets_key(struct tls_tickets *t, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                    int encrypt)
{
    (void)pthread_mutex_lock(&t->lock); /* cannot fail: not recursive, initialised */
    rotate(t);
    struct ticket_key now = t->now;
    struct ticket_key before = t->before;
    (void)pthread_mutex_unlock(&t->lock);
    int r = 0;
    if (encrypt != 0) {
        r = seal(&now, name, iv, cipher, hmac);
    } else if (memcmp(name, now.name, sizeof(now.name)) == 0) {
        r = open_with(&now, iv, cipher, hmac, 1);
    } else if (memcmp(name, before.name, sizeof(before.name)) == 0) {
        r = open_with(&before, iv, cipher, hmac, 2);
    }
    OPENSSL_cleanse(&now, sizeof(now));
    OPENSSL_cleanse(&before, sizeof(before));
    return r;
}
