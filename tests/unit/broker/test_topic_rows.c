/* The partitions that a request names, each once. */
#include "tests/lib/test.h"

#include "base/attr.h"
#include "broker/topic_rows.h"

static void
what_is_named_twice_is_one_row_with_what_was_said_last(void **state)
{
    static const int first = 1, second = 2, other = 3;
    struct broker_topic_row rows[] = {
        {.topic = STR("b"), .partition = 1, .asked = &first, .nth = 0},
        {.topic = STR("a"), .partition = 7, .asked = &other, .nth = 1},
        {.topic = STR("b"), .partition = 1, .asked = &second, .nth = 2},
        {.topic = STR("b"), .partition = 0, .asked = &other, .nth = 3},
    };
    (void)state;
    assert_int_equal(broker_topic_rows_unite(rows, COUNT_OF(rows)), 3);
    assert_true(str_eq_z(rows[0].topic, "a"));
    assert_int_equal(rows[1].partition, 0);
    assert_int_equal(rows[2].partition, 1);
    assert_int_equal(rows[2].times, 2);
    assert_ptr_equal(rows[2].asked, &second);
}

static void
rows_of_a_topic_stand_together(void **state)
{
    struct broker_topic_row rows[] = {
        {.topic = STR("b"), .partition = 2, .nth = 0},
        {.topic = STR("a"), .partition = 2, .nth = 1},
        {.topic = STR("b"), .partition = 1, .nth = 2},
    };
    (void)state;
    assert_int_equal(broker_topic_rows_unite(rows, COUNT_OF(rows)), 3);
    assert_int_equal(broker_topic_rows_same(rows, 3, 0), 1);
    assert_int_equal(broker_topic_rows_same(rows, 3, 1), 2);
    assert_int_equal(broker_topic_rows_unite(rows, 0), 0);
}

TEST_MAIN(cmocka_unit_test(what_is_named_twice_is_one_row_with_what_was_said_last),
    cmocka_unit_test(rows_of_a_topic_stand_together))
