#include "proto/rpc/refusal.h"

#include "proto/base/clock.h"
#include "proto/base/log.h"

#define PAUSE_MS 1000

void rpc_refusal_log(struct rpc_refusal *r, const char *event, const char *url, const char *why)
{
    uint64_t now = clock_mono_ms(clock_system());
    if (now < r->next_ms) {
        r->unlogged++;
        return;
    }
    log_warn(event, "a peer was turned away", LOG_STR("url", url), LOG_STR("why", why),
             LOG_U64("unlogged", r->unlogged));
    r->next_ms = now + PAUSE_MS;
    r->unlogged = 0;
}
