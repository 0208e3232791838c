/* Texts of addresses: what Java's InetAddress takes without asking anybody. */
#include "tests/lib/test.h"

#include <string.h>

#include "base/attr.h"
#include "base/ip_text.h"

struct row {
    const char *text;
    uint8_t bytes[IP_BYTES];
};

#define V4(a, b, c, d)                                                   \
    {                                                                    \
        [10] = 0xFF, [11] = 0xFF, [12] = a, [13] = b, [14] = c, [15] = d \
    }

static void
addresses_are_read_as_java_reads_them(void **state)
{
    static const struct row rows[] = {{"1.2.3.4", V4(1, 2, 3, 4)}, {"10.1", V4(10, 0, 0, 1)},
        {"10.1.258", V4(10, 1, 1, 2)}, {"16909060", V4(1, 2, 3, 4)}, {"0", V4(0, 0, 0, 0)},
        {"4294967295", V4(255, 255, 255, 255)}, {"010.1.1.1", V4(10, 1, 1, 1)},
        {"::ffff:1.2.3.4", V4(1, 2, 3, 4)}, {"::1", {[15] = 1}}, {"[::1]", {[15] = 1}},
        {"2001:db8::1", {0x20, 0x01, 0x0d, 0xb8, [15] = 1}}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t out[IP_BYTES];
        assert_true(ip_text_parse(str_of(rows[i].text), out));
        assert_memory_equal(out, rows[i].bytes, IP_BYTES);
    }
}

static void
what_is_no_address_is_refused(void **state)
{
    static const char *const rows[] = {"", ".", "1.", ".1", "1..2", "256.1.1.1", "1.1.1.1.1",
        "1.1.65536", "4294967296", "99999999999", "localhost", "10.1.1.0/24", "10.1.1.1 ", "-1",
        "::1::", "[::1", "[]", "::g", "fe80::1%eth0",
        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa"};
    (void)state;
    uint8_t out[IP_BYTES] = {42};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_false(ip_text_parse(str_of(rows[i]), out));
    assert_false(ip_text_parse(STR_NULL, out));
    assert_false(ip_text_parse((struct str){"::1\0", 4}, out));
    assert_int_equal(out[0], 42);
}

TEST_MAIN(cmocka_unit_test(addresses_are_read_as_java_reads_them),
    cmocka_unit_test(what_is_no_address_is_refused))
