/* Sending what is not in memory: the loop never waits for the disk. */
#include "tests/unit/net/hand.h"

#include "base/limits.h"

static struct fixture *
cold_start(int64_t cold_from, int64_t cold_to)
{
    struct fixture *f = fixture_start((struct net_server_opts){0});
    f->cold_from = cold_from;
    f->cold_to = cold_to;
    return f;
}

/* Its second piece is gone when its turn comes: others are served while the pool reads it. */
static void
what_is_not_in_memory_is_read_on_the_pool(void **state)
{
    struct fixture *f = cold_start(PIECE + PIECE / 2, PIECE + PIECE / 2 + 1);
    struct peer *old = dial(f), *other = dial(f);
    (void)state;
    put_frame(old, "L", 1);
    turns(f, 20);
    assert_int_equal(old->out_bytes, 4 + PIECE);
    assert_int_equal(f->work_count, 1);
    put_frame(old, "Ex", 2); /* its answer comes behind */
    put_frame(other, "Ex", 2);
    turns(f, 20);
    assert_int_equal(other->answers, 1);
    assert_int_equal(old->out_bytes, 4 + PIECE);
    pool_works(f);
    turns(f, 20);
    assert_int_equal(old->answers, 2);
    assert_int_equal(old->out_bytes, 4 + LONG_LEN + 4 + 2);
    assert_int_equal(f->sent_from_file, LONG_LEN - PIECE);
    fixture_end(f);
}

/* However short memory is: each piece is sent from what the pool read. */
static void
what_leaves_memory_again_at_once_is_sent_all_the_same(void **state)
{
    struct fixture *f = cold_start(0, LONG_LEN);
    struct peer *old = dial(f);
    (void)state;
    f->stays_cold = true;
    put_frame(old, "L", 1);
    for (int i = 0; i < 4; i++) {
        turns(f, 20);
        assert_int_equal(f->work_count, 1);
        pool_works(f);
    }
    turns(f, 20);
    assert_int_equal(old->answers, 1);
    assert_int_equal(f->sent_from_file, 0);
    fixture_end(f);
}

static void
reads_for_sends_are_limited_and_all_get_on(void **state)
{
    enum { COUNT = LIMIT_CONN_READ_INS + 5 };
    struct fixture *f = cold_start(0, LONG_LEN);
    struct peer *peers[COUNT];
    (void)state;
    f->stays_cold = true;
    for (int i = 0; i < COUNT; i++) {
        peers[i] = dial(f);
        put_frame(peers[i], "L", 1);
    }
    turns(f, 3 * COUNT);
    for (int i = 0; f->work_count > 0; i++) {
        assert_in_range(i, 0, 4 * COUNT);
        assert_in_range(f->work_count, 1, LIMIT_CONN_READ_INS);
        pool_works(f);
        turns(f, 3 * COUNT);
    }
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(peers[i]->answers, 1);
    assert_int_equal(f->work_count, 0);
    fixture_end(f);
}

static void
a_read_that_fails_closes_its_connection(void **state)
{
    struct fixture *f = cold_start(0, LONG_LEN);
    struct peer *old = dial(f);
    (void)state;
    f->read_err = ERR_IO;
    put_frame(old, "L", 1);
    turns(f, 20);
    pool_works(f);
    turns(f, 20);
    assert_true(old->closed);
    fixture_end(f);
}

/* With a read under way, with one that is there, and with none as there was no room. */
static void
connections_end_at_any_step_of_a_read(void **state)
{
    enum { COUNT = LIMIT_CONN_READ_INS + 2 };
    (void)state;
    for (int step = 0; step < 4; step++) {
        struct fixture *f = cold_start(0, LONG_LEN);
        struct peer *peers[COUNT];
        f->stays_cold = true;
        for (int i = 0; i < COUNT; i++) {
            peers[i] = dial(f);
            put_frame(peers[i], "L", 1);
        }
        turns(f, 3 * COUNT);
        if (step == 1)
            pool_works(f); /* the loop does not come to look */
        if (step >= 2) {   /* nobody takes anything: all are cut off */
            pass_ms(f, LIMIT_SEND_STALL_MS + 2000);
            turns(f, 3 * COUNT);
            assert_true(peers[0]->closed && peers[COUNT - 1]->closed);
        }
        if (step != 1)
            pool_works(f); /* as at a stop: before the server is freed */
        if (step == 3)
            turns(f, 3);
        fixture_end(f);
    }
}

TEST_MAIN(cmocka_unit_test(what_is_not_in_memory_is_read_on_the_pool),
    cmocka_unit_test(what_leaves_memory_again_at_once_is_sent_all_the_same),
    cmocka_unit_test(reads_for_sends_are_limited_and_all_get_on),
    cmocka_unit_test(a_read_that_fails_closes_its_connection),
    cmocka_unit_test(connections_end_at_any_step_of_a_read))
