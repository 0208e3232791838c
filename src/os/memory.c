/* What: the names of a file system in memory: a tree of directories, each a sorted array.
 *
 * A node lives while it has a name or is open, as a file of the kernel does.
 * Invariants: I1 the children of a directory are sorted bytewise, each once. I2 a node's refs are
 * its name (one) and its open files. Threads: any; `lock` guards the tree, each file's bytes have a
 * lock of their own, which is never held together with it but below it. */
#include "os/memory.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"

enum { NAME_MAX_BYTES = 255 };

struct memory_node {
    struct memory_node *parent; /* NULL: the root, or it has no name any more */
    char *name;
    struct memory_data *data;      /* of a file; NULL: a directory */
    struct memory_node **children; /* of a directory */
    size_t child_count, child_room;
    int refs; /* I2 */
    bool locked;
};

struct memory_fs {
    pthread_mutex_t lock;
    struct memory_node root;
    struct memory_budget budget;
};

struct memory_file {
    struct env_file file;
    struct memory_fs *fs;
    struct memory_node *node;
    bool writable, locks;
};

static bool
is_dir(const struct memory_node *node)
{
    return node->data == NULL;
}

/* ---- nodes ---- */

static enum err
node_new(const char *name, size_t len, struct memory_node **out)
{
    struct memory_node *node = mem_calloc(1, sizeof *node);
    if (node == NULL)
        return ERR_NOMEM;
    node->name = mem_strndup(name, len);
    if (node->name == NULL) {
        mem_free(node);
        return ERR_NOMEM;
    }
    node->refs = 1;
    *out = node;
    return ERR_OK;
}

static void
node_unref(struct memory_node *node)
{
    ASSERT(node->refs > 0);
    if (--node->refs > 0)
        return;
    ASSERT(node->child_count == 0);
    memory_data_free(&node->data);
    mem_free(node->children);
    mem_free(node->name);
    mem_free(node);
}

/* Where the name is among the children, or would be. */
static size_t
child_place(const struct memory_node *dir, const char *name, size_t len, bool *found)
{
    size_t low = 0, high = dir->child_count;
    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *other = dir->children[middle]->name;
        int order = strncmp(other, name, len);
        if (order == 0 && other[len] != '\0')
            order = 1;
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum err
child_reserve(struct memory_node *dir)
{
    if (dir->child_count < dir->child_room)
        return ERR_OK;
    size_t room = dir->child_room * 2 + 8;
    struct memory_node **children = mem_realloc(dir->children, room * sizeof(void *));
    if (children == NULL)
        return ERR_NOMEM;
    dir->children = children;
    dir->child_room = room;
    return ERR_OK;
}

/* There is room and no such name. */
static void
child_add(struct memory_node *dir, struct memory_node *node)
{
    bool found;
    size_t at = child_place(dir, node->name, strlen(node->name), &found);
    ASSERT(!found && dir->child_count < dir->child_room); /* I1 */
    memmove(dir->children + at + 1, dir->children + at, (dir->child_count - at) * sizeof(void *));
    dir->children[at] = node;
    dir->child_count++;
    node->parent = dir;
}

static void
child_remove(struct memory_node *node)
{
    bool found;
    struct memory_node *dir = node->parent;
    size_t at = child_place(dir, node->name, strlen(node->name), &found);
    ASSERT(found && dir->children[at] == node);
    dir->child_count--;
    memmove(dir->children + at, dir->children + at + 1, (dir->child_count - at) * sizeof(void *));
    node->parent = NULL;
}

/* ---- paths ---- */

/* What a path leads to: the directory of its last name and the node there, if any. The root and
 * "." have no last name. */
struct place {
    struct memory_node *dir;
    struct memory_node *node; /* NULL: there is none */
    const char *name;         /* NULL: the node is a directory found without a name */
    size_t name_len;
};

static enum err
find(struct memory_fs *fs, const char *path, struct place *out)
{
    *out = (struct place){.dir = &fs->root, .node = &fs->root};
    for (;;) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        if (len == 0)
            return ERR_OK;
        if (len > NAME_MAX_BYTES)
            return ERR_INVALID;
        if (out->node == NULL || !is_dir(out->node))
            return ERR_NOTFOUND;
        out->dir = out->node;
        out->name = NULL;
        if (len == 2 && memcmp(path, "..", 2) == 0) {
            out->node = out->dir->parent != NULL ? out->dir->parent : &fs->root;
        } else if (len != 1 || path[0] != '.') {
            bool found;
            size_t at = child_place(out->dir, path, len, &found);
            out->node = found ? out->dir->children[at] : NULL;
            out->name = path;
            out->name_len = len;
        }
        path += len;
    }
}

/* ---- open files ---- */

static struct memory_file *
file_of(struct env_file *file)
{
    return (struct memory_file *)file;
}

static void
file_free(struct env_file *file)
{
    struct memory_file *f = file_of(file);
    pthread_mutex_lock(&f->fs->lock);
    if (f->locks)
        f->node->locked = false;
    node_unref(f->node);
    pthread_mutex_unlock(&f->fs->lock);
    mem_free(f);
}

static enum err
file_read_at(struct env_file *file, int64_t position, void *data, size_t len, size_t *n)
{
    *n = memory_data_read(file_of(file)->node->data, position, data, len);
    return ERR_OK;
}

static enum err
file_writev_at(struct env_file *file, int64_t position, const struct bytes *parts, int count)
{
    if (!file_of(file)->writable)
        return ERR_IO; /* as the kernel's EBADF */
    return memory_data_write(file_of(file)->node->data, position, parts, count);
}

static enum err
file_sync(struct env_file *file)
{
    (void)file; /* it is as durable as it will be */
    return ERR_OK;
}

static enum err
file_truncate(struct env_file *file, int64_t size_bytes)
{
    if (!file_of(file)->writable)
        return ERR_INVALID;
    return memory_data_truncate(file_of(file)->node->data, size_bytes);
}

static enum err
file_preallocate(struct env_file *file, int64_t position, int64_t len)
{
    (void)file;
    (void)position;
    (void)len;
    return ERR_UNSUPPORTED;
}

static enum err
file_size(struct env_file *file, int64_t *out)
{
    *out = memory_data_size(file_of(file)->node->data, NULL);
    return ERR_OK;
}

static int
file_fd(struct env_file *file)
{
    (void)file;
    return -1;
}

static const struct env_file_ops memory_file_ops = {
    .free = file_free,
    .read_at = file_read_at,
    .read_at_cached = file_read_at,
    .writev_at = file_writev_at,
    .sync = file_sync,
    .check_written = file_sync,
    .truncate = file_truncate,
    .preallocate = file_preallocate,
    .size = file_size,
    .fd = file_fd,
};

/* A new name with an empty file (or a directory) behind it. */
static enum err
node_make(struct memory_fs *fs, const struct place *place, bool dir, struct memory_node **out)
{
    struct memory_node *node;
    enum err err = child_reserve(place->dir);
    if (err == ERR_OK)
        err = node_new(place->name, place->name_len, &node);
    if (err != ERR_OK)
        return err;
    if (!dir)
        err = memory_data_new(&fs->budget, &node->data);
    if (err != ERR_OK) {
        node_unref(node);
        return err;
    }
    child_add(place->dir, node);
    *out = node;
    return ERR_OK;
}

static enum err
open_node(struct memory_fs *fs, const char *path, int flags, struct memory_node **out)
{
    struct place place;
    enum err err = find(fs, path, &place);
    if (err != ERR_OK)
        return err;
    struct memory_node *node = place.node;
    if (node != NULL && (flags & ENV_OPEN_EXCLUSIVE) != 0)
        return ERR_EXISTS;
    if (node == NULL && (flags & ENV_OPEN_CREATE) == 0)
        return ERR_NOTFOUND;
    if (node == NULL)
        err = node_make(fs, &place, false, &node);
    else if (is_dir(node))
        err = ERR_INVALID;
    else if ((flags & ENV_OPEN_TRUNCATE) != 0)
        err = memory_data_truncate(node->data, 0);
    if (err == ERR_OK)
        *out = node;
    return err;
}

static enum err
open_file(struct memory_fs *fs, const char *path, int flags, bool lock, struct env_file **out)
{
    struct memory_file *file = mem_calloc(1, sizeof *file);
    if (file == NULL)
        return ERR_NOMEM;
    file->file.ops = &memory_file_ops;
    atomic_init(&file->file.refs, 1);
    file->fs = fs;
    file->writable = (flags & ENV_OPEN_WRITE) != 0;
    file->locks = lock;
    pthread_mutex_lock(&fs->lock);
    enum err err = open_node(fs, path, flags, &file->node);
    if (err == ERR_OK && lock && file->node->locked)
        err = ERR_BUSY;
    if (err == ERR_OK) {
        file->node->refs++;
        file->node->locked |= lock;
    }
    pthread_mutex_unlock(&fs->lock);
    if (err != ERR_OK) {
        mem_free(file);
        return err;
    }
    *out = &file->file;
    return ERR_OK;
}

enum err
memory_open(struct env *env, const char *path, int flags, struct env_file **out)
{
    return open_file(env_memory(env), path, flags, false, out);
}

enum err
memory_lock(struct env *env, const char *path, struct env_file **out)
{
    return open_file(env_memory(env), path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, true, out);
}

/* ---- names ---- */

enum err
memory_stat(struct env *env, const char *path, struct env_stat *out)
{
    struct memory_fs *fs = env_memory(env);
    struct place place;
    pthread_mutex_lock(&fs->lock);
    enum err err = find(fs, path, &place);
    if (err == ERR_OK && place.node == NULL)
        err = ERR_NOTFOUND;
    if (err == ERR_OK) {
        *out = (struct env_stat){.kind = is_dir(place.node) ? ENV_KIND_DIR : ENV_KIND_FILE};
        if (!is_dir(place.node))
            out->size_bytes = memory_data_size(place.node->data, &out->mtime_ms);
    }
    pthread_mutex_unlock(&fs->lock);
    return err;
}

enum err
memory_mkdir(struct env *env, const char *path)
{
    struct memory_fs *fs = env_memory(env);
    struct place place;
    struct memory_node *made;
    pthread_mutex_lock(&fs->lock);
    enum err err = find(fs, path, &place);
    if (err == ERR_OK)
        err = place.node != NULL ? ERR_EXISTS : node_make(fs, &place, true, &made);
    pthread_mutex_unlock(&fs->lock);
    return err;
}

/* Whether `node` may take the place of what `to` leads to. */
static enum err
rename_check(const struct memory_node *node, const struct place *to)
{
    if (to->name == NULL)
        return ERR_INVALID;
    for (const struct memory_node *at = to->dir; at != NULL; at = at->parent)
        if (at == node)
            return ERR_INVALID; /* into itself */
    if (to->node == NULL)
        return ERR_OK;
    if (!is_dir(node) && is_dir(to->node))
        return ERR_INVALID;
    if (is_dir(node) && !is_dir(to->node))
        return ERR_NOTFOUND;
    return to->node->child_count > 0 ? ERR_EXISTS : ERR_OK;
}

static enum err
rename_locked(struct memory_fs *fs, const char *from, const char *to)
{
    struct place old, new;
    enum err err = find(fs, from, &old);
    if (err == ERR_OK && old.node == NULL)
        err = ERR_NOTFOUND;
    else if (err == ERR_OK && old.name == NULL)
        err = ERR_INVALID;
    if (err == ERR_OK)
        err = find(fs, to, &new);
    if (err != ERR_OK || old.node == new.node)
        return err;
    err = rename_check(old.node, &new);
    if (err == ERR_OK)
        err = child_reserve(new.dir);
    if (err != ERR_OK)
        return err;
    char *name = mem_strndup(new.name, new.name_len);
    if (name == NULL)
        return ERR_NOMEM;
    if (new.node != NULL) {
        child_remove(new.node);
        node_unref(new.node);
    }
    child_remove(old.node);
    mem_free(old.node->name);
    old.node->name = name;
    child_add(new.dir, old.node);
    return ERR_OK;
}

enum err
memory_rename(struct env *env, const char *from, const char *to)
{
    struct memory_fs *fs = env_memory(env);
    pthread_mutex_lock(&fs->lock);
    enum err err = rename_locked(fs, from, to);
    pthread_mutex_unlock(&fs->lock);
    return err;
}

static enum err
remove_name(struct memory_fs *fs, const char *path, bool dir)
{
    struct place place;
    pthread_mutex_lock(&fs->lock);
    enum err err = find(fs, path, &place);
    if (err == ERR_OK && place.node == NULL)
        err = ERR_NOTFOUND;
    else if (err == ERR_OK && place.name == NULL)
        err = ERR_INVALID;
    else if (err == ERR_OK && is_dir(place.node) != dir)
        err = dir ? ERR_NOTFOUND : ERR_INVALID;
    else if (err == ERR_OK && place.node->child_count > 0)
        err = ERR_EXISTS;
    if (err == ERR_OK) {
        child_remove(place.node);
        node_unref(place.node);
    }
    pthread_mutex_unlock(&fs->lock);
    return err;
}

enum err
memory_unlink(struct env *env, const char *path)
{
    return remove_name(env_memory(env), path, false);
}

enum err
memory_rmdir(struct env *env, const char *path)
{
    return remove_name(env_memory(env), path, true);
}

enum err
memory_sync_dir(struct env *env, const char *path)
{
    struct env_stat st;
    enum err err = memory_stat(env, path, &st);
    return err == ERR_OK && st.kind != ENV_KIND_DIR ? ERR_NOTFOUND : err;
}

enum err
memory_open_volume(struct env *env, const char *dir, struct env_file **out)
{
    (void)env;
    (void)dir;
    (void)out;
    return ERR_UNSUPPORTED; /* nothing to gain */
}

/* The names of a directory, one after the other with their NULs; fn may use the file system. */
static enum err
copy_names(struct memory_fs *fs, const char *path, char **out, size_t *size)
{
    struct place place;
    enum err err = find(fs, path, &place);
    size_t total = 0;
    if (err != ERR_OK || place.node == NULL || !is_dir(place.node))
        return err != ERR_OK ? err : ERR_NOTFOUND;
    for (size_t i = 0; i < place.node->child_count; i++)
        total += strlen(place.node->children[i]->name) + 1;
    char *names = mem_alloc(total), *at = names;
    if (names == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < place.node->child_count; i++) {
        size_t len = strlen(place.node->children[i]->name) + 1;
        memcpy(at, place.node->children[i]->name, len);
        at += len;
    }
    *out = names;
    *size = total;
    return ERR_OK;
}

enum err
memory_list_dir(
    struct env *env, const char *path, bool (*fn)(void *ctx, const char *name), void *ctx)
{
    struct memory_fs *fs = env_memory(env);
    char *names = NULL;
    size_t size = 0;
    pthread_mutex_lock(&fs->lock);
    enum err err = copy_names(fs, path, &names, &size);
    pthread_mutex_unlock(&fs->lock);
    if (err != ERR_OK)
        return err;
    for (char *at = names; at < names + size && fn(ctx, at);)
        at += strlen(at) + 1;
    mem_free(names);
    return ERR_OK;
}

enum err
memory_disk_space(struct env *env, const char *path, int64_t *total, int64_t *usable)
{
    struct memory_fs *fs = env_memory(env);
    (void)path;
    *total = fs->budget.max_bytes;
    *usable = fs->budget.max_bytes - atomic_load(&fs->budget.used_bytes);
    return ERR_OK;
}

/* ---- life ---- */

enum err
memory_fs_new(int64_t size_bytes_max, struct memory_fs **out)
{
    ASSERT(size_bytes_max > 0);
    struct memory_fs *fs = mem_calloc(1, sizeof *fs);
    if (fs == NULL)
        return ERR_NOMEM;
    pthread_mutex_init(&fs->lock, NULL);
    fs->root.refs = 1;
    fs->budget.max_bytes = size_bytes_max;
    *out = fs;
    return ERR_OK;
}

/* Leaves first; the way back up is the parent. */
static void
free_children(struct memory_node *top)
{
    struct memory_node *at = top;
    for (;;) {
        if (at->child_count > 0) {
            at = at->children[at->child_count - 1];
            continue;
        }
        if (at == top)
            return;
        struct memory_node *parent = at->parent;
        ASSERT(at->refs == 1); /* no file is open */
        child_remove(at);
        node_unref(at);
        at = parent;
    }
}

void
memory_fs_free(struct memory_fs **fs)
{
    struct memory_fs *f = *fs;
    if (f == NULL)
        return;
    free_children(&f->root);
    mem_free(f->root.children);
    ASSERT(atomic_load(&f->budget.used_bytes) == 0);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
    *fs = NULL;
}
