/* What: the env of one life of a host: clocks, entropy, files on the simulated disk, and the fate
 * of each operation (fine, failed, or the moment of a crash).
 * Invariants: I1 once dead, every operation is ERR_FAILED and has no effect. I2 a file of a dead
 * life holds its inode but no lock.
 * Errors: what a kernel gives, plus FAILED. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "os/sim_priv.h"

enum { SIM_COLD_PPM = 125000 }; /* reads that find nothing in the page cache */

struct sim_file {
    struct env_file file;
    struct sim_env *env;
    struct sim_inode *inode; /* reference */
    char *path;              /* owned; as it was opened */
    bool writable;
    bool locks;
};

static struct sim_env *
env_of(struct env *env)
{
    return (struct sim_env *)env;
}

static struct sim_file *
file_of(struct env_file *file)
{
    return (struct sim_file *)file;
}

static char *
path_copy(const char *path)
{
    char *copy = sim_alloc(strlen(path) + 1);
    memcpy(copy, path, strlen(path) + 1);
    return copy;
}

/* ---- fate ---- */

/* The error that was ordered for this operation, or OK. */
static enum err
fate_ordered(struct sim_host *host, enum sim_op op)
{
    enum err err = ERR_OK;
    for (int i = 0; i < 2; i++) {
        enum sim_op of = i == 0 ? SIM_OP_ANY : op;
        if ((i == 1 && op == SIM_OP_ANY) || host->fail[of].nth == 0)
            continue;
        if (--host->fail[of].nth == 0)
            err = host->fail[of].err;
    }
    return err;
}

static uint32_t
fate_ppm(const struct sim_disk_faults *faults, enum sim_op op)
{
    switch (op) {
    case SIM_OP_READ: return faults->read_error_ppm;
    case SIM_OP_WRITE: return faults->write_error_ppm;
    case SIM_OP_SYNC: return faults->sync_error_ppm;
    case SIM_OP_OPEN: return faults->open_error_ppm;
    case SIM_OP_RENAME: return faults->rename_error_ppm;
    case SIM_OP_ANY: return 0;
    }
    UNREACHABLE();
}

static bool
is_spared(const struct sim_host *host, const char *path)
{
    size_t len = strlen(host->faults_below);
    if (len == 0)
        return false;
    return path == NULL || strncmp(path, host->faults_below, len) != 0 ||
           (path[len] != '/' && path[len] != '\0');
}

struct sim_fate
sim_fate(struct sim_env *env, enum sim_op op, const char *path)
{
    struct sim_host *host = env->host;
    struct sim *sim = host->sim;
    struct sim_fate fate = {.err = ERR_OK, .effect = true};
    if (env->dead)
        return (struct sim_fate){.err = ERR_FAILED};
    if (!is_spared(host, path)) {
        fate.err = fate_ordered(host, op);
        if (fate.err == ERR_OK && sim_chance(sim, fate_ppm(&host->faults, op)))
            fate.err = ERR_IO;
    }
    if (fate.err != ERR_OK) {
        sim->faults++;
        fate.effect = fate.partial = op == SIM_OP_WRITE && sim_below(sim, 2) == 0;
    }
    if (host->crash_nth > 0 && --host->crash_nth == 0) {
        /* Before, in the middle of, or after it; its caller never hears. */
        uint64_t when = sim_below(sim, 3);
        fate.err = ERR_FAILED;
        fate.effect = when > 0;
        fate.partial = when == 1;
        fate.crash_after = true;
        host->crash_pending = true;
    }
    return fate;
}

static bool
lacks_descriptor(struct sim_env *env)
{
    if (env->dead || !env->host->faults.no_descriptors)
        return false;
    env->host->sim->faults++;
    return true;
}

enum err
sim_fate_end(struct sim_env *env, const struct sim_fate *fate)
{
    if (fate->crash_after && !env->dead)
        sim_host_crash(env->host, env->host->crash_kind);
    return fate->err;
}

static void
trace_disk(struct sim_env *env, uint64_t what, const struct sim_inode *inode, uint64_t more)
{
    sim_trace(env->host->sim, SIM_EVENT_DISK, (uint64_t)env->host->id << 32 | inode->id,
        what << 56 ^ more);
}

/* ---- files ---- */

static void
sim_file_free(struct env_file *file)
{
    struct sim_file *f = file_of(file);
    if (f->locks && !f->env->dead)
        f->inode->locked = false; /* I2 */
    f->env->file_count--;
    inode_unref(f->inode);
    sim_release(f->path);
    sim_release(f);
}

static enum err
sim_file_read_at(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    struct sim_file *f = file_of(file);
    struct sim_fate fate = sim_fate(f->env, SIM_OP_READ, f->path);
    if (fate.err == ERR_OK) {
        struct bytes view = sim_file_view(file, position, len);
        if (view.len > 0)
            memcpy(data, view.data, view.len);
        trace_disk(f->env, 1, f->inode, (uint64_t)position ^ view.len << 32);
        *n = view.len;
    }
    return sim_fate_end(f->env, &fate);
}

static enum err
sim_file_read_at_cached(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    struct sim_file *f = file_of(file);
    if (!f->env->dead && sim_chance(f->env->host->sim, SIM_COLD_PPM))
        return ERR_AGAIN;
    return sim_file_read_at(file, position, data, len, n);
}

struct bytes
sim_file_view(struct env_file *file, int64_t position, size_t len)
{
    const struct sim_inode *inode = file_of(file)->inode;
    if ((size_t)position >= inode->size)
        return (struct bytes){(const uint8_t *)"", 0};
    size_t rest = inode->size - (size_t)position;
    return (struct bytes){inode->data + position, len < rest ? len : rest};
}

/* Whether the disk can take a file that ends at `end`. */
static bool
disk_has_room(struct sim_env *env, const struct sim_inode *inode, int64_t end)
{
    int64_t capacity = env->host->faults.capacity_bytes;
    if (capacity == 0 || end <= (int64_t)inode->size)
        return true;
    return disk_used_bytes(&env->host->disk) + end - (int64_t)inode->size <= capacity;
}

static enum err
sim_file_writev_at(struct env_file *file, int64_t position, const struct bytes *parts, int count)
{
    struct sim_file *f = file_of(file);
    struct sim *sim = f->env->host->sim;
    ASSERT(f->writable);
    struct sim_fate fate = sim_fate(f->env, SIM_OP_WRITE, f->path);
    size_t total = 0, allowed;
    for (int i = 0; i < count; i++)
        total += parts[i].len;
    allowed = fate.partial ? (size_t)sim_below(sim, total + 1) : total;
    if (fate.effect && !disk_has_room(f->env, f->inode, position + (int64_t)allowed)) {
        fate.err = fate.crash_after ? ERR_FAILED : ERR_NOSPACE;
        allowed = (size_t)sim_below(sim, total + 1);
        if (!disk_has_room(f->env, f->inode, position + (int64_t)allowed))
            allowed = 0;
    }
    if (fate.effect) {
        f->inode->mtime_ms = env_wall_ms(&f->env->env);
        for (int i = 0; i < count && allowed > 0; i++) {
            size_t len = parts[i].len < allowed ? parts[i].len : allowed;
            inode_write(f->inode, position, parts[i].data, len);
            trace_disk(f->env, 2, f->inode, (uint64_t)position ^ hash_bytes(parts[i].data, len));
            position += (int64_t)len;
            allowed -= len;
        }
    }
    return sim_fate_end(f->env, &fate);
}

static enum err
sim_file_sync(struct env_file *file)
{
    struct sim_file *f = file_of(file);
    struct sim_fate fate = sim_fate(f->env, SIM_OP_SYNC, f->path);
    uint64_t before = f->inode->disk->write_next;
    trace_disk(f->env, 3, f->inode, fate.err);
    sim_pool_wait(f->env);
    if (f->env->dead)
        return ERR_FAILED;
    if (fate.err == ERR_OK || (fate.crash_after && fate.effect && !fate.partial))
        inode_sync(f->inode, before);
    else if (!fate.crash_after)
        inode_sync_lost(f->inode, before);
    return sim_fate_end(f->env, &fate);
}

static enum err
sim_file_check_written(struct env_file *file)
{
    /* Here a failed sync is always told to whoever asked for it. */
    return file_of(file)->env->dead ? ERR_FAILED : ERR_OK;
}

static enum err
sim_file_truncate(struct env_file *file, int64_t size_bytes)
{
    struct sim_file *f = file_of(file);
    ASSERT(f->writable);
    struct sim_fate fate = sim_fate(f->env, SIM_OP_WRITE, f->path);
    if (fate.effect && !disk_has_room(f->env, f->inode, size_bytes) && fate.err == ERR_OK) {
        fate.err = ERR_NOSPACE;
        fate.effect = false;
    }
    if (fate.effect && !fate.partial) {
        inode_truncate(f->inode, size_bytes);
        trace_disk(f->env, 4, f->inode, (uint64_t)size_bytes);
    }
    return sim_fate_end(f->env, &fate);
}

static enum err
sim_file_preallocate(struct env_file *file, int64_t position, int64_t len)
{
    struct sim_file *f = file_of(file);
    struct sim_fate fate = sim_fate(f->env, SIM_OP_ANY, f->path);
    if (fate.err == ERR_OK && !f->env->host->can_preallocate)
        fate.err = ERR_UNSUPPORTED;
    if (fate.err == ERR_OK && !disk_has_room(f->env, f->inode, position + len))
        fate.err = ERR_NOSPACE;
    return sim_fate_end(f->env, &fate);
}

static enum err
sim_file_size(struct env_file *file, int64_t *out)
{
    struct sim_file *f = file_of(file);
    if (f->env->dead)
        return ERR_FAILED;
    *out = (int64_t)f->inode->size;
    return ERR_OK;
}

static int
sim_file_fd(struct env_file *file)
{
    (void)file;
    return -1;
}

static const struct env_file_ops sim_file_ops = {
    .free = sim_file_free,
    .read_at = sim_file_read_at,
    .read_at_cached = sim_file_read_at_cached,
    .writev_at = sim_file_writev_at,
    .sync = sim_file_sync,
    .check_written = sim_file_check_written,
    .truncate = sim_file_truncate,
    .preallocate = sim_file_preallocate,
    .size = sim_file_size,
    .fd = sim_file_fd,
};

/* ---- volumes ---- */

static enum err
sim_volume_sync(struct env_file *file)
{
    struct sim_file *f = file_of(file);
    struct sim_host *host = f->env->host;
    struct sim_fate fate = sim_fate(f->env, SIM_OP_SYNC, f->path);
    uint64_t before = host->disk.write_next;
    trace_disk(f->env, 11, f->inode, fate.err);
    sim_pool_wait(f->env);
    if (f->env->dead)
        return ERR_FAILED;
    if (fate.err == ERR_OK || (fate.crash_after && fate.effect && !fate.partial))
        disk_sync_all(&host->disk, before);
    else if (host->faults_below[0] != '\0' && !fate.crash_after)
        return sim_fate_end(f->env, &fate);     /* another part of the disk is not to suffer */
    else if (fate.partial || !fate.crash_after) /* some of it, in the order of the disk */
        disk_sync_some(&host->disk, before, fate.crash_after, host->sim);
    return sim_fate_end(f->env, &fate);
}

static const struct env_file_ops sim_volume_ops = {
    .free = sim_file_free,
    .sync = sim_volume_sync,
    .fd = sim_file_fd,
};

/* ---- paths ---- */

static enum err
open_inode(struct sim_env *env, const char *path, int flags, struct sim_inode **out)
{
    struct sim_disk *disk = &env->host->disk;
    struct sim_inode *inode = NULL;
    enum err err = disk_find(disk, path, &inode);
    if (err == ERR_NOTFOUND && (flags & ENV_OPEN_CREATE) != 0) {
        err = disk_create(disk, path, ENV_KIND_FILE, &inode);
        if (err == ERR_OK)
            inode->mtime_ms = env_wall_ms(&env->env);
    } else if (err == ERR_OK && (flags & ENV_OPEN_EXCLUSIVE) != 0) {
        err = ERR_EXISTS;
    } else if (err == ERR_OK && inode->kind != ENV_KIND_FILE) {
        err = ERR_INVALID;
    }
    if (err == ERR_OK && (flags & ENV_OPEN_TRUNCATE) != 0)
        inode_truncate(inode, 0);
    if (err == ERR_OK)
        *out = inode;
    return err;
}

static enum err
sim_env_open(struct env *base, const char *path, int flags, struct env_file **out)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    if (lacks_descriptor(env))
        return ERR_LIMIT;
    struct sim_fate fate = sim_fate(env, SIM_OP_OPEN, path);
    enum err err = fate.effect ? open_inode(env, path, flags, &inode) : ERR_OK;
    if (fate.err == ERR_OK)
        fate.err = err;
    if (fate.err == ERR_OK) {
        struct sim_file *file = sim_alloc(sizeof *file);
        file->file.ops = &sim_file_ops;
        atomic_init(&file->file.refs, 1);
        file->env = env;
        file->inode = inode;
        file->path = path_copy(path);
        file->writable = (flags & ENV_OPEN_WRITE) != 0;
        inode->refs++;
        env->file_count++;
        trace_disk(env, 5, inode, (uint64_t)flags);
        *out = &file->file;
    }
    return sim_fate_end(env, &fate);
}

static enum err
sim_env_lock_file(struct env *base, const char *path, struct env_file **out)
{
    struct env_file *file = NULL;
    enum err err = sim_env_open(base, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file);
    if (err != ERR_OK)
        return err;
    struct sim_file *f = file_of(file);
    if (f->inode->locked) {
        env_file_close(&file);
        return ERR_BUSY;
    }
    f->inode->locked = f->locks = true;
    *out = file;
    return ERR_OK;
}

static enum err
sim_env_stat(struct env *base, const char *path, struct env_stat *out)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    if (env->dead)
        return ERR_FAILED;
    enum err err = disk_find(&env->host->disk, path, &inode);
    if (err != ERR_OK)
        return err;
    *out = (struct env_stat){
        .kind = inode->kind, .size_bytes = (int64_t)inode->size, .mtime_ms = inode->mtime_ms};
    return ERR_OK;
}

/* Ends an operation on names: `err` is what it came to where it had its effect. */
static enum err
name_op_end(struct sim_env *env, struct sim_fate *fate, uint64_t what, enum err err)
{
    if (fate->err == ERR_OK)
        fate->err = err;
    trace_disk(env, what, env->host->disk.root, fate->err);
    return sim_fate_end(env, fate);
}

static enum err
sim_env_mkdir(struct env *base, const char *path)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    struct sim_fate fate = sim_fate(env, SIM_OP_OPEN, path);
    enum err err = ERR_OK;
    if (fate.effect && disk_find(&env->host->disk, path, &inode) == ERR_OK)
        err = ERR_EXISTS;
    else if (fate.effect)
        err = disk_create(&env->host->disk, path, ENV_KIND_DIR, &inode);
    return name_op_end(env, &fate, 6, err);
}

static enum err
sim_env_rename(struct env *base, const char *from, const char *to)
{
    struct sim_env *env = env_of(base);
    struct sim_fate fate = sim_fate(env, SIM_OP_RENAME, to);
    enum err err = fate.effect ? disk_rename(&env->host->disk, from, to) : ERR_OK;
    return name_op_end(env, &fate, 7, err);
}

static enum err
sim_env_unlink(struct env *base, const char *path)
{
    struct sim_env *env = env_of(base);
    struct sim_fate fate = sim_fate(env, SIM_OP_RENAME, path);
    enum err err = fate.effect ? disk_unlink(&env->host->disk, path, ENV_KIND_FILE) : ERR_OK;
    return name_op_end(env, &fate, 8, err);
}

static enum err
sim_env_rmdir(struct env *base, const char *path)
{
    struct sim_env *env = env_of(base);
    struct sim_fate fate = sim_fate(env, SIM_OP_RENAME, path);
    enum err err = fate.effect ? disk_unlink(&env->host->disk, path, ENV_KIND_DIR) : ERR_OK;
    return name_op_end(env, &fate, 9, err);
}

static enum err
sim_env_sync_dir(struct env *base, const char *path)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    if (lacks_descriptor(env))
        return ERR_LIMIT;
    struct sim_fate fate = sim_fate(env, SIM_OP_SYNC, path);
    uint64_t before = env->host->disk.write_next;
    enum err err = fate.err == ERR_OK ? disk_find(&env->host->disk, path, &inode) : ERR_OK;
    if (err == ERR_OK && inode != NULL && inode->kind != ENV_KIND_DIR)
        err = ERR_NOTFOUND;
    if (err != ERR_OK || inode == NULL)
        return name_op_end(env, &fate, 10, err);
    inode->refs++;
    sim_pool_wait(env);
    if (!env->dead)
        disk_sync_dir(&env->host->disk, inode, before);
    inode_unref(inode);
    return env->dead ? ERR_FAILED : name_op_end(env, &fate, 10, ERR_OK);
}

static enum err
sim_env_open_volume(struct env *base, const char *dir, struct env_file **out)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    if (env->dead)
        return ERR_FAILED;
    if (!env->host->can_sync_volumes)
        return ERR_UNSUPPORTED;
    enum err err = disk_find(&env->host->disk, dir, &inode);
    if (err != ERR_OK)
        return err;
    struct sim_file *file = sim_alloc(sizeof *file);
    file->file.ops = &sim_volume_ops;
    atomic_init(&file->file.refs, 1);
    file->env = env;
    file->inode = inode;
    file->path = path_copy(dir);
    inode->refs++;
    env->file_count++;
    *out = &file->file;
    return ERR_OK;
}

static enum err
sim_env_list_dir(
    struct env *base, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    struct sim_fate fate = sim_fate(env, SIM_OP_READ, path);
    if (fate.err != ERR_OK)
        return sim_fate_end(env, &fate);
    enum err err = disk_find(&env->host->disk, path, &inode);
    if (err == ERR_OK && inode->kind != ENV_KIND_DIR)
        err = ERR_NOTFOUND;
    if (err != ERR_OK)
        return err;
    /* fn may change the directory: it gets the names as they were. */
    size_t count = inode->names.count;
    char **names = sim_alloc((count + 1) * sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = strdup(inode->names.entries[i].name);
    bool more = true;
    for (size_t i = 0; i < count; i++) {
        ASSERT(names[i] != NULL);
        if (more)
            more = fn(ctx, names[i]);
        sim_release(names[i]);
    }
    sim_release(names);
    return ERR_OK;
}

static enum err
sim_env_disk_space(struct env *base, const char *path, int64_t *total, int64_t *usable)
{
    struct sim_env *env = env_of(base);
    struct sim_inode *inode = NULL;
    if (env->dead)
        return ERR_FAILED;
    enum err err = disk_find(&env->host->disk, path, &inode);
    if (err != ERR_OK)
        return err;
    int64_t capacity = env->host->faults.capacity_bytes;
    *total = capacity == 0 ? (int64_t)1 << 40 : capacity;
    int64_t used = disk_used_bytes(&env->host->disk);
    *usable = used > *total ? 0 : *total - used;
    return ERR_OK;
}

/* ---- clocks, entropy, diagnostics ---- */

static int64_t
sim_env_now_ns(struct env *env)
{
    return env_of(env)->host->sim->now_ns;
}

static int64_t
sim_env_wall_ms(struct env *env)
{
    const struct sim_host *host = env_of(env)->host;
    return host->sim->opts.wall_start_ms + host->wall_jump_ms + host->sim->now_ns / 1000000;
}

static void
sim_env_random(struct env *env, void *out, size_t len)
{
    uint64_t *state = &env_of(env)->host->rng_env;
    uint8_t *at = out;
    for (size_t i = 0; i < len; i++) {
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        at[i] = (uint8_t)(hash_bytes(state, sizeof *state) >> 24);
    }
}

static void
sim_diag_write(void *ctx, const char *line, size_t len)
{
    const struct sim_env *env = ctx;
    int64_t now_us = env->host->sim->now_ns / 1000;
    fprintf(stderr, "[%lld.%06d %s] %.*s", (long long)(now_us / 1000000), (int)(now_us % 1000000),
        env->host->name, (int)len, line);
}

static int64_t
sim_diag_now(void *ctx)
{
    return sim_env_wall_ms(ctx);
}

/* ---- life ---- */

static void
sim_env_free(struct env *base)
{
    struct sim_env *env = env_of(base);
    ASSERT(list_empty(&env->loops));
    ASSERT(list_empty(&env->pools));
    ASSERT(list_empty(&env->socks));
    ASSERT(list_empty(&env->listeners));
    ASSERT(env->file_count == 0);
    if (env->host->env == env)
        env->host->env = NULL;
    diag_free(&env->env.diag);
    sim_release(env);
}

static const struct env_ops sim_env_ops = {
    .free = sim_env_free,
    .now_ns = sim_env_now_ns,
    .thread_ns = sim_env_now_ns, /* nothing takes time in between */
    .wall_ms = sim_env_wall_ms,
    .random = sim_env_random,
    .open = sim_env_open,
    .stat = sim_env_stat,
    .mkdir = sim_env_mkdir,
    .rename = sim_env_rename,
    .unlink = sim_env_unlink,
    .rmdir = sim_env_rmdir,
    .sync_dir = sim_env_sync_dir,
    .open_volume = sim_env_open_volume,
    .list_dir = sim_env_list_dir,
    .lock_file = sim_env_lock_file,
    .disk_space = sim_env_disk_space,
    .loop_new = sim_loop_new,
    .pool_new = sim_pool_new,
    .resolve = sim_resolve,
};

enum err
sim_env_new(struct sim_host *host, struct sim_env **out)
{
    struct sim_env *env = sim_alloc(sizeof *env);
    struct diag_opts diag_opts = {.level_min = host->sim->opts.level_min,
        .write = sim_diag_write,
        .now_ms = sim_diag_now,
        .ctx = env};
    env->env.ops = &sim_env_ops;
    env->host = host;
    list_init(&env->loops);
    list_init(&env->pools);
    list_init(&env->socks);
    list_init(&env->listeners);
    enum err err = diag_new(&diag_opts, &env->env.diag);
    if (err != ERR_OK) {
        sim_release(env);
        return err;
    }
    *out = env;
    return ERR_OK;
}
