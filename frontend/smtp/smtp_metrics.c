#include "frontend/smtp/smtp_session.h"
#include "proto/base/metrics.h"

#define ROLES 3

#define ROLE_COUNTERS(NAME, HELP)                                                                                      \
    {                                                                                                                  \
        {METRIC_TYPE_COUNTER, NAME, HELP, "role=\"smtp\"", 0, 0, 0, {0}, NULL, 0},                                     \
            {METRIC_TYPE_COUNTER, NAME, HELP, "role=\"submission\"", 0, 0, 0, {0}, NULL, 0},                           \
            {METRIC_TYPE_COUNTER, NAME, HELP, "role=\"lmtp\"", 0, 0, 0, {0}, NULL, 0},                                 \
    }

static struct metric counters[SMTP_METRIC_COUNT][ROLES] = {
    [SMTP_METRIC_CONNECTIONS] = ROLE_COUNTERS("pillarbox_smtp_connections_total", "Connections of mail receivers"),
    [SMTP_METRIC_ACCEPTED] =
        ROLE_COUNTERS("pillarbox_smtp_accepted_total", "Replies of 250 after the data (LMTP: one a recipient)"),
    [SMTP_METRIC_DEFERRED] = ROLE_COUNTERS("pillarbox_smtp_deferred_total", "Messages answered 4xx after the data"),
    [SMTP_METRIC_REFUSED] = ROLE_COUNTERS("pillarbox_smtp_refused_total", "Messages answered 5xx after the data"),
    [SMTP_METRIC_RECIPIENTS_REFUSED] =
        ROLE_COUNTERS("pillarbox_smtp_recipients_refused_total", "RCPT commands refused"),
    [SMTP_METRIC_BYTES] = ROLE_COUNTERS("pillarbox_smtp_bytes_total", "Bytes of message content received"),
    [SMTP_METRIC_AUTH_FAILURES] = ROLE_COUNTERS("pillarbox_smtp_auth_failures_total", "Failed AUTH commands"),
};

static struct metric deliver[ROLES] = {
    {METRIC_TYPE_HISTOGRAM,
     "pillarbox_smtp_deliver_seconds",
     "From the end of the data to the reply",
     "role=\"smtp\"",
     0,
     0,
     0,
     {0},
     NULL,
     0},
    {METRIC_TYPE_HISTOGRAM,
     "pillarbox_smtp_deliver_seconds",
     "From the end of the data to the reply",
     "role=\"submission\"",
     0,
     0,
     0,
     {0},
     NULL,
     0},
    {METRIC_TYPE_HISTOGRAM,
     "pillarbox_smtp_deliver_seconds",
     "From the end of the data to the reply",
     "role=\"lmtp\"",
     0,
     0,
     0,
     {0},
     NULL,
     0},
};

static unsigned role_index(enum smtp_role role)
{
    return role == SMTP_ROLE_MX ? 0 : role == SMTP_ROLE_SUBMISSION ? 1 : 2;
}

void smtp_metrics_register(void)
{
    for (unsigned role = 0; role < ROLES; role++) {
        for (unsigned m = 0; m < SMTP_METRIC_COUNT; m++) {
            metric_register(&counters[m][role]);
        }
        metric_register(&deliver[role]);
    }
}

void smtp_metric_add(enum smtp_role role, enum smtp_metric m, uint64_t n)
{
    metric_add(&counters[m][role_index(role)], (int64_t)n);
}

void smtp_metric_deliver_us(enum smtp_role role, uint64_t us)
{
    metric_observe_us(&deliver[role_index(role)], us);
}
