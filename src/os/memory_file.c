/* What: the bytes of a file in memory, as blocks; a block that was never written is a hole of
 * zeros. The first block is as small as what it holds, since most files are small.
 * Invariants: I1 bytes of a block at or past size_bytes are zero. I2 the budget's used_bytes is the
 * sum of all blocks. Threads: any; readers side by side, one writer. Errors: NOSPACE at the
 * budget's end, NOMEM; a write that fails may have written a part, as on a disk. */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "os/memory.h"

enum { BLOCK = 32 << 10, FIRST_MIN = 256 };

struct memory_data {
    struct memory_budget *budget;
    pthread_rwlock_t lock; /* of all below */
    uint8_t **blocks;      /* NULL: a hole */
    size_t block_count;    /* room in blocks */
    size_t first_size;     /* of block 0; every other has BLOCK */
    int64_t size_bytes;
    int64_t mtime_ms;
};

static int64_t
wall_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

enum err
memory_data_new(struct memory_budget *budget, struct memory_data **out)
{
    struct memory_data *data = mem_calloc(1, sizeof *data);
    if (data == NULL)
        return ERR_NOMEM;
    data->budget = budget;
    data->mtime_ms = wall_ms();
    pthread_rwlock_init(&data->lock, NULL);
    *out = data;
    return ERR_OK;
}

static size_t
block_size(const struct memory_data *data, size_t i)
{
    return i == 0 ? data->first_size : (size_t)BLOCK;
}

static void
block_free(struct memory_data *data, size_t i)
{
    if (data->blocks[i] == NULL)
        return;
    atomic_fetch_sub(&data->budget->used_bytes, (int64_t)block_size(data, i));
    mem_free(data->blocks[i]);
    data->blocks[i] = NULL;
    if (i == 0)
        data->first_size = 0;
}

void
memory_data_free(struct memory_data **data)
{
    struct memory_data *d = *data;
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->block_count; i++)
        block_free(d, i);
    mem_free(d->blocks);
    pthread_rwlock_destroy(&d->lock);
    mem_free(d);
    *data = NULL;
}

/* ---- room ---- */

static enum err
charge(struct memory_budget *budget, size_t bytes)
{
    int64_t before = atomic_fetch_add(&budget->used_bytes, (int64_t)bytes);
    if (before + (int64_t)bytes <= budget->max_bytes)
        return ERR_OK;
    atomic_fetch_sub(&budget->used_bytes, (int64_t)bytes);
    return ERR_NOSPACE;
}

/* Block i with at least `end` bytes. */
static enum err
block_reserve(struct memory_data *data, size_t i, size_t end)
{
    size_t had = data->blocks[i] == NULL ? 0 : block_size(data, i), want = BLOCK;
    ASSERT(end > 0 && end <= BLOCK);
    if (end <= had)
        return ERR_OK;
    for (want = i == 0 ? FIRST_MIN : BLOCK; want < end;)
        want *= 2;
    enum err err = charge(data->budget, want - had);
    if (err != ERR_OK)
        return err;
    uint8_t *block = mem_realloc(data->blocks[i], want);
    if (block == NULL) {
        atomic_fetch_sub(&data->budget->used_bytes, (int64_t)(want - had));
        return ERR_NOMEM;
    }
    memset(block + had, 0, want - had); /* I1 */
    data->blocks[i] = block;
    if (i == 0)
        data->first_size = want;
    return ERR_OK;
}

static enum err
table_reserve(struct memory_data *data, size_t count)
{
    size_t room = data->block_count;
    if (count <= room)
        return ERR_OK;
    room = room * 2 > count ? room * 2 : count;
    uint8_t **blocks = mem_realloc(data->blocks, room * sizeof *blocks);
    if (blocks == NULL)
        return ERR_NOMEM;
    memset(blocks + data->block_count, 0, (room - data->block_count) * sizeof *blocks);
    data->blocks = blocks;
    data->block_count = room;
    return ERR_OK;
}

/* ---- reading and writing ---- */

static enum err
write_part(struct memory_data *data, int64_t position, struct bytes part)
{
    while (part.len > 0) {
        size_t i = (size_t)(position / BLOCK), at = (size_t)(position % BLOCK);
        size_t n = part.len < BLOCK - at ? part.len : BLOCK - at;
        enum err err = table_reserve(data, i + 1);
        if (err == ERR_OK)
            err = block_reserve(data, i, at + n);
        if (err != ERR_OK)
            return err;
        memcpy(data->blocks[i] + at, part.data, n);
        part.data += n;
        part.len -= n;
        position += (int64_t)n;
        if (position > data->size_bytes)
            data->size_bytes = position;
    }
    return ERR_OK;
}

enum err
memory_data_write(struct memory_data *data, int64_t position, const struct bytes *parts, int count)
{
    enum err err = ERR_OK;
    pthread_rwlock_wrlock(&data->lock);
    for (int i = 0; i < count && err == ERR_OK; i++) {
        err = write_part(data, position, parts[i]);
        position += (int64_t)parts[i].len;
    }
    data->mtime_ms = wall_ms();
    pthread_rwlock_unlock(&data->lock);
    return err;
}

/* n bytes at position, which are within one block and the file. */
static void
read_part(const struct memory_data *data, int64_t position, uint8_t *out, size_t n)
{
    size_t i = (size_t)(position / BLOCK), at = (size_t)(position % BLOCK), have = 0;
    if (i < data->block_count && data->blocks[i] != NULL && block_size(data, i) > at)
        have = block_size(data, i) - at < n ? block_size(data, i) - at : n;
    if (have > 0)
        memcpy(out, data->blocks[i] + at, have);
    memset(out + have, 0, n - have);
}

size_t
memory_data_read(struct memory_data *data, int64_t position, void *out, size_t len)
{
    size_t done = 0;
    pthread_rwlock_rdlock(&data->lock);
    int64_t left = data->size_bytes - position;
    if (left < 0)
        left = 0;
    if (len > (uint64_t)left)
        len = (size_t)left;
    while (done < len) {
        size_t room = BLOCK - (size_t)((position + (int64_t)done) % BLOCK);
        size_t n = len - done < room ? len - done : room;
        read_part(data, position + (int64_t)done, (uint8_t *)out + done, n);
        done += n;
    }
    pthread_rwlock_unlock(&data->lock);
    return done;
}

enum err
memory_data_truncate(struct memory_data *data, int64_t size_bytes)
{
    pthread_rwlock_wrlock(&data->lock);
    size_t keep = (size_t)((size_bytes + BLOCK - 1) / BLOCK), at = (size_t)(size_bytes % BLOCK);
    for (size_t i = keep; i < data->block_count; i++)
        block_free(data, i);
    size_t last = keep - 1; /* used only when the size ends inside a block */
    if (at > 0 && last < data->block_count && data->blocks[last] != NULL &&
        at < block_size(data, last))
        memset(data->blocks[last] + at, 0, block_size(data, last) - at); /* I1 */
    data->size_bytes = size_bytes;
    data->mtime_ms = wall_ms();
    pthread_rwlock_unlock(&data->lock);
    return ERR_OK;
}

int64_t
memory_data_size(struct memory_data *data, int64_t *mtime_ms)
{
    pthread_rwlock_rdlock(&data->lock);
    int64_t size = data->size_bytes;
    if (mtime_ms != NULL)
        *mtime_ms = data->mtime_ms;
    pthread_rwlock_unlock(&data->lock);
    return size;
}
