/* The real environment with its files in memory: the promises all keep, and its ceiling. */
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "tests/unit/os/conform.h"

enum { SIZE_MAX_BYTES = 16 << 20, RW = ENV_OPEN_WRITE | ENV_OPEN_CREATE };

static bool
memory_wait(struct world *w, bool (*done)(void *ctx), void *ctx)
{
    (void)w;
    for (int i = 0; i < 20000; i++) {
        if (done(ctx))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    return done(ctx);
}

static int
world_open(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct env_real_opts opts = {.diag_fd = -1, .memory_bytes_max = SIZE_MAX_BYTES};
    snprintf(w->dir, sizeof w->dir, "/w/d");
    w->wait = memory_wait;
    assert_int_equal(env_real_new(&opts, &w->env), ERR_OK);
    assert_int_equal(env_mkdir_all(w->env, w->dir), ERR_OK);
    *state = w;
    return 0;
}

/* Frees the tree with what tests left in it. */
static int
world_close(void **state)
{
    struct world *w = *state;
    env_free(&w->env);
    free(w);
    return 0;
}

static int64_t
used_bytes(struct world *w)
{
    int64_t total, usable;
    assert_int_equal(env_disk_space(w->env, w->dir, &total, &usable), ERR_OK);
    assert_int_equal(total, SIZE_MAX_BYTES);
    return total - usable;
}

static void
a_full_memory_is_no_space_and_removal_gives_it_back(void **state)
{
    struct world *w = *state;
    char path[300];
    struct env_file *file = NULL;
    uint8_t *megabyte = mem_calloc(1, 1 << 20);
    enum err err = ERR_OK;
    assert_int_equal(env_open(w->env, world_path(w, "big", path), RW, &file), ERR_OK);
    for (int i = 0; err == ERR_OK && i < 17; i++)
        err = env_write_at(file, (int64_t)i << 20, (struct bytes){megabyte, 1 << 20});
    assert_int_equal(err, ERR_NOSPACE);
    assert_true(used_bytes(w) > SIZE_MAX_BYTES - (64 << 10));
    assert_int_equal(env_unlink(w->env, path), ERR_OK);
    assert_true(used_bytes(w) > 0); /* it is open */
    env_file_close(&file);
    assert_int_equal(used_bytes(w), 0);
    mem_free(megabyte);
}

static void
small_files_take_little(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++) {
        char name[20], path[300];
        snprintf(name, sizeof name, "f%d", i);
        world_path(w, name, path);
        assert_int_equal(
            env_write_file_atomic(w->env, path, (struct bytes){(const uint8_t *)"x", 1}), ERR_OK);
    }
    assert_true(used_bytes(w) <= 100 * 256);
}

static void
what_was_cut_off_comes_back_as_zeros(void **state)
{
    struct world *w = *state;
    char path[300];
    uint8_t data[100 << 10], back[200 << 10];
    size_t n;
    struct env_file *file = NULL;
    memset(data, 'x', sizeof data);
    assert_int_equal(env_open(w->env, world_path(w, "f", path), RW, &file), ERR_OK);
    static const int64_t sizes[] = {0, 1, 100, 255, 256, 32767, 32768, 32769, 65536, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        assert_int_equal(env_write_at(file, 0, (struct bytes){data, sizeof data}), ERR_OK);
        assert_int_equal(env_truncate(file, sizes[i]), ERR_OK);
        assert_int_equal(env_truncate(file, sizeof back), ERR_OK);
        assert_int_equal(env_read_at(file, 0, back, sizeof back, &n), ERR_OK);
        assert_int_equal(n, sizeof back);
        for (int64_t at = 0; at < (int64_t)sizeof back; at++)
            assert_int_equal(back[at], at < sizes[i] ? 'x' : 0);
    }
    env_file_close(&file);
}

/* Random operations on a few files beside plain arrays. */
static void
contents_are_as_in_an_array(void **state)
{
    enum { ROOM = 150 << 10 };
    struct world *w = *state;
    char path[300];
    struct env_file *file = NULL;
    uint8_t *model = mem_calloc(1, ROOM), *back = mem_alloc(ROOM);
    int64_t size = 0;
    unsigned seed = (unsigned)test_seed(1);
    assert_int_equal(env_open(w->env, world_path(w, "f", path), RW, &file), ERR_OK);
    for (int i = 0; i < 3000; i++) {
        int64_t at = rand_r(&seed) % (ROOM / 2);
        size_t len = (size_t)rand_r(&seed) % (rand_r(&seed) % 2 ? 300 : ROOM / 2), n = 0;
        if (rand_r(&seed) % 8 == 0) {
            int64_t before = size;
            size = rand_r(&seed) % ROOM;
            assert_int_equal(env_truncate(file, size), ERR_OK);
            if (size < before)
                memset(model + size, 0, (size_t)(before - size));
        } else if (rand_r(&seed) % 2 == 0) {
            memset(model + at, i, len);
            assert_int_equal(env_write_at(file, at, (struct bytes){model + at, len}), ERR_OK);
            if (len > 0 && at + (int64_t)len > size)
                size = at + (int64_t)len;
        } else {
            int64_t want = at >= size ? 0 : size - at < (int64_t)len ? size - at : (int64_t)len;
            assert_int_equal(env_read_at(file, at, back, len, &n), ERR_OK);
            assert_int_equal(n, want);
            assert_true(want == 0 || memcmp(back, model + at, (size_t)want) == 0);
        }
    }
    env_file_close(&file);
    mem_free(model);
    mem_free(back);
}

static void
running_out_of_memory_leaves_the_names_as_they_were(void **state)
{
    struct world *w = *state;
    char from[300], to[300];
    struct env_stat st;
    struct env_file *file = NULL;
    world_path(w, "from", from);
    world_path(w, "to", to);
    for (uint64_t nth = 1; nth < 20; nth++) {
        mem_fail_after(nth);
        enum err err = env_open(w->env, from, RW, &file);
        mem_fail_after(0);
        assert_true(err == ERR_OK || err == ERR_NOMEM);
        if (err == ERR_OK)
            env_file_close(&file);
        else
            assert_int_equal(env_stat(w->env, from, &st), ERR_NOTFOUND);
        if (err == ERR_OK)
            break;
    }
    mem_fail_after(1);
    enum err err = env_rename(w->env, from, to);
    mem_fail_after(0);
    assert_int_equal(err, ERR_NOMEM);
    assert_int_equal(env_stat(w->env, from, &st), ERR_OK);
    assert_int_equal(env_rename(w->env, from, to), ERR_OK);
}

TEST_MAIN(CONFORM_TESTS, CONFORM_TEST(a_full_memory_is_no_space_and_removal_gives_it_back),
    CONFORM_TEST(small_files_take_little), CONFORM_TEST(what_was_cut_off_comes_back_as_zeros),
    CONFORM_TEST(contents_are_as_in_an_array),
    CONFORM_TEST(running_out_of_memory_leaves_the_names_as_they_were))
