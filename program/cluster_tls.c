#include "program/cluster_tls.h"

static bool is_set(const char *value)
{
    return value[0] != '\0';
}

static enum err incomplete(struct buf *why, const char *set, const char *missing)
{
    enum err e = buf_printf(why, "%s is set and %s is not", set, missing);
    (void)e; /* the error says enough */
    return ERR_INVAL;
}

/* Who believes to have TLS must not run without it. */
static enum err keys_check(const struct config *c, struct buf *why)
{
    const struct {
        const char *key, *value;
        bool optional;
    } rest[] = {{"cluster.key", c->cluster_key, false},
                {"cluster.node_ca", c->cluster_node_ca, false},
                {"cluster.frontend_ca", c->cluster_frontend_ca, true}};
    bool certificate = is_set(c->cluster_certificate);
    for (size_t i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        if (!certificate && is_set(rest[i].value)) {
            return incomplete(why, rest[i].key, "cluster.certificate");
        }
        if (certificate && !is_set(rest[i].value) && !rest[i].optional) {
            return incomplete(why, "cluster.certificate", rest[i].key);
        }
    }
    return OK;
}

enum err cluster_tls_open(const struct config *c, enum cluster_side side, struct rpc_tls **out, struct buf *why)
{
    enum err e = keys_check(c, why);
    if (e != OK || !is_set(c->cluster_certificate)) {
        *out = NULL;
        return e;
    }
    const char *cas[2] = {c->cluster_node_ca, c->cluster_frontend_ca};
    bool frontends = side == CLUSTER_SIDE_RPC && is_set(c->cluster_frontend_ca);
    struct rpc_tls_config cfg = {
        .certificate = c->cluster_certificate, .key = c->cluster_key, .cas = cas, .n_cas = frontends ? 2 : 1};
    return rpc_tls_open(&cfg, out, why);
}
