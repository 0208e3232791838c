/* meta/controller_features.c - the features of the cluster: what a new one begins with, and
 * UpdateFeatures. Pure. */
#include <string.h>

#include "base/assert.h"
#include "meta/controller_priv.h"
#include "proto/config_record.h"
#include "proto/feature_level_record.h"
#include "proto/update_features_request.h"
#include "proto/update_features_response.h"

enum { UPGRADE = 1, SAFE_DOWNGRADE = 2, UNSAFE_DOWNGRADE = 3 };

static const char METADATA_VERSION[] = "metadata.version";
static const char ELR_VERSION[] = "eligible.leader.replicas.version";
static const char MIN_ISR[] = "min.insync.replicas";

const struct meta_feature_support meta_features_supported[] = {
    /* 30 is 4.3-IV0; 7 the oldest that KRaft ran with. */
    {METADATA_VERSION, 7, 30, 30},
    {ELR_VERSION, 0, 1, 1},
    {"kraft.version", 0, 1, 0},
    /* Clients look at these to choose a protocol: they are finalized once it is built. */
    {"group.version", 0, 0, 0},
    {"share.version", 0, 0, 0},
    {"streams.version", 0, 0, 0},
    {"transaction.version", 0, 0, 0},
    {NULL, 0, 0, 0},
};

static void
add_level(struct meta_records *records, struct str feature, int16_t level)
{
    struct proto_feature_level_record record = {.name = feature, .feature_level = level};
    meta_records_add(
        records, META_RECORD_FEATURE_LEVEL, 0, &proto_feature_level_record_schema, &record);
}

/* Who may lead is judged by min.insync.replicas (KIP-966), so the cluster has one value of its own:
 * `value`, what the node is configured with. */
static void
add_min_isr(struct meta_records *records, struct str value)
{
    struct proto_config_record record = {
        .resource_type = META_RESOURCE_BROKER, .name = str_of(MIN_ISR), .value = value};
    record.resource_name = STR("");
    meta_records_add(records, META_RECORD_CONFIG, 0, &proto_config_record_schema, &record);
}

static struct str
min_isr_of(const struct meta_config_rules *rules)
{
    struct str value = rules == NULL ? STR_NULL : rules->static_value(rules->ctx, str_of(MIN_ISR));
    return str_is_null(value) ? STR("1") : value;
}

void
meta_controller_bootstrap(const struct meta_config_rules *rules, struct meta_records *records)
{
    for (const struct meta_feature_support *f = meta_features_supported; f->name != NULL; f++)
        if (f->format_level > 0)
            add_level(records, str_of(f->name), f->format_level);
    add_min_isr(records, min_isr_of(rules));
}

/* Why this node cannot work at that level; null when it can. Level 0, which is "not at all", of a
 * feature unknown here has another reason. */
static struct str
unsupported(const struct meta_op *op, struct str feature, int16_t level)
{
    const struct meta_feature_support *f = meta_features_supported;
    while (f->name != NULL && !str_eq_z(feature, f->name))
        f++;
    if (f->name == NULL)
        return level == 0
                   ? arena_printf(op->arena, "Feature %.*s not found.", STR_FMT(feature))
                   : arena_printf(op->arena, "Local controller %d does not support this feature.",
                         (int)op->ctl->node_id);
    if (level >= f->min && level <= f->max)
        return STR_NULL;
    return arena_printf(op->arena, "Local controller %d only supports versions %d-%d",
        (int)op->ctl->node_id, (int)f->min, (int)f->max);
}

/* NULL, or the end of the sentence that refuses it. */
static struct str
problem(const struct meta_op *op,
    const struct proto_update_features_request_feature_update_key *update, int16_t now)
{
    int16_t level = update->max_version_level;
    int8_t type = update->upgrade_type;
    if (type < UPGRADE || type > UNSAFE_DOWNGRADE)
        return STR("The controller does not support the given upgrade type.");
    if (level < 0)
        return STR("A feature version cannot be less than 0.");
    struct str why = unsupported(op, update->feature, level);
    if (!str_is_null(why))
        return why;
    if (level < now && type == UPGRADE)
        return STR("Can't downgrade the version of this feature without setting the upgrade type "
                   "to either safe or unsafe downgrade.");
    if (level > now && type != UPGRADE)
        return STR("Can't downgrade to a newer version.");
    return STR_NULL;
}

/* Null, or why the feature cannot go to that level. */
static struct str
refusal(
    const struct meta_op *op, const struct proto_update_features_request_feature_update_key *update)
{
    int16_t now = meta_image_feature(op->image, update->feature);
    struct str why = problem(op, update, now);
    if (!str_is_null(why))
        return arena_printf(op->arena, "Invalid update version %d for feature %.*s. %.*s",
            (int)update->max_version_level, STR_FMT(update->feature), STR_FMT(why));
    if (update->max_version_level >= now || !str_eq_z(update->feature, METADATA_VERSION))
        return STR_NULL;
    /* Every level since the oldest changed the records. */
    return arena_printf(op->arena, "Unsupported metadata.version downgrade from %d to %d. %s",
        (int)now, (int)update->max_version_level,
        update->upgrade_type == SAFE_DOWNGRADE
            ? "Refusing to perform the requested downgrade because it might delete metadata "
              "information."
            : "Unsafe metadata downgrade is not supported in this version.");
}

static void
apply(struct meta_op *op, const struct proto_update_features_request_feature_update_key *update)
{
    add_level(op->records, update->feature, update->max_version_level);
    if (str_eq_z(update->feature, ELR_VERSION) && update->max_version_level > 0 &&
        str_is_null(meta_image_config(op->image, META_RESOURCE_BROKER, STR(""), str_of(MIN_ISR))))
        add_min_isr(op->records, min_isr_of(op->ctl->rules));
}

enum err
meta_op_update_features(struct meta_op *op, void *response)
{
    const struct proto_update_features_request *request = op->req->msg;
    struct proto_update_features_response *answer = response;
    int32_t count = request->feature_updates.count;
    ASSERT(count >= 0);
    answer->results.items = arena_calloc(op->arena, (size_t)count, sizeof *answer->results.items);
    if (answer->results.items == NULL)
        return ERR_NOMEM;
    answer->error_message = STR_NULL;
    /* All or nothing: the first refusal is the whole answer's. */
    for (int32_t i = 0; i < count; i++) {
        struct str why = refusal(op, &request->feature_updates.items[i]);
        if (!str_is_null(why)) {
            answer->error_code = PROTO_ERROR_INVALID_UPDATE_VERSION;
            answer->error_message = arena_printf(op->arena,
                "The update failed for all features since the following feature had an error: %.*s",
                STR_FMT(why));
            return ERR_OK;
        }
        answer->results.items[i].feature = request->feature_updates.items[i].feature;
        answer->results.items[i].error_message = STR("NONE");
    }
    if (op->req->version < 2)
        answer->results.count = count;
    for (int32_t i = 0; i < count && !request->validate_only; i++)
        apply(op, &request->feature_updates.items[i]);
    return ERR_OK;
}
