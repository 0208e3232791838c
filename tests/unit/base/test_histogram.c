#include "base/histogram.h"

#include "tests/lib/test.h"

static void
every_value_is_in_the_bucket_whose_floor_is_below_it(void **state)
{
    (void)state;
    assert_int_equal(histogram_bucket(0), 0);
    assert_int_equal(histogram_bucket(3), 3);
    assert_int_equal(histogram_bucket(4), 4);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t floor = histogram_floor_us(i);
        assert_int_equal(histogram_bucket(floor), i);
        if (i > 0)
            assert_int_equal(histogram_bucket(floor - 1), i - 1);
    }
}

/* The exposition cuts at powers of four: they must be borders of buckets. */
static void
powers_of_two_are_borders(void **state)
{
    (void)state;
    for (int power = 0; power < 32; power++) {
        uint64_t us = (uint64_t)1 << power;
        assert_int_equal(histogram_floor_us(histogram_bucket(us)), us);
    }
}

static void
what_was_added_is_collected_from_all(void **state)
{
    struct histogram a = {0}, b = {0};
    struct histogram_counts counts = {0};
    (void)state;
    histogram_add(&a, 5);
    histogram_add(&a, 1000);
    histogram_add_shared(&b, 5);
    histogram_collect(&a, &counts);
    histogram_collect(&b, &counts);
    assert_int_equal(histogram_total(&counts), 3);
    assert_int_equal(counts.sum_us, 1010);
    assert_int_equal(counts.buckets[histogram_bucket(5)], 2);
    assert_int_equal(counts.buckets[histogram_bucket(1000)], 1);
}

TEST_MAIN(cmocka_unit_test(every_value_is_in_the_bucket_whose_floor_is_below_it),
    cmocka_unit_test(powers_of_two_are_borders),
    cmocka_unit_test(what_was_added_is_collected_from_all))
