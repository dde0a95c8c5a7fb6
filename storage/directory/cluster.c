#include "storage/directory/cluster.h"

#include "storage/mailbox/pb.h"

bool dir_replicas_valid(size_t n)
{
    return n % 2 == 1 && n <= DIR_REPLICAS_MAX;
}

static enum err message_put(const struct store *s, const struct key *k, const ProtobufCMessage *m)
{
    uint8_t *p;
    enum err e = kv_reserve(s->t, key_slice(k), protobuf_c_message_get_packed_size(m), &p);
    if (e == OK) {
        protobuf_c_message_pack(m, p);
    }
    return e;
}

static enum err message_unpack(const ProtobufCMessageDescriptor *type, struct slice value, struct arena *a,
                               ProtobufCMessage **out)
{
    enum err e = pb_unpack(type, value, a, out);
    return e == ERR_INVAL ? ERR_CORRUPT : e;
}

/* --- settings --- */

enum err dir_cluster_get(const struct store *s, struct arena *a, struct dir_cluster *out)
{
    struct key k;
    struct slice value;
    ProtobufCMessage *m;
    *out = (struct dir_cluster){.level = LEVEL_FIRST, .replicas = DIR_REPLICAS_MAX};
    dir_key(&k, s, DIRECTORY_CLUSTER);
    enum err e = store_get(s, &k, &value);
    if (e == ERR_NOTFOUND) {
        return OK;
    }
    if (e == OK) {
        e = message_unpack(&pb__cluster_row__descriptor, value, a, &m);
    }
    if (e != OK) {
        return e;
    }
    const Pb__ClusterRow *row = (const Pb__ClusterRow *)(const void *)m;
    out->level = row->level != 0 ? row->level : out->level;
    out->replicas = row->replicas != 0 ? row->replicas : out->replicas;
    return dir_replicas_valid(out->replicas) ? OK : ERR_CORRUPT;
}

enum err dir_cluster_put(const struct store *s, const struct dir_cluster *c)
{
    struct key k;
    Pb__ClusterRow row = PB__CLUSTER_ROW__INIT;
    row.level = c->level;
    row.replicas = c->replicas;
    dir_key(&k, s, DIRECTORY_CLUSTER);
    return message_put(s, &k, &row.base);
}

/* --- pinned shards --- */

static void pin_key(struct key *k, const struct store *s, struct shard_id shard)
{
    dir_key(k, s, DIRECTORY_PINS);
    key_u32(k, shard.v);
}

static enum err pin_unpack(struct shard_id shard, struct slice value, struct arena *a, Pb__ShardRow **out)
{
    ProtobufCMessage *m;
    enum err e = message_unpack(&pb__shard_row__descriptor, value, a, &m);
    if (e != OK) {
        return e;
    }
    *out = (Pb__ShardRow *)(void *)m;
    return (*out)->shard == shard.v && (*out)->n_nodes <= DIR_REPLICAS_MAX ? OK : ERR_CORRUPT;
}

enum err dir_pin_get(const struct store *s, struct arena *a, struct shard_id shard, Pb__ShardRow **out)
{
    struct key k;
    struct slice value;
    pin_key(&k, s, shard);
    enum err e = store_get(s, &k, &value);
    return e == OK ? pin_unpack(shard, value, a, out) : e;
}

enum err dir_pin_put(const struct store *s, const Pb__ShardRow *row)
{
    struct key k;
    pin_key(&k, s, (struct shard_id){row->shard});
    return message_put(s, &k, &row->base);
}

enum err dir_pin_del(const struct store *s, struct shard_id shard)
{
    struct key k;
    pin_key(&k, s, shard);
    return store_del_any(s, &k);
}

static enum err pins_load(struct scan *sc, struct arena *a, struct dir_pins *out)
{
    struct slice rest;
    struct slice value;
    enum err e;
    for (e = scan_next(sc, &rest, &value); e == OK; e = scan_next(sc, &rest, &value)) {
        if (rest.n != 4 || out->n > DIR_SHARDS_MAX) {
            return ERR_CORRUPT;
        }
        e = pin_unpack((struct shard_id){get_be32(rest.p)}, value, a, &out->rows[out->n]);
        if (e != OK) {
            return e;
        }
        out->n++;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

enum err dir_pins_get(const struct store *s, struct arena *a, struct dir_pins *out)
{
    struct key k;
    struct scan sc;
    out->n = 0;
    out->rows = arena_calloc(a, DIR_SHARDS_MAX + 1, sizeof(*out->rows));
    if (out->rows == NULL) {
        return ERR_NOMEM;
    }
    dir_key(&k, s, DIRECTORY_PINS);
    enum err e = scan_open(&sc, s, &k);
    if (e != OK) {
        return e;
    }
    e = pins_load(&sc, a, out);
    scan_close(&sc);
    return e;
}
