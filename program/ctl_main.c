#include <stdio.h>
#include <string.h>

#include "program/ctl.h"
#include "program/roles.h"

#define ARENA_BYTES (64 * 1024 * 1024)

static int help(void)
{
    puts("usage: pillarbox ctl [--data DIR | --node URL] COMMAND ...\n\n"
         "  --data DIR   talk to the storage node of this data directory, through its socket (default: data_dir)\n"
         "  --node URL   talk to a storage node, e.g. tcp://127.0.0.1:2100\n");
    for (const struct ctl_cmd *const *p = ctl_table; *p != NULL; p++) {
        printf("  %-15s %-42s %s\n", (*p)->name, (*p)->args, (*p)->help);
    }
    return 0;
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

static int run(struct ctl *ctl, int argc, char **argv)
{
    for (const struct ctl_cmd *const *p = ctl_table; *p != NULL; p++) {
        int words = words_match((*p)->name, argc, argv);
        if (words > 0) {
            int rc = (*p)->run(ctl, argc - words, argv + words);
            if (rc == CTL_USAGE) {
                usage(*p);
            }
            return rc;
        }
    }
    fprintf(stderr, "pillarbox ctl: unknown command '%s' (`pillarbox ctl help` lists them)\n", argv[0]);
    return 2;
}

int ctl_main(const struct config *c, int argc, char **argv)
{
    char url[1200];
    const char *data = ctl_option(&argc, argv, "--data");
    const char *node = ctl_option(&argc, argv, "--node");
    if (argc == 0 || strcmp(argv[0], "help") == 0) {
        return help();
    }
    struct ctl ctl = {.data_dir = data != NULL ? data : c->data_dir, .url = url};
    snprintf(url, sizeof(url), node != NULL ? "%s" : "ipc://%s/ctl.sock", node != NULL ? node : ctl.data_dir);
    arena_init(&ctl.arena, ARENA_BYTES);
    int rc = run(&ctl, argc, argv);
    if (ctl.client != NULL) {
        rpc_client_close(ctl.client);
    }
    arena_fini(&ctl.arena);
    return rc;
}
