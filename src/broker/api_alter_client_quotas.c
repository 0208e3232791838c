/* AlterClientQuotas (49): what clients may use; decided by the controller. */
#include "broker/broker.h"
#include "broker/forward.h"
#include "proto/alter_client_quotas_request.h"
#include "proto/alter_client_quotas_response.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"

typedef struct proto_alter_client_quotas_request_entry_data entry_in;
typedef struct proto_alter_client_quotas_response_entry_data entry_out;

static const void *
fail(struct broker_req *req, enum proto_error code)
{
    const struct proto_alter_client_quotas_request *msg = req->msg;
    struct proto_alter_client_quotas_response *response = arena_alloc(req->arena, sizeof *response);
    entry_out *outs = arena_calloc(req->arena, (size_t)msg->entries.count, sizeof *outs);
    if (response == NULL || outs == NULL)
        return NULL;
    proto_init(&proto_alter_client_quotas_response_schema, response);
    for (int32_t i = 0; i < msg->entries.count; i++) {
        const entry_in *entry = &msg->entries.items[i];
        outs[i].error_code = (int16_t)code;
        outs[i].error_message = broker_forward_text(code);
        outs[i].entity.items =
            arena_calloc(req->arena, (size_t)entry->entity.count, sizeof *outs[i].entity.items);
        if (outs[i].entity.items == NULL)
            return NULL;
        outs[i].entity.count = entry->entity.count;
        for (int32_t p = 0; p < entry->entity.count; p++) {
            outs[i].entity.items[p].entity_type = entry->entity.items[p].entity_type;
            outs[i].entity.items[p].entity_name = entry->entity.items[p].entity_name;
        }
    }
    response->entries.items = outs;
    response->entries.count = msg->entries.count;
    return response;
}

static void
handle(struct broker_req *req)
{
    broker_forward(req, fail);
}

const struct broker_api broker_api_alter_client_quotas = {
    .key = PROTO_API_ALTER_CLIENT_QUOTAS,
    .version_min = PROTO_ALTER_CLIENT_QUOTAS_REQUEST_VERSION_MIN,
    .version_max = PROTO_ALTER_CLIENT_QUOTAS_REQUEST_VERSION_MAX,
    .handle = handle,
};
