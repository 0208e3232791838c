/* tests/lib/fault_shim.c - LD_PRELOAD for a node under test: system calls on files fail on demand,
 * and the clock is wrong. The test writes the plan into a file that is mapped here ($FAULT_PLAN);
 * tests/lib/faults.py does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    OP_WRITE = 1,
    OP_SYNC = 2,
    OP_OPEN = 4,
    OP_RENAME = 8,
    OP_UNLINK = 16,
    OP_TRUNCATE = 32,
    OP_READ = 64
};

/* Fields of 8 bytes each, then the path. */
struct plan {
    volatile int64_t ops;   /* which may fail; 0: none */
    volatile int64_t error; /* errno */
    volatile int64_t skip;  /* so many go well first */
    volatile int64_t count; /* so many fail; -1: all */
    volatile int64_t hits;  /* that failed */
    volatile int64_t clock_offset_ms;
    char path[256]; /* a part of the path */
};

static struct plan *plan;

static __attribute__((constructor)) void
begin(void)
{
    const char *path = getenv("FAULT_PLAN");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED)
        plan = at;
}

static int
fails(int op, const char *path)
{
    if (plan == NULL || (plan->ops & op) == 0 || strstr(path, plan->path) == NULL)
        return 0;
    if (__atomic_fetch_sub(&plan->skip, 1, __ATOMIC_SEQ_CST) > 0)
        return 0;
    int64_t left = __atomic_load_n(&plan->count, __ATOMIC_SEQ_CST);
    do {
        if (left == 0)
            return 0;
    } while (left > 0 && !__atomic_compare_exchange_n(
                             &plan->count, &left, left - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    __atomic_fetch_add(&plan->hits, 1, __ATOMIC_SEQ_CST);
    errno = (int)plan->error;
    return 1;
}

static int
fails_fd(int op, int fd)
{
    char link[64], path[512];
    if (plan == NULL || (plan->ops & op) == 0)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return 0;
    path[n] = '\0';
    return fails(op, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define CALL(name, op, fd, args)                        \
    {                                                   \
        return fails_fd(op, fd) ? -1 : REAL(name) args; \
    }

ssize_t
pwrite(int fd, const void *data, size_t len, off_t at)
    CALL(pwrite, OP_WRITE, fd, (fd, data, len, at)) ssize_t
    pwrite64(int fd, const void *data, size_t len, off64_t at)
        CALL(pwrite64, OP_WRITE, fd, (fd, data, len, at)) ssize_t
    pwritev(int fd, const struct iovec *v, int n, off_t at)
        CALL(pwritev, OP_WRITE, fd, (fd, v, n, at)) ssize_t
    pwritev64(int fd, const struct iovec *v, int n, off64_t at)
        CALL(pwritev64, OP_WRITE, fd, (fd, v, n, at)) ssize_t
    pread(int fd, void *data, size_t len, off_t at)
        CALL(pread, OP_READ, fd, (fd, data, len, at)) ssize_t
    pread64(int fd, void *data, size_t len, off64_t at) CALL(pread64, OP_READ, fd,
        (fd, data, len, at)) int fsync(int fd) CALL(fsync, OP_SYNC, fd, (fd)) int fdatasync(int fd)
        CALL(fdatasync, OP_SYNC, fd, (fd)) int ftruncate(int fd, off_t size)
            CALL(ftruncate, OP_TRUNCATE, fd, (fd, size)) int ftruncate64(int fd, off64_t size)
                CALL(ftruncate64, OP_TRUNCATE, fd, (fd, size))

                    int rename(const char *from, const char *to)
{
    return fails(OP_RENAME, to) ? -1 : REAL(rename)(from, to);
}

int
unlink(const char *path)
{
    return fails(OP_UNLINK, path) ? -1 : REAL(unlink)(path);
}

static mode_t
mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

int
open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails(OP_OPEN, path) ? -1 : REAL(open)(path, flags, mode);
}

int
open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    return fails(OP_OPEN, path) ? -1 : REAL(open64)(path, flags, mode);
}

int
clock_gettime(clockid_t id, struct timespec *out)
{
    int r = REAL(clock_gettime)(id, out);
    if (r == 0 && plan != NULL && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        out->tv_sec += plan->clock_offset_ms / 1000;
    return r;
}
