/* The one executable: picks the role, loads the configuration, runs. */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program/ctl.h"
#include "program/roles.h"
#include "proto/base/fault.h"
#include "proto/base/log.h"

#define SETS_MAX 256

static const char usage_text[] = "usage: pillarbox ROLE [--config FILE] [--set KEY=VALUE]... [arguments]\n"
                                 "\n"
                                 "  all        storage and frontends in one process\n"
                                 "  storage    a storage node\n"
                                 "  frontend   SMTP, submission, LMTP, POP3 and IMAP frontends\n"
                                 "  ctl ...    the operator's tool; `pillarbox ctl help` lists its commands\n"
                                 "  config     prints the effective configuration with every key's documentation\n"
                                 "  version    prints the version\n";

struct role {
    const char *name;
    int (*run)(const struct config *c);
};

static const struct role roles[] = {
    {"all", role_all},
    {"storage", role_storage},
    {"frontend", role_frontend},
    {"config", role_config},
};

struct options {
    const char *file;
    struct config_override sets[SETS_MAX];
    size_t n_sets;
};

/* Reads the options that every role has. Returns the index of the first argument left, -1 for wrong ones, 0 when help
 * was asked for. */
static int options_parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"set", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int got;
    while ((got = getopt_long(argc, argv, "+c:s:h", longs, NULL)) != -1) {
        if (got == 'c') {
            o->file = optarg;
        } else if (got == 's' && o->n_sets < SETS_MAX) {
            o->sets[o->n_sets++].assignment = optarg;
        } else {
            return got == 'h' ? 0 : -1;
        }
    }
    return optind;
}

/* ctl's commands have options of their own, anywhere: only these two are taken out. */
static void ctl_options_parse(int *argc, char **argv, struct options *o)
{
    const char *value;
    while ((value = ctl_option(argc, argv, "--config")) != NULL) {
        o->file = value;
    }
    while (o->n_sets < SETS_MAX && (value = ctl_option(argc, argv, "--set")) != NULL) {
        o->sets[o->n_sets++].assignment = value;
    }
}

static int with_config(const struct options *o, int (*run)(const struct config *), int argc, char **argv)
{
    struct config c;
    struct buf why;
    enum log_level level;
    buf_init(&why, 64 * 1024);
    enum err e = config_load(&c, o->file, o->sets, o->n_sets, &why);
    if (e != OK) {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox: the configuration was refused\n%.*s", (int)w.n, (const char *)w.p);
        buf_fini(&why);
        return 2;
    }
    buf_fini(&why);
    if (log_level_parse(slice_str(c.log_level), &level) == OK) {
        log_set_level(level);
    }
    int rc = run != NULL ? run(&c) : ctl_main(&c, argc, argv);
    config_fini(&c);
    return rc;
}

/* Whoever starts us with a closed stderr must not make the next file that is opened, the store, take our log lines. */
static void standard_fds_open(void)
{
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO) {
        fd = open("/dev/null", O_RDWR);
    }
    if (fd > STDERR_FILENO) {
        close(fd);
    }
}

/* For the crash tests only. A misspelt fault must not pass for one that the program survives. */
static enum err faults_arm(void)
{
    const char *spec = getenv("PILLARBOX_FAULT");
    enum err e = fault_arm(spec);
    if (e != OK) {
        fprintf(stderr, "pillarbox: PILLARBOX_FAULT=%s: not NAME:N[:kill|error], see proto/base/fault.h\n", spec);
    } else if (spec != NULL) {
        log_warn("fault.armed", "this process will fail on purpose", LOG_STR("fault", spec));
    }
    return e;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    standard_fds_open();
    if (faults_arm() != OK) {
        return 2;
    }
    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(usage_text, argc < 2 ? stderr : stdout);
        return argc < 2 ? 2 : 0;
    }
    if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
        puts("pillarbox " PB_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "ctl") == 0) {
        argc -= 2;
        ctl_options_parse(&argc, argv + 2, &o);
        return with_config(&o, NULL, argc, argv + 2);
    }
    int first = options_parse(argc - 1, argv + 1, &o);
    if (first <= 0) {
        fputs(usage_text, first == 0 ? stdout : stderr);
        return first == 0 ? 0 : 2;
    }
    argc -= 1 + first;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(argv[1], roles[i].name) == 0) {
            if (argc > 0) {
                fprintf(stderr, "pillarbox %s: unexpected argument '%s'\n", roles[i].name, argv[1 + first]);
                return 2;
            }
            return with_config(&o, roles[i].run, 0, NULL);
        }
    }
    fprintf(stderr, "pillarbox: unknown role '%s'\n\n%s", argv[1], usage_text);
    return 2;
}
