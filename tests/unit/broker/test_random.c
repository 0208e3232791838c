/* Random requests, half of them with flipped bits or cut short: each is answered or closes its
 * connection, and the next connection is served. */
#include "tests/lib/test.h"

#include <sys/socket.h>
#include <unistd.h>

#include "broker/api_table.h"
#include "proto/api_keys.h"
#include "proto/api_versions_request.h"
#include "proto/api_versions_response.h"
#include "proto/fill.h"
#include "tests/unit/broker/fixture.h"

enum { ROUNDS = 4000 };

/* Those that need no replica manager and no coordinator, which this fixture has not. */
static const int16_t keys[] = {PROTO_API_METADATA, PROTO_API_API_VERSIONS, PROTO_API_CREATE_TOPICS,
    PROTO_API_DELETE_TOPICS, PROTO_API_DESCRIBE_CONFIGS, PROTO_API_ALTER_CONFIGS,
    PROTO_API_CREATE_PARTITIONS, PROTO_API_ELECT_LEADERS, PROTO_API_INCREMENTAL_ALTER_CONFIGS,
    PROTO_API_LIST_PARTITION_REASSIGNMENTS, PROTO_API_UPDATE_FEATURES, PROTO_API_DESCRIBE_CLUSTER,
    PROTO_API_LIST_CONFIG_RESOURCES, PROTO_API_DESCRIBE_TOPIC_PARTITIONS,
    PROTO_API_DESCRIBE_CLIENT_QUOTAS, PROTO_API_ALTER_CLIENT_QUOTAS,
    PROTO_API_DESCRIBE_USER_SCRAM_CREDENTIALS};

static uint64_t
next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One frame in w; false when this message cannot be said. */
static bool
frame_make(struct fixture *f, uint64_t *random, struct writer *w)
{
    const struct broker_api *served = broker_api_find(keys[next(random) % COUNT_OF(keys)]);
    const struct proto_api *api = proto_api_find(served->key);
    int16_t version =
        (int16_t)(served->version_min +
                  next(random) % (uint64_t)(served->version_max - served->version_min + 1));
    void *msg = fixture_msg(f, api->request);
    if (proto_fill(api->request, version, next(random), &f->arena, msg) != ERR_OK)
        return false;
    writer_i32(w, 0);
    writer_i16(w, api->key);
    writer_i16(w, version);
    writer_i32(w, 1);
    writer_i16(w, -1);
    if (proto_request_header_version(api, version) >= 2)
        writer_i8(w, 0);
    if (proto_encode(api->request, version, msg, w) != ERR_OK)
        return false;
    if (next(random) % 2 == 0 && w->buf.len > 14)
        for (uint64_t i = next(random) % 4 + 1; i > 0; i--)
            w->buf.data[14 + next(random) % (w->buf.len - 14)] ^= (uint8_t)(1 << next(random) % 8);
    if (next(random) % 16 == 0 && w->buf.len > 20)
        w->buf.len = 20 + next(random) % (w->buf.len - 20);
    store_be32(w->buf.data, (uint32_t)(w->buf.len - 4));
    return true;
}

/* Reads one whole response; false when the connection was closed instead. */
static bool
answer_skip(int fd)
{
    uint8_t head[4], data[4096];
    if (recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head)
        return false;
    for (size_t left = load_be32(head); left > 0;) {
        ssize_t n = recv(fd, data, left < sizeof data ? left : sizeof data, 0);
        if (n <= 0)
            return false;
        left -= (size_t)n;
    }
    return true;
}

static void
random_requests_are_answered_or_close(void **state)
{
    struct fixture f;
    uint64_t seed = test_seed(4711), random = seed | 1;
    int answered = 0;
    (void)state;
    print_message("# seed %llu\n", (unsigned long long)seed);
    fixture_start(&f);
    int fd = fixture_dial(&f);
    for (int i = 0; i < ROUNDS; i++) {
        struct writer w;
        writer_init(&w, 1 << 20);
        arena_reset(&f.arena);
        if (frame_make(&f, &random, &w)) {
            ssize_t sent = send(fd, w.buf.data, w.buf.len, MSG_NOSIGNAL);
            if (sent > 0 && answer_skip(fd)) {
                answered++;
            } else {
                close(fd);
                fd = fixture_dial(&f);
            }
        }
        writer_fini(&w);
    }
    assert_true(answered > ROUNDS / 3);
    struct proto_api_versions_request *msg = fixture_msg(&f, &proto_api_versions_request_schema);
    msg->client_software_name = msg->client_software_version = STR("x");
    struct proto_api_versions_response *alive =
        fixture_call(&f, fd, PROTO_API_API_VERSIONS, 3, msg);
    assert_int_equal(alive->error_code, 0);
    close(fd);
    fixture_end(&f);
}

TEST_MAIN(cmocka_unit_test(random_requests_are_answered_or_close))
