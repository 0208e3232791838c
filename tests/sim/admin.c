/* tests/sim/admin.c - one operation at a time, and what it came to. */
#include "tests/sim/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/create_partitions_response.h"
#include "proto/create_topics_response.h"
#include "proto/delete_topics_response.h"
#include "proto/describe_configs_response.h"
#include "proto/error_codes.h"
#include "proto/incremental_alter_configs_response.h"
#include "proto/metadata_response.h"

enum { CALL_ARENA = 1 << 20, TIMEOUT_MS = 5000, TOPIC_RESOURCE = 2, GROW_MAX = 4 };

static const char SETTING[] = "retention.ms";

void
admin_init(struct admin *admin, struct history *history)
{
    memset(admin, 0, sizeof *admin);
    admin->history = history;
    admin->setting_next = 1000000000;
    for (int i = 0; i < ADMIN_TOPICS; i++)
        snprintf(admin->topics[i].name, ADMIN_NAME_SIZE, "churn-%d", i);
    client_call_init(&admin->call, CALL_ARENA);
}

void
admin_fini(struct admin *admin)
{
    client_call_cancel(&admin->call);
    client_call_fini(&admin->call);
}

/* ---- answers ---- */

/* The code of the one thing that was asked for; -2: no answer that says so. */
static int
answer_code(const struct admin *admin, const struct client_call *call)
{
    if (call->err != ERR_OK)
        return -2;
    switch (admin->operation) {
    case PROTO_CREATE_TOPICS_REQUEST_KEY: {
        const struct proto_create_topics_response *r = call->response;
        return r->topics.count == 1 ? r->topics.items[0].error_code : -2;
    }
    case PROTO_CREATE_PARTITIONS_REQUEST_KEY: {
        const struct proto_create_partitions_response *r = call->response;
        return r->results.count == 1 ? r->results.items[0].error_code : -2;
    }
    case PROTO_INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY: {
        const struct proto_incremental_alter_configs_response *r = call->response;
        return r->responses.count == 1 ? r->responses.items[0].error_code : -2;
    }
    default: {
        const struct proto_delete_topics_response *r = call->response;
        return r->responses.count == 1 ? r->responses.items[0].error_code : -2;
    }
    }
}

static void
on_done(struct client_call *call)
{
    struct admin *admin = call->ctx;
    struct admin_topic *topic = admin->subject;
    int code = answer_code(admin, call);
    bool creates = admin->operation == PROTO_CREATE_TOPICS_REQUEST_KEY;
    if (code ==
        (creates ? PROTO_ERROR_TOPIC_ALREADY_EXISTS : PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)) {
        history_fail(admin->history, "topic %s: request %d says %s", topic->name, admin->operation,
            proto_error_name((int16_t)code));
    } else if (code != 0) {
        topic->state = ADMIN_IN_DOUBT;
        return;
    }
    history_changed(admin->history);
    switch (admin->operation) {
    case PROTO_CREATE_TOPICS_REQUEST_KEY: topic->state = ADMIN_PRESENT; break;
    case PROTO_DELETE_TOPICS_REQUEST_KEY: topic->state = ADMIN_DELETED; break;
    default: break;
    }
    topic->partitions = topic->partitions_wanted;
    topic->setting = topic->setting_wanted;
}

/* ---- operations ---- */

static void
start(struct admin *admin, struct client *client, int16_t key, struct admin_topic *topic)
{
    admin->subject = topic;
    admin->operation = key;
    admin->call.target = CLIENT_TARGET_ANY;
    admin->call.key = key;
    admin->call.request = &admin->request;
    admin->call.done = on_done;
    admin->call.ctx = admin;
    admin->call.version_max = key == PROTO_DELETE_TOPICS_REQUEST_KEY ? 5 : 0;
    client_call_start(client, &admin->call);
}

static void
create(struct admin *admin, struct client *client, struct admin_topic *topic, uint64_t chance)
{
    topic->partitions_wanted = 1 + (int32_t)(chance % 2);
    topic->setting_wanted = 0;
    topic->state = ADMIN_IN_DOUBT; /* until it is answered */
    admin->part.create =
        (struct proto_create_topics_request_creatable_topic){.name = str_of(topic->name),
            .num_partitions = topic->partitions_wanted,
            .replication_factor = 1};
    admin->request.create = (struct proto_create_topics_request){.timeout_ms = TIMEOUT_MS};
    admin->request.create.topics.items = &admin->part.create;
    admin->request.create.topics.count = 1;
    start(admin, client, PROTO_CREATE_TOPICS_REQUEST_KEY, topic);
}

static void
grow(struct admin *admin, struct client *client, struct admin_topic *topic)
{
    topic->partitions_wanted = topic->partitions + 1;
    admin->part.grow = (struct proto_create_partitions_request_create_partitions_topic){
        .name = str_of(topic->name), .count = topic->partitions_wanted};
    admin->part.grow.assignments.count = -1;
    admin->request.grow = (struct proto_create_partitions_request){.timeout_ms = TIMEOUT_MS};
    admin->request.grow.topics.items = &admin->part.grow;
    admin->request.grow.topics.count = 1;
    start(admin, client, PROTO_CREATE_PARTITIONS_REQUEST_KEY, topic);
}

static void
alter(struct admin *admin, struct client *client, struct admin_topic *topic)
{
    topic->setting_wanted = admin->setting_next++;
    snprintf(admin->value, sizeof admin->value, "%lld", (long long)topic->setting_wanted);
    admin->config = (struct proto_incremental_alter_configs_request_alterable_config){
        .name = str_of(SETTING), .value = str_of(admin->value)};
    admin->part.alter = (struct proto_incremental_alter_configs_request_alter_configs_resource){
        .resource_type = TOPIC_RESOURCE, .resource_name = str_of(topic->name)};
    admin->part.alter.configs.items = &admin->config;
    admin->part.alter.configs.count = 1;
    admin->request.alter = (struct proto_incremental_alter_configs_request){0};
    admin->request.alter.resources.items = &admin->part.alter;
    admin->request.alter.resources.count = 1;
    start(admin, client, PROTO_INCREMENTAL_ALTER_CONFIGS_REQUEST_KEY, topic);
}

static void
remove_topic(struct admin *admin, struct client *client, struct admin_topic *topic)
{
    admin->name = str_of(topic->name);
    admin->request.remove = (struct proto_delete_topics_request){.timeout_ms = TIMEOUT_MS};
    admin->request.remove.topic_names.items = &admin->name;
    admin->request.remove.topic_names.count = 1;
    start(admin, client, PROTO_DELETE_TOPICS_REQUEST_KEY, topic);
}

void
admin_act(struct admin *admin, struct client *client, uint64_t chance)
{
    int alive = 0;
    struct admin_topic *topic = &admin->topics[chance % ADMIN_TOPICS];
    chance /= ADMIN_TOPICS;
    if (admin->call.active)
        return;
    for (int i = 0; i < ADMIN_TOPICS; i++)
        alive += admin->topics[i].state == ADMIN_PRESENT;
    bool unused = topic->state == ADMIN_UNUSED || (admin->anew && topic->state == ADMIN_DELETED);
    if (unused && alive < ADMIN_ALIVE) {
        create(admin, client, topic, chance);
    } else if (topic->state == ADMIN_PRESENT) {
        switch (chance % 4) {
        case 0: remove_topic(admin, client, topic); break;
        case 1:
            if (topic->partitions < GROW_MAX)
                grow(admin, client, topic);
            break;
        default: alter(admin, client, topic); break;
        }
    }
}

/* ---- the audit ---- */

static void
on_listed(struct client_call *call)
{
    struct admin *admin = call->ctx;
    const struct proto_metadata_response *response = call->response;
    if (call->err != ERR_OK)
        return; /* asked again */
    for (int i = 0; i < ADMIN_TOPICS; i++) {
        const struct admin_topic *topic = &admin->topics[i];
        int32_t partitions = 0;
        for (int32_t t = 0; t < response->topics.count; t++)
            if (str_eq_z(response->topics.items[t].name, topic->name))
                partitions = response->topics.items[t].partitions.count;
        bool wrong = topic->state == ADMIN_PRESENT
                         ? partitions != topic->partitions
                         : topic->state != ADMIN_IN_DOUBT && partitions > 0;
        if (wrong)
            history_fail(admin->history,
                "topic %s: %d partitions were acknowledged%s, %d are listed", topic->name,
                (int)topic->partitions, topic->state == ADMIN_DELETED ? " and the deletion" : "",
                (int)partitions);
    }
    admin->listed = true;
}

static void
list(struct admin *admin)
{
    admin->request.list = (struct proto_metadata_request){0};
    admin->request.list.topics.count = -1; /* all */
    admin->call.key = PROTO_METADATA_REQUEST_KEY;
    admin->call.done = on_listed;
}

static void
on_described(struct client_call *call)
{
    struct admin *admin = call->ctx;
    const struct admin_topic *topic = admin->subject;
    const struct proto_describe_configs_response *response = call->response;
    if (call->err != ERR_OK || response->results.count != 1 ||
        response->results.items[0].error_code != 0)
        return; /* asked again */
    int64_t value = 0;
    for (int32_t i = 0; i < response->results.items[0].configs.count; i++) {
        const struct proto_describe_configs_response_describe_configs_resource_result *config =
            &response->results.items[0].configs.items[i];
        char text[24];
        if (!str_eq_z(config->name, SETTING) || config->value.len >= sizeof text)
            continue;
        memcpy(text, config->value.data, config->value.len);
        text[config->value.len] = '\0';
        value = strtoll(text, NULL, 10);
    }
    if (value != topic->setting)
        history_fail(admin->history, "topic %s: %s=%lld was acknowledged, it is %lld", topic->name,
            SETTING, (long long)topic->setting, (long long)value);
    admin->described++;
}

static void
describe(struct admin *admin)
{
    admin->part.describe = (struct proto_describe_configs_request_describe_configs_resource){
        .resource_type = TOPIC_RESOURCE, .resource_name = str_of(admin->subject->name)};
    admin->part.describe.configuration_keys.count = -1;
    admin->request.describe = (struct proto_describe_configs_request){0};
    admin->request.describe.resources.items = &admin->part.describe;
    admin->request.describe.resources.count = 1;
    admin->call.key = PROTO_DESCRIBE_CONFIGS_REQUEST_KEY;
    admin->call.done = on_described;
}

bool
admin_check(struct admin *admin, struct client *client)
{
    if (admin->call.active)
        return false;
    while (admin->described < ADMIN_TOPICS &&
           (admin->topics[admin->described].state != ADMIN_PRESENT ||
               admin->topics[admin->described].setting == 0))
        admin->described++;
    if (admin->listed && admin->described == ADMIN_TOPICS)
        return true;
    if (!admin->listed) {
        list(admin);
    } else {
        admin->subject = &admin->topics[admin->described];
        describe(admin);
    }
    admin->call.target = CLIENT_TARGET_ANY;
    admin->call.version_max = 0;
    admin->call.request = &admin->request;
    admin->call.ctx = admin;
    client_call_start(client, &admin->call);
    return false;
}
