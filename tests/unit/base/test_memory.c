/* alloc, arena and buf. */
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buf.h"
#include "tests/lib/test.h"

static void
the_nth_allocation_fails_once(void **state)
{
    (void)state;
    mem_fail_after(2);
    char *first = mem_strdup("one");
    void *second = mem_alloc(8);
    void *third = mem_calloc(2, 8);
    assert_string_equal(first, "one");
    assert_null(second);
    assert_non_null(third);
    mem_free(first);
    mem_free(third);
    mem_fail_after(0);
}

static void
allocations_are_counted_and_overflow_fails(void **state)
{
    (void)state;
    uint64_t before = mem_count_thread();
    void *huge = mem_calloc(SIZE_MAX / 2, 4);
    void *nothing = mem_alloc(0);
    assert_null(huge);
    assert_non_null(nothing);
    assert_int_equal(mem_count_thread() - before, 2);
    mem_free(nothing);
}

static void
arena_never_exceeds_its_budget(void **state)
{
    (void)state;
    struct arena arena;
    size_t taken = 0;
    arena_init(&arena, 100000);
    for (void *p; (p = arena_alloc(&arena, 48)) != NULL; taken += 48) {
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 0xab, 48);
    }
    assert_true(arena.exhausted);
    assert_int_equal(taken, 100000 / 48 * 48);
    arena_reset(&arena);
    assert_false(arena.exhausted);
    assert_null(arena_alloc(&arena, 100001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    arena_fini(&arena);
}

static void
arena_reset_keeps_the_first_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_non_null(arena_alloc(&arena, 100));
    uint64_t before = mem_count_thread();
    for (int i = 0; i < 10; i++) {
        arena_reset_budget(&arena, 4096);
        assert_non_null(arena_alloc(&arena, 4000));
    }
    assert_int_equal(mem_count_thread(), before);
    arena_fini(&arena);
}

static void
arena_latches_a_failed_heap(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    mem_fail_after(1);
    assert_null(arena_alloc(&arena, 1));
    assert_true(arena.exhausted);
    assert_non_null(arena_alloc(&arena, 1)); /* the latch tells, it does not block */
    arena_fini(&arena);
}

static void
arena_copies_text(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct str s = arena_str(&arena, STR("topic"));
    assert_true(str_eq_z(s, "topic"));
    assert_true(str_is_null(arena_str(&arena, STR_NULL)));
    assert_false(str_is_null(arena_str(&arena, STR(""))));
    s = arena_printf(&arena, "%s-%d", "orders", 7);
    assert_string_equal(s.data, "orders-7");
    assert_int_equal(s.len, 8);
    assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
    assert_non_null(arena_alloc(&arena, 0));
    arena_fini(&arena);
}

static void
buf_stops_at_its_ceiling_and_latches(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100);
    for (int i = 0; i < 25; i++)
        buf_append(&buf, "abcd", 4);
    assert_int_equal(buf.err, ERR_OK);
    assert_int_equal(strlen(buf_z(&buf)), 100);
    buf_append_byte(&buf, 'x');
    assert_int_equal(buf.err, ERR_LIMIT);
    assert_string_equal(buf_z(&buf), "");
    assert_null(buf_extend(&buf, 0));
    buf_clear(&buf);
    buf_append_str(&buf, STR("ok"));
    assert_int_equal(buf.err, ERR_OK);
    assert_int_equal(buf.len, 2);
    buf_fini(&buf);
}

static void
buf_prints_exactly_to_its_ceiling(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 8);
    buf_printf(&buf, "%d", 1234);
    buf_printf(&buf, "%s", "5678");
    assert_string_equal(buf_z(&buf), "12345678");
    buf_printf(&buf, "%c", '9');
    assert_int_equal(buf.err, ERR_LIMIT);
    assert_int_equal(buf.len, 8);
    buf_fini(&buf);
}

static void
buf_reports_a_failed_heap(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1 << 20);
    buf_append_z(&buf, "kept");
    mem_fail_after(1);
    assert_null(buf_extend(&buf, 1000));
    assert_int_equal(buf.err, ERR_NOMEM);
    assert_int_equal(buf.len, 4);
    buf_fini(&buf);
}

TEST_MAIN(cmocka_unit_test(the_nth_allocation_fails_once),
    cmocka_unit_test(allocations_are_counted_and_overflow_fails),
    cmocka_unit_test(arena_never_exceeds_its_budget),
    cmocka_unit_test(arena_reset_keeps_the_first_chunk),
    cmocka_unit_test(arena_latches_a_failed_heap), cmocka_unit_test(arena_copies_text),
    cmocka_unit_test(buf_stops_at_its_ceiling_and_latches),
    cmocka_unit_test(buf_prints_exactly_to_its_ceiling),
    cmocka_unit_test(buf_reports_a_failed_heap))
