/* The one error type of Pillarbox. Every fallible function returns it and every caller looks at it; each protocol maps
 * it to its own replies by an exhaustive switch (deploy/docs/ARCHITECTURE.md, section 10). */
#ifndef PROTO_BASE_ERR_H
#define PROTO_BASE_ERR_H

/* X(NAME, number on the wire, text). Numbers are part of the RPC protocol: never renumber, only append. */
#define ERR_LIST(X)                                                                                                    \
    X(OK, 0, "ok")                                                                                                     \
    X(ERR_NOMEM, 1, "out of memory")                                                                                   \
    X(ERR_LIMIT, 2, "a limit was exceeded")                                                                            \
    X(ERR_CORRUPT, 3, "corrupt data")                                                                                  \
    X(ERR_INVAL, 4, "invalid argument")                                                                                \
    X(ERR_NOTFOUND, 5, "not found")                                                                                    \
    X(ERR_EXISTS, 6, "already exists")                                                                                 \
    X(ERR_NOT_LEADER, 7, "this node does not lead the shard")                                                          \
    X(ERR_UNAVAILABLE, 8, "temporarily unavailable")                                                                   \
    X(ERR_TIMEOUT, 9, "timed out")                                                                                     \
    X(ERR_FULL, 10, "storage is full")                                                                                 \
    X(ERR_QUOTA, 11, "over quota")                                                                                     \
    X(ERR_IO, 12, "input/output error")                                                                                \
    X(ERR_AUTH, 13, "authentication failed")                                                                           \
    X(ERR_OVERLOAD, 14, "overloaded, try again later")                                                                 \
    X(ERR_LOCKED, 15, "locked by another session")                                                                     \
    X(ERR_STALE, 16, "the object was replaced")                                                                        \
    X(ERR_CLOSED, 17, "connection closed")                                                                             \
    X(ERR_PERM, 18, "permission denied")                                                                               \
    X(ERR_EXPIRED, 19, "the request is too old")                                                                       \
    X(ERR_UNSUPPORTED, 20, "not supported")                                                                            \
    X(ERR_PROTOCOL, 21, "protocol violation")                                                                          \
    X(ERR_TLS, 22, "TLS failure")                                                                                      \
    X(ERR_SHUTDOWN, 23, "shutting down")                                                                               \
    X(ERR_EXPUNGED, 24, "the message was expunged")                                                                    \
    X(ERR_NOPARENT, 25, "no such parent or destination")                                                               \
    X(ERR_NONEMPTY, 26, "not empty")                                                                                   \
    X(ERR_CHARSET, 27, "unsupported character set")                                                                    \
    X(ERR_MOVED, 28, "the account lives in another shard")

enum err {
#define ERR_ENUM(name, number, text) name = number,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

#define ERR_MAX 28

#define MUST_CHECK __attribute__((warn_unused_result))

#ifdef __cplusplus
extern "C" {
#endif

/* Static text in English, for logs and human-readable reply texts. */
const char *err_text(enum err e);
/* Static symbolic name ("ERR_QUOTA"), for log fields and metrics. */
const char *err_name(enum err e);
/* A number from the wire or from disk as an error; unknown numbers become ERR_CORRUPT. */
enum err err_from_wire(unsigned number);

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_ERR_H */
