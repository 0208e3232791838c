/* Cleaning: the live state is written again and the log before it goes. Whatever the moment,
 * a shard that loads what is left holds what one that loads everything does. TEST_SEED replays. */
#include "tests/lib/test.h"

#include <stdio.h>

#include "base/alloc.h"
#include "proto/error_codes.h"
#include "tests/unit/coord/fixture.h"
#include "wire/batch_builder.h"

enum { GROWTH = 4096, STEPS = 6000, KEYS = 9, PRODUCERS = 3, ROOM_BYTES = 1 << 22 };

static int
commit(struct fixture *fx, const char *group, int32_t partition, int64_t offset, int64_t producer)
{
    return call_commit(fx, &(struct commit_args){.group = group,
                               .generation = -1,
                               .topic = partition % 2 == 0 ? "even" : "odd",
                               .partition = partition,
                               .offset = offset,
                               .producer_id = producer});
}

static void
assert_alike(char *a, char *b, const char *what)
{
    const char *x = a, *y = b;
    while (*x != '\0' && *x == *y) {
        x++;
        y++;
    }
    while (x > a && x[-1] != '\n') {
        x--;
        y--;
    }
    if (strcmp(x, y) != 0)
        fail_msg("%s: from\n%.300s\nagainst\n%.300s", what, x, y);
    fixture_text_free(a);
    fixture_text_free(b);
}

static void
the_log_of_few_keys_stays_short(void **state)
{
    struct fixture fx;
    size_t longest = 0;
    (void)state;
    fixture_open_cleaned(&fx, GROWTH);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(commit(&fx, "g", i % KEYS, i, 0), PROTO_ERROR_NONE);
        fixture_advance(&fx, 1);
        if (fx.log.len - fx.start_at > longest)
            longest = fx.log.len - fx.start_at;
    }
    printf("# %d rounds, longest %zu of %zu bytes\n", fx.trims, longest, fx.log.len);
    assert_true(fx.trims > 100);
    assert_true(longest < 4 * GROWTH);
    for (int i = 0; i < KEYS; i++)
        assert_true(call_fetch(&fx, "g", i % 2 == 0 ? "even" : "odd", i, false) >= 20000 - KEYS);
    assert_alike(fixture_dump(&fx), fixture_dump_replayed(&fx), "live");
    fixture_close(&fx);
}

static void
nothing_goes_before_the_copy_is_committed_and_flushed(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open_cleaned(&fx, GROWTH);
    for (int i = 0; fx.clean_growth_min * 2 > (int64_t)fx.log.len; i++)
        assert_int_equal(commit(&fx, "g", i % KEYS, i, 0), PROTO_ERROR_NONE);
    fx.auto_commit = false;
    int appends = fx.appends;
    fixture_advance(&fx, 1000);
    assert_int_equal(fx.appends, appends + 1); /* the first step waits for its commit */
    fx.trims_refused = 3;
    for (int i = 0; fx.trims_refused == 3; i++) {
        assert_true(i < 2 * KEYS);
        assert_int_equal(fx.trims, 0);
        fixture_commit(&fx);
        fixture_advance(&fx, 1);
    }
    assert_true(fx.appends > appends + 2);
    assert_int_equal(fx.trims, 0);
    assert_int_equal(fx.trims_refused, 2);
    fixture_advance(&fx, 1000);
    assert_int_equal(fx.trims, 1);
    assert_true(fx.start_offset > 0);
    assert_int_equal(coord_shard_clean_rounds(fx.shard), 1);
    fixture_close(&fx);
}

static void
an_idle_shard_has_no_deadline_of_cleaning(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open_cleaned(&fx, GROWTH);
    assert_int_equal(commit(&fx, "g", 0, 1, 0), PROTO_ERROR_NONE);
    assert_true(coord_runtime_next_deadline(fx.shard) >= fx.now_ms + fx.config.retention_check_ms);
    fixture_close(&fx);
}

/* What came after it in the log must not be overtaken by the copy of what stood before. */
static void
a_pending_offset_wins_over_the_copy_of_an_older_one(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open_cleaned(&fx, GROWTH);
    assert_int_equal(commit(&fx, "g", 0, 1, 0), PROTO_ERROR_NONE);
    assert_int_equal(commit(&fx, "g", 0, 2, 7), PROTO_ERROR_NONE);
    for (int i = 0; i < 400; i++) {
        assert_int_equal(commit(&fx, "g", 3, i, 0), PROTO_ERROR_NONE);
        fixture_advance(&fx, 1);
    }
    assert_true(fx.trims > 0);
    assert_int_equal(fx.start_offset, 0); /* held back */
    fixture_end_txn(&fx, 7, true);
    assert_int_equal(call_fetch(&fx, "g", "even", 0, true), 2);
    assert_alike(fixture_dump(&fx), fixture_dump_replayed(&fx), "live");
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(commit(&fx, "g", 3, i, 0), PROTO_ERROR_NONE);
        fixture_advance(&fx, 1);
    }
    assert_true(fx.start_offset > 400);
    assert_int_equal(call_fetch(&fx, "g", "even", 0, true), 2);
    assert_alike(fixture_dump(&fx), fixture_dump_replayed(&fx), "live");
    fixture_close(&fx);
}

/* Always one open: the log is bounded all the same. */
static void
transactions_without_a_pause_do_not_stop_cleaning(void **state)
{
    struct fixture fx;
    size_t longest = 0;
    (void)state;
    fixture_open_cleaned(&fx, GROWTH);
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(commit(&fx, "g", i % 2, i, 10 + i % 2), PROTO_ERROR_NONE);
        fixture_advance(&fx, 1);
        if (i > 0)
            fixture_end_txn(&fx, 10 + (i - 1) % 2, true);
        if (fx.log.len - fx.start_at > longest)
            longest = fx.log.len - fx.start_at;
    }
    assert_true(longest < 4 * GROWTH);
    assert_alike(fixture_dump(&fx), fixture_dump_replayed(&fx), "live");
    fixture_close(&fx);
}

/* A record of a kind that is not understood, written by somebody else. */
static void
append_foreign(struct fixture *fx, uint8_t name, bool tombstone)
{
    const uint8_t key[] = {0, 99, name}, value[] = {0, 0, name, (uint8_t)fx->end_offset};
    struct batch_builder builder;
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    opts.base_offset = fx->end_offset++;
    opts.leader_epoch = 1;
    batch_builder_init(&builder, &opts, &fx->log);
    batch_builder_append(
        &builder, &(struct batch_builder_record){.timestamp = fx->wall_ms,
                      .key = {key, sizeof key},
                      .value = tombstone ? BYTES_NULL : (struct bytes){value, sizeof value}});
    assert_int_equal(batch_builder_finish(&builder), ERR_OK);
}

static void
reload(struct fixture *fx)
{
    coord_shard_doom(fx->shard);
    fixture_settle(fx);
}

static void
what_is_not_understood_is_kept(void **state)
{
    struct fixture fx;
    (void)state;
    fixture_open_cleaned(&fx, GROWTH);
    for (int i = 0; i < 20; i++)
        append_foreign(&fx, (uint8_t)(i % 5), false);
    append_foreign(&fx, 3, true);
    reload(&fx);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(commit(&fx, "g", i % KEYS, i, 0), PROTO_ERROR_NONE);
        fixture_advance(&fx, 1);
    }
    assert_true(fx.start_offset > 100);
    char *text = fixture_dump_replayed(&fx);
    assert_non_null(strstr(text, "foreign 006304 = 00000413\n"));
    assert_null(strstr(text, "foreign 006303"));
    fixture_text_free(text);
    assert_alike(fixture_dump(&fx), fixture_dump_replayed(&fx), "live");
    fixture_close(&fx);
}

/* ---- anything, at any time ---- */

struct world {
    struct fixture fx;
    uint64_t random;
    struct call member;
    char id[128];
    int txns, foreigns, deletes, reloads;
};

static uint32_t
pick(struct world *w, uint32_t below)
{
    w->random = w->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(w->random >> 33) % below;
}

static void
step_member(struct world *w)
{
    struct fixture *fx = &w->fx;
    call_join(fx, &w->member,
        &(struct join_args){.group = "members", .member = w->id, .version = 3, .session_ms = 6000});
    fixture_advance(fx, pick(w, 100));
    fixture_commit(fx);
    if (w->member.done == 0)
        return;
    if (call_join_err(&w->member) != PROTO_ERROR_NONE) {
        w->id[0] = '\0';
        return;
    }
    int32_t generation = w->member.u.join.response.generation_id;
    snprintf(w->id, sizeof w->id, "%.*s", STR_FMT(w->member.u.join.response.member_id));
    if (pick(w, 3) == 0)
        return; /* the rebalance is left hanging */
    struct proto_sync_group_request_sync_group_request_assignment assignment = {
        .member_id = str_of(w->id), .assignment = {(const uint8_t *)"A", 1}};
    call_sync(fx, &w->member,
        &(struct sync_args){.group = "members",
            .member = w->id,
            .generation = generation,
            .assignments = &assignment,
            .assignment_count = 1});
    fixture_commit(fx);
}

static void
step(struct world *w, int i)
{
    static const char *const groups[] = {"a", "b", "c"};
    struct fixture *fx = &w->fx;
    const char *group = groups[pick(w, 3)];
    int32_t key = (int32_t)pick(w, KEYS);
    uint32_t what = pick(w, 100);

    fx->auto_commit = pick(w, 4) != 0;
    if (what < 70) {
        fx->auto_commit = true;
        (void)commit(fx, group, key, i, 0);
    } else if (what < 80) {
        fx->auto_commit = true;
        (void)commit(fx, group, key, i, 1 + (int64_t)pick(w, PRODUCERS));
        w->txns++;
    } else if (what < 88) {
        fixture_end_txn(fx, 1 + (int64_t)pick(w, PRODUCERS), pick(w, 2) == 0);
    } else if (what < 92) {
        fx->auto_commit = true;
        (void)call_delete_offset(fx, group, key % 2 == 0 ? "even" : "odd", key);
        w->deletes++;
    } else if (what < 94) {
        fx->auto_commit = true;
        (void)call_delete_group(fx, group);
    } else if (what < 97) {
        step_member(w);
    } else if (what < 98) {
        fixture_settle(fx);
        append_foreign(fx, (uint8_t)pick(w, 6), pick(w, 4) == 0);
        reload(fx);
        w->foreigns++;
    } else if (what < 99) {
        reload(fx);
        w->reloads++;
    }
    fixture_advance(fx, pick(w, 4));
}

/* Loading from where the log begins, or from any batch before that, up to any batch that may be the
 * last one that a crash leaves, is loading everything up to there. */
static void
check_suffixes(struct world *w)
{
    struct fixture *fx = &w->fx;
    size_t to = fx->needed_at, from = 0;
    char *live = fixture_dump(fx);

    /* What is in the making is not in the log. */
    if (strstr(live, "rebalancing") == NULL)
        assert_alike(live, fixture_dump_replayed(fx), "live");
    else
        fixture_text_free(live);

    while (to < fx->log.len && (pick(w, 12) != 0 || to == fx->needed_at))
        to = fixture_next_batch(fx, to);
    assert_alike(fixture_dump_range(fx, fx->start_at, to), fixture_dump_range(fx, 0, to), "start");
    while (from < fx->start_at && pick(w, 200) != 0)
        from = fixture_next_batch(fx, from);
    if (from < fx->start_at)
        assert_alike(fixture_dump_range(fx, from, fx->log.len),
            fixture_dump_range(fx, 0, fx->log.len), "before the start");
}

static void
any_suffix_that_a_crash_leaves_is_the_whole(void **state)
{
    static struct world w;
    uint64_t seed = test_seed(20261121);
    (void)state;
    printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
    memset(&w, 0, sizeof w);
    w.random = seed;
    fixture_open_cleaned(&w.fx, GROWTH / 2);
    call_init(&w.member);
    for (int i = 0; i < STEPS; i++) {
        step(&w, i);
        if (i % 10 == 0)
            check_suffixes(&w);
    }
    printf("# %d rounds, %zu of %zu bytes left; %d pending, %d deleted, %d foreign, %d reloads\n",
        w.fx.trims, w.fx.log.len - w.fx.start_at, w.fx.log.len, w.txns, w.deletes, w.foreigns,
        w.reloads);
    assert_true(w.fx.trims > 20);
    assert_true(w.fx.start_at > w.fx.log.len / 2);
    fixture_close(&w.fx);
    call_fini(&w.member);
}

static void
any_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 5000; nth++) {
        struct fixture fx;
        fixture_open_cleaned(&fx, GROWTH / 8);
        assert_true(buf_reserve(&fx.log, ROOM_BYTES));
        uint64_t before = mem_count_thread();
        mem_fail_after(nth);
        for (int i = 0; i < 60; i++) {
            (void)commit(&fx, "g", i % 3, i, 0);
            fixture_advance(&fx, 1);
        }
        bool failed = mem_count_thread() - before >= nth;
        mem_fail_after(0);
        fixture_settle(&fx);
        assert_alike(fixture_dump(&fx), fixture_dump_replayed(&fx), "live");
        fixture_close(&fx);
        if (!failed) {
            printf("# %llu allocations\n", (unsigned long long)nth - 1);
            return;
        }
    }
    fail_msg("the failures never end");
}

TEST_MAIN(cmocka_unit_test(the_log_of_few_keys_stays_short),
    cmocka_unit_test(nothing_goes_before_the_copy_is_committed_and_flushed),
    cmocka_unit_test(an_idle_shard_has_no_deadline_of_cleaning),
    cmocka_unit_test(a_pending_offset_wins_over_the_copy_of_an_older_one),
    cmocka_unit_test(transactions_without_a_pause_do_not_stop_cleaning),
    cmocka_unit_test(what_is_not_understood_is_kept),
    cmocka_unit_test(any_suffix_that_a_crash_leaves_is_the_whole),
    cmocka_unit_test(any_allocation_may_fail))
