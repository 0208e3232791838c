/* See world.h. */
#include "tests/unit/meta/world.h"

#include <string.h>

#include "proto/register_broker_record.h"
#include "tests/lib/test.h"

enum { ARENA_MAX = 64 << 20, CREATE = 19 };

static void
chance(void *ctx, void *out, size_t len)
{
    struct world *w = ctx;
    for (size_t i = 0; i < len; i++) {
        w->chance = w->chance * 6364136223846793005u + 1442695040888963407u;
        ((uint8_t *)out)[i] = (uint8_t)(w->chance >> 56);
    }
}

void
world_replay(struct world *w)
{
    struct meta_builder *builder = NULL;
    struct meta_image *next = NULL;
    struct meta_delta *delta = NULL;
    assert_int_equal(w->records.err, ERR_OK);
    assert_int_equal(meta_builder_new(w->image, &builder), ERR_OK);
    for (int i = 0; i < w->records.count; i++)
        assert_int_equal(meta_builder_replay(builder, w->records.items[i].value), ERR_OK);
    assert_int_equal(meta_builder_finish(&builder, meta_image_offset(w->image) + w->records.count,
                         1, 7, &next, &delta),
        ERR_OK);
    meta_delta_free(&delta);
    meta_image_unref(&w->image);
    w->image = next;
}

void
world_add_broker(struct world *w, int32_t id, bool fenced)
{
    struct uuid dir = {{77, [15] = (uint8_t)id}};
    struct proto_register_broker_record record;
    proto_init(&proto_register_broker_record_schema, &record);
    record.broker_id = id;
    record.broker_epoch = 10 + id;
    record.fenced = fenced;
    record.log_dirs.items = &dir;
    record.log_dirs.count = 1;
    meta_records_init(&w->records, &w->arena, 7);
    meta_records_add(
        &w->records, META_RECORD_REGISTER_BROKER, 3, &proto_register_broker_record_schema, &record);
    world_replay(w);
}

enum err
world_ask(struct world *w, int16_t key, int16_t version, const void *msg, void *response)
{
    struct meta_request req = {.api_key = key,
        .version = version,
        .msg = msg,
        .response = response,
        .arena = &w->arena,
        .principal = STR("User:test")};
    meta_records_init(&w->records, &w->arena, 7);
    return meta_controller_handle(
        &w->ctl, w->image, meta_image_offset(w->image) + 1, &req, &w->records);
}

struct proto_create_topics_response_creatable_topic_result
world_create(
    struct world *w, struct proto_create_topics_request_creatable_topic topic, bool validate_only)
{
    struct proto_create_topics_request request;
    struct proto_create_topics_response response;
    proto_init(&proto_create_topics_request_schema, &request);
    request.topics.items = &topic;
    request.topics.count = 1;
    request.validate_only = validate_only;
    assert_int_equal(world_ask(w, CREATE, 7, &request, &response), ERR_OK);
    assert_int_equal(response.topics.count, 1);
    return response.topics.items[0];
}

void
world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    arena_init(&w->arena, ARENA_MAX);
    w->rules = meta_config_rules_make(NULL);
    w->ctl = (struct meta_controller){
        .rules = &w->rules, .node_id = 1, .random = chance, .random_ctx = w};
    assert_int_equal(meta_image_new_empty(STR("cluster"), &w->image), ERR_OK);
    meta_records_init(&w->records, &w->arena, 7);
    meta_controller_bootstrap(NULL, &w->records);
    world_replay(w);
    world_add_broker(w, 1, false);
    world_add_broker(w, 2, false);
    world_add_broker(w, 3, false);
}

void
world_fini(struct world *w)
{
    meta_image_unref(&w->image);
    arena_fini(&w->arena);
}
