/* os/memory.h - a file system in memory, for environments whose nodes leave nothing behind: test
 * brokers, `moldau server --memory`. Private to os.
 *
 * Bytes are on the heap, so it takes no file descriptors; sendfile reads and copies. What the names
 * promise is what the kernel's promise (tests/unit/os/conform_files.c); flushes have nothing to do.
 * Contents together are at most size_bytes_max: then writes are NOSPACE, as on a full disk. Any
 * thread. */
#ifndef OS_MEMORY_H
#define OS_MEMORY_H

#include "os/env_priv.h"

struct memory_fs;

/* Of an open file; memory_file.c has the bytes, memory.c the names. */
struct memory_data;

MUST_USE enum err memory_fs_new(int64_t size_bytes_max, struct memory_fs **out);
/* Every file of it is closed. */
void memory_fs_free(struct memory_fs **fs);

/* The environment's file system (env_real.c). */
struct memory_fs *env_memory(struct env *env);

/* For the table of an environment. */
enum err memory_open(struct env *env, const char *path, int flags, struct env_file **out);
enum err memory_stat(struct env *env, const char *path, struct env_stat *out);
enum err memory_mkdir(struct env *env, const char *path);
enum err memory_rename(struct env *env, const char *from, const char *to);
enum err memory_unlink(struct env *env, const char *path);
enum err memory_rmdir(struct env *env, const char *path);
enum err memory_sync_dir(struct env *env, const char *path);
enum err memory_open_volume(struct env *env, const char *dir, struct env_file **out);
enum err memory_list_dir(
    struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx);
enum err memory_lock(struct env *env, const char *path, struct env_file **out);
enum err memory_disk_space(struct env *env, const char *path, int64_t *total, int64_t *usable);

/* ---- contents (memory_file.c) ---- */

/* What all contents of one file system take together. */
struct memory_budget {
    _Atomic int64_t used_bytes;
    int64_t max_bytes;
};

MUST_USE enum err memory_data_new(struct memory_budget *budget, struct memory_data **out);
void memory_data_free(struct memory_data **data);
MUST_USE enum err memory_data_write(
    struct memory_data *data, int64_t position, const struct bytes *parts, int count);
size_t memory_data_read(struct memory_data *data, int64_t position, void *out, size_t len);
MUST_USE enum err memory_data_truncate(struct memory_data *data, int64_t size_bytes);
int64_t memory_data_size(struct memory_data *data, int64_t *mtime_ms);

#endif
