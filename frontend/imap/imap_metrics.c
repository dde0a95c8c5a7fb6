#include "frontend/imap/imap_metrics.h"

#include <pthread.h>

#include "proto/base/assert.h"
#include "proto/base/metrics.h"

#define COMMANDS_MAX 64

METRIC_GAUGE(sessions, "pillarbox_imap_sessions", "IMAP connections now");
METRIC_COUNTER_L(logins_ok, "pillarbox_imap_logins_total", "IMAP logins by result", "result=\"ok\"");
METRIC_COUNTER_L(logins_failed, "pillarbox_imap_logins_total", "IMAP logins by result", "result=\"failed\"");

static struct metric commands[COMMANDS_MAX];
static char labels[COMMANDS_MAX][48];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The label's value is the command's name in lower case. */
static void label_set(char *out, const char *name)
{
    static const char head[] = "command=\"";
    memcpy(out, head, sizeof(head) - 1);
    size_t n = sizeof(head) - 1;
    for (const char *c = name; *c != '\0' && n < sizeof(labels[0]) - 2; c++) {
        out[n++] = (char)ascii_lower((uint8_t)*c);
    }
    out[n++] = '"';
    out[n] = '\0';
}

static void init_all(void)
{
    for (size_t i = 0; imap_cmd_table[i] != NULL; i++) {
        ASSERT(i < COMMANDS_MAX);
        label_set(labels[i], imap_cmd_table[i]->name);
        commands[i].type = METRIC_TYPE_HISTOGRAM;
        commands[i].name = "pillarbox_imap_command_seconds";
        commands[i].help = "Time from a complete command to its tagged reply";
        commands[i].labels = labels[i];
        metric_register(&commands[i]);
    }
    metric_register(&sessions);
    metric_register(&logins_ok);
    metric_register(&logins_failed);
}

void imap_metrics_init(void)
{
    (void)pthread_once(&once, init_all);
}

void imap_metrics_command(const struct imap_cmd *cmd, uint64_t us)
{
    for (size_t i = 0; imap_cmd_table[i] != NULL; i++) {
        if (imap_cmd_table[i] == cmd) {
            metric_observe_us(&commands[i], us);
            return;
        }
    }
}

void imap_metrics_session(int delta)
{
    metric_add(&sessions, delta);
}

void imap_metrics_login(bool success)
{
    metric_inc(success ? &logins_ok : &logins_failed);
}
