/* The frontend's view of storage: any account, any method, from a fiber, with routing, retries and deadlines hidden. It
 * never sees LMDB or Raft.
 *
 * A call: encode the request, route shard -> node from the cached map, send with a fresh 128-bit request id (or the
 * caller's), issue time and deadline; park the fiber; on NOT_LEADER, a cut link, UNAVAILABLE or a node that stopped
 * answering retry at another node with the SAME id (so a write happens once) until the deadline, with jittered
 * back-off; then ERR_UNAVAILABLE or ERR_TIMEOUT. On ERR_MOVED it goes to the shard where the account lives now, with
 * the same id, which that one answers from the records that came along. The method's own refusals (ERR_NOTFOUND,
 * ERR_QUOTA ...) return at once.
 *
 * Threads: one struct backend a process; backend_call only on a fiber (the completion comes back by loop_post). */
#ifndef FRONTEND_SESSION_BACKEND_H
#define FRONTEND_SESSION_BACKEND_H

#include <protobuf-c/protobuf-c.h>

#include "proto/base/arena.h"
#include "proto/base/buf.h"
#include "proto/base/id.h"
#include "proto/rpc/client.h"
#include "proto/rpc/method.h"
#include "proto/schema/op.pb-c.h"
#include "proto/schema/read.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

struct backend;

struct backend_config {
    const char *rpc_urls;      /* of one or more storage nodes, separated by commas; the map brings the others */
    const char *pub_url;       /* events of a node that names no address of its own */
    uint32_t inflight_max;     /* of each node */
    uint32_t timeout_ms;       /* default deadline of a call; 30,000 */
    uint32_t upload_bytes_max; /* largest body: what is reserved for an upload of unknown size; 64 MiB */
    const struct rpc_tls *tls; /* for tcp urls, outlives the backend; NULL: plain */
};

MUST_CHECK enum err backend_open(const struct backend_config *cfg, struct backend **out, struct buf *why);
void backend_close(struct backend *b);
/* Some node answers and knows who leads the directory: for /readyz. */
bool backend_ready(const struct backend *b);

/* Where an account lives; filled by backend_resolve. */
struct account_ref {
    struct account_id id;
    struct shard_id shard;
    char name[256]; /* canonical "alice@example.test" */
};

struct backend_request {
    struct shard_id shard;
    struct account_id account;
    enum method method;
    const ProtobufCMessage *message; /* the method's request; NULL = empty */
    struct slice attach;
    uint32_t timeout_ms;           /* 0 = the default */
    const struct u128 *request_id; /* NULL = fresh */
    bool stays;                    /* it names what only that shard has (a staged body): an account that moved since is
                                      ERR_UNAVAILABLE */
};

struct backend_reply {
    ProtobufCMessage *message; /* the method's reply type, lives in the arena given to backend_call; NULL when the
                                  method has none or on error */
    struct slice attach;       /* points into `raw` */
    struct shard_id shard;     /* that answered: the request's, or where its account has moved */
    struct rpc_reply raw;
};

/* Returns the method's status. On anything but OK the reply holds nothing (DELIVER is the exception: see op.proto). The
 * reply must be released by backend_reply_fini in every case; message dies with the arena. */
MUST_CHECK enum err backend_call(struct backend *b, const struct backend_request *req, struct arena *arena,
                                 struct backend_reply *out);
void backend_reply_fini(struct backend_reply *r);

/* Shorthand for calls on an account. */
/* The reference follows its account: after ERR_MOVED it names the new shard. */
MUST_CHECK enum err backend_account_call(struct backend *b, struct account_ref *a, enum method m,
                                         const ProtobufCMessage *message, struct slice attach, struct arena *arena,
                                         struct backend_reply *out);

/* Directory look-up with a small cache of bounded age (positive 5 s, negative 2 s). The result lies in the arena. */
MUST_CHECK enum err backend_resolve(struct backend *b, struct slice address, struct arena *arena,
                                    const Pb__ReadResolveResult **out);

/* Where a body is, for DELIVER and APPEND: small ones are attached, larger ones staged chunk by chunk as they stream
 * in, so that a frontend holds at most one chunk of a message. One upload is for one account (its shard). A write or
 * the end may fail as any call, with ERR_LIMIT when the body outgrew its hint for good, and with ERR_FULL when storage
 * has too many uploads under way. */
struct backend_upload;
MUST_CHECK enum err backend_upload_begin(struct backend *b, struct shard_id shard, struct account_id account,
                                         uint64_t size_hint, struct backend_upload **out);
/* It is for a delivery, which goes to the shard that it was begun for, whatever becomes of the account. Before the
 * first write. */
void backend_upload_for_delivery(struct backend_upload *u);
/* Where its body is, if it is staged: the request that uses it goes there, and stays. False: it is attached. */
bool backend_upload_staged(const struct backend_upload *u, struct shard_id *out_shard);
MUST_CHECK enum err backend_upload_write(struct backend_upload *u, struct slice bytes);
/* Ends it: source is what goes into the request, attach its attachment (valid until upload_free). */
MUST_CHECK enum err backend_upload_finish(struct backend_upload *u, Pb__BodySource *out_source,
                                          struct slice *out_attach);
/* Also aborts a staged upload that no request used. */
void backend_upload_free(struct backend_upload *u);
/* The request that used it was answered OK: nothing to abort. */
void backend_upload_used(struct backend_upload *u);

/* --- change hints (session/watch.c) --- */
struct conn;
struct backend_watch;
/* Wakes the connection by conn_notify whenever the account may have changed (hint, gap, or link loss re-checked within
 * 3 s). mailbox 0 = any. */
MUST_CHECK enum err backend_watch_add(struct backend *b, const struct account_ref *a, struct conn *c,
                                      struct backend_watch **out);
/* The modseq last heard of for the account; a session compares with what it has. Thread-safe, cheap. */
uint64_t backend_watch_modseq(const struct backend_watch *w);
/* The session could not read what changed: wakes it again as soon as the account's shard answers. */
void backend_watch_again(struct backend_watch *w);
void backend_watch_remove(struct backend_watch *w);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SESSION_BACKEND_H */
