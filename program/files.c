#include <sys/resource.h>

#include "program/roles.h"

uint64_t files_limit_raise(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
        return FILES_UNKNOWN;
    }
    if (r.rlim_cur < r.rlim_max) {
        struct rlimit raised = {.rlim_cur = r.rlim_max, .rlim_max = r.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0) { /* else the lower one holds */
            r = raised;
        }
    }
    return r.rlim_cur == RLIM_INFINITY ? FILES_UNKNOWN : (uint64_t)r.rlim_cur;
}
