#include "storage/apply/op.h"
#include "storage/mailbox/moving.h"

enum err op_arrival(struct op_context *ox, uint64_t account, ProtobufCBinaryData id, struct op_account **out,
                    struct arrival_row *out_row)
{
    struct op_account *a;
    struct arrival_row row;
    ox->unrecorded = true;
    if (account == 0 || account != ox->head.account.v || id.len != MOVE_ID_BYTES) {
        return ERR_INVAL;
    }
    enum err e = arrival_get(&ox->store, ox->head.account, &row);
    if (e != OK) {
        return e == ERR_NOTFOUND ? ERR_STALE : e;
    }
    e = memcmp(row.id, id.data, MOVE_ID_BYTES) == 0 ? op_account_any(ox, account, &a) : ERR_STALE;
    if (e == ERR_NOTFOUND || (e == OK && a->row.state != (row.ready ? ACCOUNT_ARRIVED : ACCOUNT_ARRIVING))) {
        e = ERR_CORRUPT; /* one is not there without the other */
    }
    if (e == OK) {
        *out = a;
        *out_row = row;
    }
    return e;
}
