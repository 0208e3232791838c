/* Expected values were printed by Apache Kafka's Utils and Java's String. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/siphash.h"
#include "base/map.h"
#include "tests/lib/test.h"

struct sample {
    const char *hex;
    int32_t murmur2, java, of_50;
};

static const struct sample samples[] = {
    {"", 275646681, 0, 0},
    {"61", -1563381124, 97, 47},
    {"6162", 316155434, 3105, 5},
    {"616263", 479470107, 96354, 4},
    {"61626364", -1323649548, 2987074, 24},
    {"6162636465", 461995741, 92599395, 45},
    {"6d792d67726f7570", -1626987699, -1906497762, 12},
    {"636f6e736f6c652d636f6e73756d65722d3132333435", -519576848, 158455506, 6},
    {"c5be6c75c5a56f75c48d6bc3bd206bc5afc588", 874861404, -75767329, 29},
    {"e697a5e69cace8aa9e", 1431860170, 25921943, 43},
    {"f09f988020656d6f6a6920f09f9880", -864271118, -278853222, 22},
    {"706f6c7967656e656c7562726963616e7473", 342343466, INT32_MIN, 0},
    {"bfdc1ea9a3f4", -1836985306, -289028321, 21},
    {"ebee0ad620f2a540e4edea1d9581efc3cee0", 1015916229, 7896208, 8},
    {"1ab5e406feee", -309821801, -1204653396, 46},
    {"22749cadec41e8bd1b9165a58bc871", -1220695386, -1448830448, 48},
    {"e182dcd4834b40930227742b6633bf96b6e1", -496470589, -300912530, 30},
    {"83f3d4d88ac0e0a4f572eff6be9a28a8afe863f02094", -404143150, 1309205710, 10},
    {"5d0562d36701b2252730fe9a7f765e239234e3", 1766584235, 1029115644, 44},
    {"69b857771cbb2ee8847f5182bff426463aeee9", -162957382, -1067766701, 1},
    {"67e79fd7e94ba3f2f2ed21d7e6b0d8f197", -861594414, -1063078196, 46},
    {"69f313d8bc4ce8317356c3ca998cd1", 1600519386, -1073964766, 16},
    {"e93053634bc5b4e952af60", 1372566886, -1927976956, 6},
    {"f165e3748f70f067e41df7f7b1f424", 1941286988, -532252760, 10},
    {"5dc3ec8290f4f20235e0e5c8b6f735d4f124b054", -577986687, 1490554096, 46},
    {"36413399894ef31bb11c7ca88910eb", -816151519, -1263747066, 16},
    {"a0a1eec915e9", -239614576, 1660340680, 30},
    {"ed1bf1a1dbb23325", -1962119079, 1232383077, 27},
    {"ee82ea5ffa", 411681586, 2015339294, 44},
    {"f3a4da18ec690ed35c", -416783961, -765214839, 39},
    {"44ddf2d543b0a270fd46050a27d17a065a6763786082", 773906998, 630800693, 43},
    {"3b342c2a66228f724a2fa8fc7bd5264713", -1789200408, -1933179613, 13},
    {"eef8bc", 793735251, 65074269, 19},
    {"bc6ceb4f288b56efcca1fdb7630334b0f3e6ea6762", 1814791877, 1579351595, 45},
    {"85071ee02dab", -723289866, -676153351, 1},
    {"fec1b3f5b8a11a", -74569555, -6089414, 14},
    {"a51678d5", 634815205, 1952383998, 48},
    {"d59cfbffd783fdd7ebca35cec26c9a2dcacecbf6e3ef", 16070902, -36093778, 28},
    {"4ddbf5e994391b2333feb0b132a893f6eec8b3dba42a5b", -1692193090, -945838375, 25},
    {"861624833a", -993285247, 394281128, 28},
    {"993b36e1", -848137893, 1952417509, 9},
    {"8c8aa66fe5c8e987f4af5ce890e10dd3c540e6e935b1", 559184982, 607510988, 38},
    {"eb62ee990e62eae0", 422261126, 1531429196, 46},
    {"ec72f7c1a691ebc26402f739aeb60ddd", -834615162, -1321933089, 39},
    {"d61296f6b619308cce96d366dc", -1059428209, -617682724, 24},
    {"f6ce8a249e", 1675752765, 1953230918, 18},
    {"735f7858d484f29cd939fdd1f8e8f7", -1316115575, -300217316, 16},
    {"af22d3c86992e21ee8", -1729892756, 1813097507, 7},
};

static size_t
unhex(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
    return len;
}

static void
hashes_agree_with_kafka(void **state)
{
    (void)state;
    uint8_t data[64];
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        size_t len = unhex(samples[i].hex, data);
        struct str s = {(const char *)data, len};
        assert_int_equal((int32_t)hash_murmur2((struct bytes){data, len}), samples[i].murmur2);
        assert_int_equal(hash_java_string(s), samples[i].java);
        assert_int_equal(hash_coordinator_partition(s, 50), samples[i].of_50);
    }
    assert_int_equal(hash_java_string(STR_NULL), 0);
}

static void
hash_bytes_tells_lengths_and_bits_apart(void **state)
{
    (void)state;
    uint8_t data[40] = {0};
    for (size_t len = 0; len < sizeof data; len++) {
        uint64_t plain = hash_bytes(data, len);
        assert_true(plain != hash_bytes(data, len + 1 <= sizeof data ? len + 1 : 0));
        for (size_t i = 0; i < len; i++) {
            data[i] ^= 1;
            assert_true(plain != hash_bytes(data, len));
            data[i] ^= 1;
        }
    }
}

struct entry {
    int key;
    UT_hash_handle hh;
};

static void
map_add_without_memory_leaves_the_element_out(void **state)
{
    (void)state;
    struct entry *table = NULL, one = {.key = 1}, two = {.key = 2}, *found;
    mem_fail_after(1);
    HASH_ADD_INT(table, key, &one);
    assert_null(one.hh.tbl);
    HASH_ADD_INT(table, key, &two);
    assert_non_null(two.hh.tbl);
    int key = 1;
    HASH_FIND_INT(table, &key, found);
    assert_null(found);
    key = 2;
    HASH_FIND_INT(table, &key, found);
    assert_ptr_equal(found, &two);
    HASH_CLEAR(hh, table);
}

static void
siphash_gives_the_published_values(void **state)
{
    struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t in[64];
    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)i;
    struct siphash out = siphash_128(&key, (struct bytes){in, 0});
    assert_int_equal(out.low, UINT64_C(0xe6a825ba047f81a3));
    assert_int_equal(out.high, UINT64_C(0x930255c71472f66d));
    out = siphash_128(&key, (struct bytes){in, 1});
    assert_int_equal(out.low, UINT64_C(0x44af996bd8c187da));
    assert_int_equal(out.high, UINT64_C(0x45fc229b11597634));
}

TEST_MAIN(cmocka_unit_test(siphash_gives_the_published_values),
    cmocka_unit_test(hashes_agree_with_kafka),
    cmocka_unit_test(hash_bytes_tells_lengths_and_bits_apart),
    cmocka_unit_test(map_add_without_memory_leaves_the_element_out))
