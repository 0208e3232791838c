/* meta/records.c - writes and reads the frame; latches the first failure of an operation's records.
 */
#include "meta/records.h"

#include "base/assert.h"

enum { FRAME_VERSION = 1, RECORD_BYTES_MAX = 8 << 20, FIRST_CAPACITY = 8 };

void
meta_records_init(struct meta_records *records, struct arena *arena, int64_t timestamp_ms)
{
    *records = (struct meta_records){.arena = arena, .timestamp_ms = timestamp_ms};
}

static bool
reserve(struct meta_records *records)
{
    if (records->count < records->capacity)
        return true;
    int capacity = records->capacity == 0 ? FIRST_CAPACITY : records->capacity * 2;
    struct batch_builder_record *items =
        arena_calloc(records->arena, (size_t)capacity, sizeof *items);
    if (items == NULL)
        return false;
    if (records->count > 0)
        memcpy(items, records->items, (size_t)records->count * sizeof *items);
    records->items = items;
    records->capacity = capacity;
    return true;
}

void
meta_records_add(struct meta_records *records, enum meta_record_type type, int16_t version,
    const struct proto_schema *schema, const void *message)
{
    struct writer w;
    if (records->err != ERR_OK)
        return;
    if (records->count >= META_RECORDS_MAX || !reserve(records)) {
        records->err = records->count >= META_RECORDS_MAX ? ERR_LIMIT : ERR_NOMEM;
        return;
    }
    writer_init(&w, RECORD_BYTES_MAX);
    writer_uvarint(&w, FRAME_VERSION);
    writer_uvarint(&w, (uint32_t)type);
    writer_uvarint(&w, (uint32_t)version);
    enum err err = proto_encode(schema, version, message, &w);
    if (err == ERR_OK)
        err = w.buf.err;
    uint8_t *frame = err == ERR_OK ? arena_alloc(records->arena, w.buf.len) : NULL;
    if (frame != NULL) {
        memcpy(frame, w.buf.data, w.buf.len);
        records->items[records->count++] = (struct batch_builder_record){
            .timestamp = records->timestamp_ms, .value = {frame, w.buf.len}};
    } else {
        records->err = err != ERR_OK ? err : ERR_NOMEM;
    }
    writer_fini(&w);
}

enum err
meta_record_parse(struct bytes value, struct meta_record_frame *out)
{
    struct reader r;
    reader_init(&r, value);
    uint32_t frame_version = reader_uvarint(&r);
    uint32_t type = reader_uvarint(&r);
    uint32_t version = reader_uvarint(&r);
    if (r.err != ERR_OK || type > INT16_MAX || version > INT16_MAX)
        return ERR_CORRUPT;
    if (frame_version != FRAME_VERSION)
        return ERR_UNSUPPORTED;
    out->type = type;
    out->version = (int16_t)version;
    out->body = (struct bytes){r.at, reader_remaining(&r)};
    return ERR_OK;
}
