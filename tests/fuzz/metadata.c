/* Any bytes as metadata records: each is replayed or refused, and the snapshot of what came of it
 * replays to the same snapshot. Pieces of files.h, one a record; with an even first byte the whole
 * is batches of a metadata log instead. */
#include "base/alloc.h"
#include "base/assert.h"
#include "meta/builder.h"
#include "meta/records.h"
#include "meta/snapshot.h"
#include "tests/fuzz/files.h"
#include "wire/batch.h"

enum { ARENA_BYTES = 16 << 20, SNAPSHOT_BYTES = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool
replay_pieces(struct meta_builder *builder, struct bytes input)
{
    struct bytes piece;
    while (fuzz_piece_next(&input, &piece))
        if (meta_builder_replay(builder, piece) != ERR_OK)
            return false;
    return true;
}

static bool
replay_batches(struct meta_builder *builder, struct bytes log)
{
    struct batch_view view;
    struct batch_iter it;
    struct batch_record record;
    while (batch_parse(log, &view) == ERR_OK) {
        if (batch_codec(&view) == COMPRESS_NONE && !batch_is_control(&view)) {
            if (batch_iter_init(&it, &view, NULL, NULL) != ERR_OK)
                return false;
            while (batch_iter_next(&it, &record))
                if (meta_builder_replay(builder, record.value) != ERR_OK)
                    return false;
        }
        log.data += view.size_bytes;
        log.len -= view.size_bytes;
    }
    return true;
}

/* Records as pieces. */
static enum err
put(void *ctx, const struct meta_records *records)
{
    struct buf *out = ctx;
    ASSERT(records->err == ERR_OK);
    for (int i = 0; i < records->count; i++) {
        uint8_t head[2];
        struct bytes value = records->items[i].value;
        if (value.len > UINT16_MAX)
            return ERR_LIMIT; /* does not fit a piece */
        store_be16(head, (uint16_t)value.len);
        buf_append(out, head, sizeof head);
        buf_append(out, value.data, value.len);
    }
    return out->err;
}

static enum err
snapshot(const struct meta_image *image, struct buf *out)
{
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum err err = meta_snapshot_records(image, &arena, put, out);
    arena_fini(&arena);
    return err;
}

/* NULL when the records are refused. */
static struct meta_image *
image_of(struct bytes input, bool batches)
{
    struct meta_image *base, *image = NULL;
    struct meta_delta *delta = NULL;
    struct meta_builder *builder;
    ASSERT(meta_image_new_empty(STR("cluster"), &base) == ERR_OK);
    ASSERT(meta_builder_new(base, &builder) == ERR_OK);
    if (batches ? replay_batches(builder, input) : replay_pieces(builder, input))
        (void)!meta_builder_finish(&builder, 1, 1, 1, &image, &delta);
    else
        meta_builder_free(&builder);
    meta_delta_free(&delta);
    meta_image_unref(&base);
    return image;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf first, second;
    if (len < 2)
        return 0;
    struct meta_image *image = image_of((struct bytes){data + 1, len - 1}, data[0] % 2 == 0);
    if (image == NULL)
        return 0;
    buf_init(&first, SNAPSHOT_BYTES);
    buf_init(&second, SNAPSHOT_BYTES);
    if (snapshot(image, &first) == ERR_OK) {
        struct meta_image *again = image_of(buf_bytes(&first), false);
        ASSERT(again != NULL);
        ASSERT(snapshot(again, &second) == ERR_OK);
        ASSERT(first.len == second.len &&
               (first.len == 0 || memcmp(first.data, second.data, first.len) == 0));
        meta_image_unref(&again);
    }
    buf_fini(&first);
    buf_fini(&second);
    meta_image_unref(&image);
    return 0;
}
