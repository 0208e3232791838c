/* cli/dump_batches.c - segments and snapshots of records. */
#include "cli/dump.h"
#include "proto/schema.h"

enum { JSON_MAX = 64 << 20 };

/* ---- records that mean something to a broker ---- */

static bool
put_json(struct dump *dump, const struct proto_message *message, int16_t version, struct reader *r,
    const char *label)
{
    struct buf json;
    bool ok = false;
    if (message == NULL || version < proto_schema_version_min(message->schema) ||
        version > proto_schema_version_max(message->schema))
        return false;
    void *body = arena_alloc(&dump->arena, proto_schema_size(message->schema));
    buf_init(&json, JSON_MAX);
    if (body != NULL && proto_decode(message->schema, version, r, &dump->arena, body) == ERR_OK &&
        proto_to_json(message->schema, version, body, &json) == ERR_OK) {
        char name[48];
        snprintf(name, sizeof name, "%s_type", label);
        dump_word(&dump->out, name, str_of(proto_schema_name(message->schema)));
        dump_raw(&dump->out, label, buf_z(&json));
        ok = true;
    }
    buf_fini(&json);
    return ok;
}

/* A value that starts with a frame version (metadata only), a type and a version, as varints. */
static bool
put_framed(struct dump *dump, struct bytes value, enum proto_kind kind)
{
    struct reader r;
    if (value.data == NULL)
        return false;
    reader_init(&r, value);
    uint32_t frame = kind == PROTO_METADATA ? reader_uvarint(&r) : 1;
    uint32_t type = reader_uvarint(&r);
    uint32_t version = reader_uvarint(&r);
    if (r.err != ERR_OK || frame > 1 || type > INT16_MAX || version > INT16_MAX)
        return false;
    dump_i64(&dump->out, "type", type);
    dump_i64(&dump->out, "version", version);
    return put_json(dump, proto_message_find(kind, (int16_t)type), (int16_t)version, &r, "record");
}

/* A key that starts with its type; a value that starts with its version. */
static bool
put_keyed(struct dump *dump, const struct batch_record *record, enum proto_kind key_kind,
    enum proto_kind value_kind)
{
    struct reader key;
    struct reader value;
    if (record->key.data == NULL)
        return false;
    reader_init(&key, record->key);
    int16_t type = reader_i16(&key);
    if (key.err != ERR_OK)
        return false;
    dump_i64(&dump->out, "type", type);
    if (!put_json(dump, proto_message_find(key_kind, type), 0, &key, "key"))
        dump_bytes(&dump->out, "key", record->key);
    if (record->value.data == NULL) {
        dump_raw(&dump->out, "value", "null");
        return true;
    }
    reader_init(&value, record->value);
    int16_t version = reader_i16(&value);
    dump_i64(&dump->out, "version", version);
    if (value.err != ERR_OK ||
        !put_json(dump, proto_message_find(value_kind, type), version, &value, "value"))
        dump_bytes(&dump->out, "value", record->value);
    return true;
}

/* ---- control records ---- */

static bool
put_control(struct dump *dump, const struct batch_record *record)
{
    static const struct {
        enum batch_control_type type;
        const char *word;
        const char *message;
    } kinds[] = {
        {BATCH_CONTROL_ABORT, "abort", "EndTxnMarker"},
        {BATCH_CONTROL_COMMIT, "commit", "EndTxnMarker"},
        {BATCH_CONTROL_LEADER_CHANGE, "leader-change", "LeaderChangeMessage"},
        {BATCH_CONTROL_SNAPSHOT_HEADER, "snapshot-header", "SnapshotHeaderRecord"},
        {BATCH_CONTROL_SNAPSHOT_FOOTER, "snapshot-footer", "SnapshotFooterRecord"},
        {BATCH_CONTROL_KRAFT_VERSION, "kraft-version", "KRaftVersionRecord"},
        {BATCH_CONTROL_KRAFT_VOTERS, "kraft-voters", "VotersRecord"},
    };
    enum batch_control_type type;
    if (batch_control_key_parse(record->key, &type) != ERR_OK)
        return false;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct reader r;
        if (kinds[i].type != type)
            continue;
        dump_word(&dump->out, "control", str_of(kinds[i].word));
        reader_init(&r, record->value);
        /* Each starts with its version; that of EndTxnMarker stands before the message. */
        int16_t version = 0;
        if (type == BATCH_CONTROL_ABORT || type == BATCH_CONTROL_COMMIT)
            version = reader_i16(&r);
        if (!put_json(dump, proto_message_find_name(kinds[i].message), version, &r, "value"))
            dump_bytes(&dump->out, "value", record->value);
        return true;
    }
    dump_i64(&dump->out, "control", type);
    return true;
}

/* ---- any record ---- */

static void
put_headers(struct dump *dump, const struct batch_record *record)
{
    struct bytes rest = record->headers;
    struct batch_header header;
    if (record->header_count == 0)
        return;
    dump_list_begin(&dump->out, "headers");
    while (batch_header_next(&rest, &header)) {
        dump_entry_begin(&dump->out);
        dump_bytes(&dump->out, "key", header.key);
        dump_bytes(&dump->out, "value", header.value);
        dump_entry_end(&dump->out);
    }
    dump_list_end(&dump->out);
}

static bool
put_payload(struct dump *dump, const struct batch_record *record)
{
    switch (dump->payload) {
    case DUMP_METADATA: return put_framed(dump, record->value, PROTO_METADATA);
    case DUMP_REMOTE: return put_framed(dump, record->value, PROTO_REMOTE_LOG);
    case DUMP_OFFSETS: return put_keyed(dump, record, PROTO_OFFSETS_KEY, PROTO_OFFSETS_VALUE);
    case DUMP_TRANSACTIONS:
        return put_keyed(dump, record, PROTO_TRANSACTION_KEY, PROTO_TRANSACTION_VALUE);
    case DUMP_SHARE: return put_keyed(dump, record, PROTO_SHARE_KEY, PROTO_SHARE_VALUE);
    case DUMP_PLAIN: break;
    }
    return false;
}

void
dump_record(struct dump *dump, const struct batch_view *batch, const struct batch_record *record)
{
    struct dump_out *out = &dump->out;
    arena_reset(&dump->arena);
    dump_entry_begin(out);
    dump_i64(out, "offset", record->offset);
    dump_i64(out, "timestamp", record->timestamp);
    if (record->sequence != BATCH_NO_SEQUENCE)
        dump_i64(out, "sequence", record->sequence);
    dump_i64(out, "key_size", record->key.data == NULL ? -1 : (int64_t)record->key.len);
    dump_i64(out, "value_size", record->value.data == NULL ? -1 : (int64_t)record->value.len);
    bool done = batch_is_control(batch) ? put_control(dump, record) : put_payload(dump, record);
    if (!done) {
        dump_bytes(out, "key", record->key);
        dump_bytes(out, "value", record->value);
    }
    put_headers(dump, record);
    dump_entry_end(out);
}

/* ---- batches ---- */

static void
put_batch(struct dump *dump, const struct batch_view *b, size_t position, bool crc_ok)
{
    struct dump_out *out = &dump->out;
    const char *codec = compress_codec_name(batch_codec(b));
    dump_i64(out, "position", (int64_t)position);
    dump_i64(out, "size", (int64_t)b->size_bytes);
    dump_i64(out, "base_offset", b->base_offset);
    dump_i64(out, "last_offset", batch_last_offset(b));
    dump_i64(out, "count", b->record_count);
    dump_i64(out, "leader_epoch", b->leader_epoch);
    dump_word(out, "codec", str_of(codec != NULL ? codec : "unknown"));
    dump_i64(out, "producer_id", b->producer_id);
    dump_i64(out, "producer_epoch", b->producer_epoch);
    dump_i64(out, "base_sequence", b->base_sequence);
    dump_i64(out, "last_sequence", batch_last_sequence(b));
    dump_word(out, "timestamp_type", batch_is_log_append_time(b) ? STR("append") : STR("create"));
    dump_i64(out, "max_timestamp", b->max_timestamp);
    dump_bool(out, "transactional", batch_is_transactional(b));
    dump_bool(out, "control", batch_is_control(b));
    if (batch_has_delete_horizon(b))
        dump_i64(out, "delete_horizon", b->base_timestamp);
    dump_i64(out, "crc", b->crc);
    dump_bool(out, "valid", crc_ok);
}

static void
put_records(struct dump *dump, const struct batch_view *batch, size_t position)
{
    struct batch_iter iter;
    struct batch_record record;
    dump_list_begin(&dump->out, "records");
    enum err err = batch_iter_init(&iter, batch, dump->compress, &dump->scratch);
    while (err == ERR_OK && batch_iter_next(&iter, &record))
        dump_record(dump, batch, &record);
    dump_list_end(&dump->out);
    if (err == ERR_OK)
        err = iter.err;
    if (err != ERR_OK)
        dump_problem(dump, "position %zu: its records: %s%s%s", position, err_text(err),
            iter.what != NULL ? ": " : "", iter.what != NULL ? iter.what : "");
}

static bool
all_zero(struct bytes data)
{
    for (size_t i = 0; i < data.len; i++)
        if (data.data[i] != 0)
            return false;
    return true;
}

void
dump_batches(struct dump *dump, struct bytes data)
{
    int64_t next = -1; /* the least offset that may follow */
    size_t at = 0;
    while (at < data.len) {
        struct bytes rest = {data.data + at, data.len - at};
        struct batch_view batch;
        enum err err = batch_parse(rest, &batch);
        if (err != ERR_OK && all_zero(rest)) { /* a file with room reserved at its end */
            cli_warn(
                dump->cli, "%s: %zu zero bytes from position %zu on", dump->path, rest.len, at);
            return;
        }
        if (err != ERR_OK) {
            dump_problem(dump, "position %zu: %zu bytes that are no batch: %s", at, rest.len,
                err == ERR_UNSUPPORTED ? "messages of before Kafka 0.11" : err_text(err));
            return;
        }
        bool crc_ok = batch_crc_ok(&batch);
        dump_entry_begin(&dump->out);
        put_batch(dump, &batch, at, crc_ok);
        if (dump->records && crc_ok)
            put_records(dump, &batch, at);
        dump_entry_end(&dump->out);
        if (!crc_ok)
            dump_problem(dump, "position %zu: the checksum is wrong", at);
        if (batch.base_offset < next)
            dump_problem(dump, "position %zu: offset %lld after %lld", at,
                (long long)batch.base_offset, (long long)next - 1);
        next = batch_last_offset(&batch) + 1;
        at += batch.size_bytes;
    }
}
