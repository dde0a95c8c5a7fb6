#include "frontend/imap/imap_list.h"

/* list-select-opts = "(" [list-select-option *(SP list-select-option)] ")" */
static bool parse_select_options(struct imap_cursor *c, struct imap_list *l)
{
    l->extended = true;
    if (imap_take(c, ')')) {
        return true;
    }
    do {
        if (imap_take_word(c, "SUBSCRIBED")) {
            l->select_subscribed = true;
        } else if (imap_take_word(c, "SPECIAL-USE")) {
            l->select_special_use = true;
        } else if (imap_take_word(c, "RECURSIVEMATCH")) {
            l->recursive_match = true;
        } else if (!imap_take_word(c, "REMOTE")) { /* there are no remote mailboxes */
            return imap_parse_fail(c, "Unknown LIST selection option");
        }
    } while (imap_take(c, ' '));
    if (l->recursive_match && !l->select_subscribed && !l->select_special_use) {
        return imap_parse_fail(c, "RECURSIVEMATCH needs another selection option");
    }
    return imap_parse_char(c, ')');
}

static bool parse_return_option(struct imap_cursor *c, struct imap_list *l)
{
    if (imap_take_word(c, "SUBSCRIBED")) {
        l->return_subscribed = true;
        return true;
    }
    if (imap_take_word(c, "CHILDREN") || imap_take_word(c, "SPECIAL-USE")) {
        return true; /* they always come */
    }
    if (imap_take_word(c, "STATUS")) {
        l->return_status = true;
        return imap_parse_sp(c) && imap_parse_status_items(c, &l->status, &l->condstore);
    }
    return imap_parse_fail(c, "Unknown LIST return option");
}

/* list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")" */
static bool parse_return_options(struct imap_cursor *c, struct imap_list *l)
{
    l->extended = true;
    if (!imap_take_word(c, "RETURN")) {
        return imap_parse_fail(c, "Expected RETURN");
    }
    if (!imap_parse_sp(c) || !imap_parse_char(c, '(')) {
        return false;
    }
    if (imap_take(c, ')')) {
        return true;
    }
    do {
        if (!parse_return_option(c, l)) {
            return false;
        }
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')');
}

static bool parse_pattern(struct imap_cursor *c, struct imap_list *l)
{
    char *pattern;
    if (l->n_patterns == IMAP_LIST_PATTERNS_MAX) {
        return imap_parse_fail(c, "Too many patterns");
    }
    if (!imap_parse_pattern(c, &pattern)) {
        return false;
    }
    l->patterns[l->n_patterns++] = pattern;
    return true;
}

/* mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")" */
static bool parse_patterns(struct imap_cursor *c, struct imap_list *l)
{
    if (!imap_take(c, '(')) {
        return parse_pattern(c, l);
    }
    l->extended = true;
    do {
        if (!parse_pattern(c, l)) {
            return false;
        }
    } while (imap_take(c, ' '));
    return imap_parse_char(c, ')');
}

bool imap_parse_list(struct imap_cursor *c, struct imap_list *l)
{
    char *reference;
    if (!imap_parse_sp(c)) {
        return false;
    }
    if (!l->lsub && imap_take(c, '(') && (!parse_select_options(c, l) || !imap_parse_sp(c))) {
        return false;
    }
    if (!imap_parse_pattern(c, &reference) || !imap_parse_sp(c) || !parse_patterns(c, l)) {
        return false;
    }
    l->reference = reference;
    if (!l->lsub && imap_take(c, ' ') && !parse_return_options(c, l)) {
        return false;
    }
    return imap_parse_end(c);
}
