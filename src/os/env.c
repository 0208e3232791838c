/* What: the functions of os/env.h that only pass on to the environment's table. */
#include "os/env.h"

#include "base/assert.h"
#include "os/env_priv.h"

void
env_free(struct env **env)
{
    if (*env == NULL)
        return;
    (*env)->ops->free(*env);
    *env = NULL;
}

struct diag *
env_diag(struct env *env)
{
    return env->diag;
}

int64_t
env_now_ns(struct env *env)
{
    return env->ops->now_ns(env);
}

int64_t
env_thread_ns(struct env *env)
{
    return env->ops->thread_ns(env);
}

int64_t
env_now_ms(struct env *env)
{
    return env->ops->now_ns(env) / 1000000;
}

int64_t
env_wall_ms(struct env *env)
{
    return env->ops->wall_ms(env);
}

void
env_random(struct env *env, void *out, size_t len)
{
    env->ops->random(env, out, len);
}

uint64_t
env_random_u64(struct env *env)
{
    uint64_t value;
    env->ops->random(env, &value, sizeof value);
    return value;
}

struct uuid
env_random_uuid(struct env *env)
{
    for (;;) {
        uint8_t random[16];
        env->ops->random(env, random, sizeof random);
        struct uuid u = uuid_from_random(random);
        if (uuid_is_usable(u)) /* 63 of 64 are */
            return u;
    }
}

enum err
env_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    ASSERT((flags & (ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE)) == 0 || (flags & ENV_OPEN_WRITE) != 0);
    return env->ops->open(env, path, flags, out);
}

void
env_file_ref(struct env_file *file)
{
    int before = atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    ASSERT(before > 0);
}

void
env_file_close(struct env_file **file)
{
    struct env_file *f = *file;
    if (f == NULL)
        return;
    *file = NULL;
    int before = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        f->ops->free(f);
}

enum err
env_read_at(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    ASSERT(position >= 0);
    return file->ops->read_at(file, position, data, len, n);
}

enum err
env_read_at_cached(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    ASSERT(position >= 0);
    return file->ops->read_at_cached(file, position, data, len, n);
}

void
env_will_need(struct env_file *file, int64_t position, int64_t len)
{
    ASSERT(position >= 0 && len >= 0);
    if (file->ops->will_need != NULL)
        file->ops->will_need(file, position, len);
}

enum err
env_write_at(struct env_file *file, int64_t position, struct bytes data)
{
    ASSERT(position >= 0);
    return file->ops->writev_at(file, position, &data, 1);
}

enum err
env_writev_at(struct env_file *file, int64_t position, const struct bytes *parts, int count)
{
    ASSERT(position >= 0);
    ASSERT(count >= 0);
    return file->ops->writev_at(file, position, parts, count);
}

enum err
env_sync(struct env_file *file)
{
    return file->ops->sync(file);
}

enum err
env_check_written(struct env_file *file)
{
    return file->ops->check_written(file);
}

enum err
env_truncate(struct env_file *file, int64_t size_bytes)
{
    ASSERT(size_bytes >= 0);
    return file->ops->truncate(file, size_bytes);
}

enum err
env_preallocate(struct env_file *file, int64_t position, int64_t len)
{
    ASSERT(position >= 0 && len >= 0);
    return file->ops->preallocate(file, position, len);
}

enum err
env_file_size(struct env_file *file, int64_t *out)
{
    return file->ops->size(file, out);
}

int
env_file_fd(struct env_file *file)
{
    return file->ops->fd(file);
}

enum err
env_stat(struct env *env, const char *path, struct env_stat *out)
{
    return env->ops->stat(env, path, out);
}

enum err
env_mkdir(struct env *env, const char *path)
{
    return env->ops->mkdir(env, path);
}

enum err
env_rename(struct env *env, const char *from, const char *to)
{
    return env->ops->rename(env, from, to);
}

enum err
env_unlink(struct env *env, const char *path)
{
    return env->ops->unlink(env, path);
}

enum err
env_rmdir(struct env *env, const char *path)
{
    return env->ops->rmdir(env, path);
}

enum err
env_sync_dir(struct env *env, const char *path)
{
    return env->ops->sync_dir(env, path);
}

enum err
env_open_volume(struct env *env, const char *dir, struct env_file **out)
{
    return env->ops->open_volume(env, dir, out);
}

enum err
env_list_dir(struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    return env->ops->list_dir(env, path, fn, ctx);
}

enum err
env_lock_file(struct env *env, const char *path, struct env_file **out)
{
    return env->ops->lock_file(env, path, out);
}

enum err
env_disk_space(struct env *env, const char *path, int64_t *total_bytes, int64_t *usable_bytes)
{
    return env->ops->disk_space(env, path, total_bytes, usable_bytes);
}
