/* How many connections each client address holds, over all threads: IPv4 by address, IPv6 by /64 (a host has one at
 * least), IPv4 mapped into IPv6 as IPv4. A sharded table: one short lock an accept and a close. Thread-safe. */
#ifndef FRONTEND_NET_IP_LIMIT_H
#define FRONTEND_NET_IP_LIMIT_H

#include <netinet/in.h>
#include <stddef.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ip_limit;

/* per_ip_max 0 = no limit. */
MUST_CHECK enum err ip_limit_new(unsigned per_ip_max, struct ip_limit **out_limit);
void ip_limit_free(struct ip_limit *l);
/* ERR_LIMIT when the address has its share already, ERR_NOMEM. After OK call ip_limit_leave once. */
MUST_CHECK enum err ip_limit_enter(struct ip_limit *l, const struct sockaddr_storage *a);
void ip_limit_leave(struct ip_limit *l, const struct sockaddr_storage *a);
/* Addresses held now, for tests. */
size_t ip_limit_count(struct ip_limit *l);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_NET_IP_LIMIT_H */
