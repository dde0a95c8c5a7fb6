#include "program/ctl_list.h"

#include <stdio.h>

#define PAGE 500

int ctl_list(struct ctl *c, Pb__ReadDirectoryList__What what, const char *domain,
             void (*print)(const Pb__DirectoryItem *item))
{
    char after[512] = "";
    for (;;) {
        Pb__ReadDirectoryList req = PB__READ_DIRECTORY_LIST__INIT;
        ProtobufCMessage *reply = NULL;
        req.what = what;
        req.after = after;
        req.limit = PAGE;
        req.domain = (char *)(uintptr_t)domain;
        enum err e =
            ctl_call(c, (struct shard_id){0}, (struct account_id){0}, METHOD_DIRECTORY_LIST, &req.base, &reply);
        if (e != OK) {
            return ctl_fail("list", domain, e);
        }
        Pb__ReadDirectoryListResult *r = (Pb__ReadDirectoryListResult *)(void *)reply;
        for (size_t i = 0; i < r->n_items; i++) {
            print(r->items[i]);
        }
        if (!r->more || r->n_items == 0) {
            return 0;
        }
        snprintf(after, sizeof(after), "%s", r->items[r->n_items - 1]->name);
        arena_reset(&c->arena);
    }
}
