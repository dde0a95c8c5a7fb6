#include "frontend/imap/imap_list.h"

#include <stdlib.h>

#include "frontend/imap/imap_match.h"
#include "proto/rpc/flags.h"

/* A mailbox, or the name of a parent that does not exist. */
struct entry {
    const Pb__MailboxInfo *info;
    bool child_selected; /* a mailbox below it satisfies the selection */
    bool child_hidden;   /* and such a one does not match the pattern */
};

struct lister {
    const struct imap_list *l;
    struct entry *entries; /* by name, in memory order: descendants of a name are contiguous */
    size_t n;
    struct slice patterns[IMAP_LIST_PATTERNS_MAX]; /* with the reference */
    struct imap_out *out;
};

static int by_name(const void *a, const void *b)
{
    const Pb__MailboxInfo *const *x = a;
    const Pb__MailboxInfo *const *y = b;
    return slice_cmp(slice_str((*x)->name), slice_str((*y)->name));
}

static bool matches(const struct lister *ls, struct slice name)
{
    for (size_t i = 0; i < ls->l->n_patterns; i++) {
        if (imap_match(ls->patterns[i], name)) {
            return true;
        }
    }
    return false;
}

static bool selected(const struct imap_list *l, const Pb__MailboxInfo *m)
{
    bool subscribed = l->lsub || l->select_subscribed;
    if (subscribed ? !m->subscribed : m->nonexistent) {
        return false;
    }
    return !l->select_special_use || m->special_use != SPECIAL_USE_NONE;
}

static struct entry *find(struct lister *ls, struct slice name)
{
    size_t lo = 0;
    size_t hi = ls->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = slice_cmp(slice_str(ls->entries[mid].info->name), name);
        if (c == 0) {
            return &ls->entries[mid];
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

static const char *special_use(uint32_t use)
{
    static const char *const names[] = {
        [SPECIAL_USE_NONE] = NULL,         [SPECIAL_USE_ALL] = "\\All",         [SPECIAL_USE_ARCHIVE] = "\\Archive",
        [SPECIAL_USE_DRAFTS] = "\\Drafts", [SPECIAL_USE_FLAGGED] = "\\Flagged", [SPECIAL_USE_JUNK] = "\\Junk",
        [SPECIAL_USE_SENT] = "\\Sent",     [SPECIAL_USE_TRASH] = "\\Trash",
    };
    return use < sizeof(names) / sizeof(names[0]) ? names[use] : NULL;
}

static void word(struct imap_out *o, bool *io_first, const char *text)
{
    if (!*io_first) {
        imap_out_char(o, ' ');
    }
    *io_first = false;
    imap_out_str(o, text);
}

static void attributes(struct lister *ls, const Pb__MailboxInfo *m)
{
    bool first = true;
    const char *use = special_use(m->special_use);
    if (m->nonexistent && ls->l->extended) {
        word(ls->out, &first, "\\NonExistent");
    } else if (m->noselect || m->nonexistent) {
        word(ls->out, &first, "\\Noselect");
    }
    word(ls->out, &first, m->has_children ? "\\HasChildren" : "\\HasNoChildren");
    if (m->subscribed && (ls->l->select_subscribed || ls->l->return_subscribed)) {
        word(ls->out, &first, "\\Subscribed");
    }
    if (use != NULL) {
        word(ls->out, &first, use);
    }
}

static void out_childinfo(struct lister *ls)
{
    bool first = true;
    imap_out_str(ls->out, " (\"CHILDINFO\" (");
    if (ls->l->select_subscribed) {
        word(ls->out, &first, "\"SUBSCRIBED\"");
    }
    if (ls->l->select_special_use) {
        word(ls->out, &first, "\"SPECIAL-USE\"");
    }
    imap_out_str(ls->out, "))");
}

static void out_line(struct lister *ls, const struct entry *e, bool is_selected)
{
    struct imap_out *o = ls->out;
    imap_out_str(o, ls->l->lsub ? "* LSUB (" : "* LIST (");
    if (!ls->l->lsub) {
        attributes(ls, e->info);
    } else if (!is_selected || e->info->noselect || e->info->nonexistent) {
        imap_out_str(o, "\\Noselect");
    }
    imap_out_str(o, ") \"/\" ");
    imap_out_mailbox(o, e->info->name);
    if (ls->l->recursive_match && e->child_selected) {
        out_childinfo(ls);
    }
    imap_out_str(o, "\r\n");
    if (ls->l->return_status && !e->info->noselect && !e->info->nonexistent) {
        imap_out_status(o, &ls->l->status, e->info);
    }
}

static bool is_below(struct slice name, struct slice parent)
{
    return name.n > parent.n && name.p[parent.n] == '/' && memcmp(name.p, parent.p, parent.n) == 0;
}

static void out_missing_parent(struct lister *ls, struct slice name, struct arena *arena)
{
    Pb__MailboxInfo info = PB__MAILBOX_INFO__INIT;
    char *copy = arena_slice_str(arena, name);
    if (copy == NULL || !matches(ls, name)) {
        return;
    }
    info.name = copy;
    info.nonexistent = true;
    info.has_children = true;
    struct entry e = {.info = &info, .child_selected = true, .child_hidden = true};
    out_line(ls, &e, false);
}

/* Marks the parents of a selected mailbox. Those that do not exist are answered right away, each once: `previous` is
 * the hidden mailbox before this one. */
static void lift_parents(struct lister *ls, struct slice name, bool hidden, struct slice previous, struct arena *arena)
{
    for (size_t at = slice_find(name, '/'); at < name.n; at++) {
        if (name.p[at] != '/') {
            continue;
        }
        struct slice parent = slice_sub(name, 0, at);
        struct entry *e = find(ls, parent);
        if (e != NULL) {
            e->child_selected = true;
            e->child_hidden = e->child_hidden || hidden;
        } else if (hidden && !is_below(previous, parent)) {
            out_missing_parent(ls, parent, arena);
        }
    }
}

/* Parents come into the answer for descendants that do not match themselves: in LSUB (RFC 3501, 6.3.9, on "%"), and
 * with RECURSIVEMATCH (RFC 5258, 3.5: redundant CHILDINFO is suppressed). */
static void lift(struct lister *ls, struct arena *arena)
{
    struct slice previous = slice_make(NULL, 0);
    for (size_t i = 0; i < ls->n; i++) {
        struct slice name = slice_str(ls->entries[i].info->name);
        if (!selected(ls->l, ls->entries[i].info)) {
            continue;
        }
        bool hidden = !matches(ls, name);
        lift_parents(ls, name, hidden, previous, arena);
        previous = hidden ? name : previous;
    }
}

static bool patterns_init(struct lister *ls, struct arena *arena)
{
    for (size_t i = 0; i < ls->l->n_patterns; i++) {
        char *joined = arena_printf(arena, "%s%s", ls->l->reference, ls->l->patterns[i]);
        if (joined == NULL) {
            return false;
        }
        ls->patterns[i] = slice_str(joined);
    }
    return true;
}

enum err imap_list_format(const struct imap_list *l, Pb__MailboxInfo **mailboxes, size_t n, struct arena *arena,
                          struct imap_out *out)
{
    struct lister ls = {.l = l, .n = n, .out = out};
    ls.entries = arena_calloc(arena, n + 1, sizeof(struct entry));
    if (ls.entries == NULL || !patterns_init(&ls, arena)) {
        return ERR_LIMIT;
    }
    if (n > 0) {
        qsort(mailboxes, n, sizeof(mailboxes[0]), by_name);
    }
    for (size_t i = 0; i < n; i++) {
        ls.entries[i].info = mailboxes[i];
    }
    if (l->lsub || l->recursive_match) {
        lift(&ls, arena);
    }
    for (size_t i = 0; i < n && out->err == OK; i++) {
        const struct entry *e = &ls.entries[i];
        bool is_selected = selected(l, e->info);
        if ((is_selected || e->child_hidden) && matches(&ls, slice_str(e->info->name))) {
            out_line(&ls, e, is_selected);
        }
    }
    return OK;
}

struct mailboxes {
    Pb__MailboxInfo **list; /* in the session's arena */
    size_t n;
};

static enum err add_page(struct mailboxes *all, const Pb__ReadMailboxesResult *r, struct arena *arena)
{
    Pb__MailboxInfo **list = arena_calloc(arena, all->n + r->n_mailboxes + 1, sizeof(*list));
    if (list == NULL) {
        return ERR_LIMIT;
    }
    if (all->n > 0) {
        memcpy(list, all->list, all->n * sizeof(*list));
    }
    if (r->n_mailboxes > 0) {
        memcpy(list + all->n, r->mailboxes, r->n_mailboxes * sizeof(*list));
    }
    all->list = list;
    all->n += r->n_mailboxes;
    return OK;
}

/* The messages of the replies stay in the arena. */
static enum err read_all(struct imap_session *s, struct mailboxes *all)
{
    Pb__ReadMailboxes req = PB__READ_MAILBOXES__INIT;
    req.account = s->account.id.v;
    enum err e;
    do {
        struct backend_reply reply;
        e = imap_call(s, METHOD_MAILBOXES, &req.base, &s->arena, &reply);
        if (e == OK) {
            const Pb__ReadMailboxesResult *r = (const Pb__ReadMailboxesResult *)reply.message;
            e = add_page(all, r, &s->arena);
            /* Pages go forward; anything else would never end. */
            e = e == OK && r->next != 0 && r->next <= req.from ? ERR_CORRUPT : e;
            req.from = r->next;
        }
        backend_reply_fini(&reply);
    } while (e == OK && req.from != 0);
    return e;
}

enum err imap_list_run(struct imap_session *s, const struct imap_list *l)
{
    /* An empty pattern asks for the separator (RFC 3501, 6.3.8). */
    if (!l->extended && l->patterns[0][0] == '\0') {
        imap_out_str(&s->out, l->lsub ? "* LSUB" : "* LIST");
        imap_out_str(&s->out, " (\\Noselect) \"/\" \"\"\r\n");
        return OK;
    }
    struct mailboxes all = {.n = 0};
    enum err e = read_all(s, &all);
    return e == OK ? imap_list_format(l, all.list, all.n, &s->arena, &s->out) : e;
}
