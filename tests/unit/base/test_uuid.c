/* Expected texts were printed by Apache Kafka's Uuid. */
#include "base/uuid.h"
#include "base/attr.h"
#include "tests/lib/test.h"

struct sample {
    uint64_t high, low;
    const char *text;
};

static const struct sample samples[] = {
    {0x0000000000000000, 0x0000000000000000, "AAAAAAAAAAAAAAAAAAAAAA"},
    {0x0000000000000000, 0x0000000000000001, "AAAAAAAAAAAAAAAAAAAAAQ"},
    {0x0000000000000000, 0x0000000000000002, "AAAAAAAAAAAAAAAAAAAAAg"},
    {0x0000000000000000, 0x0000000000000003, "AAAAAAAAAAAAAAAAAAAAAw"},
    {0x0000000000000000, 0x0000000000000004, "AAAAAAAAAAAAAAAAAAAABA"},
    {0x0000000000000000, 0x0000000000000005, "AAAAAAAAAAAAAAAAAAAABQ"},
    {0xfbd651bed7f4ee12, 0xca525d43fc8e2b30, "-9ZRvtf07hLKUl1D_I4rMA"},
    {0xfd1c3732ad68fc8e, 0xd926c9c68cc80f20, "_Rw3Mq1o_I7ZJsnGjMgPIA"},
    {0xfd03dd54f82a86ef, 0xd650daeb154aad3b, "_QPdVPgqhu_WUNrrFUqtOw"},
    {0xb48e3b723b2f0ee8, 0x172aa6e3753f41eb, "tI47cjsvDugXKqbjdT9B6w"},
    {0x71eeabd205c95732, 0x3124bcf1a71d0398, "ce6r0gXJVzIxJLzxpx0DmA"},
    {0x75b1718c85adabe6, 0x069575e9aaf289fb, "dbFxjIWtq-YGlXXpqvKJ-w"},
    {0x225b8695494f3bde, 0xe530e7d9fa1aea99, "IluGlUlPO97lMOfZ-hrqmQ"},
    {0x801c780daa988456, 0x12cd838bf9b8ef14, "gBx4DaqYhFYSzYOL-bjvFA"},
    {0xf844b077e9957d6e, 0xff75cc84150730ea, "-ESwd-mVfW7_dcyEFQcw6g"},
    {0x762923290de94c78, 0x20353d317efdc5aa, "dikjKQ3pTHggNT0xfv3Fqg"},
    {0x3b82a764827ad59c, 0xf42b7d6bd9ec77e3, "O4KnZIJ61Zz0K31r2ex34w"},
    {0x454f8c620878c241, 0xf75eba53e5f1f147, "RU-MYgh4wkH3XrpT5fHxRw"},
    {0x83649fbc6f752ec9, 0x74176e74fc6385dc, "g2SfvG91Lsl0F250_GOF3A"},
    {0x7381f3f209a27066, 0x3467af68cf53c9a4, "c4Hz8gmicGY0Z69oz1PJpA"},
    {0x7fe8cd6bedb372c8, 0xcf893e43ed53c9db, "f-jNa-2zcsjPiT5D7VPJ2w"},
    {0xa6d7d79e9b667c5c, 0x83a3a43741b27ed5, "ptfXnptmfFyDo6Q3QbJ-1Q"},
    {0xf4a216ca4e5dc7c2, 0x8aa52e3f4c7005e3, "9KIWyk5dx8KKpS4_THAF4w"},
    {0x49272895121a7f89, 0x53d1639ddee6439c, "SScolRIaf4lT0WOd3uZDnA"},
    {0x42ec350f2b4c7b34, 0xd17fe2138c98b8be, "Quw1DytMezTRf-ITjJi4vg"},
    {0xfe52fe3b630d9e6a, 0x33a8072ddb9d52d3, "_lL-O2MNnmozqAct251S0w"},
    {0x52d6696e48252492, 0x9317627f13fb7c0b, "UtZpbkglJJKTF2J_E_t8Cw"},
    {0x5030ed0bd072227c, 0xb6670a98a6e025ad, "UDDtC9ByIny2ZwqYpuAlrQ"},
    {0x0776fd0dd2c7d673, 0x040aad5354bccbc3, "B3b9DdLH1nMECq1TVLzLww"},
};

static struct uuid
uuid_of(uint64_t high, uint64_t low)
{
    struct uuid u;
    store_be64(u.b, high);
    store_be64(u.b + 8, low);
    return u;
}

static void
texts_agree_with_kafka_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        char text[UUID_TEXT_SIZE];
        struct uuid u = uuid_of(samples[i].high, samples[i].low), back;
        uuid_format(u, text);
        assert_string_equal(text, samples[i].text);
        assert_true(uuid_parse(str_of(text), &back));
        assert_true(uuid_eq(u, back));
    }
}

static void
what_kafka_refuses_is_refused(void **state)
{
    (void)state;
    struct uuid u = uuid_of(1, 2);
    assert_true(uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAAA=="), &u));
    assert_true(uuid_is_zero(u));
    assert_true(uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAAB"), &u));
    assert_true(uuid_is_zero(u));
    u = uuid_of(1, 2);
    assert_false(uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAAA="), &u));
    assert_false(uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAA"), &u));
    assert_false(uuid_parse(STR("AAAAAAAAAAAAAAAAAAAAAAA"), &u));
    assert_false(uuid_parse(STR("AAAAAAAAAAAAAAAAAAAA+A"), &u));
    assert_false(uuid_parse(STR_NULL, &u));
    assert_true(uuid_eq(u, uuid_of(1, 2)));
}

static void
reserved_ids_and_leading_dashes_are_not_usable(void **state)
{
    (void)state;
    assert_false(uuid_is_usable(UUID_ZERO));
    assert_false(uuid_is_usable(uuid_of(0, 99)));
    assert_true(uuid_is_usable(uuid_of(0, 100)));
    assert_true(uuid_is_usable(uuid_of(1, 0)));
    for (int first = 0; first < 256; first++) {
        char text[UUID_TEXT_SIZE];
        struct uuid u = uuid_of((uint64_t)first << 56 | 1, 1);
        uuid_format(u, text);
        assert_int_equal(uuid_is_usable(u), text[0] != '-');
    }
}

static void
random_ids_are_version_four(void **state)
{
    (void)state;
    uint8_t ones[16];
    memset(ones, 0xff, sizeof ones);
    struct uuid u = uuid_from_random(ones);
    assert_int_equal(u.b[6], 0x4f);
    assert_int_equal(u.b[8], 0xbf);
}

TEST_MAIN(cmocka_unit_test(texts_agree_with_kafka_both_ways),
    cmocka_unit_test(what_kafka_refuses_is_refused),
    cmocka_unit_test(reserved_ids_and_leading_dashes_are_not_usable),
    cmocka_unit_test(random_ids_are_version_four))
