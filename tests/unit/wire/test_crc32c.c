#include <string.h>

#include "tests/lib/test.h"
#include "wire/crc32c.h"

static struct bytes
of(const char *z)
{
    return (struct bytes){(const uint8_t *)z, strlen(z)};
}

static void
check_value_and_published_vectors_hold(void **state)
{
    uint8_t b[32];
    (void)state;
    assert_int_equal(crc32c(of("123456789")), 0xe3069283u);
    assert_int_equal(crc32c(of("")), 0);
    /* RFC 3720, B.4 */
    memset(b, 0, sizeof b);
    assert_int_equal(crc32c((struct bytes){b, sizeof b}), 0x8a9136aau);
    memset(b, 0xff, sizeof b);
    assert_int_equal(crc32c((struct bytes){b, sizeof b}), 0x62a8ab43u);
    for (int i = 0; i < 32; i++)
        b[i] = (uint8_t)i;
    assert_int_equal(crc32c((struct bytes){b, sizeof b}), 0x46dd794eu);
}

static void
extending_equals_the_whole_at_every_cut(void **state)
{
    uint8_t b[300];
    (void)state;
    for (size_t i = 0; i < sizeof b; i++)
        b[i] = (uint8_t)(i * 7 + i / 13);
    uint32_t whole = crc32c((struct bytes){b, sizeof b});
    for (size_t cut = 0; cut <= sizeof b; cut++) {
        uint32_t crc = crc32c((struct bytes){b, cut});
        assert_int_equal(crc32c_extend(crc, (struct bytes){b + cut, sizeof b - cut}), whole);
    }
}

TEST_MAIN(cmocka_unit_test(check_value_and_published_vectors_hold),
    cmocka_unit_test(extending_equals_the_whole_at_every_cut))
