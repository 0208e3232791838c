/* DescribeClientQuotas (48): what is set for the entities that a filter matches, from the image. */
#include "base/attr.h"
#include "broker/broker.h"
#include "broker/cluster_view.h"
#include "meta/quota_keys.h"
#include "proto/api_keys.h"
#include "proto/describe_client_quotas_request.h"
#include "proto/describe_client_quotas_response.h"
#include "proto/error_codes.h"

typedef struct proto_describe_client_quotas_request_component_data component_in;
typedef struct proto_describe_client_quotas_response_entry_data entry_out;

enum { MATCH_EXACT = 0, MATCH_DEFAULT = 1, MATCH_SPECIFIED = 2 };

static const char *const types[] = {META_QUOTA_USER, META_QUOTA_CLIENT_ID, META_QUOTA_IP};
enum { TYPE_IP = 2 };

/* What is asked of each type; NULL: nothing. */
struct filter {
    const component_in *of[COUNT_OF(types)];
    int count;
    bool strict;
};

struct refusal {
    enum proto_error code;
    struct str why;
};

static struct refusal
refuse(enum proto_error code, struct str why)
{
    return (struct refusal){code, why};
}

static struct refusal
component_check(struct arena *arena, const component_in *component)
{
    bool named = !str_is_null(component->match);
    switch (component->match_type) {
    case MATCH_EXACT:
        return named
                   ? refuse(PROTO_ERROR_NONE, STR_NULL)
                   : refuse(PROTO_ERROR_INVALID_REQUEST,
                         STR("Request specified MATCH_TYPE_EXACT, but set match string to null."));
    case MATCH_DEFAULT:
    case MATCH_SPECIFIED:
        return !named ? refuse(PROTO_ERROR_NONE, STR_NULL)
                      : refuse(PROTO_ERROR_INVALID_REQUEST,
                            arena_printf(arena,
                                "Request specified MATCH_TYPE_%s, but also specified a match "
                                "string.",
                                component->match_type == MATCH_DEFAULT ? "DEFAULT" : "SPECIFIED"));
    default:
        return refuse(PROTO_ERROR_INVALID_REQUEST,
            arena_printf(arena, "Unknown match type %d", (int)component->match_type));
    }
}

static struct refusal
filter_add(struct arena *arena, struct filter *filter, const component_in *component)
{
    size_t type = 0;
    if (component->entity_type.len == 0)
        return refuse(PROTO_ERROR_INVALID_REQUEST, STR("Invalid empty entity type."));
    while (type < COUNT_OF(types) && !str_eq_z(component->entity_type, types[type]))
        type++;
    if (type == COUNT_OF(types))
        return refuse(PROTO_ERROR_UNSUPPORTED_VERSION,
            arena_printf(arena, "Unsupported entity type %.*s", STR_FMT(component->entity_type)));
    if (filter->of[type] != NULL)
        return refuse(PROTO_ERROR_INVALID_REQUEST,
            arena_printf(
                arena, "Entity type %s cannot appear more than once in the filter.", types[type]));
    filter->of[type] = component;
    filter->count++;
    return component_check(arena, component);
}

static struct refusal
filter_read(struct broker_req *req, struct filter *filter)
{
    const struct proto_describe_client_quotas_request *msg = req->msg;
    struct refusal refusal = {PROTO_ERROR_NONE, STR_NULL};
    *filter = (struct filter){.strict = msg->strict};
    for (int32_t i = 0; refusal.code == PROTO_ERROR_NONE && i < msg->components.count; i++)
        refusal = filter_add(req->arena, filter, &msg->components.items[i]);
    if (refusal.code == PROTO_ERROR_NONE && filter->of[TYPE_IP] != NULL && filter->count > 1)
        refusal = refuse(PROTO_ERROR_INVALID_REQUEST,
            STR("Invalid entity filter component combination. IP filter component should not be "
                "used with user or clientId filter component."));
    return refusal;
}

static bool
filter_matches(const struct filter *filter, const struct meta_quota *quota)
{
    if (filter->strict && quota->part_count != filter->count)
        return false;
    for (size_t type = 0; type < COUNT_OF(types); type++) {
        const component_in *component = filter->of[type];
        if (component == NULL)
            continue;
        const struct meta_quota_part *part = meta_quota_part(quota, str_of(types[type]));
        if (part == NULL)
            return false;
        if (component->match_type == MATCH_DEFAULT && !str_is_null(part->name))
            return false;
        if (component->match_type == MATCH_EXACT &&
            (str_is_null(part->name) || !str_eq(part->name, component->match)))
            return false;
    }
    return true;
}

static bool
entry_fill(struct arena *arena, const struct meta_quota *quota, entry_out *out)
{
    out->entity.items = arena_calloc(arena, (size_t)quota->part_count, sizeof *out->entity.items);
    out->values.items = arena_calloc(arena, (size_t)quota->value_count, sizeof *out->values.items);
    if (out->entity.items == NULL || out->values.items == NULL)
        return false;
    out->entity.count = quota->part_count;
    out->values.count = quota->value_count;
    for (int32_t i = 0; i < quota->part_count; i++) {
        out->entity.items[i].entity_type = quota->parts[i].type;
        out->entity.items[i].entity_name = quota->parts[i].name;
    }
    for (int32_t i = 0; i < quota->value_count; i++) {
        out->values.items[i].key = quota->values[i].key;
        out->values.items[i].value = quota->values[i].value;
    }
    return true;
}

/* False out of memory. */
static bool
entries_fill(struct broker_req *req, const struct filter *filter,
    struct proto_describe_client_quotas_response *response)
{
    const struct meta_quota *quota = NULL;
    int32_t count = 0;
    size_t cost = 0;
    while ((quota = meta_image_quota_after(req->image, quota)) != NULL) {
        if (!filter_matches(filter, quota))
            continue;
        count++;
        cost += sizeof(entry_out) + 64 +
                (size_t)quota->part_count * sizeof *response->entries.items->entity.items +
                (size_t)quota->value_count * sizeof *response->entries.items->values.items;
    }
    broker_req_budget_add(req, cost); /* a short question, a long answer */
    response->entries.items = arena_calloc(req->arena, (size_t)count, sizeof(entry_out));
    if (response->entries.items == NULL)
        return false;
    response->entries.count = 0;
    while ((quota = meta_image_quota_after(req->image, quota)) != NULL)
        if (filter_matches(filter, quota) &&
            !entry_fill(req->arena, quota, &response->entries.items[response->entries.count++]))
            return false;
    return true;
}

static void
handle(struct broker_req *req)
{
    struct proto_describe_client_quotas_response response;
    struct filter filter;
    proto_init(&proto_describe_client_quotas_response_schema, &response);
    struct refusal refusal = filter_read(req, &filter);
    if (refusal.code != PROTO_ERROR_NONE) {
        response.error_code = (int16_t)refusal.code;
        response.error_message = refusal.why;
        response.entries.items = NULL;
        response.entries.count = -1; /* null */
    } else if (!entries_fill(req, &filter, &response)) {
        broker_req_close(req, "out of memory");
        return;
    }
    broker_req_reply(req, &response);
}

const struct broker_api broker_api_describe_client_quotas = {
    .key = PROTO_API_DESCRIBE_CLIENT_QUOTAS,
    .version_min = PROTO_DESCRIBE_CLIENT_QUOTAS_REQUEST_VERSION_MIN,
    .version_max = PROTO_DESCRIBE_CLIENT_QUOTAS_REQUEST_VERSION_MAX,
    .handle = handle,
};
