#include "proto/base/assert.h"

#include <stdint.h>
#include <stdlib.h>

#include "proto/base/log.h"

void assert_failed(const char *expr, const char *file, int line)
{
    log_error("assert.failed", "assertion failed", LOG_STR("expr", expr), LOG_STR("file", file), LOG_I64("line", line));
    abort();
}
