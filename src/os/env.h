/* os/env.h - everything a node wants from the machine: clocks, entropy, files, an I/O pool, loops.
 *
 * There are two: the real one (os/env_real.c) and the simulated one (os/sim.h). Code above `os`
 * cannot tell which it has. No function here blocks except on the disk; what may block for long
 * runs on the pool (os/loop.h). Functions are for any thread unless they say otherwise. */
#ifndef OS_ENV_H
#define OS_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/diag.h"
#include "base/err.h"
#include "base/uuid.h"

struct env;
struct env_file;
struct env_ops; /* os/env_priv.h */

struct env_real_opts {
    enum diag_level level_min;
    int diag_fd; /* 2 for stderr; -1 discards */
    /* Instead of diag_fd: gets whole lines, one call at a time, from any thread. May be NULL. */
    void (*diag_write)(void *ctx, const char *line, size_t len);
    void *diag_ctx;
    /* Flushes do nothing: what is written outlives the process, not a power cut. */
    bool no_sync;
    int64_t memory_bytes_max; /* > 0: files live in memory, at most so many bytes of them */
};

MUST_USE enum err env_real_new(const struct env_real_opts *opts, struct env **out);
/* Raises this process's limit of open files to what the system allows; gives it, 0 unknown. */
int64_t env_real_raise_open_files(void);
/* Whether the kernel's clock is kept by somebody: 1, 0, or -1 when it does not say. */
int env_real_clock_synchronized(void);
/* All loops, pools and files of it must be gone. */
void env_free(struct env **env);

struct diag *env_diag(struct env *env);

/* ---- time and chance ---- */

int64_t env_now_ns(struct env *env); /* monotonic; for every timer and duration */
/* Processor time of the calling thread: what it waited for is not in it. Costs a system call. */
int64_t env_thread_ns(struct env *env);
int64_t env_now_ms(struct env *env);  /* monotonic */
int64_t env_wall_ms(struct env *env); /* wall clock; record timestamps, retention, tokens only */
void env_random(struct env *env, void *out, size_t len); /* cryptographic in the real one */
uint64_t env_random_u64(struct env *env);
struct uuid env_random_uuid(struct env *env); /* a usable version-4 id */

/* ---- files ----
 * Paths are relative to the process's directory or absolute, terminated, '/'-separated. A file is
 * reference-counted: env_file_ref lets a pending sendfile outlive a close. After a failed write or
 * sync the caller must treat the file as failed: no retry (DESIGN.md 5). */

enum env_open_flags {
    ENV_OPEN_READ = 0,
    ENV_OPEN_WRITE = 1,     /* read and write */
    ENV_OPEN_CREATE = 2,    /* create when missing */
    ENV_OPEN_EXCLUSIVE = 4, /* with CREATE: EXISTS when present */
    ENV_OPEN_TRUNCATE = 8,
    /* The system reads what is asked for and no more: what it reads ahead unasked, megabytes maybe,
     * whoever happens to read pays for, on a reactor too. Readers ahead say so: env_will_need. */
    ENV_OPEN_AS_ASKED = 16,
};

enum env_kind { ENV_KIND_FILE, ENV_KIND_DIR, ENV_KIND_OTHER };

struct env_stat {
    enum env_kind kind;
    int64_t size_bytes;
    int64_t mtime_ms;
};

MUST_USE enum err env_open(struct env *env, const char *path, int flags, struct env_file **out);
void env_file_ref(struct env_file *file);
void env_file_close(struct env_file **file); /* drops a reference; nulls */

/* Reads until len bytes or the end of file; *n tells how many. */
MUST_USE enum err env_read_at(
    struct env_file *file, int64_t position, void *data, size_t len, size_t *n);
/* As env_read_at, but ERR_AGAIN instead of waiting when not all of it is in the page cache. */
MUST_USE enum err env_read_at_cached(
    struct env_file *file, int64_t position, void *data, size_t len, size_t *n);
/* A hint: this is read soon, and may be fetched from the disk meanwhile. Does not wait for it, but
 * costs what the memory for it costs. */
void env_will_need(struct env_file *file, int64_t position, int64_t len);
/* Writes all or fails; on failure an unknown part may have been written. */
MUST_USE enum err env_write_at(struct env_file *file, int64_t position, struct bytes data);
MUST_USE enum err env_writev_at(
    struct env_file *file, int64_t position, const struct bytes *parts, int count);
MUST_USE enum err env_sync(struct env_file *file); /* data and what is needed to read it back */
/* IO when the system could not bring something to the disk that was written to the file earlier, by
 * a process that ended before it was told. Writes nothing, waits only for what is under way. */
MUST_USE enum err env_check_written(struct env_file *file);
MUST_USE enum err env_truncate(struct env_file *file, int64_t size_bytes);
/* Reserves the blocks of len bytes from position on; file size as seen by stat does not change.
 * Truncating, also to the size that it has, gives back what is reserved behind. UNSUPPORTED is an
 * ordinary answer. */
MUST_USE enum err env_preallocate(struct env_file *file, int64_t position, int64_t len);
MUST_USE enum err env_file_size(struct env_file *file, int64_t *out);
/* A kernel file descriptor for sendfile, or -1 (simulated, in memory): then read and copy. */
int env_file_fd(struct env_file *file);

MUST_USE enum err env_stat(struct env *env, const char *path, struct env_stat *out);
MUST_USE enum err env_mkdir(struct env *env, const char *path); /* EXISTS when there */
/* Makes what is missing of the path, durably. */
MUST_USE enum err env_mkdir_all(struct env *env, const char *path);
MUST_USE enum err env_rename(struct env *env, const char *from, const char *to); /* replaces */
MUST_USE enum err env_unlink(struct env *env, const char *path);
MUST_USE enum err env_rmdir(struct env *env, const char *path);
MUST_USE enum err env_remove_tree(struct env *env, const char *path); /* NOTFOUND is OK */
/* Makes creations, renames and removals in the directory durable. */
MUST_USE enum err env_sync_dir(struct env *env, const char *path);
/* The file system that a directory lies in, as a file that can only be synced: what anybody wrote
 * or named there before is durable then, and a write that failed after the open is an error.
 * UNSUPPORTED where the system does not promise that. */
MUST_USE enum err env_open_volume(struct env *env, const char *dir, struct env_file **out);
/* Calls fn for each name except . and .., sorted bytewise. fn returning false stops. */
MUST_USE enum err env_list_dir(
    struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx);
/* Advisory lock of a whole file (created when missing) until the file is closed; BUSY when another
 * process or node has it. */
MUST_USE enum err env_lock_file(struct env *env, const char *path, struct env_file **out);
MUST_USE enum err env_disk_space(
    struct env *env, const char *path, int64_t *total_bytes, int64_t *usable_bytes);

/* ---- whole small files, on top of the above (os/env_util.c) ---- */

/* Syncs a file by its name: one that was written through a descriptor which may be closed since. */
MUST_USE enum err env_sync_path(struct env *env, const char *path);
/* Reads a file of at most size_max bytes into a fresh heap block, terminated by a NUL that is not
 * counted. LIMIT when larger. */
MUST_USE enum err env_read_file(
    struct env *env, const char *path, size_t size_max, char **data, size_t *len);
/* Writes path.tmp, syncs it, renames it over path, syncs the directory. */
MUST_USE enum err env_write_file_atomic(struct env *env, const char *path, struct bytes data);
/* The same without the directory: after a power cut there is the old file or the whole new one, the
 * new one for certain once the directory was synced. For several files of one directory. */
MUST_USE enum err env_put_file(struct env *env, const char *path, struct bytes data);

#endif
