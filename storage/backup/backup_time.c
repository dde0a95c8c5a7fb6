#include <stdio.h>

#include "proto/base/clock.h"
#include "storage/backup/backup_set.h"

void backup_time_text(uint64_t wall_ms, char out[BACKUP_TIME_BYTES])
{
    struct civil_time t = civil_time_from_ms(wall_ms);
    snprintf(out, BACKUP_TIME_BYTES, "%04u-%02u-%02u %02u:%02u:%02u UTC", t.year, t.month, t.day, t.hour, t.minute,
             t.second);
}
