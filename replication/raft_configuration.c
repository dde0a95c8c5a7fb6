/* Configurations, as the library encodes them. */
#include "proto/base/bytes.h"
#include "replication/raft_driver_internal.h"

#define CONFIGURATION_FORMAT 1

enum err raft_configuration_put(const struct raft_server_info *servers, size_t n, struct buf *out)
{
    struct raft_configuration conf;
    struct raft_buffer encoded = {.base = NULL, .len = 0};
    enum err e = OK;
    raft_heap_use();
    raft_configuration_init(&conf);
    for (size_t i = 0; e == OK && i < n; i++) {
        char address[RAFT_ADDRESS_BYTES_MAX];
        raft_address_put(address, servers[i].node.v);
        e = raft_error(raft_configuration_add(&conf, servers[i].node.v, address, (int)servers[i].role));
    }
    if (e == OK) {
        e = raft_error(raft_configuration_encode(&conf, &encoded));
    }
    if (e == OK) {
        e = buf_append(out, encoded.base, encoded.len);
        raft_free(encoded.base);
    }
    raft_configuration_close(&conf);
    return e;
}

/* Its address is its number. */
static bool is_address_of(struct reader *r, uint64_t id)
{
    char address[RAFT_ADDRESS_BYTES_MAX];
    struct slice want = slice_make(address, raft_address_put(address, id) + 1);
    return slice_eq(reader_bytes(r, want.n), want);
}

static bool is_known(const struct raft_server_info *servers, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (servers[i].node.v == id) {
            return true;
        }
    }
    return false;
}

/* format(1) = 1, servers(8), then for each id(8), address NUL-terminated, role(1); padded with zeros to 8 bytes. What
 * the library would refuse is refused here, before it has half taken it. */
enum err raft_configuration_get(struct slice configuration, struct raft_server_info out[RAFT_SERVERS_MAX],
                                size_t *out_n)
{
    struct reader r = reader_make(configuration);
    uint8_t format = reader_u8(&r);
    uint64_t servers = reader_le64(&r);
    size_t voters = 0;
    if (r.failed || format != CONFIGURATION_FORMAT || servers == 0 || servers > RAFT_SERVERS_MAX) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < servers; i++) {
        uint64_t id = reader_le64(&r);
        bool sound = id != 0 && !is_known(out, i, id) && is_address_of(&r, id);
        uint8_t role = reader_u8(&r);
        if (!sound || r.failed || role > RAFT_SPARE) {
            return ERR_CORRUPT;
        }
        out[i].node.v = id;
        out[i].role = (enum raft_server_role)role;
        voters += role == RAFT_VOTER;
    }
    if (voters == 0 || reader_left(&r) >= 8) {
        return ERR_CORRUPT;
    }
    *out_n = (size_t)servers;
    return OK;
}

bool raft_configuration_is_sole(const struct raft_server_info *servers, size_t n, struct node_id node)
{
    size_t voters = 0;
    bool votes = false;
    for (size_t i = 0; i < n; i++) {
        voters += servers[i].role == RAFT_ROLE_VOTER;
        votes = votes || (servers[i].role == RAFT_ROLE_VOTER && servers[i].node.v == node.v);
    }
    return votes && voters == 1;
}
