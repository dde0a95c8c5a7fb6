/* The directory (shard 0): domains, accounts by name, aliases. Names are "local@domain" without regard to case in
 * either part; keys go by domain first, so that a domain's names are one range. Tables after SHARD_DIRECTORY:
 *
 *   'c'                          le32 version, le32 shards known, le64 next account, then le32 accounts by shard number
 *   'd' domain                   le32 version
 *   'l' domain 0 local 0 seq(1)  one alias target, as written
 *   'n' domain 0 local           le64 account, le32 shard
 *   'o' node(8)                  the cluster's nodes (storage/directory/nodes.h)
 *   'p' shard(4)                 where a shard is pinned (storage/directory/cluster.h)
 *   'v'                          the cluster's settings (the same)
 *
 * An address with an empty local part ("@example.test") names the domain's catch-all: aliases only. */
#ifndef STORAGE_DIRECTORY_DIRECTORY_H
#define STORAGE_DIRECTORY_DIRECTORY_H

#include "proto/base/arena.h"
#include "storage/mailbox/key.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DIR_DOMAIN_BYTES_MAX 253
#define DIR_LOCAL_BYTES_MAX 128
#define DIR_ADDRESS_BYTES_MAX 320
#define DIR_TARGETS_MAX 100
#define DIR_SHARDS_MAX 1000

enum directory_table {
    DIRECTORY_CONFIG = 'c',
    DIRECTORY_DOMAINS = 'd',
    DIRECTORY_ALIASES = 'l',
    DIRECTORY_NAMES = 'n',
    DIRECTORY_NODES = 'o',
    DIRECTORY_PINS = 'p',
    DIRECTORY_CLUSTER = 'v',
};

struct dir_name {
    struct slice local; /* folded, in the arena */
    struct slice domain;
};

/* Splits at the last '@' and folds case. ERR_INVAL: no '@', empty or bad domain, controls or spaces, an empty local
 * part. */
MUST_CHECK enum err dir_name_parse(struct arena *a, struct slice address, struct dir_name *out);
/* The same, and the local part may be empty. */
MUST_CHECK enum err dir_name_parse_alias(struct arena *a, struct slice address, struct dir_name *out);
MUST_CHECK enum err dir_domain_parse(struct arena *a, struct slice domain, struct slice *out);
/* "local@domain", NUL-terminated, in the arena; NULL without memory. */
char *dir_name_text(struct arena *a, const struct dir_name *n);

struct dir_account {
    struct account_id account;
    struct shard_id shard;
};

struct dir_config {
    uint64_t next_account;
    uint32_t shards;                     /* counts[1..shards] are in use */
    uint32_t counts[DIR_SHARDS_MAX + 1]; /* accounts by shard; 0 is unused */
};

MUST_CHECK enum err dir_domain_exists(const struct store *s, struct slice domain, bool *out);
/* Has it accounts or aliases? */
MUST_CHECK enum err dir_domain_used(const struct store *s, struct slice domain, bool *out);
MUST_CHECK enum err dir_domain_put(const struct store *s, struct slice domain);
MUST_CHECK enum err dir_domain_del(const struct store *s, struct slice domain);

/* ERR_NOTFOUND. */
MUST_CHECK enum err dir_account_get(const struct store *s, const struct dir_name *n, struct dir_account *out);
MUST_CHECK enum err dir_account_put(const struct store *s, const struct dir_name *n, const struct dir_account *a);
MUST_CHECK enum err dir_account_del(const struct store *s, const struct dir_name *n);

struct dir_targets {
    struct slice list[DIR_TARGETS_MAX]; /* in the arena */
    size_t n;
};
/* ERR_NOTFOUND. */
MUST_CHECK enum err dir_alias_get(const struct store *s, const struct dir_name *n, struct arena *a,
                                  struct dir_targets *out);
MUST_CHECK enum err dir_alias_put(const struct store *s, const struct dir_name *n, const struct dir_targets *t);
/* Nothing happens when there is none. */
MUST_CHECK enum err dir_alias_del(const struct store *s, const struct dir_name *n);

/* An empty one when there is none yet. */
MUST_CHECK enum err dir_config_get(const struct store *s, struct dir_config *out);
MUST_CHECK enum err dir_config_put(const struct store *s, const struct dir_config *c);
/* The next account id, on the shard asked for or (0) the one with the fewest accounts of 1..shards. The caller checked
 * the numbers. */
struct dir_account dir_config_assign(struct dir_config *c, uint32_t shard, uint32_t shards);

/* Key builders for walks. */
void dir_key(struct key *k, const struct store *s, enum directory_table table);
void dir_key_name(struct key *k, const struct store *s, enum directory_table table, const struct dir_name *n);
/* Takes a key's rest of DIRECTORY_NAMES or DIRECTORY_ALIASES apart; seq is 0 for names. Views. */
MUST_CHECK enum err dir_key_split(enum directory_table table, struct slice rest, struct dir_name *out,
                                  uint8_t *out_seq);
MUST_CHECK enum err dir_account_decode(struct slice value, struct dir_account *out);

#ifdef __cplusplus
}
#endif

#endif /* STORAGE_DIRECTORY_DIRECTORY_H */
