/* Bugs planted on purpose, so that a test sees the simulator find them (tests/sim/planted). Where PB_PLANT is not
 * defined, and only the test library pb_planted defines it, planted() is false when compiled and its branch is not
 * there. */
#ifndef PROTO_BASE_PLANT_H
#define PROTO_BASE_PLANT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum plant {
    PLANT_NONE,
    PLANT_EARLY_ACK,    /* entries are acknowledged to the leader before the commit that makes them durable */
    PLANT_EARLY_APPLY,  /* entries are applied in a commit before the one that writes them to the log */
    PLANT_DEDUPE_LOST,  /* a copy of a replica leaves the dedupe records out */
    PLANT_UID_UNROLLED, /* UIDs come from a counter in memory that an aborted transaction does not roll back */
    PLANT_LEASE_DRIFT,  /* a lease lasts as if all clocks went alike */
    PLANT_LEASE_KEPT,   /* a lease outlives the beginning of a transfer */
    PLANT_EARLY_CHANGE, /* a change of the configuration leaves before the commit that makes it durable */
    PLANT_NO_FLOOR,     /* who threw its log away votes as if it never had one */
    PLANT_MOVE_FENCE,   /* an account is changed while the last of it is copied to another shard */
};

#ifdef PB_PLANT
extern enum plant plant_sown;
static inline bool planted(enum plant p)
{
    return plant_sown == p;
}
#else
static inline bool planted(enum plant p)
{
    (void)p;
    return false;
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* PROTO_BASE_PLANT_H */
