/* Encoding, the API table and the error list. */
#include "tests/lib/test.h"

#include <string.h>

#include "proto/api_keys.h"
#include "proto/api_versions_request.h"
#include "proto/consumer_group_member_metadata_value.h"
#include "proto/error_codes.h"
#include "proto/fetch_request.h"
#include "proto/fetch_response.h"
#include "proto/metadata_request.h"
#include "proto/produce_request.h"
#include "proto/request_header.h"
#include "proto/schema.h"
#include "proto/topic_record.h"

static enum err
encode(const struct proto_schema *schema, int version, const void *msg, struct writer *w)
{
    writer_init(w, 1 << 20);
    return proto_encode(schema, (int16_t)version, msg, w);
}

#define EXPECT(w, ...)                                         \
    do {                                                       \
        const uint8_t want[] = {__VA_ARGS__};                  \
        assert_int_equal((w)->buf.len, sizeof want);           \
        assert_memory_equal((w)->buf.data, want, sizeof want); \
        writer_fini(w);                                        \
    } while (0)

static void
headers_have_the_bytes_of_the_protocol_guide(void **state)
{
    struct proto_request_header msg;
    struct writer w;

    (void)state;
    proto_init(&proto_request_header_schema, &msg);
    msg.request_api_key = PROTO_API_API_VERSIONS;
    msg.request_api_version = 3;
    msg.correlation_id = 258;
    msg.client_id = STR("me");
    assert_int_equal(encode(&proto_request_header_schema, 1, &msg, &w), ERR_OK);
    EXPECT(&w, 0, 18, 0, 3, 0, 0, 1, 2, 0, 2, 'm', 'e');
    assert_int_equal(encode(&proto_request_header_schema, 2, &msg, &w), ERR_OK);
    EXPECT(&w, 0, 18, 0, 3, 0, 0, 1, 2, 0, 2, 'm', 'e', 0);
    msg.client_id = STR_NULL;
    assert_int_equal(encode(&proto_request_header_schema, 1, &msg, &w), ERR_OK);
    EXPECT(&w, 0, 18, 0, 3, 0, 0, 1, 2, 255, 255);
}

static void
nested_arrays_have_the_bytes_of_the_protocol_guide(void **state)
{
    struct proto_produce_request_partition_produce_data partition;
    struct proto_produce_request_topic_produce_data topic;
    struct proto_produce_request msg;
    struct writer w;

    (void)state;
    proto_init(&proto_produce_request_schema, &msg);
    proto_init(&proto_produce_request_topic_produce_data_schema, &topic);
    proto_init(&proto_produce_request_partition_produce_data_schema, &partition);
    partition.index = 5;
    partition.records.bytes = (struct bytes){(const uint8_t *)"\xaa\xbb", 2};
    topic.name = STR("t");
    topic.partition_data.items = &partition;
    topic.partition_data.count = 1;
    msg.acks = -1;
    msg.timeout_ms = 1000;
    msg.topic_data.items = &topic;
    msg.topic_data.count = 1;
    assert_int_equal(encode(&proto_produce_request_schema, 8, &msg, &w), ERR_OK);
    EXPECT(&w, 255, 255, 255, 255, 0, 0, 3, 232, 0, 0, 0, 1, 0, 1, 't', 0, 0, 0, 1, 0, 0, 0, 5, 0,
        0, 0, 2, 0xaa, 0xbb);
    assert_int_equal(encode(&proto_produce_request_schema, 9, &msg, &w), ERR_OK);
    EXPECT(&w, 0, 255, 255, 0, 0, 3, 232, 2, 2, 't', 2, 0, 0, 0, 5, 3, 0xaa, 0xbb, 0, 0, 0);
}

static void
a_file_is_spliced_between_the_bytes(void **state)
{
    struct proto_fetch_response_partition_data partition;
    struct proto_fetch_response_fetchable_topic_response topic;
    struct proto_fetch_response msg;
    struct writer w;
    int file;

    (void)state;
    proto_init(&proto_fetch_response_schema, &msg);
    proto_init(&proto_fetch_response_fetchable_topic_response_schema, &topic);
    proto_init(&proto_fetch_response_partition_data_schema, &partition);
    partition.records.file = &file;
    partition.records.position = 4096;
    partition.records.len = 300;
    topic.partitions.items = &partition;
    topic.partitions.count = 1;
    msg.responses.items = &topic;
    msg.responses.count = 1;
    assert_int_equal(encode(&proto_fetch_response_schema, 12, &msg, &w), ERR_OK);
    assert_int_equal(w.splice_count, 1);
    assert_ptr_equal(w.splices[0].file, &file);
    assert_int_equal(w.splices[0].position, 4096);
    assert_int_equal(w.splices[0].len, 300);
    /* Two bytes of length stand before it, three empty tag sections after it. */
    assert_int_equal(w.splices[0].at, w.buf.len - 3);
    assert_int_equal(w.buf.data[w.splices[0].at - 2], 0xad);
    assert_int_equal(w.buf.data[w.splices[0].at - 1], 0x02);
    assert_int_equal(writer_size(&w), w.buf.len + 300);
    w.splice_count = 0;
    writer_fini(&w);
}

static void
a_field_that_the_version_lacks_is_refused_unless_ignorable(void **state)
{
    struct proto_fetch_request msg;
    struct writer w;

    (void)state;
    proto_init(&proto_fetch_request_schema, &msg);
    msg.rack_id = STR("r"); /* since version 11, ignorable */
    assert_int_equal(encode(&proto_fetch_request_schema, 4, &msg, &w), ERR_OK);
    writer_fini(&w);
    msg.replica_state.replica_id = 3; /* since version 15, not ignorable */
    assert_int_equal(encode(&proto_fetch_request_schema, 14, &msg, &w), ERR_INVALID);
    writer_fini(&w);
    assert_int_equal(encode(&proto_fetch_request_schema, 15, &msg, &w), ERR_OK);
    writer_fini(&w);
    assert_int_equal(encode(&proto_fetch_request_schema, 19, &msg, &w), ERR_UNSUPPORTED);
    writer_fini(&w);
}

static void
null_is_refused_where_the_version_does_not_allow_it(void **state)
{
    struct proto_metadata_request msg;
    struct proto_topic_record record;
    struct writer w;

    (void)state;
    proto_init(&proto_metadata_request_schema, &msg);
    msg.topics.count = -1;
    assert_int_equal(encode(&proto_metadata_request_schema, 0, &msg, &w), ERR_INVALID);
    writer_fini(&w);
    assert_int_equal(encode(&proto_metadata_request_schema, 1, &msg, &w), ERR_OK);
    EXPECT(&w, 255, 255, 255, 255);
    proto_init(&proto_topic_record_schema, &record);
    record.name = STR_NULL;
    assert_int_equal(encode(&proto_topic_record_schema, 0, &record, &w), ERR_INVALID);
    writer_fini(&w);
}

static void
a_string_over_32767_bytes_is_refused(void **state)
{
    static char text[32768];
    struct proto_topic_record msg;
    struct writer w;

    (void)state;
    memset(text, 'x', sizeof text);
    proto_init(&proto_topic_record_schema, &msg);
    msg.name = (struct str){text, 32767};
    assert_int_equal(encode(&proto_topic_record_schema, 0, &msg, &w), ERR_OK);
    writer_fini(&w);
    msg.name.len++;
    assert_int_equal(encode(&proto_topic_record_schema, 0, &msg, &w), ERR_INVALID);
    writer_fini(&w);
}

static void
tags_are_written_in_order_and_only_when_they_differ_from_their_defaults(void **state)
{
    struct proto_fetch_request msg;
    struct writer w;

    (void)state;
    proto_init(&proto_fetch_request_schema, &msg);
    msg.max_bytes = 0;
    assert_int_equal(encode(&proto_fetch_request_schema, 15, &msg, &w), ERR_OK);
    assert_int_equal(w.buf.data[w.buf.len - 1], 0); /* no tags */
    size_t plain = w.buf.len - 1;
    writer_fini(&w);
    msg.cluster_id = STR("c");
    msg.replica_state.replica_id = 7;
    assert_int_equal(encode(&proto_fetch_request_schema, 15, &msg, &w), ERR_OK);
    const uint8_t want[] = {
        2, 0, 2, 2, 'c', 1, 13, 0, 0, 0, 7, 255, 255, 255, 255, 255, 255, 255, 255, 0};
    assert_int_equal(w.buf.len, plain + sizeof want);
    assert_memory_equal(w.buf.data + plain, want, sizeof want);
    writer_fini(&w);
}

static void
long_tags_have_their_size_in_front(void **state)
{
    static char text[20000];
    struct proto_fetch_request msg, back;
    struct arena arena;
    struct writer w;

    (void)state;
    memset(text, 'x', sizeof text);
    arena_init(&arena, 1 << 20);
    static const size_t sizes[] = {125, 126, 127, 128, 16380, 16381, 16384, 20000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct reader r;
        proto_init(&proto_fetch_request_schema, &msg);
        msg.cluster_id = (struct str){text, sizes[i]};
        assert_int_equal(encode(&proto_fetch_request_schema, 17, &msg, &w), ERR_OK);
        reader_init(&r, buf_bytes(&w.buf));
        assert_int_equal(proto_decode(&proto_fetch_request_schema, 17, &r, &arena, &back), ERR_OK);
        assert_true(proto_equal(&proto_fetch_request_schema, &msg, &back));
        writer_fini(&w);
    }
    arena_fini(&arena);
}

static void
a_tagged_struct_that_may_be_null_has_its_own_marker(void **state)
{
    struct proto_consumer_group_member_metadata_value msg;
    struct writer w;

    (void)state;
    proto_init(&proto_consumer_group_member_metadata_value_schema, &msg);
    assert_non_null(msg.classic_member_metadata); /* its default is a struct, not null */
    msg.classic_member_metadata = NULL;
    assert_int_equal(
        encode(&proto_consumer_group_member_metadata_value_schema, 0, &msg, &w), ERR_OK);
    EXPECT(&w, 1, 1, 1, 1, 1, 1, 255, 255, 255, 255, 1, 1, 0, 1, 0);
}

static void
a_full_writer_is_reported(void **state)
{
    struct proto_topic_record msg;
    struct writer w;

    (void)state;
    proto_init(&proto_topic_record_schema, &msg);
    msg.name = STR("orders");
    enum { SIZE = 7 + 16 + 1 };
    for (size_t limit = 0; limit <= SIZE; limit++) {
        writer_init(&w, limit);
        assert_int_equal(proto_encode(&proto_topic_record_schema, 0, &msg, &w),
            limit < SIZE ? ERR_LIMIT : ERR_OK);
        assert_true(w.buf.len <= limit);
        writer_fini(&w);
    }
}

static void
the_api_table_says_what_kafka_accepts(void **state)
{
    (void)state;
    const struct proto_api *api = proto_api_find(PROTO_API_PRODUCE);
    assert_string_equal(api->name, "Produce");
    assert_int_equal(api->version_min, 3);
    assert_int_equal(api->version_max, 13);
    assert_int_equal(api->flexible_from, 9);
    assert_true(api->on_broker && !api->on_controller);
    api = proto_api_find_name("InitProducerId");
    assert_int_equal(api->key, 22);
    assert_int_equal(api->version_max, 5); /* 6 is known but not stable */
    assert_int_equal(proto_schema_version_max(api->request), 6);
    for (int16_t gone = 4; gone <= 7; gone++)
        assert_null(proto_api_find(gone));
    assert_null(proto_api_find(-1));
    assert_null(proto_api_find(95));
    assert_null(proto_api_find(9999));
    assert_null(proto_api_find_name("LeaderAndIsr"));
    assert_true(proto_api_find_name("CreateTopics")->forwardable);
    assert_false(proto_api_find_name("Vote")->on_broker);
}

static void
header_versions_follow_the_request(void **state)
{
    const struct proto_api *fetch = proto_api_find(PROTO_API_FETCH);
    const struct proto_api *versions = proto_api_find(PROTO_API_API_VERSIONS);
    const struct proto_api *handshake = proto_api_find(PROTO_API_SASL_HANDSHAKE);

    (void)state;
    assert_int_equal(proto_request_header_version(fetch, 11), 1);
    assert_int_equal(proto_request_header_version(fetch, 12), 2);
    assert_int_equal(proto_response_header_version(fetch, 11), 0);
    assert_int_equal(proto_response_header_version(fetch, 12), 1);
    assert_int_equal(proto_request_header_version(versions, 4), 2);
    assert_int_equal(proto_response_header_version(versions, 4), 0); /* KIP-511 */
    assert_int_equal(proto_request_header_version(handshake, 1), 1);
}

static void
records_are_found_by_kind_and_key(void **state)
{
    const struct proto_message *m = proto_message_find(PROTO_METADATA, 2);

    (void)state;
    assert_ptr_equal(m->schema, &proto_topic_record_schema);
    assert_null(proto_message_find(PROTO_METADATA, 6));
    assert_string_equal(
        proto_schema_name(proto_message_find(PROTO_OFFSETS_KEY, 1)->schema), "OffsetCommitKey");
    assert_string_equal(proto_schema_name(proto_message_find(PROTO_OFFSETS_VALUE, 2)->schema),
        "GroupMetadataValue");
    assert_ptr_equal(proto_message_find_name("TopicRecord"), m);
    assert_null(proto_message_find_name("Nonsense"));
}

static void
errors_have_names_and_texts(void **state)
{
    (void)state;
    assert_int_equal(PROTO_ERROR_UNKNOWN_SERVER_ERROR, -1);
    assert_int_equal(PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION, 3);
    assert_string_equal(proto_error_name(6), "NOT_LEADER_OR_FOLLOWER");
    assert_string_equal(proto_error_name(9999), "UNKNOWN");
    assert_true(proto_error_retriable(6));
    assert_false(proto_error_retriable(0));
    for (int16_t code = -1; code <= 136; code++) {
        assert_string_not_equal(proto_error_name(code), "UNKNOWN");
        assert_true(strlen(proto_error_text(code)) > 5);
    }
}

TEST_MAIN(cmocka_unit_test(headers_have_the_bytes_of_the_protocol_guide),
    cmocka_unit_test(nested_arrays_have_the_bytes_of_the_protocol_guide),
    cmocka_unit_test(a_file_is_spliced_between_the_bytes),
    cmocka_unit_test(a_field_that_the_version_lacks_is_refused_unless_ignorable),
    cmocka_unit_test(null_is_refused_where_the_version_does_not_allow_it),
    cmocka_unit_test(a_string_over_32767_bytes_is_refused),
    cmocka_unit_test(tags_are_written_in_order_and_only_when_they_differ_from_their_defaults),
    cmocka_unit_test(long_tags_have_their_size_in_front),
    cmocka_unit_test(a_tagged_struct_that_may_be_null_has_its_own_marker),
    cmocka_unit_test(a_full_writer_is_reported),
    cmocka_unit_test(the_api_table_says_what_kafka_accepts),
    cmocka_unit_test(header_versions_follow_the_request),
    cmocka_unit_test(records_are_found_by_kind_and_key),
    cmocka_unit_test(errors_have_names_and_texts))
