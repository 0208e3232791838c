/* Any bytes as record batches that a reader goes through: of every magic, compressed or not,
 * control batches too. What is refused is refused without a step too far; an iteration ends, and
 * within what a batch may unpack to. The first byte picks strictness. */
#include "base/alloc.h"
#include "base/assert.h"
#include "tests/fuzz/files.h"
#include "wire/batch.h"

enum { SCRATCH_BYTES = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
look(const struct batch_view *view, const struct batch_record *record)
{
    struct bytes headers = record->headers;
    struct batch_header header;
    enum batch_control_type type;
    int32_t epoch;
    size_t sum = 0;
    for (size_t i = 0; i < record->key.len; i++)
        sum += record->key.data[i];
    for (size_t i = 0; i < record->value.len; i++)
        sum += record->value.data[i];
    int count = 0;
    while (batch_header_next(&headers, &header)) {
        sum += header.key.len;
        count++;
    }
    ASSERT(count == record->header_count);
    if (batch_is_control(view)) {
        (void)!batch_control_key_parse(record->key, &type);
        (void)!batch_end_txn_parse(record->value, &epoch);
    }
    (void)sum;
}

static void
go_through(struct bytes in, bool strict, struct compress_ctx *ctx)
{
    struct batch_view view;
    struct batch_iter it;
    struct batch_record record;
    struct buf scratch;
    size_t size;
    buf_init(&scratch, SCRATCH_BYTES);
    while (in.len > 0) {
        enum err err = batch_parse(in, &view);
        if (err == ERR_OK) {
            (void)batch_crc_ok(&view);
            (void)batch_last_sequence(&view);
            if (batch_iter_init(&it, &view, ctx, &scratch) == ERR_OK) {
                it.strict = strict;
                int seen = 0;
                while (batch_iter_next(&it, &record)) {
                    look(&view, &record);
                    seen++;
                }
                ASSERT(it.err != ERR_OK || seen == view.record_count);
            }
        }
        if (batch_peek_size(in, &size) != ERR_OK || size > in.len)
            break;
        in.data += size;
        in.len -= size;
    }
    buf_fini(&scratch);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct compress_ctx *ctx;
    if (len < 2)
        return 0;
    uint8_t *copy = mem_alloc(len - 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, data + 1, len - 1);
    ASSERT(compress_ctx_new(&ctx) == ERR_OK);
    go_through((struct bytes){copy, len - 1}, (data[0] & 1) != 0, ctx);
    compress_ctx_free(&ctx);
    mem_free(copy);
    return 0;
}
