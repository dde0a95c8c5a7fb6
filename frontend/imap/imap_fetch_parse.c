#include "frontend/imap/imap_fetch.h"

const struct imap_fetch_item *imap_fetch_item_find(struct slice name)
{
    for (size_t i = 0; imap_fetch_table[i] != NULL; i++) {
        if (slice_ieq_str(name, imap_fetch_table[i]->name)) {
            return imap_fetch_table[i];
        }
    }
    return NULL;
}

static bool has(const struct imap_fetch *f, const struct imap_fetch_item *item)
{
    for (size_t i = 0; i < f->n; i++) {
        if (f->args[i].item == item && f->args[i].section == NULL) {
            return true;
        }
    }
    return false;
}

static struct imap_fetch_arg *new_arg(struct imap_cursor *c, struct imap_fetch *f, const struct imap_fetch_item *item)
{
    if (f->n == IMAP_FETCH_ARGS_MAX) {
        (void)imap_parse_fail(c, "Too many FETCH items");
        return NULL;
    }
    struct imap_fetch_arg *arg = &f->args[f->n];
    *arg = (struct imap_fetch_arg){.item = item, .columns = item->columns};
    return arg;
}

/* Keeps the argument that was made last. */
static void take(struct imap_fetch *f, const struct imap_fetch_arg *arg)
{
    f->columns |= arg->columns;
    f->content = f->content || arg->content;
    f->sets_seen = f->sets_seen || arg->sets_seen;
    f->condstore = f->condstore || arg->item->condstore;
    f->n++;
}

bool imap_fetch_add(struct imap_cursor *c, struct imap_fetch *f, const struct imap_fetch_item *item)
{
    if (has(f, item)) {
        return true;
    }
    struct imap_fetch_arg *arg = new_arg(c, f, item);
    if (arg == NULL || (item->parse != NULL && !item->parse(c, arg))) {
        return false;
    }
    take(f, arg);
    return true;
}

static bool is_item_char(uint8_t b)
{
    return (b >= 'A' && b <= 'Z') || (b >= 'a' && b <= 'z') || (b >= '0' && b <= '9') || b == '.' || b == '-';
}

static bool parse_item(struct imap_cursor *c, struct imap_fetch *f)
{
    const uint8_t *from = c->p;
    while (c->p < c->end && is_item_char(*c->p)) {
        c->p++;
    }
    const struct imap_fetch_item *item = imap_fetch_item_find(slice_make(from, (size_t)(c->p - from)));
    if (item == NULL) {
        return imap_parse_fail(c, "Unknown FETCH item");
    }
    struct imap_fetch_arg *arg = new_arg(c, f, item);
    if (arg == NULL || (item->parse != NULL && !item->parse(c, arg))) {
        return false;
    }
    if (arg->section != NULL || !has(f, item)) {
        take(f, arg);
    }
    return true;
}

/* RFC 3501, 6.4.5: macros stand alone, not in a list. */
static const struct {
    const char *name;
    const char *items[6];
} macros[] = {
    {"FAST", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", NULL}},
    {"ALL", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", NULL}},
    {"FULL", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY", NULL}},
};

static bool take_macro(struct imap_cursor *c, struct imap_fetch *f, bool *out_taken)
{
    *out_taken = false;
    for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++) {
        if (!imap_take_word(c, macros[i].name)) {
            continue;
        }
        *out_taken = true;
        for (size_t j = 0; macros[i].items[j] != NULL; j++) {
            if (!imap_fetch_add(c, f, imap_fetch_item_find(slice_str(macros[i].items[j])))) {
                return false;
            }
        }
        return true;
    }
    return true;
}

bool imap_parse_fetch_items(struct imap_cursor *c, struct imap_fetch *f)
{
    bool macro;
    if (!take_macro(c, f, &macro)) {
        return false;
    }
    if (macro) {
        return true;
    }
    if (!imap_take(c, '(')) {
        return parse_item(c, f);
    }
    do {
        if (!parse_item(c, f)) {
            return false;
        }
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')');
}
