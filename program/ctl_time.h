/* Points in time as an operator types and reads them. */
#ifndef PROGRAM_CTL_TIME_H
#define PROGRAM_CTL_TIME_H

#include <stdint.h>

#include "proto/base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "2026-11-30", "2026-11-30 14:05", "2026-11-30T14:05:09" in this machine's zone, in UTC with Z or " UTC" behind;
 * "@1764500000", "@1764500000.250", Unix seconds; or how long ago: "90 min", "2h", "3d". Unix milliseconds. ERR_INVAL.
 */
MUST_CHECK enum err ctl_time_parse(const char *text, uint64_t now_ms, uint64_t *out_ms);
/* "2026-11-30 14:05:09" in this machine's zone. */
void ctl_time_format(int64_t s, char out[32]);

#ifdef __cplusplus
}
#endif

#endif /* PROGRAM_CTL_TIME_H */
