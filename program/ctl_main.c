#include <stdio.h>
#include <string.h>

#include "program/cluster_tls.h"
#include "program/ctl.h"
#include "program/roles.h"

#define ARENA_BYTES (64 * 1024 * 1024)

static const char usage_text[] =
    "usage: pillarbox ctl [--data DIR | --node URL] COMMAND ...\n\n"
    "  --data DIR   talk to the storage node of this data directory, through its socket (default: data_dir)\n"
    "  --node URL   talk to a storage node, e.g. tcp://127.0.0.1:2100\n\n";

/* Whether words and the command's name agree as far as both go: "user", "user add" and "user add ALICE" for "user add".
 */
static bool in_group(const char *name, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        size_t n = strcspn(name, " ");
        if (n > 0 && (strlen(argv[i]) != n || memcmp(argv[i], name, n) != 0)) {
            return false;
        }
        name += n + (name[n] == ' ' ? 1 : 0);
    }
    return true;
}

/* The commands that the words may mean; false when there is none. */
static bool list(FILE *out, const char *head, int argc, char **argv)
{
    bool any = false;
    for (const struct ctl_cmd *const *p = ctl_table; *p != NULL; p++) {
        if (in_group((*p)->name, argc, argv)) {
            fprintf(out, "%s  %-15s %-26s %s\n", any ? "" : head, (*p)->name, (*p)->args, (*p)->help);
            any = true;
        }
    }
    return any;
}

static int help(int argc, char **argv)
{
    if (!list(stdout, usage_text, argc, argv)) {
        list(stdout, usage_text, 0, NULL);
    }
    return 0;
}

/* Takes --help and -h out, wherever they stand. */
static bool help_asked(int *argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) {
            argv[kept++] = argv[i];
        }
    }
    bool asked = kept < *argc;
    *argc = kept;
    return asked;
}

/* How many words of argv name the command; 0 = not this one. */
static int words_match(const char *name, int argc, char **argv)
{
    int words = 0;
    while (*name != '\0') {
        size_t n = strcspn(name, " ");
        if (words == argc || strlen(argv[words]) != n || memcmp(argv[words], name, n) != 0) {
            return 0;
        }
        words++;
        name += n + (name[n] == ' ' ? 1 : 0);
    }
    return words;
}

static void usage(const struct ctl_cmd *cmd)
{
    fprintf(stderr, "usage: pillarbox ctl [--data DIR | --node URL] %s %s\n%s\n", cmd->name, cmd->args, cmd->help);
}

static int unknown(char **argv)
{
    if (list(stderr, "pillarbox ctl: unknown command; there are\n", 1, argv)) {
        return CTL_USAGE;
    }
    if (argv[0][0] == '-') {
        fprintf(stderr, "pillarbox ctl: %s: unknown, or without its value (`pillarbox ctl help`)\n", argv[0]);
    } else {
        fprintf(stderr, "pillarbox ctl: unknown command '%s' (`pillarbox ctl help` lists them)\n", argv[0]);
    }
    return CTL_USAGE;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
    const struct ctl_cmd *cmd = NULL;
    int words = 0;
    for (const struct ctl_cmd *const *p = ctl_table; *p != NULL; p++) { /* "backup verify" is not "backup" */
        int n = words_match((*p)->name, argc, argv);
        cmd = n > words ? *p : cmd;
        words = n > words ? n : words;
    }
    if (cmd == NULL) {
        return unknown(argv);
    }
    int rc = cmd->run(ctl, argc - words, argv + words);
    if (rc == CTL_USAGE) {
        usage(cmd);
    }
    return rc;
}

/* To a node elsewhere, as a frontend would go there. */
static bool tls_open(const struct config *c, struct ctl *ctl)
{
    struct buf why;
    buf_init(&why, 4096);
    enum err e = cluster_tls_open(c, CLUSTER_SIDE_FRONTEND, &ctl->tls, &why);
    if (e != OK) {
        struct slice w = buf_slice(&why);
        fprintf(stderr, "pillarbox ctl: %.*s\n", (int)w.n, (const char *)w.p);
    }
    buf_fini(&why);
    return e == OK;
}

int ctl_main(const struct config *c, int argc, char **argv)
{
    char url[1200];
    const char *data = ctl_option(&argc, argv, "--data");
    const char *node = ctl_option(&argc, argv, "--node");
    bool asked = help_asked(&argc, argv);
    if (argc == 0 || asked || strcmp(argv[0], "help") == 0) {
        int skip = argc > 0 && strcmp(argv[0], "help") == 0 ? 1 : 0;
        return help(argc - skip, argv + skip);
    }
    struct ctl ctl = {.data_dir = data != NULL ? data : c->data_dir,
                      .url = url,
                      .default_shards = c->storage_shards,
                      .dedupe_ms = c->storage_dedupe_ms,
                      .map_bytes = c->storage_map_bytes};
    snprintf(url, sizeof(url), node != NULL ? "%s" : "ipc://%s/ctl.sock", node != NULL ? node : ctl.data_dir);
    if (node != NULL && !tls_open(c, &ctl)) {
        return 1;
    }
    arena_init(&ctl.arena, ARENA_BYTES);
    int rc = run(&ctl, argc, argv);
    if (rc == 1 && ctl.unanswered) {
        fprintf(stderr, "pillarbox ctl: no answer from %s: is the node running?\n", url);
    }
    if (ctl.client != NULL) {
        rpc_client_close(ctl.client);
    }
    rpc_tls_close(ctl.tls);
    arena_fini(&ctl.arena);
    return rc;
}
