#include "proto/base/bytes.h"
#include "proto/base/log.h"
#include "replication/copy.h"
#include "replication/volume_run.h"

#define UPKEEP_IDLE_MS 50 /* upkeep waits this long for a turn that commits anyway */
#define WAIT_MS_MAX 60000
#define WATERMARK_MS 1000 /* between looks at the free space */
#define IMPOSTOR_LOG_MS 60000

/* --- inbox --- */

static enum err admit(const struct volume *v, const struct proposal *p, const struct group *g)
{
    if (g == NULL) {
        return ERR_NOT_LEADER;
    }
    if (g->state == GROUP_FAILED) {
        return ERR_UNAVAILABLE;
    }
    if (p->data.n > REPL_ENTRY_BYTES_MAX || p->body.n > REPL_ENTRY_BYTES_MAX - p->data.n) {
        return ERR_LIMIT;
    }
    if (p->grows && v->above_watermark) {
        return ERR_FULL;
    }
    return OK;
}

void volume_activate(struct volume *v, struct group *g)
{
    if (g->state == GROUP_RUNNING && list_empty(&g->active) && group_has_work(g)) {
        list_push_back(&v->active, &g->active);
    }
}

void volume_upkeep(struct volume *v, struct group *g)
{
    if (group_wants_upkeep(g) && list_empty(&g->upkeep)) {
        list_push_back(&v->upkeep, &g->upkeep);
    }
}

static void take_inbox(struct volume *v, struct proposal *list)
{
    while (list != NULL) {
        struct proposal *p = list;
        struct shard_id shard = {.v = p->shard};
        list = (struct proposal *)(void *)p->node.next;
        struct group *g = volume_group(v, shard);
        enum err e = admit(v, p, g);
        if (e != OK) {
            volume_count(&v->stats.full_refusals, e == ERR_FULL);
            volume_answer(p, e);
            continue;
        }
        group_push(g, p);
        if (g->state == GROUP_RUNNING && !group_is_alone(g) && list_empty(&g->submit)) {
            list_push_back(&v->submit, &g->submit);
        }
        volume_activate(v, g);
    }
}

/* --- peers --- */

/* A node speaks for itself only: one that is confused must not vote or acknowledge for others. */
static bool in_own_name(struct volume *v, const struct repl_received *r, const struct repl_message *m, uint64_t now_ms)
{
    if (m->from.v == r->from.v) {
        return true;
    }
    if (now_ms >= v->impostor_log_ms) {
        v->impostor_log_ms = now_ms + IMPOSTOR_LOG_MS;
        log_warn("replica.impostor", "a node sends messages in another's name: they are dropped",
                 LOG_U64("node", r->from.v), LOG_U64("name", m->from.v), LOG_U64("shard", m->shard.v));
    }
    return false;
}

static void take_message(struct volume *v, struct repl_received *r, struct slice bytes, uint64_t now_ms)
{
    struct repl_message m;
    struct group *g = NULL;
    if (repl_message_get(bytes, &m) == OK && in_own_name(v, r, &m, now_ms)) {
        g = volume_group(v, m.shard);
    }
    if (g == NULL || g->state != GROUP_RUNNING || m.to.v != g->node.v || m.from.v == g->node.v) {
        volume_count(&v->stats.messages_dropped, 1);
        return;
    }
    volume_count(&v->stats.messages, 1);
    group_step_received(v, g, &m, r, now_ms);
}

static void take_received(struct volume *v, struct repl_received *list, uint64_t now_ms)
{
    while (list != NULL) {
        struct repl_received *r = list;
        struct reader rest = reader_make(r->bytes);
        list = (struct repl_received *)(void *)r->node.next; /* node is the first member */
        r->refs = 1;
        while (reader_left(&rest) > 0) {
            struct slice bytes = reader_bytes(&rest, reader_le32(&rest));
            take_message(v, r, bytes, now_ms);
        }
        group_received_unref(r);
    }
}

/* Groups that got proposals hand them to raft, each what came for it in one go. */
static void submit_all(struct volume *v, uint64_t now_ms)
{
    for (struct list *it = list_pop_front(&v->submit); it != NULL; it = list_pop_front(&v->submit)) {
        struct group *g = LIST_ENTRY(it, struct group, submit);
        if (g->state == GROUP_RUNNING && !group_is_alone(g)) {
            group_step_submit(v, g, now_ms);
        }
    }
}

/* Who waited for the log's head may have it now, or may be gone. */
static void look_at_log(struct volume *v, struct group *g, uint64_t now_ms)
{
    if (g->state == GROUP_RUNNING) {
        group_check_trim(g, now_ms);
        volume_upkeep(v, g);
    }
}

static void look_at_timers(struct volume *v, uint64_t now_ms)
{
    if (now_ms < v->grid_ms) {
        return;
    }
    v->grid_ms = UINT64_MAX;
    for (size_t i = 0; i < v->n_groups; i++) {
        struct group *g = v->groups[i];
        if (g->state == GROUP_RUNNING && !group_is_alone(g)) {
            group_step_timeout(v, g, now_ms);
            look_at_log(v, g, now_ms);
            v->grid_ms = now_ms - now_ms % VOLUME_GRID_MS + VOLUME_GRID_MS;
        }
    }
}

void volume_end_reader(struct volume *v)
{
    if (v->reader != NULL) {
        kv_abort(v->reader);
        v->reader = NULL;
    }
}

/* --- watermark --- */

static uint64_t free_bytes(struct volume *v)
{
    struct kv_stat st;
    kv_stat(v->cfg.kv, &st);
    uint64_t growable = st.map_bytes > st.file_bytes ? st.map_bytes - st.file_bytes : 0;
    if (v->cfg.disk_free != NULL) {
        uint64_t disk = v->cfg.disk_free(v->cfg.disk_ctx);
        growable = disk < growable ? disk : growable;
    }
    return growable + (st.file_bytes > st.used_bytes ? st.file_bytes - st.used_bytes : 0);
}

static void look_at_watermark(struct volume *v, uint64_t now_ms)
{
    if (v->cfg.reserve_bytes == 0 || (now_ms < v->watermark_at_ms && v->bytes_since_look < v->cfg.reserve_bytes / 4)) {
        return;
    }
    bool above = free_bytes(v) < v->cfg.reserve_bytes;
    if (above != v->above_watermark) {
        log_warn("volume.watermark", above ? "the disk is nearly full: what grows is refused" : "space is free again",
                 LOG_U64("reserve_bytes", v->cfg.reserve_bytes));
    }
    __atomic_store_n(&v->above_watermark, above, __ATOMIC_RELAXED);
    v->watermark_at_ms = now_ms + WATERMARK_MS;
    v->bytes_since_look = 0;
}

/* --- timers --- */

/* Groups are looked through only when a walk over dead bodies is due: a sole voter has no other timers. */
static void scan_due(struct volume *v, const struct turn *turn)
{
    if (turn->wall_ms < v->purge_at_ms) {
        return;
    }
    v->purge_at_ms = UINT64_MAX;
    for (size_t i = 0; i < v->n_groups; i++) {
        struct group *g = v->groups[i];
        group_check_due(g, turn->wall_ms);
        v->purge_at_ms = g->purge_at_ms < v->purge_at_ms ? g->purge_at_ms : v->purge_at_ms;
        volume_upkeep(v, g);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until the next group may be served. */
static uint64_t active_wait_ms(const struct volume *v, const struct turn *turn)
{
    uint64_t wait = WAIT_MS_MAX;
    LIST_FOREACH (it, &v->active) {
        const struct group *g = LIST_ENTRY(it, struct group, active);
        wait = least(wait, g->retry_at_ms > turn->now_ms ? g->retry_at_ms - turn->now_ms : 0);
    }
    return wait;
}

static uint64_t wait_ms(const struct volume *v, const struct turn *turn)
{
    uint64_t wait = active_wait_ms(v, turn);
    if (!list_empty(&v->starting) || !list_empty(&v->upkeep) || v->garbage) {
        uint64_t pause = v->pause_until_ms > turn->now_ms ? v->pause_until_ms - turn->now_ms : 0;
        uint64_t idle = list_empty(&v->starting) ? UPKEEP_IDLE_MS : 0;
        wait = least(wait, pause > idle ? pause : idle);
    }
    wait = least(wait, copy_out_wait_ms(v, turn->now_ms));
    if (v->grid_ms != UINT64_MAX) {
        wait = least(wait, v->grid_ms > turn->now_ms ? v->grid_ms - turn->now_ms : 0);
    }
    return least(wait, v->purge_at_ms > turn->wall_ms ? v->purge_at_ms - turn->wall_ms : 0);
}

static void flush_sent(struct volume *v)
{
    if (v->cfg.flush != NULL) {
        v->cfg.flush(v->cfg.send_ctx);
    }
}

uint64_t volume_turn(struct volume *v, struct proposal *list, struct repl_received *received)
{
    struct turn turn = {.now_ms = clock_mono_ms(v->cfg.clock), .wall_ms = clock_wall_ms(v->cfg.clock)};
    if (v->dead) {
        return WAIT_MS_MAX;
    }
    volume_count(&v->stats.turns, 1);
    look_at_watermark(v, turn.now_ms);
    take_received(v, received, turn.now_ms); /* before timeouts: a heartbeat may wait there */
    take_inbox(v, list);
    submit_all(v, turn.now_ms);
    look_at_timers(v, turn.now_ms);
    copy_out_backups_tick(v, turn.now_ms);
    copy_out_serve(v, turn.now_ms);
    volume_end_reader(v);
    if (!list_empty(&v->starting)) {
        volume_start_groups(v, turn.now_ms);
        volume_end_reader(v);
    }
    flush_sent(v); /* while this node writes, the others do */
    if (!v->dead) {
        scan_due(v, &turn);
        volume_turn_commit(v, &turn);
    }
    flush_sent(v);
    volume_end_reader(v); /* what followed the commit may have read */
    return v->dead ? WAIT_MS_MAX : wait_ms(v, &turn);
}
