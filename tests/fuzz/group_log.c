/* Any bytes as the log of a group coordinator's partition: records that make no sense are skipped,
 * the state that comes of the rest can be asked, written out anew and loaded again. Pieces of
 * files.h, key and value in turn (an empty value is a tombstone); with an even first byte the whole
 * is batches instead. */
#include "base/alloc.h"
#include "base/assert.h"
#include "coord/group/group.h"
#include "tests/fuzz/files.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

enum { LOG_BYTES = 16 << 20, RECORDS_MAX = 512 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct written {
    struct buf log;
    int64_t end_offset;
};

static enum proto_error
append(void *ctx, struct coord_shard *shard, uint8_t *batches, size_t len, int64_t *last_offset)
{
    struct written *w = ctx;
    (void)shard;
    for (size_t at = 0; at < len;) {
        struct batch_view view;
        ASSERT(batch_parse((struct bytes){batches + at, len - at}, &view) == ERR_OK);
        batch_set_base_offset(batches + at, w->end_offset);
        w->end_offset += view.last_offset_delta + 1;
        at += view.size_bytes;
    }
    buf_append(&w->log, batches, len);
    if (w->log.err != ERR_OK)
        return PROTO_ERROR_NOT_COORDINATOR;
    *last_offset = w->end_offset - 1;
    return PROTO_ERROR_NONE;
}

static void
fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    memset(out, 7, len);
}

static const struct coord_log_ops log_ops = {.append = append, .random = fill};

static struct coord_shard *
load(struct coord_group_config *config, struct written *w, struct bytes log)
{
    struct coord_shard *shard = NULL;
    size_t consumed;
    struct coord_shard_opts opts = {.batch_size_max = 1 << 20,
        .write_timeout_ms = 5000,
        .machine = &coord_group_machine,
        .machine_ctx = config,
        .log = &log_ops,
        .log_ctx = w};
    ASSERT(coord_shard_new(&opts, &shard) == ERR_OK);
    coord_shard_enter(shard, 1000, 1700000000000);
    ASSERT(coord_shard_load_begin(shard, 1) == ERR_OK);
    if (coord_shard_load(shard, log, &consumed) != ERR_OK) {
        coord_shard_unload(shard, PROTO_ERROR_NOT_COORDINATOR);
        coord_shard_free(&shard);
        return NULL;
    }
    ASSERT(consumed <= log.len);
    w->end_offset = coord_shard_load_next(shard);
    coord_shard_load_end(shard, w->end_offset, w->end_offset);
    return shard;
}

/* Key and value in turn become one batch. */
static void
build(struct bytes input, struct buf *out)
{
    struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder builder;
    struct bytes key, value;
    int count = 0;
    batch_builder_init(&builder, &opts, out);
    while (count < RECORDS_MAX && fuzz_piece_next(&input, &key)) {
        if (!fuzz_piece_next(&input, &value) || value.len == 0)
            value = BYTES_NULL;
        batch_builder_append(&builder,
            &(struct batch_builder_record){.timestamp = 1700000000000, .key = key, .value = value});
        count++;
    }
    if (count > 0)
        ASSERT(batch_builder_finish(&builder) == ERR_OK);
}

static void
operate(struct coord_shard *shard)
{
    struct buf text;
    buf_init(&text, LOG_BYTES);
    coord_group_dump(shard, &text);
    buf_fini(&text);
    (void)coord_group_counts_get(shard);
    /* Sessions end, offsets run out, what is empty goes. */
    for (int i = 0; i < 8; i++) {
        int64_t due = coord_runtime_next_deadline(shard);
        if (due == INT64_MAX)
            break;
        coord_shard_enter(shard, due, 1700000000000 + due + ((int64_t)i << 34));
        coord_runtime_tick(shard);
        if (!coord_shard_flush(shard))
            return;
        coord_runtime_committed(shard, coord_shard_last_written(shard) + 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct coord_group_config config = coord_group_config_default();
    struct written w = {.end_offset = 0};
    if (len < 2)
        return 0;
    buf_init(&w.log, LOG_BYTES);
    if (data[0] % 2 == 0) {
        buf_append(&w.log, data + 1, len - 1);
        fuzz_batches_seal(w.log.data, w.log.len);
    } else {
        build((struct bytes){data + 1, len - 1}, &w.log);
    }
    /* What is loaded must not move while it is appended to. */
    struct buf first;
    buf_init(&first, LOG_BYTES);
    buf_append(&first, w.log.data, w.log.len);
    struct coord_shard *shard = load(&config, &w, buf_bytes(&first));
    if (shard != NULL) {
        operate(shard);
        coord_shard_unload(shard, PROTO_ERROR_NOT_COORDINATOR);
        coord_shard_free(&shard);
    }
    buf_fini(&first);
    buf_fini(&w.log);
    return 0;
}
