#include "proto/errors.h"

#include "proto/heartbeat_response.h"
#include "proto/produce_response.h"
#include "tests/lib/test.h"

struct seen {
    int count;
    int of[256]; /* by code + 1 */
};

static void
note(void *ctx, int16_t code)
{
    struct seen *seen = ctx;
    seen->count++;
    seen->of[code + 1]++;
}

static struct seen
codes_of(const struct proto_schema *schema, const void *msg)
{
    struct proto_errors *map = NULL;
    struct seen seen = {0};
    assert_int_equal(proto_errors_new(schema, &map), ERR_OK);
    proto_errors_each(map, msg, note, &seen);
    proto_errors_free(&map);
    assert_null(map);
    return seen;
}

static void
a_code_at_the_top_is_found(void **state)
{
    struct proto_heartbeat_response msg;
    (void)state;
    proto_init(&proto_heartbeat_response_schema, &msg);
    msg.error_code = 25;
    struct seen seen = codes_of(&proto_heartbeat_response_schema, &msg);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.of[26], 1);
}

static void
every_partition_counts(void **state)
{
    struct proto_produce_response_partition_produce_response parts[3];
    struct proto_produce_response_topic_produce_response topics[2] = {0};
    struct proto_produce_response msg;
    (void)state;
    proto_init(&proto_produce_response_schema, &msg);
    for (int i = 0; i < 3; i++)
        proto_init(&proto_produce_response_partition_produce_response_schema, &parts[i]);
    parts[1].error_code = 6;
    parts[2].error_code = -1;
    topics[0].partition_responses.items = parts;
    topics[0].partition_responses.count = 2;
    topics[1].partition_responses.items = parts + 2;
    topics[1].partition_responses.count = 1;
    msg.responses.items = topics;
    msg.responses.count = 2;
    struct seen seen = codes_of(&proto_produce_response_schema, &msg);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.of[1], 1);
    assert_int_equal(seen.of[7], 1);
    assert_int_equal(seen.of[0], 1);
}

static void
null_arrays_have_none(void **state)
{
    struct proto_produce_response msg;
    (void)state;
    proto_init(&proto_produce_response_schema, &msg);
    msg.responses.items = NULL;
    msg.responses.count = -1;
    assert_int_equal(codes_of(&proto_produce_response_schema, &msg).count, 0);
}

static void
every_response_has_a_map(void **state)
{
    (void)state;
    for (int16_t key = 0; key < 128; key++) {
        const struct proto_api *api = proto_api_find(key);
        struct proto_errors *map = NULL;
        if (api == NULL)
            continue;
        assert_int_equal(proto_errors_new(api->response, &map), ERR_OK);
        proto_errors_free(&map);
    }
}

TEST_MAIN(cmocka_unit_test(a_code_at_the_top_is_found), cmocka_unit_test(every_partition_counts),
    cmocka_unit_test(null_arrays_have_none), cmocka_unit_test(every_response_has_a_map))
