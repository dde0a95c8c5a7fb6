/* STATUS items: one file each in status/, found by the build (imap_status_table). */
#ifndef FRONTEND_IMAP_IMAP_STATUS_H
#define FRONTEND_IMAP_IMAP_STATUS_H

#include "frontend/imap/imap_out.h"
#include "frontend/imap/imap_parse.h"
#include "proto/schema/read.pb-c.h"

#ifdef __cplusplus
extern "C" {
#endif

struct imap_status_item {
    const char *name;
    const char *capability; /* words for CAPABILITY, or NULL */
    bool condstore;         /* asking for it enables CONDSTORE */
    /* Writes the value. */
    void (*format)(struct imap_out *o, const Pb__MailboxInfo *info);
};

#define IMAP_STATUS_ITEM(item_name)                                                                                    \
    extern const struct imap_status_item imap_status_##item_name;                                                      \
    const struct imap_status_item imap_status_##item_name

extern const struct imap_status_item *const imap_status_table[];

#define IMAP_STATUS_ITEMS_MAX 32

struct imap_status_items {
    const struct imap_status_item *items[IMAP_STATUS_ITEMS_MAX];
    size_t n;
};

/* "(" status-att *(SP status-att) ")" */
bool imap_parse_status_items(struct imap_cursor *c, struct imap_status_items *out, bool *out_condstore);
/* "* STATUS <name> (...)" CRLF */
void imap_out_status(struct imap_out *o, const struct imap_status_items *items, const Pb__MailboxInfo *info);

#ifdef __cplusplus
}
#endif

#endif /* FRONTEND_IMAP_IMAP_STATUS_H */
