/* os/env_priv.h - what an environment supplies: one table for the machine, one for a file. */
#ifndef OS_ENV_PRIV_H
#define OS_ENV_PRIV_H

#include <stdatomic.h>

#include "os/env.h"
#include "os/loop.h"

struct env_ops {
    void (*free)(struct env *env);
    int64_t (*now_ns)(struct env *env);
    int64_t (*thread_ns)(struct env *env);
    int64_t (*wall_ms)(struct env *env);
    void (*random)(struct env *env, void *out, size_t len);

    enum err (*open)(struct env *env, const char *path, int flags, struct env_file **out);
    enum err (*stat)(struct env *env, const char *path, struct env_stat *out);
    enum err (*mkdir)(struct env *env, const char *path);
    enum err (*rename)(struct env *env, const char *from, const char *to);
    enum err (*unlink)(struct env *env, const char *path);
    enum err (*rmdir)(struct env *env, const char *path);
    enum err (*sync_dir)(struct env *env, const char *path);
    enum err (*open_volume)(struct env *env, const char *dir, struct env_file **out);
    enum err (*list_dir)(
        struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx);
    enum err (*lock_file)(struct env *env, const char *path, struct env_file **out);
    enum err (*disk_space)(struct env *env, const char *path, int64_t *total, int64_t *usable);

    enum err (*loop_new)(struct env *env, const char *name, struct loop **out);
    enum err (*pool_new)(
        struct env *env, const char *name, int threads, bool background, struct pool **out);
    enum err (*resolve)(struct env *env, struct str host, uint16_t port, struct sock_addr *out,
        int max, int *count);
};

struct env_file_ops {
    void (*free)(struct env_file *file); /* the last reference is gone */
    enum err (*read_at)(struct env_file *file, int64_t position, void *data, size_t len, size_t *n);
    enum err (*read_at_cached)(
        struct env_file *file, int64_t position, void *data, size_t len, size_t *n);
    void (*will_need)(struct env_file *file, int64_t position, int64_t len); /* NULL: no use */
    enum err (*writev_at)(
        struct env_file *file, int64_t position, const struct bytes *parts, int count);
    enum err (*sync)(struct env_file *file); /* of a volume: the only one but free and fd */
    enum err (*check_written)(struct env_file *file);
    enum err (*truncate)(struct env_file *file, int64_t size_bytes);
    enum err (*preallocate)(struct env_file *file, int64_t position, int64_t len);
    enum err (*size)(struct env_file *file, int64_t *out);
    int (*fd)(struct env_file *file);
};

/* First member of each kind of environment and file. */
struct env {
    const struct env_ops *ops;
    struct diag *diag; /* owned by the environment */
};

struct env_file {
    const struct env_file_ops *ops;
    _Atomic int refs;
};

/* Real environment only: errno as an error of ours. */
enum err os_err_of(int number);

/* Whether its flushes do nothing (env_real.c). */
bool env_real_no_sync(const struct env *env);

/* The real environment's parts of the tables (file_real.c, loop_real.c, pool_real.c). */
enum err file_real_open(struct env *env, const char *path, int flags, struct env_file **out);
enum err file_real_stat(struct env *env, const char *path, struct env_stat *out);
enum err file_real_mkdir(struct env *env, const char *path);
enum err file_real_rename(struct env *env, const char *from, const char *to);
enum err file_real_unlink(struct env *env, const char *path);
enum err file_real_rmdir(struct env *env, const char *path);
enum err file_real_sync_dir(struct env *env, const char *path);
enum err file_real_open_volume(struct env *env, const char *dir, struct env_file **out);
enum err file_real_list_dir(
    struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx);
enum err file_real_lock(struct env *env, const char *path, struct env_file **out);
enum err file_real_disk_space(struct env *env, const char *path, int64_t *total, int64_t *usable);
enum err loop_real_new(struct env *env, const char *name, struct loop **out);
enum err pool_real_new(
    struct env *env, const char *name, int threads, bool background, struct pool **out);
enum err addr_real_resolve(
    struct env *env, struct str host, uint16_t port, struct sock_addr *out, int max, int *count);

#endif
