/* What: settling .deleted, .cleaned and .swap files before a log is loaded. Each step may be
 * interrupted and is then simply done again. */
#include "log/log_swap.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "log/file_name.h"
#include "wire/batch.h"

enum swap_pass {
    SWAP_PASS_LOOK,    /* find the lowest .cleaned */
    SWAP_PASS_CLEAN,   /* remove .deleted and invalid .swap; find the range of the others */
    SWAP_PASS_REPLACE, /* remove plain files in that range, and .cleaned */
    SWAP_PASS_RENAME,  /* .swap becomes plain */
};

struct swap {
    struct env *env;
    const char *dir;
    enum swap_pass pass;
    int64_t cleaned_min;
    int64_t swap_first, swap_end; /* offsets of valid .swap files */
    enum err err;
};

/* Next offset after the last whole batch of a file; its base when there is none. */
static enum err
file_end_offset(struct env *env, const char *path, int64_t base_offset, int64_t *out)
{
    struct env_file *file;
    uint8_t header[BATCH_HEADER_SIZE];
    struct batch_view batch;
    int64_t at = 0, size, end = base_offset;
    enum err err = env_open(env, path, ENV_OPEN_READ, &file);
    if (err != ERR_OK)
        return err;
    err = env_file_size(file, &size);
    while (err == ERR_OK && at + BATCH_HEADER_SIZE <= size) {
        size_t n;
        err = env_read_at(file, at, header, sizeof header, &n);
        if (err != ERR_OK || n < sizeof header ||
            batch_parse_header((struct bytes){header, n}, &batch) != ERR_OK ||
            (int64_t)batch.size_bytes > size - at)
            break;
        end = batch_last_offset(&batch) + 1;
        at += (int64_t)batch.size_bytes;
    }
    env_file_close(&file);
    if (err == ERR_OK)
        *out = end;
    return err;
}

static enum err
take_valid_swap(struct swap *s, const char *path, const struct log_file_name *file)
{
    int64_t end;
    if (file->kind != LOG_FILE_LOG)
        return ERR_OK;
    enum err err = file_end_offset(s->env, path, file->base_offset, &end);
    if (err != ERR_OK)
        return err;
    if (file->base_offset < s->swap_first)
        s->swap_first = file->base_offset;
    if (end == file->base_offset)
        end++; /* nothing is left in it: the files of that very name go all the same */
    if (end > s->swap_end)
        s->swap_end = end;
    return ERR_OK;
}

static enum err
swap_clean(struct swap *s, const char *path, const struct log_file_name *file)
{
    switch (file->phase) {
    case LOG_FILE_PLAIN:
    case LOG_FILE_CLEANED: /* goes last: while it is there, the .swap files above it are invalid */
        return ERR_OK;
    case LOG_FILE_DELETED: return env_unlink(s->env, path);
    case LOG_FILE_SWAP:
        return file->base_offset >= s->cleaned_min ? env_unlink(s->env, path)
                                                   : take_valid_swap(s, path, file);
    }
    UNREACHABLE();
}

static enum err
swap_rename(struct swap *s, const char *path, const struct log_file_name *file)
{
    char plain[LOG_PATH_MAX];
    if (file->phase != LOG_FILE_SWAP)
        return ERR_OK;
    if (!log_file_path(plain, s->dir, file->base_offset, file->kind))
        return ERR_INVALID;
    return env_rename(s->env, path, plain);
}

static bool
swap_take(void *ctx, const char *name)
{
    struct swap *s = ctx;
    char path[LOG_PATH_MAX];
    struct log_file_name file = log_file_name_parse(name);
    if (file.kind == LOG_FILE_OTHER)
        return true;
    if (!log_path_join(path, s->dir, name)) {
        s->err = ERR_INVALID;
        return false;
    }
    switch (s->pass) {
    case SWAP_PASS_LOOK:
        if (file.phase == LOG_FILE_CLEANED && file.base_offset < s->cleaned_min)
            s->cleaned_min = file.base_offset;
        break;
    case SWAP_PASS_CLEAN: s->err = swap_clean(s, path, &file); break;
    case SWAP_PASS_REPLACE:
        if (file.phase == LOG_FILE_PLAIN && file.kind != LOG_FILE_SNAPSHOT &&
            file.base_offset >= s->swap_first && file.base_offset < s->swap_end)
            s->err = env_unlink(s->env, path);
        if (file.phase == LOG_FILE_CLEANED)
            s->err = env_unlink(s->env, path);
        break;
    case SWAP_PASS_RENAME: s->err = swap_rename(s, path, &file); break;
    }
    return s->err == ERR_OK;
}

enum err
log_swap_settle(struct env *env, const char *dir)
{
    struct swap s = {.env = env,
        .dir = dir,
        .cleaned_min = INT64_MAX,
        .swap_first = INT64_MAX,
        .swap_end = INT64_MIN};
    for (int pass = SWAP_PASS_LOOK; pass <= SWAP_PASS_RENAME; pass++) {
        s.pass = (enum swap_pass)pass;
        enum err err = env_list_dir(env, dir, swap_take, &s);
        if (err == ERR_OK)
            err = s.err;
        if (err != ERR_OK)
            return err;
    }
    return env_sync_dir(env, dir);
}
