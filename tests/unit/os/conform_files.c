#include "tests/unit/os/conform.h"

#include "base/alloc.h"

enum { RW = ENV_OPEN_WRITE | ENV_OPEN_CREATE };

static struct env_file *
file_make(struct world *w, const char *name)
{
    char path[300];
    struct env_file *file = NULL;
    assert_int_equal(env_open(w->env, world_path(w, name, path), RW, &file), ERR_OK);
    return file;
}

static struct bytes
text(const char *z)
{
    return (struct bytes){(const uint8_t *)z, strlen(z)};
}

void
files_keep_what_is_written(void **state)
{
    struct world *w = *state;
    char data[64], path[300];
    size_t n = 99;
    int64_t size;
    struct env_stat st;
    struct env_file *file = file_make(w, "f");
    assert_int_equal(env_write_at(file, 0, text("hello world")), ERR_OK);
    assert_int_equal(env_write_at(file, 6, text("there")), ERR_OK);
    assert_int_equal(env_write_at(file, 20, text("far")), ERR_OK);
    assert_int_equal(env_sync(file), ERR_OK);
    assert_int_equal(env_read_at(file, 0, data, sizeof data, &n), ERR_OK);
    assert_int_equal(n, 23);
    assert_memory_equal(data, "hello there\0\0\0\0\0\0\0\0\0far", 23);
    assert_int_equal(env_read_at(file, 23, data, 5, &n), ERR_OK);
    assert_int_equal(n, 0);
    assert_int_equal(env_truncate(file, 5), ERR_OK);
    assert_int_equal(env_truncate(file, 8), ERR_OK);
    assert_int_equal(env_file_size(file, &size), ERR_OK);
    assert_int_equal(size, 8);
    env_file_close(&file);
    assert_null(file);
    assert_int_equal(env_stat(w->env, world_path(w, "f", path), &st), ERR_OK);
    assert_int_equal(st.kind, ENV_KIND_FILE);
    assert_int_equal(st.size_bytes, 8);
    assert_true(st.mtime_ms > env_wall_ms(w->env) - 100000);
    assert_int_equal(env_open(w->env, path, ENV_OPEN_READ, &file), ERR_OK);
    assert_int_equal(env_read_at(file, 0, data, sizeof data, &n), ERR_OK);
    assert_int_equal(n, 8);
    assert_memory_equal(data, "hello\0\0\0", 8);
    env_file_close(&file);
}

void
open_flags_are_honoured(void **state)
{
    struct world *w = *state;
    char path[300];
    int64_t size;
    struct env_file *file = NULL;
    world_path(w, "missing", path);
    assert_int_equal(env_open(w->env, path, ENV_OPEN_READ, &file), ERR_NOTFOUND);
    assert_int_equal(env_open(w->env, path, ENV_OPEN_WRITE, &file), ERR_NOTFOUND);
    assert_null(file);
    assert_int_equal(env_open(w->env, path, RW | ENV_OPEN_EXCLUSIVE, &file), ERR_OK);
    assert_int_equal(env_write_at(file, 0, text("x")), ERR_OK);
    env_file_close(&file);
    assert_int_equal(env_open(w->env, path, RW | ENV_OPEN_EXCLUSIVE, &file), ERR_EXISTS);
    assert_int_equal(env_open(w->env, path, ENV_OPEN_WRITE | ENV_OPEN_TRUNCATE, &file), ERR_OK);
    assert_int_equal(env_file_size(file, &size), ERR_OK);
    assert_int_equal(size, 0);
    env_file_close(&file);
    assert_int_equal(env_open(w->env, world_path(w, "no/dir", path), RW, &file), ERR_NOTFOUND);
    assert_int_equal(env_open(w->env, w->dir, RW, &file), ERR_INVALID);
}

void
gathered_writes_of_many_parts_arrive_whole(void **state)
{
    struct world *w = *state;
    enum { PARTS = 2500 };
    struct bytes parts[PARTS];
    uint8_t source[256], *back = mem_alloc(PARTS * 200);
    size_t n, total = 0;
    assert_non_null(back);
    for (int i = 0; i < 256; i++)
        source[i] = (uint8_t)i;
    for (int i = 0; i < PARTS; i++) {
        parts[i] = (struct bytes){source + i % 50, (size_t)(i % 150)};
        total += parts[i].len;
    }
    struct env_file *file = file_make(w, "f");
    assert_int_equal(env_writev_at(file, 7, parts, PARTS), ERR_OK);
    assert_int_equal(env_writev_at(file, 0, parts, 0), ERR_OK);
    assert_int_equal(env_read_at(file, 7, back, PARTS * 200, &n), ERR_OK);
    assert_int_equal(n, total);
    size_t at = 0;
    for (int i = 0; i < PARTS; i++) {
        assert_true(parts[i].len == 0 || memcmp(back + at, parts[i].data, parts[i].len) == 0);
        at += parts[i].len;
    }
    env_file_close(&file);
    mem_free(back);
}

void
preallocation_does_not_change_the_size(void **state)
{
    struct world *w = *state;
    int64_t size;
    struct env_file *file = file_make(w, "f");
    assert_int_equal(env_write_at(file, 0, text("abc")), ERR_OK);
    enum err err = env_preallocate(file, 0, 1 << 20);
    assert_true(err == ERR_OK || err == ERR_UNSUPPORTED);
    assert_int_equal(env_file_size(file, &size), ERR_OK);
    assert_int_equal(size, 3);
    env_file_close(&file);
}

void
cached_reads_are_right_or_again(void **state)
{
    struct world *w = *state;
    char data[32];
    size_t n;
    struct env_file *file = file_make(w, "f");
    assert_int_equal(env_write_at(file, 0, text("0123456789")), ERR_OK);
    for (int i = 0; i < 50; i++) {
        enum err err = env_read_at_cached(file, 4, data, sizeof data, &n);
        if (err == ERR_AGAIN)
            continue;
        assert_int_equal(err, ERR_OK);
        assert_int_equal(n, 6);
        assert_memory_equal(data, "456789", 6);
    }
    env_file_close(&file);
}

void
a_file_lives_until_its_last_reference(void **state)
{
    struct world *w = *state;
    char data[8], path[300];
    size_t n;
    struct env_file *file = file_make(w, "f");
    struct env_file *other = file;
    assert_int_equal(env_write_at(file, 0, text("abc")), ERR_OK);
    env_file_ref(file);
    env_file_close(&file);
    assert_int_equal(env_unlink(w->env, world_path(w, "f", path)), ERR_OK);
    assert_int_equal(env_read_at(other, 0, data, sizeof data, &n), ERR_OK);
    assert_int_equal(n, 3);
    env_file_close(&other);
    env_file_close(&other); /* NULL is fine */
}

struct names {
    char text[256];
    int limit;
};

static bool
names_take(void *ctx, const char *name)
{
    struct names *names = ctx;
    strncat(names->text, name, sizeof names->text - strlen(names->text) - 1);
    strncat(names->text, " ", sizeof names->text - strlen(names->text) - 1);
    return --names->limit > 0;
}

void
directories_are_made_listed_and_removed(void **state)
{
    struct world *w = *state;
    char path[300];
    struct env_stat st;
    struct names names = {.limit = 100};
    assert_int_equal(env_mkdir(w->env, world_path(w, "d", path)), ERR_OK);
    assert_int_equal(env_mkdir(w->env, path), ERR_EXISTS);
    assert_int_equal(env_mkdir(w->env, world_path(w, "x/y", path)), ERR_NOTFOUND);
    assert_int_equal(env_mkdir_all(w->env, world_path(w, "d/e/f", path)), ERR_OK);
    assert_int_equal(env_mkdir_all(w->env, path), ERR_OK);
    struct env_file *file = file_make(w, "d/b");
    env_file_close(&file);
    file = file_make(w, "d/a");
    env_file_close(&file);
    file = file_make(w, "d/B");
    env_file_close(&file);
    assert_int_equal(env_mkdir_all(w->env, world_path(w, "d/a", path)), ERR_EXISTS);
    world_path(w, "d", path);
    assert_int_equal(env_list_dir(w->env, path, names_take, &names), ERR_OK);
    assert_string_equal(names.text, "B a b e ");
    names = (struct names){.limit = 2};
    assert_int_equal(env_list_dir(w->env, path, names_take, &names), ERR_OK);
    assert_string_equal(names.text, "B a ");
    assert_int_equal(env_sync_dir(w->env, path), ERR_OK);
    assert_int_equal(env_rmdir(w->env, path), ERR_EXISTS);
    assert_int_equal(env_remove_tree(w->env, path), ERR_OK);
    assert_int_equal(env_remove_tree(w->env, path), ERR_OK);
    assert_int_equal(env_stat(w->env, path, &st), ERR_NOTFOUND);
    assert_int_equal(env_rmdir(w->env, path), ERR_NOTFOUND);
    assert_int_equal(env_sync_dir(w->env, path), ERR_NOTFOUND);
    assert_int_equal(env_list_dir(w->env, path, names_take, &names), ERR_NOTFOUND);
    assert_int_equal(env_unlink(w->env, path), ERR_NOTFOUND);
}

void
rename_replaces_and_refuses(void **state)
{
    struct world *w = *state;
    char a[300], b[300], *data;
    size_t len;
    world_path(w, "a", a);
    world_path(w, "b", b);
    assert_int_equal(env_rename(w->env, a, b), ERR_NOTFOUND);
    struct env_file *file = file_make(w, "a");
    assert_int_equal(env_write_at(file, 0, text("new")), ERR_OK);
    env_file_close(&file);
    file = file_make(w, "b");
    env_file_close(&file);
    assert_int_equal(env_rename(w->env, a, b), ERR_OK);
    assert_int_equal(env_read_file(w->env, b, 100, &data, &len), ERR_OK);
    assert_string_equal(data, "new");
    mem_free(data);
    assert_int_equal(env_rename(w->env, a, b), ERR_NOTFOUND);
    assert_int_equal(env_mkdir(w->env, a), ERR_OK);
    assert_int_equal(env_rename(w->env, b, a), ERR_INVALID);
    assert_int_equal(env_rename(w->env, b, world_path(w, "a/c", b)), ERR_NOTFOUND);
    assert_int_equal(env_rename(w->env, world_path(w, "b", b), world_path(w, "a/c", a)), ERR_OK);
    assert_int_equal(
        env_rename(w->env, world_path(w, "a", a), world_path(w, "a/d", b)), ERR_INVALID);
}

void
a_lock_excludes_until_closed(void **state)
{
    struct world *w = *state;
    char path[300];
    struct env_file *first = NULL, *second = NULL;
    world_path(w, ".lock", path);
    assert_int_equal(env_lock_file(w->env, path, &first), ERR_OK);
    assert_int_equal(env_lock_file(w->env, path, &second), ERR_BUSY);
    assert_null(second);
    env_file_close(&first);
    assert_int_equal(env_lock_file(w->env, path, &second), ERR_OK);
    env_file_close(&second);
}

void
small_files_are_replaced_whole(void **state)
{
    struct world *w = *state;
    char path[300], temp[310], *data = NULL;
    size_t len;
    struct env_stat st;
    world_path(w, "meta", path);
    assert_int_equal(env_read_file(w->env, path, 100, &data, &len), ERR_NOTFOUND);
    assert_int_equal(env_write_file_atomic(w->env, path, text("version=1")), ERR_OK);
    assert_int_equal(env_write_file_atomic(w->env, path, text("v=2")), ERR_OK);
    assert_int_equal(env_read_file(w->env, path, 3, &data, &len), ERR_OK);
    assert_int_equal(len, 3);
    assert_string_equal(data, "v=2");
    mem_free(data);
    assert_int_equal(env_read_file(w->env, path, 2, &data, &len), ERR_LIMIT);
    snprintf(temp, sizeof temp, "%s.tmp", path);
    assert_int_equal(env_stat(w->env, temp, &st), ERR_NOTFOUND);
    assert_int_equal(
        env_write_file_atomic(w->env, world_path(w, "no/dir", path), text("x")), ERR_NOTFOUND);
}

void
clocks_and_chance_are_sane(void **state)
{
    struct world *w = *state;
    uint8_t a[32] = {0}, b[32] = {0};
    int64_t before = env_now_ns(w->env);
    assert_true(before > 0);
    assert_true(env_now_ns(w->env) >= before);
    assert_true(env_now_ms(w->env) >= before / 1000000);
    assert_true(env_wall_ms(w->env) > 1600000000000);
    env_random(w->env, a, sizeof a);
    env_random(w->env, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_true(env_random_u64(w->env) != env_random_u64(w->env));
    for (int i = 0; i < 300; i++) {
        struct uuid u = env_random_uuid(w->env);
        assert_true(uuid_is_usable(u));
        assert_int_equal(u.b[6] >> 4, 4);
    }
}

void
disk_space_is_told(void **state)
{
    struct world *w = *state;
    int64_t total = 0, usable = 0;
    assert_int_equal(env_disk_space(w->env, w->dir, &total, &usable), ERR_OK);
    assert_true(total > 0);
    assert_true(usable >= 0 && usable <= total);
}

void
a_volume_is_synced_whole_or_refused(void **state)
{
    struct world *w = *state;
    struct env_file *volume = NULL;
    enum err err = env_open_volume(w->env, w->dir, &volume);
    assert_true(err == ERR_OK || err == ERR_UNSUPPORTED);
    if (err == ERR_UNSUPPORTED)
        return;
    struct env_file *file = file_make(w, "v");
    assert_int_equal(env_write_at(file, 0, (struct bytes){(const uint8_t *)"abc", 3}), ERR_OK);
    assert_int_equal(env_check_written(file), ERR_OK);
    assert_int_equal(env_sync(volume), ERR_OK);
    assert_int_equal(env_check_written(file), ERR_OK);
    env_file_close(&file);
    env_file_close(&volume);
}
