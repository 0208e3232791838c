/* proto/api.c - lookups in the generated lists. */
#include "proto/schema.h"

#include <string.h>

#include "base/assert.h"
#include "proto/api_keys.h"
#include "proto/error_codes.h"
#include "proto/schema_priv.h"

const struct proto_api *
proto_api_find(int16_t key)
{
    if (key < 0 || key >= proto_api_by_key_count || proto_api_by_key[key] < 0)
        return NULL;
    const struct proto_api *api = &proto_apis[proto_api_by_key[key]];
    ASSERT(api->key == key);
    return api;
}

const struct proto_api *
proto_api_find_name(const char *name)
{
    for (int i = 0; i < proto_api_count; i++)
        if (strcmp(proto_apis[i].name, name) == 0)
            return &proto_apis[i];
    return NULL;
}

int16_t
proto_request_header_version(const struct proto_api *api, int16_t version)
{
    return version >= api->flexible_from ? 2 : 1;
}

int16_t
proto_response_header_version(const struct proto_api *api, int16_t version)
{
    /* A client that does not know our versions yet must be able to read this one (KIP-511). */
    if (api->key == PROTO_API_API_VERSIONS)
        return 0;
    return version >= api->flexible_from ? 1 : 0;
}

const struct proto_message *
proto_message_list(int *count)
{
    *count = proto_message_count;
    return proto_messages;
}

const struct proto_message *
proto_message_find(enum proto_kind kind, int16_t key)
{
    ASSERT((int)kind < PROTO_KIND_COUNT);
    if (key < 0 || key >= PROTO_KEY_COUNT || proto_message_by_key[kind][key] < 0)
        return NULL;
    const struct proto_message *message = &proto_messages[proto_message_by_key[kind][key]];
    ASSERT(message->kind == kind && message->key == key);
    return message;
}

const struct proto_message *
proto_message_find_name(const char *name)
{
    int low = 0, high = proto_message_count;

    while (low < high) {
        int middle = (low + high) / 2;
        int order = strcmp(name, proto_messages[middle].schema->name);
        if (order == 0)
            return &proto_messages[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *
proto_error_name(int16_t code)
{
    switch (code) {
#define X(name, number, retriable, text) \
    case number: return #name;
        PROTO_ERROR_LIST(X)
#undef X
    }
    return "UNKNOWN";
}

const char *
proto_error_text(int16_t code)
{
    switch (code) {
#define X(name, number, retriable, text) \
    case number: return text;
        PROTO_ERROR_LIST(X)
#undef X
    }
    return "The error code is not known.";
}

bool
proto_error_retriable(int16_t code)
{
    switch (code) {
#define X(name, number, retriable, text) \
    case number: return retriable;
        PROTO_ERROR_LIST(X)
#undef X
    }
    return false;
}

int32_t *
proto_throttle_time(const struct proto_schema *schema, void *msg)
{
    for (int i = 0; i < schema->field_count; i++) {
        const struct proto_field *field = &schema->fields[i];
        if (field->type == PROTO_INT32 && strcmp(field->name, "throttleTimeMs") == 0)
            return (int32_t *)((char *)msg + field->offset);
    }
    return NULL;
}
