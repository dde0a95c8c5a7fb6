#include <stdio.h>

#include "program/ctl_nodes.h"
#include "proto/rpc/level.h"

struct options {
    bool shards;
    bool json;
};

static size_t leads(const Pb__ReadMapResult *map, uint64_t node)
{
    size_t n = 0;
    for (size_t i = 0; i < map->n_leaders; i++) {
        n += map->leaders[i] == node;
    }
    return n;
}

static uint64_t term(const Pb__ReadMapResult *map, size_t shard)
{
    return shard < map->n_terms ? map->terms[shard] : 0;
}

static void cluster_hex(const Pb__ReadMapResult *map, char out[33])
{
    struct u128 id = {{0}};
    if (map->cluster_id.len == sizeof(id.b)) {
        memcpy(id.b, map->cluster_id.data, sizeof(id.b));
    }
    u128_hex(&id, out);
}

static uint32_t cluster_level(const Pb__ReadMapResult *map)
{
    return map->cluster != NULL && map->cluster->level != 0 ? map->cluster->level : LEVEL_FIRST;
}

static uint32_t replicas(const Pb__ReadMapResult *map)
{
    return map->cluster != NULL && map->cluster->replicas != 0 ? map->cluster->replicas : 5;
}

/* --- text --- */

static void print_pin(const Pb__ShardRow *pin)
{
    printf("pin\tshard=%u", pin->shard);
    for (size_t i = 0; i < pin->n_nodes; i++) {
        printf("%s%llu", i == 0 ? "\tnodes=" : ",", (unsigned long long)pin->nodes[i]);
    }
    if (pin->leader != 0) {
        printf("\tleader=%llu", (unsigned long long)pin->leader);
    }
    putchar('\n');
}

static void print_text(const Pb__ReadMapResult *map, const struct options *o)
{
    char hex[33];
    cluster_hex(map, hex);
    printf("cluster  %s\nanswers  node %llu, leads %zu\nshards   %zu, led %zu\n", hex, (unsigned long long)map->node,
           leads(map, map->node), map->n_leaders, map->n_leaders - leads(map, 0));
    printf("level    %u (node %llu's program knows %u)\nreplicas %u\n", cluster_level(map),
           (unsigned long long)map->node, map->level != 0 ? map->level : LEVEL_FIRST, replicas(map));
    for (size_t i = 0; i < map->n_nodes; i++) {
        const Pb__NodeRow *r = map->nodes[i];
        printf("node %llu\t%s\tleads=%zu\tpeer=%s\trpc=%s\tevents=%s\n", (unsigned long long)r->node, ctl_node_state(r),
               leads(map, r->node), r->peer, r->rpc, r->events);
    }
    for (size_t i = 0; i < map->n_pins; i++) {
        print_pin(map->pins[i]);
    }
    for (size_t i = 0; o->shards && i < map->n_leaders; i++) {
        printf("shard %zu\tleader=%llu\tterm=%llu\n", i, (unsigned long long)map->leaders[i],
               (unsigned long long)term(map, i));
    }
}

/* --- JSON: addresses are printable ASCII --- */

static void print_string(const char *s)
{
    putchar('"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') {
            putchar('\\');
        }
        putchar(*s);
    }
    putchar('"');
}

static void print_field(const char *name, const char *value)
{
    printf(",\"%s\":", name);
    print_string(value);
}

static void print_json(const Pb__ReadMapResult *map, const struct options *o)
{
    char hex[33];
    cluster_hex(map, hex);
    printf("{\"cluster\":\"%s\",\"node\":%llu,\"shards\":%zu,\"led\":%zu,\"level\":%u,\"replicas\":%u,\"nodes\":[", hex,
           (unsigned long long)map->node, map->n_leaders, map->n_leaders - leads(map, 0), cluster_level(map),
           replicas(map));
    for (size_t i = 0; i < map->n_nodes; i++) {
        const Pb__NodeRow *r = map->nodes[i];
        printf("%s{\"node\":%llu,\"state\":\"%s\",\"leads\":%zu", i == 0 ? "" : ",", (unsigned long long)r->node,
               ctl_node_state(r), leads(map, r->node));
        print_field("peer", r->peer);
        print_field("rpc", r->rpc);
        print_field("events", r->events);
        putchar('}');
    }
    putchar(']');
    for (size_t i = 0; o->shards && i < map->n_leaders; i++) {
        printf("%s{\"shard\":%zu,\"leader\":%llu,\"term\":%llu}", i == 0 ? ",\"leaders\":[" : ",", i,
               (unsigned long long)map->leaders[i], (unsigned long long)term(map, i));
    }
    puts(o->shards && map->n_leaders > 0 ? "]}" : "}");
}

static int run(struct ctl *c, int argc, char **argv)
{
    const Pb__ReadMapResult *map;
    struct options o = {.shards = ctl_flag(&argc, argv, "--shards"), .json = ctl_flag(&argc, argv, "--json")};
    if (argc != 0) {
        return CTL_USAGE;
    }
    enum err e = ctl_map(c, &map);
    if (e != OK) {
        return ctl_fail("cluster status", "", e);
    }
    (o.json ? print_json : print_text)(map, &o);
    return leads(map, 0) == 0 ? 0 : 1;
}

CTL_CMD(cluster_status) = {
    .name = "cluster status",
    .args = "[--shards] [--json]",
    .help = "nodes and leaders as the node asked sees them (exit status 1 if a shard has no leader)",
    .run = run,
};
