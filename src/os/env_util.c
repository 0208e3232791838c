/* What: helpers over the file functions; the same code for the real and the simulated disk. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "os/env.h"

enum { ENV_PATH_MAX = 4096 };

/* The name `path` has in its directory. */
static enum err
sync_parent(struct env *env, const char *path)
{
    char parent[ENV_PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    if (slash == NULL)
        return env_sync_dir(env, ".");
    if (len == 0)
        len = 1; /* the root */
    memcpy(parent, path, len);
    parent[len] = '\0';
    return env_sync_dir(env, parent);
}

enum err
env_mkdir_all(struct env *env, const char *path)
{
    char part[ENV_PATH_MAX];
    struct env_stat st;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part)
        return ERR_INVALID;
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        enum err err = env_mkdir(env, part);
        if (err == ERR_OK) {
            err = sync_parent(env, part);
        } else if (err == ERR_EXISTS) {
            err = env_stat(env, part, &st);
            if (err == ERR_OK && st.kind != ENV_KIND_DIR)
                err = ERR_EXISTS;
            /* A process that was killed may have made it and not come to this. Somebody else's
             * directory need not be readable for us. */
            if (err == ERR_OK && i == len)
                (void)sync_parent(env, part);
        }
        if (err != ERR_OK)
            return err;
    }
    return ERR_OK;
}

struct env_name {
    struct list link;
    char text[];
};

struct env_names {
    struct list head;
    bool failed; /* out of memory */
};

static bool
env_name_take(void *ctx, const char *name)
{
    struct env_names *names = ctx;
    size_t size = strlen(name) + 1;
    struct env_name *copy = mem_alloc(sizeof *copy + size);
    if (copy == NULL) {
        names->failed = true;
        return false;
    }
    memcpy(copy->text, name, size);
    list_push(&names->head, &copy->link);
    return true;
}

/* Depth is bounded by the length of a path: each level adds two bytes at least. */
static enum err
env_remove_at(struct env *env, char *path, size_t len)
{
    struct env_stat st;
    struct env_names names = {.failed = false};
    enum err err = env_stat(env, path, &st);
    if (err != ERR_OK)
        return err;
    if (st.kind != ENV_KIND_DIR)
        return env_unlink(env, path);
    list_init(&names.head);
    err = env_list_dir(env, path, env_name_take, &names);
    if (err == ERR_OK && names.failed)
        err = ERR_NOMEM;
    for (struct list *at; (at = list_pop(&names.head)) != NULL;) {
        struct env_name *name = LIST_ENTRY(at, struct env_name, link);
        size_t more = strlen(name->text) + 1;
        if (err == ERR_OK && len + more >= ENV_PATH_MAX)
            err = ERR_INVALID;
        if (err == ERR_OK) {
            path[len] = '/';
            memcpy(path + len + 1, name->text, more);
            err = env_remove_at(env, path, len + more);
            path[len] = '\0';
        }
        mem_free(name);
    }
    return err == ERR_OK ? env_rmdir(env, path) : err;
}

enum err
env_remove_tree(struct env *env, const char *path)
{
    char buffer[ENV_PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof buffer)
        return ERR_INVALID;
    memcpy(buffer, path, len + 1);
    enum err err = env_remove_at(env, buffer, len);
    return err == ERR_NOTFOUND ? ERR_OK : err;
}

enum err
env_sync_path(struct env *env, const char *path)
{
    struct env_file *file;
    enum err err = env_open(env, path, ENV_OPEN_WRITE, &file);
    if (err != ERR_OK)
        return err;
    err = env_sync(file);
    env_file_close(&file);
    return err;
}

enum err
env_read_file(struct env *env, const char *path, size_t size_max, char **data, size_t *len)
{
    struct env_file *file = NULL;
    char *text = NULL;
    int64_t size = 0;
    size_t n = 0;
    enum err err = env_open(env, path, ENV_OPEN_READ, &file);
    if (err != ERR_OK)
        return err;
    err = env_file_size(file, &size);
    if (err == ERR_OK && (uint64_t)size > size_max)
        err = ERR_LIMIT;
    if (err == ERR_OK && (text = mem_alloc((size_t)size + 1)) == NULL)
        err = ERR_NOMEM;
    if (err == ERR_OK)
        err = env_read_at(file, 0, text, (size_t)size, &n);
    env_file_close(&file);
    if (err != ERR_OK) {
        mem_free(text);
        return err;
    }
    ASSERT(n <= (size_t)size);
    text[n] = '\0';
    *data = text;
    *len = n;
    return ERR_OK;
}

enum err
env_put_file(struct env *env, const char *path, struct bytes data)
{
    char temp[ENV_PATH_MAX];
    struct env_file *file = NULL;
    size_t len = strlen(path);
    if (len + sizeof ".tmp" > sizeof temp)
        return ERR_INVALID;
    memcpy(temp, path, len);
    memcpy(temp + len, ".tmp", sizeof ".tmp");
    enum err err = env_open(env, temp, ENV_OPEN_WRITE | ENV_OPEN_CREATE | ENV_OPEN_TRUNCATE, &file);
    if (err != ERR_OK)
        return err;
    err = env_write_at(file, 0, data);
    if (err == ERR_OK)
        err = env_sync(file);
    env_file_close(&file);
    return err == ERR_OK ? env_rename(env, temp, path) : err;
}

enum err
env_write_file_atomic(struct env *env, const char *path, struct bytes data)
{
    enum err err = env_put_file(env, path, data);
    return err == ERR_OK ? sync_parent(env, path) : err;
}
