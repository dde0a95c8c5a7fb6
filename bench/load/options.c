#include "bench/load/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct option_row {
    const char *name;
    bool text;
    size_t at;
    uint64_t number;
    const char *string;
    const char *doc;
};

#define AT(field) offsetof(struct options, field)
#define NUM(name, field, def, doc)                                                                                     \
    {                                                                                                                  \
        name, false, AT(field), def, NULL, doc                                                                         \
    }
#define STR(name, field, def, doc)                                                                                     \
    {                                                                                                                  \
        name, true, AT(field), 0, def, doc                                                                             \
    }

static const struct option_row rows[] = {
    STR("server", server, "server", "label in the result"),
    NUM("port", port, 0, "port on 127.0.0.1 that the work speaks to"),
    STR("cgroup", cgroup, NULL, "folder of the control group that holds the server: its CPU time and memory"),
    NUM("pid", pid, 0, "without a control group: the server's first process"),
    NUM("connections", connections, 1, "connections that work at once"),
    NUM("seconds", seconds, 5, "length of the measurement"),
    NUM("warm", warm_seconds, 1, "seconds of work before it"),
    NUM("ops", ops, 0, "end after so many operations instead, without warm-up"),
    NUM("ops-each", ops_each, 0, "the same for each connection"),
    NUM("size", size, 4096, "bytes of a message"),
    NUM("user-first", user_first, 1, "first user: uNNNN@domain; connection i is user i modulo --users"),
    NUM("users", users, 1, "users in turn"),
    STR("domain", domain, "example.test", "their domain"),
    STR("password", password, "pw", "their password"),
    STR("mailbox", mailbox, "INBOX", "mailbox that is selected or appended to"),
    NUM("messages", messages, 1, "messages in it: bound of sequence numbers, length of a POP3 session"),
    NUM("interval-ms", interval_ms, 0, "pause of a connection after each operation"),
    NUM("watchers", watchers, 0, "further connections that IDLE in the users' mailbox; times from delivery to notice"),
    NUM("watch-port", watch_port, 0, "IMAP port of the watchers"),
    NUM("delivered-port", delivered_port, 0,
        "IMAP port: the work ends when the users' INBOX hold all that was accepted (at most 64 users)"),
    NUM("deadline", deadline_seconds, 300, "seconds after which the whole run has failed"),
    NUM("seed", seed, 1, "of the messages and of the order"),
};

static void usage(FILE *out)
{
    (void)fprintf(out, "usage: load WORK --port N [--option VALUE]...\n\nWORK:\n");
    for (const struct work *const *w = bench_work_table; *w != NULL; w++) {
        (void)fprintf(out, "  %-18s %s\n", (*w)->name, (*w)->doc);
    }
    (void)fprintf(out, "\noptions:\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, "  --%-16s %s", rows[i].name, rows[i].doc);
        if (rows[i].text) {
            (void)fprintf(out, rows[i].string == NULL ? "\n" : " (%s)\n", rows[i].string);
        } else {
            (void)fprintf(out, " (%llu)\n", (unsigned long long)rows[i].number);
        }
    }
}

__attribute__((noreturn)) static void mistake(const char *what, const char *which)
{
    (void)fprintf(stderr, "load: %s '%s'\n", what, which);
    usage(stderr);
    exit(2);
}

static void set(struct options *o, const struct option_row *row, const char *value)
{
    char *at = (char *)o + row->at;
    if (row->text) {
        memcpy(at, &value, sizeof(value));
        return;
    }
    char *end = NULL;
    errno = 0;
    uint64_t v = strtoull(value, &end, 10);
    if (errno != 0 || *value < '0' || *value > '9' || *end != '\0') {
        mistake("not a number:", value);
    }
    memcpy(at, &v, sizeof(v));
}

static void set_defaults(struct options *o)
{
    memset(o, 0, sizeof(*o));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *at = (char *)o + rows[i].at;
        if (rows[i].text) {
            memcpy(at, &rows[i].string, sizeof(rows[i].string));
        } else {
            memcpy(at, &rows[i].number, sizeof(rows[i].number));
        }
    }
}

static void set_by_name(struct options *o, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            set(o, &rows[i], value);
            return;
        }
    }
    mistake("unknown option", name);
}

static const struct work *work_named(const char *name)
{
    for (const struct work *const *w = bench_work_table; *w != NULL; w++) {
        if (strcmp((*w)->name, name) == 0) {
            return *w;
        }
    }
    mistake("unknown work", name);
}

static void check(struct options *o)
{
    if (o->ops_each > 0) {
        o->ops = o->ops_each * o->connections;
    }
    if (o->port == 0 || o->port > 65535 || o->connections == 0 || o->users == 0 || o->messages == 0) {
        mistake("missing or out of range:", "--port, --connections, --users or --messages");
    }
    if (o->watchers > 0 && o->watch_port == 0) {
        mistake("missing:", "--watch-port");
    }
    if (o->delivered_port != 0 && o->users > 64) {
        mistake("too many users for", "--delivered-port");
    }
}

void options_parse(struct options *o, int argc, char **argv)
{
    set_defaults(o);
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        usage(argc < 2 ? stderr : stdout);
        exit(argc < 2 ? 2 : 0);
    }
    o->work = work_named(argv[1]);
    for (int i = 2; i < argc; i += 2) {
        if (strncmp(argv[i], "--", 2) != 0 || i + 1 == argc) {
            mistake("not an option with a value:", argv[i]);
        }
        set_by_name(o, argv[i] + 2, argv[i + 1]);
    }
    check(o);
}
