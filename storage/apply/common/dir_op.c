#include "storage/apply/dir_op.h"

enum err dir_op_name(struct op_context *ox, const char *name, struct dir_name *out)
{
    bool exists = false;
    enum err e = dir_name_parse(ox->arena, slice_str(name), out);
    if (e == OK) {
        e = dir_domain_exists(&ox->store, out->domain, &exists);
    }
    if (e != OK) {
        return e;
    }
    return exists ? OK : ERR_NOTFOUND;
}

enum err dir_op_check_shards(uint32_t shard, uint32_t shards)
{
    if (shards > DIR_SHARDS_MAX || shard > DIR_SHARDS_MAX) {
        return ERR_LIMIT;
    }
    if ((shard == 0 && shards == 0) || (shards != 0 && shard > shards)) {
        return ERR_INVAL;
    }
    return OK;
}

enum err dir_op_check_free(struct op_context *ox, const struct dir_name *n)
{
    struct dir_account taken;
    struct dir_targets targets;
    enum err e = dir_account_get(&ox->store, n, &taken);
    if (e == ERR_NOTFOUND) {
        e = dir_alias_get(&ox->store, n, ox->arena, &targets);
    }
    if (e == OK) {
        return ERR_EXISTS;
    }
    return e == ERR_NOTFOUND ? OK : e;
}
