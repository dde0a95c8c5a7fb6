#include "proto/rpc/level.h"

#include "proto/rpc/method.h"

/* A method's fields from this number on (of the request message itself) need the level; 0: the method does. */
struct need {
    enum method method;
    uint32_t field;
    uint8_t level;
};

static const struct need needs[] = {
    {METHOD_NODE_SET, 7, 2},    /* zone, drain, away */
    {METHOD_CLUSTER_SET, 0, 2}, /* settings */
    {METHOD_SHARD_SET, 0, 2},   /* pins */
    {METHOD_UNDELETE, 0, 2},    /* and entry_head.keep, which is nobody's request */
    {METHOD_KEPT_DROP, 0, 2},   /* likewise */
    /* Moves of accounts. OpStageBegin.away and OpExpunge.pop3_shard mean nothing before the first one. */
    {METHOD_DIR_ACCOUNT_MOVE, 0, 2},
    {METHOD_MOVE_START, 0, 2},
    {METHOD_MOVE_STEP, 0, 2},
    {METHOD_ARRIVE_BEGIN, 0, 2},
    {METHOD_ARRIVE_EMAIL, 0, 2},
    {METHOD_ARRIVE_KEEP, 0, 2},
    {METHOD_ARRIVE_ROWS, 0, 2},
    {METHOD_ARRIVE_END, 0, 2},
};

/* Of a packed message; the highest there is when it cannot be read, as nobody sends such a thing. */
static uint32_t highest_field(struct slice message)
{
    struct reader r = reader_make(message);
    uint64_t highest = 0;
    while (reader_left(&r) > 0) {
        uint64_t tag = reader_varint(&r);
        highest = tag >> 3 > highest ? tag >> 3 : highest;
        switch (tag & 7) {
        case 0:
            (void)reader_varint(&r);
            break;
        case 1:
            (void)reader_bytes(&r, 8);
            break;
        case 2:
            (void)reader_bytes(&r, reader_varint(&r));
            break;
        case 5:
            (void)reader_bytes(&r, 4);
            break;
        default:
            return UINT32_MAX;
        }
    }
    return r.failed || highest > UINT32_MAX ? UINT32_MAX : (uint32_t)highest;
}

uint8_t level_needed(unsigned method, struct slice meta)
{
    uint8_t level = LEVEL_FIRST;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if (needs[i].method == method && needs[i].level > level &&
            (needs[i].field == 0 || highest_field(meta) >= needs[i].field)) {
            level = needs[i].level;
        }
    }
    return level;
}
