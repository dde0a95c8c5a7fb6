/* Paging through a directory listing. */
#ifndef PROGRAM_CTL_LIST_H
#define PROGRAM_CTL_LIST_H

#include "program/ctl.h"

/* Prints every item of the kind, page by page. Returns the exit status. */
int ctl_list(struct ctl *c, Pb__ReadDirectoryList__What what, const char *domain,
             void (*print)(const Pb__DirectoryItem *item));

#endif /* PROGRAM_CTL_LIST_H */
