#include "tests/fuzz/files.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "wire/batch.h"

enum { PATH_SIZE = 512 };

void
fuzz_host_open(struct fuzz_host *host)
{
    const struct sim_opts opts = {
        .seed = 1, .level_min = DIAG_ERROR + 1, .wall_start_ms = 1700000000000};
    ASSERT(sim_new(&opts, &host->sim) == ERR_OK);
    ASSERT(sim_host_new(host->sim, "h", "10.0.0.1", &host->host) == ERR_OK);
    ASSERT(sim_host_boot(host->host, &host->env) == ERR_OK);
}

void
fuzz_host_close(struct fuzz_host *host)
{
    env_free(&host->env);
    sim_free(&host->sim);
}

void
fuzz_batches_seal(uint8_t *data, size_t len)
{
    struct batch_view b;
    for (size_t at = 0; batch_parse((struct bytes){data + at, len - at}, &b) == ERR_OK;) {
        batch_seal(data + at, b.size_bytes);
        at += b.size_bytes;
    }
}

bool
fuzz_piece_next(struct bytes *input, struct bytes *piece)
{
    if (input->len < 2)
        return false;
    size_t len = load_be16(input->data);
    if (len > input->len - 2)
        len = input->len - 2;
    *piece = (struct bytes){input->data + 2, len};
    input->data += 2 + len;
    input->len -= 2 + len;
    return true;
}

void
fuzz_file_add(struct fuzz_host *host, const char *path, struct bytes content)
{
    char dir[PATH_SIZE];
    struct env_file *file;
    int64_t size;
    snprintf(dir, sizeof dir, "%s", path);
    *strrchr(dir, '/') = '\0';
    if (env_mkdir_all(host->env, dir) != ERR_OK ||
        env_open(host->env, path, ENV_OPEN_WRITE | ENV_OPEN_CREATE, &file) != ERR_OK)
        return;
    ASSERT(env_file_size(file, &size) == ERR_OK);
    ASSERT(env_write_at(file, size, content) == ERR_OK);
    env_file_close(&file);
}

static bool
holds_batches(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (strcmp(dot, ".log") == 0 || strcmp(dot, ".checkpoint") == 0);
}

void
fuzz_files_write(struct fuzz_host *host, const char *dir, const char *const *names, int count,
    bool seal, struct bytes input)
{
    char path[PATH_SIZE];
    struct bytes piece;
    while (input.len > 0) {
        const char *name = names[input.data[0] % count];
        input.data++;
        input.len--;
        if (!fuzz_piece_next(&input, &piece))
            break;
        snprintf(path, sizeof path, "%s/%s", dir, name);
        uint8_t *copy = mem_alloc(piece.len + 1);
        ASSERT(copy != NULL);
        memcpy(copy, piece.data, piece.len);
        if (seal && holds_batches(name))
            fuzz_batches_seal(copy, piece.len);
        fuzz_file_add(host, path, (struct bytes){copy, piece.len});
        mem_free(copy);
    }
}
