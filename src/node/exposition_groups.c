/* node/exposition_groups.c - metrics of the groups that this node coordinates, and their lag.
 *
 * What: each shard is looked at under its own lock: its counts, and copies of its groups and
 * committed offsets until there are enough rows. Lag needs the high watermark, so it is told only
 * where this node leads the partition. Threads: HTTP. Errors: without memory rows are left out. */
#include "base/alloc.h"
#include "base/assert.h"
#include "broker/coord_log.h"
#include "node/exposition_priv.h"

enum { SHARD_STATES = COORD_SHARD_ACTIVE + 1 };

struct group_row {
    struct str id; /* the arena's */
    int32_t members;
};

struct offset_row {
    struct str group, topic; /* the arena's */
    int64_t committed;
    int64_t lag; /* -1: not known here */
    int32_t partition;
};

struct groups {
    struct scrape *scrape;
    struct coord_group_counts counts;
    int64_t shards[SHARD_STATES];
    uint64_t done[COORD_COUNT_KINDS];
    struct group_row *groups;
    struct offset_row *offsets;
    int32_t group_count, offset_count, max;
};

/* ---- collecting ---- */

/* The last text again when it is the same, else a copy; null when it cannot be shown or kept. */
static struct str
keep(struct groups *groups, struct str last, struct str text)
{
    if (last.data != NULL && str_eq(last, text))
        return last;
    return exposition_label_ok(text) ? arena_str(&groups->scrape->arena, text) : STR_NULL;
}

static bool
add_group(void *ctx, struct str id, int32_t members)
{
    struct groups *groups = ctx;
    if (groups->group_count == groups->max)
        return false;
    struct str kept = keep(groups, STR_NULL, id);
    if (kept.data != NULL)
        groups->groups[groups->group_count++] = (struct group_row){kept, members};
    return true;
}

static bool
add_offset(void *ctx, struct str id, struct str topic, int32_t partition, int64_t offset)
{
    struct groups *groups = ctx;
    struct offset_row *last =
        groups->offset_count > 0 ? &groups->offsets[groups->offset_count - 1] : NULL;
    if (groups->offset_count == groups->max)
        return false;
    struct str group_kept = keep(groups, last != NULL ? last->group : STR_NULL, id);
    struct str topic_kept = keep(groups, last != NULL ? last->topic : STR_NULL, topic);
    if (group_kept.data != NULL && topic_kept.data != NULL)
        groups->offsets[groups->offset_count++] = (struct offset_row){.group = group_kept,
            .topic = topic_kept,
            .committed = offset,
            .lag = -1,
            .partition = partition};
    return true;
}

static void
add_shard(void *ctx, const struct coord_shard *shard)
{
    struct groups *groups = ctx;
    struct coord_group_visitor visitor = {add_group, add_offset, groups};
    groups->shards[coord_shard_state(shard)]++;
    for (int i = 0; i < COORD_COUNT_KINDS; i++)
        groups->done[i] += coord_shard_counted(shard, (enum coord_count)i);
    if (coord_shard_ready(shard) != PROTO_ERROR_NONE)
        return;
    struct coord_group_counts counts = coord_group_counts_get(shard);
    groups->counts.groups += counts.groups;
    groups->counts.members += counts.members;
    groups->counts.offsets += counts.offsets;
    for (int i = 0; i < COORD_GROUP_STATES; i++)
        groups->counts.by_state[i] += counts.by_state[i];
    coord_group_visit(shard, &visitor);
}

/* After the locks are given back: no partition is asked with a shard's lock held. */
static void
find_lags(struct groups *groups)
{
    for (int32_t i = 0; i < groups->offset_count; i++) {
        struct offset_row *row = &groups->offsets[i];
        struct replica_partition_state state;
        struct replica_partition *part =
            replica_manager_get(groups->scrape->node->replicas, row->topic, row->partition);
        if (part == NULL)
            continue;
        replica_partition_get_state(part, &state);
        replica_partition_unref(&part);
        if (state.leader)
            row->lag =
                state.high_watermark > row->committed ? state.high_watermark - row->committed : 0;
    }
}

/* ---- writing ---- */

static void
put_states(struct scrape *scrape, const struct groups *groups)
{
    static const enum metric metrics[COORD_GROUP_STATES] = {
        [COORD_GROUP_EMPTY] = METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSEMPTY,
        [COORD_GROUP_PREPARING_REBALANCE] =
            METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSPREPARINGREBALANCE,
        [COORD_GROUP_COMPLETING_REBALANCE] =
            METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSCOMPLETINGREBALANCE,
        [COORD_GROUP_STABLE] = METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSSTABLE,
        [COORD_GROUP_DEAD] = METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPSDEAD,
    };
    static const char *const shard_states[SHARD_STATES] = {
        [COORD_SHARD_UNLOADED] = "unloaded",
        [COORD_SHARD_LOADING] = "loading",
        [COORD_SHARD_ACTIVE] = "active",
    };
    for (int i = 0; i < COORD_GROUP_STATES; i++)
        exposition_single_i64(&scrape->text, metrics[i], groups->counts.by_state[i]);
    exposition_begin(&scrape->text, METRIC_MOLDAU_COORDINATOR_SHARDS);
    for (int i = 0; i < SHARD_STATES; i++) {
        struct str label = str_of(shard_states[i]);
        exposition_i64(&scrape->text, &label, 1, groups->shards[i]);
    }
}

static void
put_counts(struct scrape *scrape, const struct groups *groups)
{
    struct exposition_text *text = &scrape->text;
    exposition_single_i64(
        text, METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMGROUPS, groups->counts.groups);
    exposition_single_i64(text, METRIC_KAFKA_COORDINATOR_GROUP_GROUPMETADATAMANAGER_NUMOFFSETS,
        groups->counts.offsets);
    exposition_single_i64(text, METRIC_MOLDAU_GROUP_MEMBERS, groups->counts.members);
    exposition_single_u64(
        text, METRIC_MOLDAU_GROUP_REBALANCES_TOTAL, groups->done[COORD_COUNT_REBALANCES]);
    exposition_single_u64(
        text, METRIC_MOLDAU_GROUP_OFFSET_COMMITS_TOTAL, groups->done[COORD_COUNT_OFFSETS_SET]);
    exposition_single_u64(
        text, METRIC_MOLDAU_GROUP_OFFSETS_EXPIRED_TOTAL, groups->done[COORD_COUNT_OFFSETS_EXPIRED]);
    exposition_single_u64(
        text, METRIC_MOLDAU_GROUP_OFFSETS_DELETED_TOTAL, groups->done[COORD_COUNT_OFFSETS_DELETED]);
    exposition_single_i64(text, METRIC_MOLDAU_METRICS_GROUP_OFFSETS_LEFT_OUT,
        groups->counts.offsets > groups->offset_count
            ? groups->counts.offsets - groups->offset_count
            : 0);
}

static void
put_members(struct scrape *scrape, const struct groups *groups)
{
    exposition_begin(&scrape->text, METRIC_KAFKA_CONSUMERGROUP_MEMBERS);
    for (int32_t i = 0; i < groups->group_count; i++)
        exposition_i64(&scrape->text, &groups->groups[i].id, 1, groups->groups[i].members);
}

static void
put_offsets(struct scrape *scrape, const struct groups *groups, enum metric metric, bool lag)
{
    if (!exposition_begin(&scrape->text, metric))
        return;
    for (int32_t i = 0; i < groups->offset_count; i++) {
        const struct offset_row *row = &groups->offsets[i];
        char partition[12];
        struct str labels[] = {
            row->group, row->topic, exposition_number(partition, row->partition)};
        if (!lag || row->lag >= 0)
            exposition_i64(&scrape->text, labels, 3, lag ? row->lag : row->committed);
    }
}

/* Rows of one group and topic stand next to each other. */
static void
put_sums(struct scrape *scrape, const struct groups *groups, enum metric metric, bool lag)
{
    if (!exposition_begin(&scrape->text, metric))
        return;
    for (int32_t i = 0; i < groups->offset_count;) {
        const struct offset_row *first = &groups->offsets[i];
        int64_t sum = 0;
        bool any = false;
        for (; i < groups->offset_count; i++) {
            const struct offset_row *row = &groups->offsets[i];
            if (row->group.data != first->group.data || row->topic.data != first->topic.data)
                break;
            any = any || !lag || row->lag >= 0;
            sum += !lag ? row->committed : row->lag >= 0 ? row->lag : 0;
        }
        if (any)
            exposition_i64(&scrape->text, (struct str[]){first->group, first->topic}, 2, sum);
    }
}

void
exposition_put_groups(struct scrape *scrape)
{
    struct groups groups = {.scrape = scrape, .max = scrape->ex->offsets_max};
    groups.groups = mem_calloc((size_t)groups.max + 1, sizeof *groups.groups);
    groups.offsets = mem_calloc((size_t)groups.max + 1, sizeof *groups.offsets);
    if (groups.groups == NULL || groups.offsets == NULL)
        groups.max = 0;
    broker_coord_each(scrape->node->coord, add_shard, &groups);
    ASSERT(groups.offset_count <= groups.max);
    find_lags(&groups);
    put_counts(scrape, &groups);
    put_states(scrape, &groups);
    put_members(scrape, &groups);
    put_offsets(scrape, &groups, METRIC_KAFKA_CONSUMERGROUP_CURRENT_OFFSET, false);
    put_offsets(scrape, &groups, METRIC_KAFKA_CONSUMERGROUP_LAG, true);
    put_sums(scrape, &groups, METRIC_KAFKA_CONSUMERGROUP_CURRENT_OFFSET_SUM, false);
    put_sums(scrape, &groups, METRIC_KAFKA_CONSUMERGROUP_LAG_SUM, true);
    mem_free(groups.groups);
    mem_free(groups.offsets);
}
