#include "frontend/imap/imap_status.h"

static const struct imap_status_item *find(struct slice name)
{
    for (size_t i = 0; imap_status_table[i] != NULL; i++) {
        if (slice_ieq_str(name, imap_status_table[i]->name)) {
            return imap_status_table[i];
        }
    }
    return NULL;
}

bool imap_parse_status_items(struct imap_cursor *c, struct imap_status_items *out, bool *out_condstore)
{
    struct imap_status_items list = {.n = 0};
    bool condstore = false;
    if (!imap_parse_char(c, '(')) {
        return false;
    }
    do {
        struct slice name;
        if (!imap_parse_atom(c, &name)) {
            return false;
        }
        const struct imap_status_item *item = find(name);
        if (item == NULL) {
            return imap_parse_fail(c, "Unknown STATUS item");
        }
        if (list.n == IMAP_STATUS_ITEMS_MAX) {
            return imap_parse_fail(c, "Too many STATUS items");
        }
        list.items[list.n++] = item;
        condstore = condstore || item->condstore;
    } while (imap_take(c, ' '));
    if (!imap_parse_char(c, ')')) {
        return false;
    }
    *out = list;
    *out_condstore = condstore;
    return true;
}

void imap_out_status(struct imap_out *o, const struct imap_status_items *items, const Pb__MailboxInfo *info)
{
    imap_out_str(o, "* STATUS ");
    imap_out_mailbox(o, info->name);
    imap_out_str(o, " (");
    for (size_t i = 0; i < items->n; i++) {
        if (i > 0) {
            imap_out_char(o, ' ');
        }
        imap_out_str(o, items->items[i]->name);
        imap_out_char(o, ' ');
        items->items[i]->format(o, info);
    }
    imap_out_str(o, ")\r\n");
}
