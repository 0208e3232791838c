/* coord/group/machine.c - the group coordinator as a machine of the runtime. */
#include "coord/group/group_priv.h"

#include "base/alloc.h"
#include "base/assert.h"

struct coord_group_config
coord_group_config_default(void)
{
    return (struct coord_group_config){
        .session_timeout_min_ms = 6000,
        .session_timeout_max_ms = 1800000,
        .initial_rebalance_delay_ms = 3000,
        .new_member_join_timeout_ms = 300000,
        .size_max = INT32_MAX,
        .offset_metadata_bytes_max = 4096,
        .offsets_retention_ms = (int64_t)7 * 24 * 3600 * 1000,
        .retention_check_ms = 600000,
    };
}

static enum err
create(void *ctx, struct coord_shard *shard, void **out)
{
    struct group_machine *machine = mem_calloc(1, sizeof *machine);
    if (machine == NULL)
        return ERR_NOMEM;
    machine->shard = shard;
    machine->config = ctx;
    /* A record that no batch holds is refused anyway. */
    writer_init(&machine->key, coord_shard_batch_size_max(shard));
    writer_init(&machine->value, coord_shard_batch_size_max(shard));
    coord_timer_init(&machine->expiry, coord_offsets_expire);
    *out = machine;
    return ERR_OK;
}

static void
unload(void *ctx, enum proto_error why)
{
    struct group_machine *machine = ctx;
    struct offset_txn *txn, *next;

    coord_shard_timer_stop(machine->shard, &machine->expiry);
    while (machine->groups != NULL)
        coord_group_remove(machine->groups, why);
    coord_offset_store_fini(&machine->offsets);
    coord_foreign_fini(machine);
    HASH_ITER (hh, machine->txns, txn, next) {
        HASH_DEL(machine->txns, txn);
        coord_offset_store_fini(&txn->store);
        mem_free(txn);
    }
}

static void
destroy(void *ctx)
{
    struct group_machine *machine = ctx;
    ASSERT(machine->groups == NULL);
    ASSERT(machine->offsets.groups == NULL);
    ASSERT(machine->foreign == NULL);
    writer_fini(&machine->key);
    writer_fini(&machine->value);
    mem_free(machine);
}

static void
loaded(void *ctx)
{
    struct group_machine *machine = ctx;
    struct group *group, *next;

    coord_shard_timer_set(machine->shard, &machine->expiry, machine->config->retention_check_ms);
    HASH_ITER (hh, machine->groups, group, next) {
        for (struct group_member *m = group->members; m != NULL; m = m->hh.next)
            coord_member_session_start(m, m->session_timeout_ms);
        /* The limit may have been lowered since: all join again, as many as fit. */
        if (coord_group_size(group) > machine->config->size_max)
            coord_group_prepare_rebalance(group);
    }
}

const struct coord_machine_ops coord_group_machine = {
    .create = create,
    .destroy = destroy,
    .apply = coord_record_apply,
    .end_txn = coord_record_end_txn,
    .loaded = loaded,
    .unload = unload,
    .live_bytes = coord_copy_live_bytes,
    .copy_begin = coord_copy_begin,
    .copy_step = coord_copy_step,
};

struct coord_group_counts
coord_group_counts_get(const struct coord_shard *shard)
{
    const struct group_machine *machine = coord_group_of(shard);
    struct coord_group_counts counts = {.offsets = machine->offsets.count};
    for (const struct group *g = machine->groups; g != NULL; g = g->hh.next) {
        counts.groups++;
        counts.members += coord_group_size(g);
        if (g->kind == GROUP_CLASSIC)
            counts.by_state[coord_group_state(g)]++;
    }
    return counts;
}

_Static_assert((int)GROUP_EMPTY == (int)COORD_GROUP_EMPTY, "group_state is coord_group_state");
_Static_assert((int)GROUP_STABLE == (int)COORD_GROUP_STABLE, "group_state is coord_group_state");
_Static_assert((int)GROUP_DEAD == (int)COORD_GROUP_DEAD, "group_state is coord_group_state");

static bool
visit_offsets(const struct offset_group *group, const struct coord_group_visitor *visitor)
{
    for (const struct offset_topic *t = group->topics; t != NULL; t = t->hh.next) {
        for (int32_t i = 0; i < t->count; i++) {
            const struct offset_entry *entry = &t->entries[i];
            if (!visitor->offset(visitor->ctx, group->id, t->name, entry->partition, entry->offset))
                return false;
        }
    }
    return true;
}

void
coord_group_visit(const struct coord_shard *shard, const struct coord_group_visitor *visitor)
{
    const struct group_machine *machine = coord_group_of(shard);
    const struct group *g = machine->groups;
    const struct offset_group *o = machine->offsets.groups;
    while (g != NULL && visitor->group(visitor->ctx, g->id, coord_group_size(g)))
        g = g->hh.next;
    while (o != NULL && visit_offsets(o, visitor))
        o = o->hh.next;
}

/* ---- dump ---- */

static int
by_group(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return str_cmp(x->id, y->id);
}

static int
by_member(const void *a, const void *b)
{
    const struct group_member *x = a, *y = b;
    return str_cmp(x->id, y->id);
}

static int
by_offset_group(const void *a, const void *b)
{
    const struct offset_group *x = a, *y = b;
    return str_cmp(x->id, y->id);
}

static int
by_topic(const void *a, const void *b)
{
    const struct offset_topic *x = a, *y = b;
    return str_cmp(x->name, y->name);
}

static void
dump_bytes(struct buf *out, struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        buf_printf(out, "%02x", b.data[i]);
}

static void
dump_group(struct group *group, struct buf *out)
{
    enum group_state state = coord_group_state(group);
    buf_printf(out, "group %.*s kind=%d", STR_FMT(group->id), (int)group->kind);
    if (state != GROUP_STABLE && state != GROUP_EMPTY) {
        /* What is in the making is not in the log. */
        buf_printf(out, " rebalancing\n");
        return;
    }
    buf_printf(out, " %s generation=%d type=%.*s protocol=%.*s leader=%.*s\n",
        coord_group_state_text(group), group->generation, STR_FMT(group->protocol_type),
        STR_FMT(group->protocol_name),
        STR_FMT(group->leader == NULL ? STR_NULL : group->leader->id));
    HASH_SRT(hh, group->members, by_member);
    for (struct group_member *m = group->members; m != NULL; m = m->hh.next) {
        buf_printf(out, "  member %.*s instance=%.*s client=%.*s%.*s timeouts=%d/%d subscription=",
            STR_FMT(m->id), STR_FMT(m->instance_id), STR_FMT(m->client_id), STR_FMT(m->client_host),
            m->session_timeout_ms, m->rebalance_timeout_ms);
        dump_bytes(out, coord_member_metadata(m, group->protocol_name));
        buf_printf(out, " assignment=");
        dump_bytes(out, m->assignment);
        buf_printf(out, "\n");
    }
}

static void
dump_store(struct offset_store *store, const char *prefix, struct buf *out)
{
    HASH_SRT(hh, store->groups, by_offset_group);
    for (struct offset_group *g = store->groups; g != NULL; g = g->hh.next) {
        HASH_SRT(hh, g->topics, by_topic);
        for (struct offset_topic *t = g->topics; t != NULL; t = t->hh.next) {
            for (int32_t i = 0; i < t->count; i++) {
                const struct offset_entry *e = &t->entries[i];
                char id[UUID_TEXT_SIZE];
                uuid_format(e->topic_id, id);
                buf_printf(out,
                    "%s %.*s %.*s-%d %lld epoch=%d commit=%lld expire=%lld id=%s %.*s\n", prefix,
                    STR_FMT(g->id), STR_FMT(t->name), e->partition, (long long)e->offset,
                    e->leader_epoch, (long long)e->commit_ms, (long long)e->expire_ms, id,
                    STR_FMT(e->metadata));
            }
        }
    }
}

static int
by_producer(const void *a, const void *b)
{
    const struct offset_txn *x = a, *y = b;
    return (x->producer_id > y->producer_id) - (x->producer_id < y->producer_id);
}

static int
by_key(const void *a, const void *b)
{
    const struct foreign_record *x = a, *y = b;
    struct str a_key = {(const char *)x->key.data, x->key.len};
    struct str b_key = {(const char *)y->key.data, y->key.len};
    return str_cmp(a_key, b_key);
}

static void
dump_foreign(struct group_machine *machine, struct buf *out)
{
    HASH_SRT(hh, machine->foreign, by_key);
    for (struct foreign_record *f = machine->foreign; f != NULL; f = f->hh.next) {
        buf_printf(out, "foreign ");
        dump_bytes(out, f->key);
        buf_printf(out, " = ");
        dump_bytes(out, f->value);
        buf_printf(out, "\n");
    }
}

void
coord_group_dump(const struct coord_shard *shard, struct buf *out)
{
    struct group_machine *machine = coord_group_of(shard);
    HASH_SRT(hh, machine->groups, by_group);
    for (struct group *g = machine->groups; g != NULL; g = g->hh.next)
        dump_group(g, out);
    dump_store(&machine->offsets, "offset", out);
    dump_foreign(machine, out);
    HASH_SRT(hh, machine->txns, by_producer);
    for (struct offset_txn *txn = machine->txns; txn != NULL; txn = txn->hh.next) {
        struct buf text;
        buf_init(&text, 64);
        buf_printf(&text, "pending %lld", (long long)txn->producer_id);
        dump_store(&txn->store, buf_z(&text), out);
        buf_fini(&text);
    }
    /* What was sorted is walked anew; what was copied is not copied again. */
    coord_copy_rewind(machine);
}
