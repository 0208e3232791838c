/* What: the machine itself. Clocks, entropy, diagnostics to a file descriptor or a function; files,
 * loops and the pool are in file_real.c, loop_real.c, pool_real.c. The same machine with its files
 * in memory (memory.h) is a second table. Threads: any. */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/env_priv.h"
#include "os/memory.h"

struct env_real {
    struct env env;
    int diag_fd;
    void (*diag_write)(void *ctx, const char *line, size_t len);
    void *diag_ctx;
    bool no_sync;
    struct memory_fs *memory; /* owned; NULL: files are the kernel's */
};

enum err
os_err_of(int number)
{
    switch (number) {
    case 0: return ERR_OK;
    case ENOMEM: return ERR_NOMEM;
    case ENOSPC:
    case EDQUOT: return ERR_NOSPACE;
    case ENOENT:
    case ENOTDIR: return ERR_NOTFOUND;
    case EEXIST:
    case ENOTEMPTY: return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS: return ERR_PERM;
    case EBUSY:
    case EADDRINUSE: return ERR_BUSY;
    case EAGAIN:
    case EINPROGRESS: return ERR_AGAIN;
    case EPIPE:
    case ENOTCONN:
    case ECONNABORTED:
    case ECONNRESET: return ERR_CLOSED;
    case ECONNREFUSED: return ERR_REFUSED;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case EFBIG: return ERR_LIMIT;
    case EINVAL:
    case EISDIR:
    case ELOOP:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ENAMETOOLONG: return ERR_INVALID;
    case EOPNOTSUPP:
    case ENOSYS: return ERR_UNSUPPORTED;
    default: return ERR_IO;
    }
}

static int64_t
clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t
env_real_now_ns(struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_MONOTONIC);
}

static int64_t
env_real_thread_ns(struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

static int64_t
env_real_wall_ms(struct env *env)
{
    (void)env;
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

static void
env_real_random(struct env *env, void *out, size_t len)
{
    uint8_t *at = out;
    (void)env;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0) {
            ASSERT(errno == EINTR); /* a kernel without entropy: nothing here would be safe */
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
}

static void
env_real_diag_write(void *ctx, const char *line, size_t len)
{
    struct env_real *real = ctx;
    if (real->diag_write != NULL) {
        real->diag_write(real->diag_ctx, line, len);
        return;
    }
    while (len > 0) {
        ssize_t n = write(real->diag_fd, line, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nowhere left to say it */
        line += n;
        len -= (size_t)n;
    }
}

static int64_t
env_real_diag_now(void *ctx)
{
    (void)ctx;
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

static void
env_real_free(struct env *env)
{
    struct env_real *real = (struct env_real *)env;
    diag_free(&real->env.diag);
    memory_fs_free(&real->memory);
    mem_free(real);
}

bool
env_real_no_sync(const struct env *env)
{
    return ((const struct env_real *)env)->no_sync;
}

static const struct env_ops env_real_ops = {
    .free = env_real_free,
    .now_ns = env_real_now_ns,
    .thread_ns = env_real_thread_ns,
    .wall_ms = env_real_wall_ms,
    .random = env_real_random,
    .open = file_real_open,
    .stat = file_real_stat,
    .mkdir = file_real_mkdir,
    .rename = file_real_rename,
    .unlink = file_real_unlink,
    .rmdir = file_real_rmdir,
    .sync_dir = file_real_sync_dir,
    .open_volume = file_real_open_volume,
    .list_dir = file_real_list_dir,
    .lock_file = file_real_lock,
    .disk_space = file_real_disk_space,
    .loop_new = loop_real_new,
    .pool_new = pool_real_new,
    .resolve = addr_real_resolve,
};

/* ---- files in memory ---- */

struct memory_fs *
env_memory(struct env *env)
{
    return ((struct env_real *)env)->memory;
}

static const struct env_ops env_memory_ops = {
    .free = env_real_free,
    .now_ns = env_real_now_ns,
    .thread_ns = env_real_thread_ns,
    .wall_ms = env_real_wall_ms,
    .random = env_real_random,
    .open = memory_open,
    .stat = memory_stat,
    .mkdir = memory_mkdir,
    .rename = memory_rename,
    .unlink = memory_unlink,
    .rmdir = memory_rmdir,
    .sync_dir = memory_sync_dir,
    .open_volume = memory_open_volume,
    .list_dir = memory_list_dir,
    .lock_file = memory_lock,
    .disk_space = memory_disk_space,
    .loop_new = loop_real_new,
    .pool_new = pool_real_new,
    .resolve = addr_real_resolve,
};

/* ---- life ---- */

int64_t
env_real_raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return (int64_t)(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before);
}

int
env_real_clock_synchronized(void)
{
    struct timex timex = {.modes = 0};
    int state = adjtimex(&timex);
    return state < 0 ? -1 : state != TIME_ERROR && (timex.status & STA_UNSYNC) == 0;
}

enum err
env_real_new(const struct env_real_opts *opts, struct env **out)
{
    enum err err = ERR_OK;
    struct env_real *real = mem_calloc(1, sizeof *real);
    if (real == NULL)
        return ERR_NOMEM;
    real->env.ops = opts->memory_bytes_max > 0 ? &env_memory_ops : &env_real_ops;
    real->no_sync = opts->no_sync;
    real->diag_fd = opts->diag_fd;
    real->diag_write = opts->diag_write;
    real->diag_ctx = opts->diag_ctx;
    if (opts->diag_fd >= 0 || opts->diag_write != NULL) {
        struct diag_opts diag_opts = {.level_min = opts->level_min,
            .write = env_real_diag_write,
            .now_ms = env_real_diag_now,
            .ctx = real};
        err = diag_new(&diag_opts, &real->env.diag);
    }
    if (err == ERR_OK && opts->memory_bytes_max > 0)
        err = memory_fs_new(opts->memory_bytes_max, &real->memory);
    if (err != ERR_OK) {
        env_real_free(&real->env);
        return err;
    }
    *out = &real->env;
    return ERR_OK;
}
