/* Which quota is in force, whose use it counts, and what is forgotten; time is moved by hand. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/limits.h"
#include "broker/quota.h"
#include "meta/builder.h"
#include "meta/records.h"
#include "os/env_priv.h"
#include "proto/client_quota_record.h"

enum { HOUR_MS = 3600 * 1000 };
static const enum meta_quota_key_id PRODUCE = META_QUOTA_PRODUCER_BYTE_RATE;

struct fixture {
    struct env env;
    int64_t now_ms;
    struct broker_quotas *quotas;
    struct meta_image *image;
};

static int64_t
hand_now_ns(struct env *env)
{
    return CONTAINER_OF(env, struct fixture, env)->now_ms * 1000000;
}

static void
hand_random(struct env *env, void *out, size_t len)
{
    (void)env;
    memset(out, 7, len);
}

static const struct env_ops hand_env_ops = {.now_ns = hand_now_ns, .random = hand_random};

static int
setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    f.env.ops = &hand_env_ops;
    f.now_ms = 1000;
    struct broker_quotas_opts opts = {.env = &f.env};
    assert_int_equal(broker_quotas_new(&opts, &f.quotas), ERR_OK);
    assert_int_equal(meta_image_new_empty(STR("c"), &f.image), ERR_OK);
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    broker_quotas_free(&f->quotas);
    meta_image_unref(&f->image);
    return 0;
}

/* A type is left out where its name is NULL; "*" is the default. */
static void
set(struct fixture *f, const char *user, const char *client, const char *ip, double value)
{
    const char *names[] = {user, client, ip};
    static const char *const types[] = {META_QUOTA_USER, META_QUOTA_CLIENT_ID, META_QUOTA_IP};
    struct proto_client_quota_record_entity_data parts[3];
    struct proto_client_quota_record record = {.entity = {parts, 0},
        .key = str_of(
            meta_quota_keys[ip != NULL ? META_QUOTA_CONNECTION_CREATION_RATE : PRODUCE].name),
        .value = value,
        .remove = value <= 0};
    for (int i = 0; i < 3; i++)
        if (names[i] != NULL)
            parts[record.entity.count++] = (struct proto_client_quota_record_entity_data){
                str_of(types[i]), strcmp(names[i], "*") == 0 ? STR_NULL : str_of(names[i])};
    struct arena arena;
    struct meta_records records;
    struct meta_builder *builder = NULL;
    struct meta_image *next = NULL;
    struct meta_delta *delta = NULL;
    arena_init(&arena, 1 << 16);
    meta_records_init(&records, &arena, 1);
    meta_records_add(
        &records, META_RECORD_CLIENT_QUOTA, 0, &proto_client_quota_record_schema, &record);
    assert_int_equal(records.err, ERR_OK);
    assert_int_equal(meta_builder_new(f->image, &builder), ERR_OK);
    assert_int_equal(meta_builder_replay(builder, records.items[0].value), ERR_OK);
    assert_int_equal(meta_builder_finish(&builder, 1, 1, 1, &next, &delta), ERR_OK);
    meta_delta_free(&delta);
    meta_image_unref(&f->image);
    f->image = next;
    arena_fini(&arena);
}

static bool
find(struct fixture *f, const char *user, const char *client, struct broker_quota_limit *out)
{
    struct broker_quota_owner owner = {str_of(user), client == NULL ? STR_NULL : str_of(client)};
    return broker_quota_find(f->quotas, f->image, PRODUCE, &owner, out);
}

static void
expect(struct fixture *f, const char *user, const char *client, int limit)
{
    struct broker_quota_limit got;
    assert_true(find(f, user, client, &got));
    assert_int_equal((int)got.limit, limit);
}

static void
the_most_specific_quota_is_in_force(void **state)
{
    static const char *const levels[][2] = {{NULL, "*"}, {NULL, "c"}, {"*", NULL}, {"*", "*"},
        {"*", "c"}, {"u", NULL}, {"u", "*"}, {"u", "c"}}; /* the least specific first */
    struct fixture *f = *state;
    struct broker_quota_limit none;
    assert_false(find(f, "u", "c", &none));
    for (int i = 0; i < 8; i++) {
        set(f, levels[i][0], levels[i][1], NULL, i + 1);
        expect(f, "u", "c", i + 1);
    }
    expect(f, "u", "other", 7);
    expect(f, "other", "c", 5);
    expect(f, "other", "other", 4);
    for (int i = 7; i >= 0; i--) {
        expect(f, "u", "c", i + 1);
        set(f, levels[i][0], levels[i][1], NULL, 0);
    }
    assert_false(find(f, "u", "c", &none));
}

static void
without_a_client_id_only_quotas_of_users_hold(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit none;
    set(f, NULL, "*", NULL, 1);
    set(f, "u", "*", NULL, 2);
    assert_false(find(f, "u", NULL, &none));
    assert_false(find(f, "u", "", &none));
    set(f, "*", NULL, NULL, 3);
    expect(f, "u", "", 3);
    set(f, "u", NULL, NULL, 4);
    expect(f, "u", NULL, 4);
}

static void
use_is_counted_for_whom_the_quota_is(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit a, b;
    set(f, "u", NULL, NULL, 1000); /* all that one user does */
    assert_true(find(f, "u", "a", &a) && find(f, "u", "b", &b));
    assert_memory_equal(a.count_id, b.count_id, sizeof a.count_id);
    set(f, "*", "*", NULL, 1000); /* every client of every user by itself */
    assert_true(find(f, "v", "a", &a) && find(f, "v", "b", &b));
    assert_memory_not_equal(a.count_id, b.count_id, sizeof a.count_id);
    assert_true(find(f, "w", "b", &a));
    assert_memory_not_equal(a.count_id, b.count_id, sizeof a.count_id);
    set(f, "*", "*", NULL, 0);
    set(f, NULL, "*", NULL, 1000); /* a client id, whoever uses it */
    assert_true(find(f, "v", "a", &a) && find(f, "w", "a", &b));
    assert_memory_equal(a.count_id, b.count_id, sizeof a.count_id);
}

static void
a_use_that_is_taken_back_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit;
    set(f, "u", NULL, NULL, 1000);
    assert_true(find(f, "u", "c", &limit));
    assert_int_equal(broker_quota_add(f->quotas, &limit, 9000, false), 0);
    assert_int_equal(
        broker_quota_add(f->quotas, &limit, 11000, true), 10000); /* 20 s of it in 10 */
    assert_int_equal(broker_quota_add(f->quotas, &limit, 1000, false), 0);
    assert_int_equal(broker_quota_add(f->quotas, &limit, 100, false), 100);
    f->now_ms += 200;
    assert_int_equal(broker_quota_add(f->quotas, &limit, 0, false), 0);
    assert_true(broker_quota_whole_window(f->quotas, &limit) <= 10000);
}

static void
a_changed_limit_holds_for_what_was_used_before(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit;
    set(f, "u", NULL, NULL, 1000);
    assert_true(find(f, "u", "c", &limit));
    assert_int_equal(broker_quota_add(f->quotas, &limit, 8000, false), 0);
    set(f, "u", NULL, NULL, 400);
    assert_true(find(f, "u", "c", &limit));
    assert_int_equal(broker_quota_add(f->quotas, &limit, 0, false), 10000);
}

static void
what_nobody_used_for_an_hour_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit, other;
    set(f, NULL, "*", NULL, 1000);
    assert_true(find(f, "u", "a", &limit) && find(f, "u", "b", &other));
    (void)broker_quota_add(f->quotas, &limit, 1, false);
    f->now_ms += HOUR_MS - 1;
    (void)broker_quota_add(f->quotas, &other, 1, false);
    assert_int_equal(broker_quotas_count(f->quotas), 2);
    f->now_ms += 1;
    assert_true(find(f, "u", "c", &limit));
    (void)broker_quota_add(f->quotas, &limit, 1, false);
    assert_int_equal(broker_quotas_count(f->quotas), 2);
}

static void
there_are_never_more_counts_than_the_ceiling(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit, first;
    char name[24];
    set(f, NULL, "*", NULL, 1000);
    assert_true(find(f, "u", "in use", &first));
    for (int i = 0; i < LIMIT_QUOTA_COUNTS * 2; i++) {
        snprintf(name, sizeof name, "client %d", i);
        assert_true(find(f, "u", name, &limit));
        (void)broker_quota_add(f->quotas, &limit, 1, false);
        if (i % 1000 == 0)
            assert_int_equal(broker_quota_add(f->quotas, &first, 100, false), 0);
    }
    assert_int_equal(broker_quotas_count(f->quotas), LIMIT_QUOTA_COUNTS);
    /* Who is in use keeps its count: 20 times 100 were added. */
    assert_int_equal(broker_quota_add(f->quotas, &first, 8000, false), 0);
    assert_int_equal(broker_quota_add(f->quotas, &first, 100, false), 100);
}

static void
long_windows_take_fewer_owners_not_more_memory(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit;
    char name[24];
    struct broker_quotas_opts opts = {
        .env = &f->env, .window = {INT32_MAX, 1000}, .mutation_window = {INT32_MAX, INT32_MAX}};
    broker_quotas_free(&f->quotas);
    assert_int_equal(broker_quotas_new(&opts, &f->quotas), ERR_OK);
    set(f, NULL, "*", NULL, 1000);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "client %d", i);
        assert_true(find(f, "u", name, &limit));
        (void)broker_quota_add(f->quotas, &limit, 1, false);
    }
    int32_t most = LIMIT_QUOTA_BYTES / (LIMIT_QUOTA_SAMPLES * (int)sizeof(struct quota_sample));
    assert_true(broker_quotas_count(f->quotas) <= most);
    assert_true(broker_quotas_count(f->quotas) > most / 2);
}

static void
addresses_have_quotas_in_whatever_spelling(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit;
    struct broker_quota_owner owner = {STR_NULL, STR("10.0.0.1")};
    const enum meta_quota_key_id key = META_QUOTA_CONNECTION_CREATION_RATE;
    assert_false(broker_quota_find(f->quotas, f->image, key, &owner, &limit));
    set(f, NULL, NULL, "*", 5);
    assert_true(broker_quota_find(f->quotas, f->image, key, &owner, &limit));
    assert_int_equal((int)limit.limit, 5);
    set(f, NULL, NULL, "10.1", 6);
    assert_true(broker_quota_find(f->quotas, f->image, key, &owner, &limit));
    assert_int_equal((int)limit.limit, 6);
    set(f, NULL, NULL, "10.0.0.1", 7);
    assert_true(broker_quota_find(f->quotas, f->image, key, &owner, &limit));
    assert_int_equal((int)limit.limit, 7);
    owner.client_id = STR("127.0.0.1");
    set(f, NULL, NULL, "localhost", 8);
    assert_true(broker_quota_find(f->quotas, f->image, key, &owner, &limit));
    assert_int_equal((int)limit.limit, 8);
}

static void
tokens_are_taken_strictly_or_not(void **state)
{
    struct fixture *f = *state;
    struct broker_quota_limit limit = {META_QUOTA_CONTROLLER_MUTATION_RATE, 10, {1, 2}};
    int64_t wait_ms;
    assert_true(broker_quota_take(f->quotas, &limit, 120, true, &wait_ms)); /* of 110 */
    assert_int_equal(wait_ms, 0);
    assert_false(broker_quota_take(f->quotas, &limit, 1, true, &wait_ms));
    assert_int_equal(wait_ms, 1000);
    assert_true(broker_quota_take(f->quotas, &limit, 10, false, &wait_ms));
    assert_int_equal(wait_ms, 2000);
    f->now_ms += 2000;
    assert_true(broker_quota_take(f->quotas, &limit, 1, true, &wait_ms));
}

#define QUOTA_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TEST_MAIN(QUOTA_TEST(the_most_specific_quota_is_in_force),
    QUOTA_TEST(without_a_client_id_only_quotas_of_users_hold),
    QUOTA_TEST(use_is_counted_for_whom_the_quota_is),
    QUOTA_TEST(a_use_that_is_taken_back_leaves_no_trace),
    QUOTA_TEST(a_changed_limit_holds_for_what_was_used_before),
    QUOTA_TEST(what_nobody_used_for_an_hour_is_forgotten),
    QUOTA_TEST(there_are_never_more_counts_than_the_ceiling),
    QUOTA_TEST(long_windows_take_fewer_owners_not_more_memory),
    QUOTA_TEST(addresses_have_quotas_in_whatever_spelling),
    QUOTA_TEST(tokens_are_taken_strictly_or_not))
