#include "storage/directory/nodes.h"

#include "storage/mailbox/pb.h"

static void node_key(struct key *k, const struct store *s, struct node_id id)
{
    dir_key(k, s, DIRECTORY_NODES);
    key_u64(k, id.v);
}

static enum err row_unpack(struct slice rest, struct slice value, struct arena *a, Pb__NodeRow **out)
{
    ProtobufCMessage *m;
    enum err e = rest.n == 8 ? pb_unpack(&pb__node_row__descriptor, value, a, &m) : ERR_INVAL;
    if (e != OK) {
        return e == ERR_INVAL ? ERR_CORRUPT : e;
    }
    *out = (Pb__NodeRow *)(void *)m;
    return (*out)->node != 0 && (*out)->node == get_be64(rest.p) ? OK : ERR_CORRUPT;
}

static enum err load(struct scan *sc, struct arena *a, struct dir_nodes *out)
{
    struct slice rest;
    struct slice value;
    enum err e;
    out->n = 0;
    for (e = scan_next(sc, &rest, &value); e == OK; e = scan_next(sc, &rest, &value)) {
        if (out->n == DIR_NODES_ROWS_MAX) {
            return ERR_CORRUPT;
        }
        e = row_unpack(rest, value, a, &out->rows[out->n]);
        if (e != OK) {
            return e;
        }
        out->n++;
    }
    return e == ERR_NOTFOUND ? OK : e;
}

enum err dir_nodes_get(const struct store *s, struct arena *a, struct dir_nodes *out)
{
    struct key k;
    struct scan sc;
    dir_key(&k, s, DIRECTORY_NODES);
    enum err e = scan_open(&sc, s, &k);
    if (e != OK) {
        return e;
    }
    e = load(&sc, a, out);
    scan_close(&sc);
    return e;
}

enum err dir_node_put(const struct store *s, const Pb__NodeRow *row)
{
    struct key k;
    uint8_t *p;
    node_key(&k, s, (struct node_id){row->node});
    enum err e = kv_reserve(s->t, key_slice(&k), pb__node_row__get_packed_size(row), &p);
    if (e == OK) {
        pb__node_row__pack(row, p);
    }
    return e;
}

enum err dir_node_del(const struct store *s, struct node_id id)
{
    struct key k;
    node_key(&k, s, id);
    return store_del_must(s, &k);
}

/* --- in the table --- */

Pb__NodeRow *dir_nodes_find(const struct dir_nodes *t, struct node_id id)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->rows[i]->node == id.v) {
            return t->rows[i];
        }
    }
    return NULL;
}

Pb__NodeRow *dir_nodes_find_peer(const struct dir_nodes *t, const char *peer)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!t->rows[i]->removed && strcmp(t->rows[i]->peer, peer) == 0) {
            return t->rows[i];
        }
    }
    return NULL;
}

size_t dir_nodes_live(const struct dir_nodes *t)
{
    size_t live = 0;
    for (size_t i = 0; i < t->n; i++) {
        live += !t->rows[i]->removed;
    }
    return live;
}

bool dir_nodes_has_other(const struct dir_nodes *t, const Pb__NodeRow *row)
{
    for (size_t i = 0; i < t->n; i++) {
        const Pb__NodeRow *r = t->rows[i];
        if (r != row && !r->removed && r->claim.len > 0 && !r->draining) {
            return true;
        }
    }
    return false;
}

struct node_id dir_nodes_next_id(const struct dir_nodes *t)
{
    uint64_t last = t->n > 0 ? t->rows[t->n - 1]->node : 1;
    return (struct node_id){last + 1};
}

Pb__NodeRow *dir_nodes_surplus(const struct dir_nodes *t)
{
    if (t->n < DIR_NODES_ROWS_MAX) {
        return NULL;
    }
    for (size_t i = 0; i + 1 < t->n; i++) {
        if (t->rows[i]->removed && t->rows[i]->node != 1) {
            return t->rows[i];
        }
    }
    return NULL;
}

enum err dir_node_address_check(const char *address)
{
    size_t n = 0;
    for (; address[n] != '\0'; n++) {
        if (n == DIR_NODE_ADDRESS_BYTES_MAX) {
            return ERR_LIMIT;
        }
        if (address[n] <= ' ' || address[n] > '~') {
            return ERR_INVAL;
        }
    }
    return OK;
}

bool dir_node_address_set(char **field, char *address)
{
    if (address[0] == '\0' || strcmp(*field, address) == 0) {
        return false;
    }
    *field = address;
    return true;
}
