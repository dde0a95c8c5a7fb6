/* One client connection: plaintext or TLS bytes in and out, buffers, timeouts. Owned by its loop; every call comes from
 * that loop's thread. The protocol sees plain bytes only.
 *
 * Life: accept -> proto->open -> (bytes arrive -> a fiber runs proto->input until it returns) ... -> proto->close ->
 * freed. At most one fiber runs for a connection at a time: while one runs, further input is only buffered. When
 * proto->input returns without having consumed all, it is called again when more bytes arrive; it returns with nothing
 * pending to become idle. Idle connections hold no fiber and give their buffers back. The input buffer is bounded
 * (in_bytes_max): when it is full reading stops until something is consumed. */
#ifndef FRONTEND_NET_CONN_H
#define FRONTEND_NET_CONN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conn;
struct loop;
struct tls_context;

/* What wakes an idle session besides input. */
enum conn_event {
    CONN_EVENT_TIMEOUT, /* the idle timeout set by conn_set_idle_ms passed */
    CONN_EVENT_NOTIFY,  /* conn_notify was called (a mailbox changed) */
    CONN_EVENT_DRAIN    /* the process is shutting down: say BYE/421 and close */
};

/* A protocol, e.g. IMAP. The session lies in the connection's memory (zeroed). All callbacks but close run on a fiber.
 */
struct conn_proto {
    const char *name; /* "imap", "submission": metrics and logs */
    const char *alpn; /* "imap", "pop3", "smtp" or NULL */
    size_t session_bytes;
    size_t in_bytes_max; /* unread input a client may have queued */
    uint64_t idle_ms;    /* initial idle timeout (before login) */
    /* Greets. An error closes the connection after what was written is flushed. */
    enum err (*open)(struct conn *c, void *session);
    /* There is unread input. ERR_CLOSED or any error closes after flushing. */
    enum err (*input)(struct conn *c, void *session);
    /* May write and may close; OK keeps the connection. */
    enum err (*event)(struct conn *c, void *session, enum conn_event ev);
    /* Frees what the session owns. Not on a fiber: must not block. Called exactly once, after the last fiber has
     * returned. */
    void (*close)(struct conn *c, void *session);
};

void *conn_session(struct conn *c);
struct loop *conn_loop(struct conn *c);
/* Listener's user pointer (listener_config.user): the protocol's shared server object. */
void *conn_user(struct conn *c);
const struct conn_proto *conn_proto(const struct conn *c);
uint64_t conn_id(const struct conn *c); /* unique in the process, for logs */

/* Peer and local address as text without port ("192.0.2.1", "2001:db8::1"); valid as long as the connection. */
const char *conn_peer_ip(const struct conn *c);
const char *conn_local_ip(const struct conn *c);
uint16_t conn_peer_port(const struct conn *c);
const struct sockaddr_storage *conn_peer_addr(const struct conn *c);

/* --- input --- */
/* Buffered unread bytes; the view is valid until the next conn_* call on this connection. */
struct slice conn_peek(struct conn *c);
void conn_consume(struct conn *c, size_t n);
/* Blocks the fiber until at least one more byte is buffered than there was at the call. ERR_TIMEOUT after timeout_ms,
 * ERR_CLOSED at end of file or reset, ERR_LIMIT when the buffer is full, ERR_SHUTDOWN when draining forces it. */
MUST_CHECK enum err conn_read(struct conn *c, uint64_t timeout_ms);

/* --- output --- */
/* Queues bytes (copied). Blocks the fiber while more than the high-water mark is unsent (the client's socket gives the
 * back-pressure); ERR_CLOSED when the peer is gone or too slow (slow-client eviction). Output leaves when the fiber
 * blocks or returns, so that many small writes are one send. */
MUST_CHECK enum err conn_write(struct conn *c, const void *p, size_t n);
MUST_CHECK enum err conn_write_slice(struct conn *c, struct slice s);
MUST_CHECK enum err conn_write_str(struct conn *c, const char *z);
MUST_CHECK __attribute__((format(printf, 2, 3))) enum err conn_printf(struct conn *c, const char *fmt, ...);
/* Starts sending what is queued; does not wait for the peer. */
void conn_flush(struct conn *c);
/* Bytes queued and not yet handed to the kernel. */
size_t conn_unsent(const struct conn *c);

/* --- TLS --- */
bool conn_is_tls(const struct conn *c);
/* True when the listener has a TLS context and the connection is still plaintext. */
bool conn_can_starttls(const struct conn *c);
/* After the protocol's positive reply was written: flushes it, DISCARDS all pipelined plaintext input (RFC 3207, 4.2;
 * returns ERR_PROTOCOL and the caller must close, if there was any), handshakes. ERR_TLS on failure: close without a
 * word. */
MUST_CHECK enum err conn_starttls(struct conn *c);
/* "TLSv1.3 TLS_AES_128_GCM_SHA256", "" on plaintext. */
const char *conn_tls_description(const struct conn *c);
/* Keying material of the TLS session (RFC 5705, no context), e.g. label "EXPORTER-Channel-Binding" and 32 bytes for
 * SCRAM-PLUS (RFC 9266). ERR_TLS on plaintext. */
MUST_CHECK enum err conn_tls_export(struct conn *c, const char *label, uint8_t *out, size_t n);

/* --- life --- */
void conn_set_idle_ms(struct conn *c, uint64_t idle_ms);
/* Thread-safe wake for a subscription: the session's event(NOTIFY) runs soon (coalesced). See session/watch.h; conn
 * handles stay valid through conn_ref/conn_unref. */
struct conn_handle;
struct conn_handle *conn_handle_ref(struct conn *c); /* NULL when memory is out */
void conn_handle_unref(struct conn_handle *h);
void conn_notify(struct conn_handle *h);
/* Close after queued output is sent; takes effect when the callback returns. */
void conn_close(struct conn *c);
bool conn_draining(const struct conn *c);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_CONN_H */
