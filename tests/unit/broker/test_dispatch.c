/* Headers, versions, ApiVersions: what is answered and what closes the connection. */
#include "tests/lib/test.h"

#include <unistd.h>

#include "proto/api_keys.h"
#include "proto/api_versions_request.h"
#include "proto/api_versions_response.h"
#include "proto/error_codes.h"
#include "proto/metadata_request.h"
#include "tests/unit/broker/fixture.h"

static struct proto_api_versions_response *
api_versions(struct fixture *f, int fd, int16_t version, const char *name)
{
    struct proto_api_versions_request *msg = fixture_msg(f, &proto_api_versions_request_schema);
    msg->client_software_name = str_of(name);
    msg->client_software_version = STR("1.0.0-rc.1");
    return fixture_call(f, fd, PROTO_API_API_VERSIONS, version, msg);
}

static const struct proto_api_versions_response_api_version *
range_of(const struct proto_api_versions_response *answer, int16_t key)
{
    for (int32_t i = 0; i < answer->api_keys.count; i++)
        if (answer->api_keys.items[i].api_key == key)
            return &answer->api_keys.items[i];
    return NULL;
}

static void
api_versions_is_answered_in_every_version(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    for (int16_t v = 0; v <= 5; v++) {
        struct proto_api_versions_response *answer = api_versions(&f, fd, v, "test-client");
        assert_int_equal(answer->error_code, 0);
        assert_int_equal(range_of(answer, PROTO_API_API_VERSIONS)->max_version, 5);
        assert_int_equal(range_of(answer, PROTO_API_METADATA)->min_version, 0);
        assert_null(range_of(answer, PROTO_API_VOTE));
        for (int32_t i = 1; i < answer->api_keys.count; i++)
            assert_true(answer->api_keys.items[i - 1].api_key < answer->api_keys.items[i].api_key);
        for (int32_t i = 0; v == 3 && i < answer->supported_features.count; i++)
            assert_true(answer->supported_features.items[i].min_version > 0);
        if (v >= 3)
            assert_true(answer->finalized_features_epoch >= 0);
        if (v >= 3)
            assert_true(answer->finalized_features.count > 0);
    }
    close(fd);
    fixture_end(&f);
}

/* librdkafka before mid-2025 turns compression off unless Produce starts at 0; such a request is
 * refused all the same. */
static void
produce_zero_is_advertised_and_refused(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    struct proto_api_versions_response *answer = api_versions(&f, fd, 3, "x");
    const struct proto_api_versions_response_api_version *produce =
        range_of(answer, PROTO_API_PRODUCE);
    if (produce != NULL)
        assert_int_equal(produce->min_version, 0);
    const uint8_t old[] = {0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 9, 0xff, 0xff};
    fixture_send(fd, old, sizeof old);
    fixture_expect_closed(fd);
    fixture_end(&f);
}

static void
api_versions_above_ours_gets_version_zero(void **state)
{
    static const uint8_t high[] = {0, 0, 0, 12, 0, 18, 0, 99, 0, 0, 18, 103, 1, 2, 3, 4};
    struct fixture f;
    uint8_t head[14];
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    fixture_send(fd, high, sizeof high);
    assert_int_equal(read(fd, head, sizeof head), sizeof head);
    assert_int_equal(load_be32(head + 4), 4711);
    assert_int_equal(load_be16(head + 8), PROTO_ERROR_UNSUPPORTED_VERSION);
    uint32_t count = load_be32(head + 10);
    assert_int_equal(count, 1); /* of ApiVersions itself, as Kafka does */
    assert_int_equal(load_be32(head), 4 + 2 + 4 + count * 6);
    uint8_t rest[4096];
    assert_int_equal(read(fd, rest, count * 6), count * 6);
    /* and the connection lives */
    assert_int_equal(api_versions(&f, fd, 4, "again")->error_code, 0);
    close(fd);
    fixture_end(&f);
}

static void
client_software_must_be_proper(void **state)
{
    static const char *const bad[] = {"", "-x", "x-", "a b", "a/b", "x\n"};
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_int_equal(api_versions(&f, fd, 3, bad[i])->error_code, PROTO_ERROR_INVALID_REQUEST);
    assert_int_equal(api_versions(&f, fd, 3, "librdkafka.x-1")->error_code, 0);
    close(fd);
    fixture_end(&f);
}

static void
a_client_of_another_cluster_is_told(void **state)
{
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    struct proto_api_versions_request *msg = fixture_msg(&f, &proto_api_versions_request_schema);
    struct proto_api_versions_response *answer;
    msg->client_software_name = msg->client_software_version = STR("x");
    msg->cluster_id = STR("cluster-for-tests");
    msg->node_id = 1;
    answer = fixture_call(&f, fd, PROTO_API_API_VERSIONS, 5, msg);
    assert_int_equal(answer->error_code, 0);
    msg->node_id = 2;
    answer = fixture_call(&f, fd, PROTO_API_API_VERSIONS, 5, msg);
    assert_int_equal(answer->error_code, PROTO_ERROR_REBOOTSTRAP_REQUIRED);
    close(fd);
    fixture_end(&f);
}

static void
what_cannot_be_answered_closes(void **state)
{
    static const struct {
        const char *name;
        uint8_t bytes[40];
        size_t len;
    } cases[] = {
        {"no body", {0, 0, 0, 0}, 4},
        {"one byte", {0, 0, 0, 1, 0}, 5},
        {"seven bytes", {0, 0, 0, 7, 0, 3, 0, 1, 0, 0, 0}, 11},
        {"unknown key", {0, 0, 0, 10, 0x27, 0x0f, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"key -1", {0, 0, 0, 10, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"removed key 4", {0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"controller's key", {0, 0, 0, 10, 0, 52, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"metadata v99", {0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"metadata v-1", {0, 0, 0, 10, 0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"client id past the end", {0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0, 9}, 14},
        {"no topics array", {0, 0, 0, 10, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff}, 14},
        {"huge array", {0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff},
            18},
        {"many header tags",
            {0, 0, 0, 15, 0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0x80, 0x80, 0x80, 0x10, 0}, 19},
        {"tags out of order",
            {0, 0, 0, 17, 0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 2, 5, 0, 4, 0, 1, 0}, 21},
        {"varint too long",
            {0, 0, 0, 17, 0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                1},
            21},
    };
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int good = fixture_dial(&f);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int fd = fixture_dial(&f);
        fixture_send(fd, cases[i].bytes, cases[i].len);
        fixture_expect_closed(fd);
    }
    assert_int_equal(api_versions(&f, good, 3, "x")->error_code, 0);
    close(good);
    fixture_end(&f);
}

static void
odd_but_legal_requests_are_answered(void **state)
{
    static const struct {
        uint8_t bytes[40];
        size_t len;
    } cases[] = {
        /* client id null, and of length -2; all topics */
        {{0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 18},
        {{0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff}, 18},
        /* bytes behind the body */
        {{0, 0, 0, 16, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 9, 9}, 20},
        /* a client id that is no text */
        {{0, 0, 0, 17, 0, 3, 0, 1, 0, 0, 0, 1, 0, 3, 0xff, 0, '\n', 0xff, 0xff, 0xff, 0xff}, 21},
        /* a tag in the header */
        {{0, 0, 0, 19, 0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 1, 7, 1, 42, 0, 1, 0, 0, 0}, 23},
    };
    struct fixture f;
    (void)state;
    fixture_start(&f);
    int fd = fixture_dial(&f);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint8_t head[8], rest[4096];
        fixture_send(fd, cases[i].bytes, cases[i].len);
        assert_int_equal(read(fd, head, 8), 8);
        assert_int_equal(load_be32(head + 4), 1);
        uint32_t len = load_be32(head) - 4;
        assert_true(len <= sizeof rest);
        assert_int_equal(read(fd, rest, len), len);
    }
    struct broker_api_stats stats = {0};
    usleep(1000);
    assert_true(broker_stats_add(f.broker, PROTO_API_METADATA, &stats));
    assert_int_equal(stats.requests, COUNT_OF(cases));
    assert_int_equal(stats.parked, 0);
    for (int phase = 0; phase < BROKER_PHASE_COUNT; phase++)
        assert_int_equal(histogram_total(&stats.phases[phase]), COUNT_OF(cases));
    assert_int_equal(broker_live_requests(f.broker, 0), 0);
    close(fd);
    fixture_end(&f);
}

TEST_MAIN(cmocka_unit_test(api_versions_is_answered_in_every_version),
    cmocka_unit_test(produce_zero_is_advertised_and_refused),
    cmocka_unit_test(api_versions_above_ours_gets_version_zero),
    cmocka_unit_test(client_software_must_be_proper),
    cmocka_unit_test(a_client_of_another_cluster_is_told),
    cmocka_unit_test(what_cannot_be_answered_closes),
    cmocka_unit_test(odd_but_legal_requests_are_answered))
