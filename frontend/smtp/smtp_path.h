/* Reverse-path and forward-path of MAIL and RCPT (RFC 5321, 4.1.2; RFC 6531, 3.3) and the parameters behind them. Pure,
 * strict: quoted local parts, source routes (parsed and ignored, RFC 5321 appendix C), IPv4 and IPv6 literals, UTF-8 as
 * RFC 6532. */
#ifndef FRONTEND_SMTP_SMTP_PATH_H
#define FRONTEND_SMTP_SMTP_PATH_H

#include <stdbool.h>

#include "proto/base/err.h"
#include "proto/base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 5321 says 64; sender-rewriting and bounce addresses in the wild are longer. */
#define SMTP_LOCAL_BYTES_MAX 255
#define SMTP_DOMAIN_BYTES_MAX 255

struct smtp_path {
    char mailbox[2 * SMTP_LOCAL_BYTES_MAX + SMTP_DOMAIN_BYTES_MAX +
                 4];                                               /* as on the wire without <> and route; "" for <> */
    char lookup[SMTP_LOCAL_BYTES_MAX + SMTP_DOMAIN_BYTES_MAX + 2]; /* local part unquoted; no domain for <postmaster> */
    bool null;                                                     /* <> */
    bool literal;                                                  /* the domain is an address literal */
    bool utf8;                                                     /* has octets above 127: needs SMTPUTF8 */
    bool bare;                                                     /* "postmaster" without a domain */
};

/* Parses "<...>" at the start of `in`, after optional spaces. ERR_INVAL for bad grammar, ERR_LIMIT when a part is too
 * long. allow_null: "<>"; otherwise <postmaster> without a domain is allowed instead (RFC 5321, 4.5.1). *out_rest is
 * what follows the ">". */
MUST_CHECK enum err smtp_path_parse(struct slice in, bool allow_null, struct smtp_path *out, struct slice *out_rest);

/* The next of *(SP keyword ["=" value]). ERR_NOTFOUND at the end, ERR_INVAL for bad grammar. value.p is NULL without
 * "=". */
MUST_CHECK enum err smtp_param_next(struct slice *io_rest, struct slice *out_keyword, struct slice *out_value);

/* Domain or address literal, as in EHLO. Lenient in characters (underscores are common), strict in shape. */
bool smtp_domain_valid(struct slice s);

/* Length of the well-formed UTF-8 sequence at the start of s, 0 when it is none (RFC 3629). */
size_t smtp_utf8_length(struct slice s);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_SMTP_SMTP_PATH_H */
