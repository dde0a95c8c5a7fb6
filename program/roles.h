/* The roles of the one executable (deploy/docs/ARCHITECTURE.md, section 2). Each takes the effective configuration,
 * runs until SIGTERM or SIGINT, drains, and returns the exit status. SIGHUP reads certificates again. */
#ifndef PROGRAM_ROLES_H
#define PROGRAM_ROLES_H

#include "program/config.h"

struct node;
struct frontend;
struct rpc_tls;

int role_all(const struct config *c);
int role_storage(const struct config *c);
int role_frontend(const struct config *c);
int role_config(const struct config *c);
int ctl_main(const struct config *c, int argc, char **argv);

/* --- pieces that role_all shares --- */
struct storage {
    struct node *node;                  /* atomic; NULL before it serves */
    struct rpc_tls *rpc_tls, *peer_tls; /* NULL: plain */
};
/* Opens what the configuration says of the cluster's certificates; first. s is zeroed by the caller, and in every case
 * for storage_stop. */
MUST_CHECK enum err storage_tls(const struct config *c, struct storage *s, struct buf *why);
/* in_process: serve RPC over inproc as well. Waits while the disk is too full. ERR_SHUTDOWN: told to stop meanwhile. */
MUST_CHECK enum err storage_start(const struct config *c, bool in_process, struct storage *s, struct buf *why);
void storage_stop(struct storage *s);
MUST_CHECK enum err frontend_start(const struct config *c, const char *rpc_urls, const char *pub_url,
                                   struct frontend **out, struct buf *why);
void frontend_reload(struct frontend *f);
void frontend_stop(struct frontend *f);

/* Raises the soft limit of open files, which is 1,024 by tradition, to the hard one, and returns what holds now. */
#define FILES_UNKNOWN UINT64_MAX
uint64_t files_limit_raise(void);

#define INPROC_RPC_URL "inproc://pillarbox-rpc"
#define INPROC_PUB_URL "inproc://pillarbox-events"

/* Blocks the signals in this thread (so in all that are started later); call first. */
void signals_block(void);
/* Waits: true for SIGHUP (reload), false for SIGTERM and SIGINT. */
bool signals_wait(void);
/* The same for at most that long. */
enum signals_seen { SIGNAL_NONE, SIGNAL_RELOAD, SIGNAL_STOP };
enum signals_seen signals_poll(unsigned ms);

#endif /* PROGRAM_ROLES_H */
