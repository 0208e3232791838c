/* What: files and directories of the kernel. A file is a descriptor with a reference count.
 * Threads: any. Errors: os_err_of; after a failed write or sync the caller gives the file up. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/env_priv.h"

enum { WILL_NEED_PIECE = 512 << 10 };

/* How "only if it is cached" is asked of this file's file system. */
enum nowait { NOWAIT_ASK, NOWAIT_MEMORY /* all in memory: plain reads */, NOWAIT_NEVER };

struct file_real {
    struct env_file file;
    int fd;
    bool no_sync;
    _Atomic int nowait;
};

/* A view of bytes and the kernel's iovec are the same two words. */
_Static_assert(sizeof(struct bytes) == sizeof(struct iovec), "same size");
_Static_assert(offsetof(struct bytes, data) == offsetof(struct iovec, iov_base), "same place");
_Static_assert(offsetof(struct bytes, len) == offsetof(struct iovec, iov_len), "same place");

static struct file_real *
file_of(struct env_file *file)
{
    return (struct file_real *)file;
}

static void
file_real_free(struct env_file *file)
{
    close(file_of(file)->fd);
    mem_free(file);
}

static enum err
file_real_read_at(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    size_t done = 0;
    while (done < len) {
        ssize_t got =
            pread(file_of(file)->fd, (uint8_t *)data + done, len - done, position + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return os_err_of(errno);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *n = done;
    return ERR_OK;
}

static bool
is_in_memory(const struct file_real *file)
{
    struct statfs fs;
    return fstatfs(file->fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/* The file system does not know RWF_NOWAIT: in memory it need not, elsewhere nothing can be
 * promised and the pool must read. */
static enum nowait
file_real_nowait_learn(struct file_real *file)
{
    enum nowait mode = is_in_memory(file) ? NOWAIT_MEMORY : NOWAIT_NEVER;
    atomic_store_explicit(&file->nowait, mode, memory_order_relaxed);
    return mode;
}

static enum err
file_real_read_at_cached(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    struct file_real *real = file_of(file);
    size_t done = 0;
    int mode = atomic_load_explicit(&real->nowait, memory_order_relaxed);
    while (mode == NOWAIT_ASK && done < len) {
        struct iovec iov = {(uint8_t *)data + done, len - done};
        ssize_t got = preadv2(real->fd, &iov, 1, position + (off_t)done, RWF_NOWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
            mode = file_real_nowait_learn(real);
            break;
        }
        if (got < 0)
            return os_err_of(errno);
        if (got == 0) /* the end of the file: after a short read it is EAGAIN that tells a gap */
            break;
        done += (size_t)got;
    }
    if (mode == NOWAIT_MEMORY)
        return file_real_read_at(file, position, data, len, n);
    if (mode == NOWAIT_NEVER)
        return ERR_AGAIN;
    *n = done;
    return ERR_OK;
}

/* In pieces: of a longer one the kernel takes the beginning only. */
static void
file_real_will_need(struct env_file *file, int64_t position, int64_t len)
{
    for (int64_t at = 0; at < len; at += WILL_NEED_PIECE)
        (void)posix_fadvise(file_of(file)->fd, position + at,
            len - at < WILL_NEED_PIECE ? len - at : WILL_NEED_PIECE, POSIX_FADV_WILLNEED);
}

static enum err
file_real_write_one(int fd, int64_t position, struct bytes data)
{
    while (data.len > 0) {
        ssize_t done = pwrite(fd, data.data, data.len, position);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done == 0 ? ERR_IO : os_err_of(errno);
        data.data += done;
        data.len -= (size_t)done;
        position += done;
    }
    return ERR_OK;
}

static enum err
file_real_writev_at(struct env_file *file, int64_t position, const struct bytes *parts, int count)
{
    int fd = file_of(file)->fd;
    while (count > 0) {
        if (count == 1)
            return file_real_write_one(fd, position, parts[0]);
        int batch = count < IOV_MAX ? count : IOV_MAX;
        ssize_t done = pwritev(fd, (const struct iovec *)(const void *)parts, batch, position);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return os_err_of(errno);
        position += done;
        /* Whole parts are done with; a part that was cut is finished on its own. */
        size_t left = (size_t)done;
        while (batch > 0 && left >= parts->len) {
            left -= parts->len;
            parts++;
            count--;
            batch--;
        }
        if (batch > 0) {
            struct bytes rest = {parts->data + left, parts->len - left};
            enum err err = file_real_write_one(fd, position, rest);
            if (err != ERR_OK)
                return err;
            position += (int64_t)rest.len;
            parts++;
            count--;
        }
    }
    return ERR_OK;
}

static enum err
file_real_sync(struct env_file *file)
{
    if (file_of(file)->no_sync)
        return ERR_OK;
    /* Not repeated on EINTR: a second call could report success for what the first one lost. */
    return fdatasync(file_of(file)->fd) == 0 ? ERR_OK : os_err_of(errno);
}

static enum err
file_real_check_written(struct env_file *file)
{
    /* Of all calls that tell of earlier write errors this is the one that starts no writing. */
    return sync_file_range(file_of(file)->fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE) == 0
               ? ERR_OK
               : os_err_of(errno);
}

static enum err
file_real_truncate(struct env_file *file, int64_t size_bytes)
{
    int r;
    while ((r = ftruncate(file_of(file)->fd, size_bytes)) < 0 && errno == EINTR)
        ;
    return r == 0 ? ERR_OK : os_err_of(errno);
}

/* A file system in memory gives pages and empties them at once, a millisecond for a few MiB:
 * nothing is gained, and the caller may hold up others. */
static enum err
file_real_preallocate(struct env_file *file, int64_t position, int64_t len)
{
    int r;
    if (len == 0)
        return ERR_OK;
    if (is_in_memory(file_of(file)))
        return ERR_UNSUPPORTED;
    while ((r = fallocate(file_of(file)->fd, FALLOC_FL_KEEP_SIZE, position, len)) < 0 &&
           errno == EINTR)
        ;
    return r == 0 ? ERR_OK : os_err_of(errno);
}

static enum err
file_real_size(struct env_file *file, int64_t *out)
{
    struct stat st;
    if (fstat(file_of(file)->fd, &st) < 0)
        return os_err_of(errno);
    *out = st.st_size;
    return ERR_OK;
}

static int
file_real_fd(struct env_file *file)
{
    return file_of(file)->fd;
}

static const struct env_file_ops file_real_ops = {
    .free = file_real_free,
    .read_at = file_real_read_at,
    .read_at_cached = file_real_read_at_cached,
    .will_need = file_real_will_need,
    .writev_at = file_real_writev_at,
    .sync = file_real_sync,
    .check_written = file_real_check_written,
    .truncate = file_real_truncate,
    .preallocate = file_real_preallocate,
    .size = file_real_size,
    .fd = file_real_fd,
};

static int
open_retry(const char *path, int flags, mode_t mode)
{
    int fd;
    while ((fd = open(path, flags | O_CLOEXEC, mode)) < 0 && errno == EINTR)
        ;
    return fd;
}

/* Nobody asks when a log was read last, and to note that makes its inode dirty at each read after a
 * write. Files of others may not be opened so. */
static int
open_unnoted(const char *path, int flags, mode_t mode)
{
    int fd = open_retry(path, flags | O_NOATIME, mode);
    return fd < 0 && errno == EPERM ? open_retry(path, flags, mode) : fd;
}

enum err
file_real_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    int how = (flags & ENV_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
    if ((flags & ENV_OPEN_CREATE) != 0)
        how |= O_CREAT;
    if ((flags & ENV_OPEN_EXCLUSIVE) != 0)
        how |= O_EXCL;
    if ((flags & ENV_OPEN_TRUNCATE) != 0)
        how |= O_TRUNC;
    struct file_real *file = mem_calloc(1, sizeof *file);
    if (file == NULL)
        return ERR_NOMEM;
    file->file.ops = &file_real_ops;
    atomic_init(&file->file.refs, 1);
    atomic_init(&file->nowait, NOWAIT_ASK);
    file->no_sync = env_real_no_sync(env);
    file->fd = open_unnoted(path, how, 0644);
    if (file->fd < 0) {
        enum err err = os_err_of(errno);
        mem_free(file);
        return err;
    }
    if ((flags & ENV_OPEN_AS_ASKED) != 0)
        (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM); /* a hint */
    *out = &file->file;
    return ERR_OK;
}

enum err
file_real_lock(struct env *env, const char *path, struct env_file **out)
{
    struct env_file *file = NULL;
    enum err err = file_real_open(env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file);
    if (err != ERR_OK)
        return err;
    if (flock(file_of(file)->fd, LOCK_EX | LOCK_NB) < 0) {
        err = errno == EWOULDBLOCK ? ERR_BUSY : os_err_of(errno);
        env_file_close(&file);
        return err;
    }
    *out = file;
    return ERR_OK;
}

enum err
file_real_stat(struct env *env, const char *path, struct env_stat *out)
{
    struct stat st;
    (void)env;
    if (stat(path, &st) < 0)
        return os_err_of(errno);
    out->kind = S_ISREG(st.st_mode)   ? ENV_KIND_FILE
                : S_ISDIR(st.st_mode) ? ENV_KIND_DIR
                                      : ENV_KIND_OTHER;
    out->size_bytes = st.st_size;
    out->mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return ERR_OK;
}

enum err
file_real_mkdir(struct env *env, const char *path)
{
    (void)env;
    return mkdir(path, 0755) == 0 ? ERR_OK : os_err_of(errno);
}

enum err
file_real_rename(struct env *env, const char *from, const char *to)
{
    (void)env;
    return rename(from, to) == 0 ? ERR_OK : os_err_of(errno);
}

enum err
file_real_unlink(struct env *env, const char *path)
{
    (void)env;
    return unlink(path) == 0 ? ERR_OK : os_err_of(errno);
}

enum err
file_real_rmdir(struct env *env, const char *path)
{
    (void)env;
    return rmdir(path) == 0 ? ERR_OK : os_err_of(errno);
}

enum err
file_real_sync_dir(struct env *env, const char *path)
{
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return os_err_of(errno);
    enum err err = env_real_no_sync(env) || fsync(fd) == 0 ? ERR_OK : os_err_of(errno);
    close(fd);
    return err;
}

/* ---- volumes ---- */

static enum err
volume_real_sync(struct env_file *file)
{
    return file_of(file)->no_sync || syncfs(file_of(file)->fd) == 0 ? ERR_OK : os_err_of(errno);
}

static const struct env_file_ops volume_real_ops = {
    .free = file_real_free,
    .sync = volume_real_sync,
    .fd = file_real_fd,
};

/* File systems that keep their own blocks. Others pass a sync on as they please (overlays, FUSE,
 * the network), and not always what came of it. */
static bool
volume_is_trusted(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0)
        return false;
    switch (fs.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC: return true;
    default: return false;
    }
}

/* Before 5.8 syncfs says nothing of writes that failed. */
static bool
kernel_tells_of_failed_writes(void)
{
    struct utsname name;
    int major, minor;
    return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 8));
}

enum err
file_real_open_volume(struct env *env, const char *dir, struct env_file **out)
{
    struct file_real *file = mem_calloc(1, sizeof *file);
    if (file == NULL)
        return ERR_NOMEM;
    file->file.ops = &volume_real_ops;
    atomic_init(&file->file.refs, 1);
    file->no_sync = env_real_no_sync(env);
    file->fd = open_retry(dir, O_RDONLY | O_DIRECTORY, 0);
    enum err err = file->fd < 0 ? os_err_of(errno) : ERR_OK;
    if (err == ERR_OK && !(volume_is_trusted(file->fd) && kernel_tells_of_failed_writes())) {
        close(file->fd);
        err = ERR_UNSUPPORTED;
    }
    if (err != ERR_OK) {
        mem_free(file);
        return err;
    }
    *out = &file->file;
    return ERR_OK;
}

/* ---- lists ---- */

static int
dir_is_name(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int
dir_compare(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

enum err
file_real_list_dir(
    struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    struct dirent **entries = NULL;
    bool more = true;
    (void)env;
    int count = scandir(path, &entries, dir_is_name, dir_compare);
    if (count < 0)
        return os_err_of(errno);
    for (int i = 0; i < count; i++) {
        if (more)
            more = fn(ctx, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return ERR_OK;
}

enum err
file_real_disk_space(struct env *env, const char *path, int64_t *total, int64_t *usable)
{
    struct statvfs fs;
    (void)env;
    if (statvfs(path, &fs) < 0)
        return os_err_of(errno);
    *total = (int64_t)(fs.f_blocks * fs.f_frsize);
    *usable = (int64_t)(fs.f_bavail * fs.f_frsize);
    return ERR_OK;
}
