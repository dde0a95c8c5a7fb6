/* Configuration: one table of keys (program/config_keys.c) from which everything derives: the commented YAML file,
 * `--set key=value`, environment variables (PILLARBOX_ + the key in capitals, dots and dashes as underscores), range
 * checks, and what `pillarbox config` prints.
 *
 * Later sources win: defaults < file < environment < --set. Unknown keys and bad values are refused with where they
 * came from (file and line) and what is allowed. The struct and its strings live until config_fini. Not thread-safe;
 * read-only after config_load. */
#ifndef PROGRAM_CONFIG_H
#define PROGRAM_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(field, key, kind, default text, min, max, documentation). Kinds: STR, U64, BYTES ("64 MiB"), MS ("30 s", "15 min"),
 * BOOL, ENUM (choices in the documentation's first words are config_keys.c's business). The numbers of BYTES and MS are
 * bytes and milliseconds. */
struct config {
    /* general */
    const char *data_dir;
    const char *hostname;
    const char *log_level;
    /* storage */
    uint64_t storage_shards;
    uint64_t storage_readers;
    uint64_t storage_map_bytes;
    uint64_t storage_reserve_bytes;
    uint64_t storage_undelete_ms;
    uint64_t storage_dedupe_ms;
    uint64_t storage_flush_delay_ms;
    uint64_t storage_copy_bytes_per_s;
    uint64_t storage_sole_log_bytes;
    const char *storage_listen;
    const char *storage_publish;
    const char *storage_admin;
    /* cluster */
    const char *cluster_start;
    const char *cluster_seeds;
    const char *cluster_peer_listen;
    const char *cluster_peer_address;
    const char *cluster_rpc_address;
    const char *cluster_events_address;
    const char *cluster_certificate;
    const char *cluster_key;
    const char *cluster_node_ca;
    const char *cluster_frontend_ca;
    uint64_t cluster_replace_after_ms;
    uint64_t cluster_level_max;
    uint64_t read_lease_drift_percent;
    /* frontend */
    const char *frontend_storage;
    const char *frontend_events;
    uint64_t frontend_threads;
    const char *io_backend;
    uint64_t connections_max;
    uint64_t connections_per_ip_max;
    uint64_t fibers_max;
    uint64_t handshake_ms;
    uint64_t write_stall_ms;
    uint64_t out_bytes_high;
    uint64_t rpc_timeout_ms;
    uint64_t rpc_inflight_max;
    uint64_t drain_ms;
    /* TLS */
    const char *tls_certificate;
    const char *tls_key;
    const char *tls_more;
    /* logins */
    bool insecure_auth;
    uint64_t auth_threads;
    uint64_t auth_queue_max;
    uint64_t auth_cache_entries;
    uint64_t auth_cache_ms;
    uint64_t auth_failures_ip;
    uint64_t auth_failures_user;
    /* listeners */
    const char *smtp_listen;
    const char *submission_listen;
    const char *submissions_listen;
    const char *lmtp_listen;
    const char *pop3_listen;
    const char *pop3s_listen;
    const char *imap_listen;
    const char *imaps_listen;
    const char *admin_listen;
    /* protocols */
    uint64_t message_bytes_max;
    uint64_t smtp_recipients_max;
    uint64_t smtp_timeout_ms;
    uint64_t smtp_data_ms;
    uint64_t smtp_data_rate_min;
    uint64_t smtp_errors_max;
    uint64_t smtp_received_max;
    const char *smtp_bare_line_ends;
    bool smtp_detail_folders;
    bool smtp_quota_permanent;
    uint64_t smtp_body_budget_bytes;
    uint64_t smtp_greet_delay_ms;
    uint64_t imap_line_bytes_max;
    uint64_t imap_login_ms;
    uint64_t imap_idle_ms;
    uint64_t imap_errors_max;
    uint64_t pop3_login_ms;
    uint64_t pop3_idle_ms;
    /* not keys */
    struct arena arena;
};

struct config_override {
    const char *assignment; /* "key=value" of --set */
};

/* file may be NULL. On failure `why` says where, what and what is allowed, one problem a line (up to 20). */
MUST_CHECK enum err config_load(struct config *c, const char *file, const struct config_override *sets, size_t n_sets,
                                struct buf *why);
void config_fini(struct config *c);
/* A number of bytes as the file has it: "1000000", "64 MiB". ERR_INVAL. */
MUST_CHECK enum err config_bytes_parse(const char *text, uint64_t *out);
/* A time as the file has it: "90 s", "2h". ERR_INVAL. */
MUST_CHECK enum err config_ms_parse(const char *text, uint64_t *out);
/* The effective values with each key's documentation, as a YAML file that config_load reads. */
MUST_CHECK enum err config_print(const struct config *c, struct buf *out);

#ifdef __cplusplus
}
#endif

#endif /* PROGRAM_CONFIG_H */
