/* cli/cmd_dump_log.c - moldau debug dump-log: what is in the files of a log directory.
 *
 * By the name's ending: .log and .checkpoint batch by batch (records too, with --records; metadata
 * and group records as JSON), .index, .timeindex, .snapshot. Exit code 1 when a batch is damaged.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "proto/schema.h"
#include "wire/batch.h"

enum {
    FILE_MAX = 2000 << 20,
    SCRATCH_MAX = 256 << 20,
    ARENA_BYTES = 64 << 20,
    JSON_MAX = 16 << 20,
    INDEX_ENTRY = 8,
    TIME_ENTRY = 12,
    SNAPSHOT_HEAD = 10,
    SNAPSHOT_ENTRY = 46,
};

/* How the records of a file are to be read. */
enum payload { PAYLOAD_PLAIN, PAYLOAD_METADATA, PAYLOAD_GROUPS };

struct dump {
    struct cli *cli;
    enum payload payload;
    bool records;
    struct compress_ctx *compress;
    struct buf scratch;
    struct arena arena;
};

/* ---- records ---- */

static bool
print_json(struct dump *dump, const struct proto_message *message, int16_t version,
    struct reader *r, const char *label)
{
    struct buf json;
    bool ok = false;
    if (message == NULL)
        return false;
    void *body = arena_alloc(&dump->arena, proto_schema_size(message->schema));
    buf_init(&json, JSON_MAX);
    if (body != NULL && proto_decode(message->schema, version, r, &dump->arena, body) == ERR_OK &&
        proto_to_json(message->schema, version, body, &json) == ERR_OK) {
        printf(" %s=%s", label, buf_z(&json));
        ok = true;
    }
    buf_fini(&json);
    return ok;
}

static bool
print_metadata(struct dump *dump, struct bytes value)
{
    struct reader r;
    reader_init(&r, value);
    uint32_t frame = reader_uvarint(&r);
    uint32_t type = reader_uvarint(&r);
    uint32_t version = reader_uvarint(&r);
    if (r.err != ERR_OK || frame != 1)
        return false;
    printf(" type=%u version=%u", type, version);
    return print_json(
        dump, proto_message_find(PROTO_METADATA, (int16_t)type), (int16_t)version, &r, "record");
}

static bool
print_group(struct dump *dump, const struct batch_record *record)
{
    struct reader key;
    struct reader value;
    reader_init(&key, record->key);
    int16_t type = reader_i16(&key);
    if (key.err != ERR_OK)
        return false;
    printf(" type=%d", type);
    bool ok = print_json(dump, proto_message_find(PROTO_OFFSETS_KEY, type), 0, &key, "key");
    if (record->value.data == NULL) {
        printf(" value=null");
        return ok;
    }
    reader_init(&value, record->value);
    int16_t version = reader_i16(&value);
    return print_json(
               dump, proto_message_find(PROTO_OFFSETS_VALUE, type), version, &value, "value") &&
           ok;
}

static void
print_record(struct dump *dump, const struct batch_view *batch, const struct batch_record *record)
{
    bool done = false;
    printf("  offset=%lld timestamp=%lld key_size=%lld value_size=%lld headers=%d",
        (long long)record->offset, (long long)record->timestamp,
        record->key.data == NULL ? -1LL : (long long)record->key.len,
        record->value.data == NULL ? -1LL : (long long)record->value.len,
        (int)record->header_count);
    arena_reset(&dump->arena);
    if (batch_is_control(batch)) {
        enum batch_control_type type;
        if (batch_control_key_parse(record->key, &type) == ERR_OK)
            printf(" control=%d", (int)type);
        done = true;
    } else if (dump->payload == PAYLOAD_METADATA) {
        done = print_metadata(dump, record->value);
    } else if (dump->payload == PAYLOAD_GROUPS) {
        done = print_group(dump, record);
    }
    if (!done) {
        fputs(" key=", stdout);
        output_json_string(stdout, record->key);
        fputs(" value=", stdout);
        output_json_string(stdout, record->value);
    }
    fputc('\n', stdout);
}

static enum err
print_records(struct dump *dump, const struct batch_view *batch)
{
    struct batch_iter iter;
    struct batch_record record;
    enum err err = batch_iter_init(&iter, batch, dump->compress, &dump->scratch);
    while (err == ERR_OK && batch_iter_next(&iter, &record))
        print_record(dump, batch, &record);
    return err != ERR_OK ? err : iter.err;
}

/* ---- files ---- */

static int
dump_batches(struct dump *dump, struct bytes data)
{
    size_t at = 0;
    while (at < data.len) {
        struct batch_view b;
        enum err err = batch_parse((struct bytes){data.data + at, data.len - at}, &b);
        if (err != ERR_OK)
            return cli_fail(dump->cli, "position %zu: %zu bytes that are no batch: %s", at,
                data.len - at, err_text(err));
        bool crc_ok = batch_crc_ok(&b);
        printf("position=%zu size=%zu offsets=%lld-%lld records=%d epoch=%d codec=%s "
               "producer=%lld/%d sequence=%d timestamp=%s:%lld%s%s crc=%s\n",
            at, b.size_bytes, (long long)b.base_offset, (long long)batch_last_offset(&b),
            (int)b.record_count, (int)b.leader_epoch,
            compress_codec_name(batch_codec(&b)) != NULL ? compress_codec_name(batch_codec(&b))
                                                         : "unknown",
            (long long)b.producer_id, (int)b.producer_epoch, (int)b.base_sequence,
            batch_is_log_append_time(&b) ? "append" : "create", (long long)b.max_timestamp,
            batch_is_transactional(&b) ? " transactional" : "",
            batch_is_control(&b) ? " control" : "", crc_ok ? "ok" : "WRONG");
        if (!crc_ok)
            return cli_fail(dump->cli, "position %zu: the checksum is wrong", at);
        if (dump->records && (err = print_records(dump, &b)) != ERR_OK)
            return cli_fail(dump->cli, "position %zu: records: %s", at, err_text(err));
        at += b.size_bytes;
    }
    return CLI_OK;
}

static int
dump_index(struct bytes data, int64_t base_offset)
{
    for (size_t at = 0; at + INDEX_ENTRY <= data.len; at += INDEX_ENTRY)
        printf("offset=%lld position=%u\n",
            (long long)base_offset + (int32_t)load_be32(data.data + at),
            load_be32(data.data + at + 4));
    return CLI_OK;
}

static int
dump_time_index(struct bytes data, int64_t base_offset)
{
    for (size_t at = 0; at + TIME_ENTRY <= data.len; at += TIME_ENTRY)
        printf("timestamp=%lld offset=%lld\n", (long long)load_be64(data.data + at),
            (long long)base_offset + (int32_t)load_be32(data.data + at + 8));
    return CLI_OK;
}

static int
dump_snapshot(struct dump *dump, struct bytes data)
{
    if (data.len < SNAPSHOT_HEAD || (data.len - SNAPSHOT_HEAD) % SNAPSHOT_ENTRY != 0)
        return cli_fail(dump->cli, "%zu bytes are no producer snapshot", data.len);
    for (size_t at = SNAPSHOT_HEAD; at < data.len; at += SNAPSHOT_ENTRY) {
        const uint8_t *e = data.data + at;
        printf("producer=%lld epoch=%d last_sequence=%d last_offset=%lld offset_delta=%d "
               "timestamp=%lld coordinator_epoch=%d txn_first_offset=%lld\n",
            (long long)load_be64(e), (int16_t)load_be16(e + 8), (int32_t)load_be32(e + 10),
            (long long)load_be64(e + 14), (int32_t)load_be32(e + 22), (long long)load_be64(e + 26),
            (int32_t)load_be32(e + 34), (long long)load_be64(e + 38));
    }
    return CLI_OK;
}

static bool
ends_with(const char *text, const char *ending)
{
    size_t len = strlen(text);
    size_t end_len = strlen(ending);
    return len >= end_len && strcmp(text + len - end_len, ending) == 0;
}

static int
dump_file(struct dump *dump, const char *path)
{
    char *data;
    size_t len;
    const char *slash = strrchr(path, '/');
    int64_t base_offset = strtoll(slash != NULL ? slash + 1 : path, NULL, 10);
    enum err err = env_read_file(cli_env(dump->cli), path, FILE_MAX, &data, &len);
    if (err != ERR_OK)
        return cli_fail(dump->cli, "%s: %s", path, err_text(err));
    struct bytes bytes = {(const uint8_t *)data, len};
    bool metadata = strstr(path, "__cluster_metadata") != NULL || ends_with(path, ".checkpoint");
    dump->payload = metadata                                      ? PAYLOAD_METADATA
                    : strstr(path, "__consumer_offsets-") != NULL ? PAYLOAD_GROUPS
                                                                  : PAYLOAD_PLAIN;
    int code;
    if (ends_with(path, ".log") || ends_with(path, ".checkpoint"))
        code = dump_batches(dump, bytes);
    else if (ends_with(path, ".timeindex"))
        code = dump_time_index(bytes, base_offset);
    else if (ends_with(path, ".index"))
        code = dump_index(bytes, base_offset);
    else if (ends_with(path, ".snapshot"))
        code = dump_snapshot(dump, bytes);
    else
        code = cli_usage(
            dump->cli, "%s: knows .log, .index, .timeindex, .snapshot and .checkpoint", path);
    mem_free(data);
    return code;
}

static int
run_dump(struct cli *cli)
{
    struct dump dump = {.cli = cli, .records = cli_flag(cli, "records")};
    if (cli_env(cli) == NULL || compress_ctx_new(&dump.compress) != ERR_OK)
        return cli_fail(cli, "out of memory");
    buf_init(&dump.scratch, SCRATCH_MAX);
    arena_init(&dump.arena, ARENA_BYTES);
    int code = CLI_OK;
    for (int i = 0; i < cli->arg_count && code == CLI_OK; i++) {
        if (cli->arg_count > 1)
            printf("%s\n", cli->args[i]);
        code = dump_file(&dump, cli->args[i]);
    }
    arena_fini(&dump.arena);
    buf_fini(&dump.scratch);
    compress_ctx_free(&dump.compress);
    return code;
}

const struct cli_command cli_debug_dump_log = {
    .name = "debug dump-log",
    .arguments = "FILE...",
    .summary = "what is in segments, indexes and snapshots",
    .options =
        (const struct cli_option[]){
            {"records", 'r', NULL, "also each record; metadata and groups decoded"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .examples = "  moldau debug dump-log moldau-data/orders-0/*.log\n"
                "  moldau debug dump-log -r moldau-data/__cluster_metadata-0/*.log\n",
    .run = run_dump,
};
