#include "storage/method/method_run.h"

#include "storage/method/method.h"

static const struct storage_method *method_find(unsigned method)
{
    for (const struct storage_method *const *m = storage_method_table; *m != NULL; m++) {
        if ((unsigned)(*m)->method == method) {
            return *m;
        }
    }
    return NULL;
}

enum err storage_method_run(struct read_context *rc, unsigned method, struct slice req_meta, struct buf *meta,
                            struct buf *attach)
{
    const struct method_info *info = method_info(method);
    const struct storage_method *m = method_find(method);
    ProtobufCMessage *req;
    if (info == NULL || m == NULL) {
        return ERR_UNSUPPORTED;
    }
    enum err e = pb_unpack(info->request, req_meta, rc->arena, &req);
    return e != OK ? e : m->run(rc, req, meta, attach);
}
