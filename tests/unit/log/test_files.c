#include <stdio.h>
#include <string.h>

#include "log/checkpoint.h"
#include "log/epoch_cache.h"
#include "log/file_cache.h"
#include "log/file_name.h"
#include "log_fixture.h"

static void
file_names_are_understood_with_their_phases(void **state)
{
    struct log_file_name n;
    char path[LOG_PATH_MAX];
    (void)state;
    n = log_file_name_parse("00000000000000000042.log");
    assert_int_equal(n.kind, LOG_FILE_LOG);
    assert_int_equal(n.phase, LOG_FILE_PLAIN);
    assert_int_equal(n.base_offset, 42);
    n = log_file_name_parse("00000000000000000042.timeindex.swap");
    assert_int_equal(n.kind, LOG_FILE_TIMEINDEX);
    assert_int_equal(n.phase, LOG_FILE_SWAP);
    n = log_file_name_parse("09223372036854775807.snapshot.deleted");
    assert_int_equal(n.base_offset, INT64_MAX);
    static const char *const others[] = {"x", "00000000000000000042.logx",
        "0000000000000000042.log", "99999999999999999999.log", "0000000000000000004a.log",
        "00000000000000000042-0000000001.checkpoint", "leader-epoch-checkpoint", ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(log_file_name_parse(others[i]).kind, LOG_FILE_OTHER);
    assert_true(log_file_path(path, "d", 7, LOG_FILE_TXNINDEX));
    assert_string_equal(path, "d/00000000000000000007.txnindex");
}

static void
directory_names_split_at_the_last_dash(void **state)
{
    struct str topic;
    int32_t partition;
    char name[LOG_NAME_MAX + 1], longest[LOG_NAME_MAX + 1];
    struct uuid id = {{0xab, 1}};
    (void)state;
    assert_int_equal(log_dir_name_parse("a-b-12", &topic, &partition), LOG_DIR_LOG);
    assert_true(str_eq_z(topic, "a-b"));
    assert_int_equal(partition, 12);
    assert_int_equal(log_dir_name_parse("a-", &topic, &partition), LOG_DIR_NONE);
    assert_int_equal(log_dir_name_parse("-1", &topic, &partition), LOG_DIR_NONE);
    assert_int_equal(log_dir_name_parse("a-99999999999", &topic, &partition), LOG_DIR_NONE);
    log_dir_name_gone(name, STR("orders"), 3, id, "-delete");
    assert_string_equal(name, "orders-3.ab010000000000000000000000000000-delete");
    assert_int_equal(log_dir_name_parse(name, &topic, &partition), LOG_DIR_DELETE);
    memset(longest, 'x', 249);
    log_dir_name_gone(name, (struct str){longest, 249}, 123456, id, "-stray");
    assert_int_equal(strlen(name), LOG_NAME_MAX);
    assert_int_equal(log_dir_name_parse(name, &topic, &partition), LOG_DIR_STRAY);
}

static void
checkpoint_lines_are_taken_exactly(void **state)
{
    struct str topic;
    int32_t partition;
    int64_t offset;
    (void)state;
    assert_true(checkpoint_parse_offset(STR("t 3 900"), &topic, &partition, &offset));
    assert_true(str_eq_z(topic, "t"));
    assert_int_equal(partition, 3);
    assert_int_equal(offset, 900);
    static const char *const bad[] = {"", "t", "t 3", "t 3 ", "t x 1", "t 3 -1", "t 3 1 2", " 3 1",
        "t 99999999999 1", "t 3 99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(checkpoint_parse_offset(str_of(bad[i]), &topic, &partition, &offset));
}

static void
epoch_cache_drops_what_a_new_entry_contradicts(void **state)
{
    struct epoch_cache cache;
    int32_t epoch;
    int64_t end;
    (void)state;
    epoch_cache_init(&cache);
    assert_int_equal(epoch_cache_reserve(&cache, 10), ERR_OK);
    epoch_cache_assign(&cache, 1, 0);
    epoch_cache_assign(&cache, 2, 10);
    epoch_cache_assign(&cache, 3, 20);
    epoch_cache_assign(&cache, 3, 25); /* known */
    epoch_cache_assign(&cache, 5, 20); /* 3 had no records */
    assert_int_equal(cache.count, 3);
    epoch_cache_end_offset(&cache, 3, 30, &epoch, &end);
    assert_int_equal(epoch, 2);
    assert_int_equal(end, 20);
    epoch_cache_end_offset(&cache, 0, 30, &epoch, &end);
    assert_int_equal(epoch, 0);
    assert_int_equal(end, 0);
    epoch_cache_truncate_start(&cache, 15);
    assert_int_equal(cache.count, 2);
    assert_int_equal(cache.entries[0].start_offset, 15);
    assert_int_equal(epoch_cache_for_offset(&cache, 12), -1);
    epoch_cache_truncate_end(&cache, 20);
    assert_int_equal(epoch_cache_latest(&cache), 2);
    epoch_cache_fini(&cache);
}

static void
file_cache_keeps_the_most_recently_used(void **state)
{
    struct log_fixture fx;
    struct file_cache *cache;
    struct file_slot slots[4];
    (void)state;
    fixture_init(&fx);
    assert_int_equal(file_cache_new(2, &cache), ERR_OK);
    for (int i = 0; i < 4; i++) {
        char path[300];
        struct env_file *file;
        snprintf(path, sizeof path, "%s/f%d", fx.dir, i);
        file_slot_init(&slots[i]);
        assert_null(file_cache_get(cache, &slots[i]));
        assert_int_equal(file_cache_open(cache, fx.env, &slots[i], path,
                             ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file),
            ERR_OK);
        env_file_close(&file);
        if (i == 2) { /* 0 was let go for it; 1 is used again and stays */
            file = file_cache_get(cache, &slots[1]);
            assert_non_null(file);
            env_file_close(&file);
        }
    }
    assert_int_equal(file_cache_count(cache), 2);
    struct env_file *file = file_cache_get(cache, &slots[1]);
    assert_non_null(file);
    env_file_close(&file);
    assert_null(file_cache_get(cache, &slots[2]));
    for (int i = 0; i < 4; i++)
        file_cache_drop(cache, &slots[i]);
    file_cache_free(&cache);
    fixture_fini(&fx);
}

TEST_MAIN(cmocka_unit_test(file_names_are_understood_with_their_phases),
    cmocka_unit_test(directory_names_split_at_the_last_dash),
    cmocka_unit_test(checkpoint_lines_are_taken_exactly),
    cmocka_unit_test(epoch_cache_drops_what_a_new_entry_contradicts),
    cmocka_unit_test(file_cache_keeps_the_most_recently_used))
