#include "program/config_keys.h"

#include "program/config.h"

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define SECOND 1000ULL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define AT(field) offsetof(struct config, field)
#define STR(key, field, def, doc)                                                                                      \
    {                                                                                                                  \
        key, AT(field), CONFIG_STR, def, 0, 0, NULL, doc                                                               \
    }
#define NUM(key, field, def, min, max, doc)                                                                            \
    {                                                                                                                  \
        key, AT(field), CONFIG_U64, def, min, max, NULL, doc                                                           \
    }
#define BYTES(key, field, def, min, max, doc)                                                                          \
    {                                                                                                                  \
        key, AT(field), CONFIG_BYTES, def, min, max, NULL, doc                                                         \
    }
#define MS(key, field, def, min, max, doc)                                                                             \
    {                                                                                                                  \
        key, AT(field), CONFIG_MS, def, min, max, NULL, doc                                                            \
    }
#define BOOL(key, field, def, doc)                                                                                     \
    {                                                                                                                  \
        key, AT(field), CONFIG_BOOL, def, 0, 1, NULL, doc                                                              \
    }
#define ENUM(key, field, def, choices, doc)                                                                            \
    {                                                                                                                  \
        key, AT(field), CONFIG_ENUM, def, 0, 0, choices, doc                                                           \
    }

const struct config_key config_keys[] = {
    STR("data_dir", data_dir, "./pillarbox-data",
        "Where a storage node keeps everything. Made when missing, mode 0700."),
    STR("hostname", hostname, "localhost", "This host's name in greetings, EHLO replies and Received: headers."),
    ENUM("log_level", log_level, "info", "debug|info|warn|error",
         "Lowest level that is logged to stderr (JSON lines)."),

    NUM("storage.shards", storage_shards, "64", 1, 4096,
        "Account shards. Fixed when the data directory is made; a later change is refused."),
    NUM("storage.readers", storage_readers, "2", 1, 256, "Threads that answer reads."),
    BYTES("storage.map_size", storage_map_bytes, "1 TiB", 64 * MIB, 64 * TIB,
          "Upper bound of the store (a sparse map: costs address space only). What grows it stops storage.reserve "
          "before its end."),
    BYTES("storage.reserve", storage_reserve_bytes, "256 MiB", 0, 64 * TIB,
          "Room on the disk and in the map below which mail is refused with a temporary error; reading, deleting and "
          "moving go "
          "on. 0: none is kept."),
    BYTES("storage.copy_rate", storage_copy_bytes_per_s, "64 MiB", 256 * KIB, 64 * GIB,
          "Bytes a second, at most, that this node sends of copies of its replicas, to nodes that are new or were away "
          "for too long and to backups; all copies together."),
    BYTES("storage.sole_log", storage_sole_log_bytes, "4 MiB", MIB, 64 * GIB,
          "How much of a shard's log a node that has no others keeps, bodies counted (and an entry for every 16 KiB of "
          "it): what an incremental backup can go on from. Space of deleted mail is free again when its entry has left "
          "the log."),
    MS("storage.undelete_retention", storage_undelete_ms, "0 s", 0, 3650 * DAY,
       "How long expunged messages are kept for `pillarbox ctl account undelete`, outside of quotas. 0: what is "
       "expunged "
       "frees its space at once and is gone. The same on all nodes; lowering it lets go of what was kept. On a nearly "
       "full disk nothing is kept, and the oldest kept messages go first."),
    MS("storage.dedupe_window", storage_dedupe_ms, "15 min", 6 * MINUTE, DAY,
       "How long the result of a write is remembered, so that a retry is answered and not done again."),
    NUM("storage.flush_delay_ms", storage_flush_delay_ms, "0", 0, 1000,
        "Benchmarks only: each flush of the store (one in a commit) sleeps this long, to stand for an ordinary disk."),
    STR("storage.listen", storage_listen, "",
        "RPC address of a storage node for frontends on other machines, e.g. tcp://127.0.0.1:2100. Several: separated "
        "by commas."),
    STR("storage.publish", storage_publish, "", "Address for change hints, e.g. tcp://127.0.0.1:2101."),
    STR("storage.admin", storage_admin, "",
        "HTTP of a storage node of its own (role storage): /metrics, /healthz, /readyz, e.g. 127.0.0.1:2081. Empty: "
        "off."),

    ENUM("cluster.start", cluster_start, "found", "found|wait",
         "What an empty data directory becomes. found: a cluster of its own, which others may join. wait: nothing, "
         "until "
         "`pillarbox ctl cluster init` makes it the first node of a cluster, or `pillarbox ctl node add` lets it join "
         "the one that cluster.seeds names."),
    STR("cluster.seeds", cluster_seeds, "",
        "RPC addresses of nodes of the cluster that a waiting node asks, separated by commas."),
    STR("cluster.peer_listen", cluster_peer_listen, "",
        "Where other storage nodes reach this one for replication, e.g. tcp://127.0.0.1:2102. Empty: it stays alone."),
    STR("cluster.peer_address", cluster_peer_address, "",
        "The same as the others should dial it; names the node to `ctl node add`. Empty: cluster.peer_listen."),
    STR("cluster.rpc_address", cluster_rpc_address, "",
        "This node's RPC as frontends and nodes should dial it. Empty: the first of storage.listen."),
    STR("cluster.events_address", cluster_events_address, "",
        "Its change hints as frontends should dial them. Empty: storage.publish."),
    STR("cluster.certificate", cluster_certificate, "",
        "PEM chain of this process, shown to storage nodes and frontends (mutual TLS). Empty: tcp without TLS, for "
        "loopback only."),
    STR("cluster.key", cluster_key, "", "Its private key."),
    STR("cluster.node_ca", cluster_node_ca, "", "CA of storage nodes: who may replicate, and who is believed."),
    STR("cluster.frontend_ca", cluster_frontend_ca, "",
        "CA of frontends: who may call this node besides storage nodes (storage role)."),
    MS("cluster.replace_after", cluster_replace_after_ms, "30 min", 0, 30 * DAY,
       "A storage node that is not reached for so long is marked as away: another one takes over its votes and "
       "replicas, "
       "if there is one that has none of the same shard. 0: never (storage role)."),
    NUM("cluster.level_max", cluster_level_max, "0", 0, 255,
        "As long as a node holds the cluster's level down here, what is new in later versions is not used, and the "
        "older "
        "program can come back (`ctl cluster status` shows the level, which never goes down). 0: the program's own "
        "(storage role)."),
    NUM("cluster.read_lease_drift_percent", read_lease_drift_percent, "0", 0, 50,
        "By how many percent the clocks of two storage nodes may differ in rate, e.g. 10: leaders then answer reads "
        "under a lease, without asking the others. A node whose clock is worse may answer with an old state. 0: no "
        "leases. The same on all nodes, of one version (storage role)."),

    STR("frontend.storage", frontend_storage, "tcp://127.0.0.1:2100",
        "RPC addresses of storage nodes, separated by commas; the nodes name the others of their cluster (role "
        "frontend)."),
    STR("frontend.events", frontend_events, "tcp://127.0.0.1:2101",
        "Address for change hints of a storage node that knows none of its own (role frontend)."),
    NUM("frontend.threads", frontend_threads, "0", 0, 256, "Event loops, one a thread; 0 = one a CPU."),
    ENUM("frontend.io_backend", io_backend, "auto", "auto|io_uring|epoll",
         "auto takes io_uring where the kernel and the container's seccomp profile allow it, else epoll; io_uring "
         "refuses to start without it."),
    NUM("frontend.connections_max", connections_max, "100000", 1, 10000000,
        "Client connections in all; fewer when the hard limit of open files is lower."),
    NUM("frontend.connections_per_ip_max", connections_per_ip_max, "1000", 1, 10000000,
        "Client connections from one IPv4 address or IPv6 /64."),
    NUM("frontend.fibers_max", fibers_max, "4096", 16, 1000000, "Commands running at once on one event loop."),
    MS("frontend.handshake_timeout", handshake_ms, "20 s", 100, 10 * MINUTE, "Limit of a TLS handshake."),
    MS("frontend.write_stall_timeout", write_stall_ms, "60 s", 100, HOUR,
       "A client that takes no byte for so long is dropped."),
    BYTES("frontend.output_high_water", out_bytes_high, "256 KiB", 4 * KIB, 64 * MIB,
          "Unsent output of a connection above which its command waits."),
    MS("frontend.rpc_timeout", rpc_timeout_ms, "30 s", 100, 10 * MINUTE,
       "Deadline of a storage call, retries included."),
    NUM("frontend.rpc_inflight_max", rpc_inflight_max, "4096", 16, 1000000, "Storage calls outstanding at once."),
    MS("frontend.drain_timeout", drain_ms, "25 s", 0, HOUR,
       "On SIGTERM: time for running commands before connections are cut."),

    STR("tls.certificate", tls_certificate, "", "PEM chain, leaf first. Read again on SIGHUP. Empty: no TLS."),
    STR("tls.key", tls_key, "", "PEM private key."),
    STR("tls.more", tls_more, "", "More certificates, chosen by SNI: chain:key pairs separated by commas."),

    BOOL("auth.insecure", insecure_auth, "false",
         "Allow password commands without TLS. Only for test rigs on loopback."),
    NUM("auth.threads", auth_threads, "1", 1, 256,
        "Threads that hash passwords; each hash takes 19 MiB and tens of milliseconds."),
    NUM("auth.queue_max", auth_queue_max, "256", 1, 1000000,
        "Logins waiting for a hash; more are a temporary failure."),
    NUM("auth.cache_entries", auth_cache_entries, "100000", 0, 10000000,
        "Verified logins remembered (keyed hashes, never passwords)."),
    MS("auth.cache_lifetime", auth_cache_ms, "1 h", 0, 7 * DAY, "How long a verified login is remembered."),
    NUM("auth.failures_per_minute_ip", auth_failures_ip, "60", 1, 1000000,
        "Failed logins from one address before it is throttled."),
    NUM("auth.failures_per_minute_user", auth_failures_user, "20", 1, 1000000,
        "Failed logins of one user before it is throttled."),

    STR("smtp.listen", smtp_listen, "127.0.0.1:2525",
        "Mail from other servers (SMTP). Empty: off. Several: separated by commas."),
    STR("submission.listen", submission_listen, "127.0.0.1:2587", "Mail from users (submission, STARTTLS)."),
    STR("submissions.listen", submissions_listen, "127.0.0.1:2465", "Mail from users (submission, implicit TLS)."),
    STR("lmtp.listen", lmtp_listen, "127.0.0.1:2424", "Mail from a trusted MTA (LMTP)."),
    STR("pop3.listen", pop3_listen, "127.0.0.1:2110", "POP3."),
    STR("pop3s.listen", pop3s_listen, "127.0.0.1:2995", "POP3 over TLS."),
    STR("imap.listen", imap_listen, "127.0.0.1:2143", "IMAP."),
    STR("imaps.listen", imaps_listen, "127.0.0.1:2993", "IMAP over TLS."),
    STR("admin.listen", admin_listen, "127.0.0.1:2080", "HTTP: /metrics, /healthz, /readyz."),

    BYTES("message_size_max", message_bytes_max, "50 MiB", 64 * KIB, 512 * MIB,
          "Largest message (SMTP SIZE, IMAP APPEND)."),
    NUM("smtp.recipients_max", smtp_recipients_max, "1000", 1, 10000, "Recipients of one SMTP transaction."),
    MS("smtp.timeout", smtp_timeout_ms, "5 min", 1 * SECOND, HOUR,
       "Silence after which an SMTP or LMTP client is dropped."),
    MS("smtp.data_timeout", smtp_data_ms, "30 min", 10 * SECOND, DAY, "Limit for the whole of DATA."),
    NUM("smtp.data_rate_min", smtp_data_rate_min, "500", 0, 1000000,
        "Least bytes per second over DATA, after a grace of a minute."),
    NUM("smtp.errors_max", smtp_errors_max, "20", 1, 10000,
        "Errors after which an SMTP client is dropped; half as many start a delay."),
    NUM("smtp.received_max", smtp_received_max, "50", 1, 1000, "Received: fields after which a message is a loop."),
    ENUM("smtp.bare_line_ends", smtp_bare_line_ends, "reject", "reject|normalize",
         "Bare CR or LF in mail from other servers; submission always normalizes."),
    BOOL("smtp.detail_folders", smtp_detail_folders, "true",
         "user+detail@domain goes to the user's folder `detail` when there is one (else to INBOX)."),
    BOOL("smtp.quota_permanent", smtp_quota_permanent, "false",
         "Over quota is a permanent refusal (552 5.2.2) instead of a temporary one (452 4.2.2)."),
    BYTES("smtp.body_budget", smtp_body_budget_bytes, "256 MiB", 1 * MIB, 1 * TIB,
          "Buffers of all messages being received at once; beyond it 451 4.3.2."),
    MS("smtp.greet_delay", smtp_greet_delay_ms, "0 s", 0, 1 * MINUTE,
       "Wait before the banner on smtp.listen; a client that talks earlier is refused. 0 looks only at what is there "
       "at once."),
    BYTES("imap.line_max", imap_line_bytes_max, "64 KiB", 1 * KIB, 1 * MIB,
          "Longest IMAP command line without literals."),
    MS("imap.login_timeout", imap_login_ms, "1 min", 1 * SECOND, HOUR, "Time for an IMAP client to log in."),
    MS("imap.idle_timeout", imap_idle_ms, "30 min", 1 * MINUTE, DAY,
       "Silence after which a logged-in IMAP client is dropped."),
    NUM("imap.errors_max", imap_errors_max, "20", 1, 10000,
        "Consecutive bad commands after which an IMAP client is dropped."),
    MS("pop3.login_timeout", pop3_login_ms, "1 min", 1 * SECOND, HOUR, "Time for a POP3 client to log in."),
    MS("pop3.idle_timeout", pop3_idle_ms, "10 min", 10 * SECOND, DAY, "Silence after which a POP3 client is dropped."),
};

const size_t config_keys_n = sizeof(config_keys) / sizeof(config_keys[0]);
