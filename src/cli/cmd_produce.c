/* cli/cmd_produce.c - moldau produce: lines of standard input or of a file become records. */
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/produce_input.h"
#include "client/producer.h"
#include "proto/error_codes.h"

enum {
    SEND_TIMEOUT_MS = 60000,
    FLUSH_TIMEOUT_MS = 150000,
    HEADERS_MAX = 32,
    READ_BYTES = 1 << 16,
    LINE_MAX_BYTES = 128 << 20,
    PARTITIONS_MAX = 1 << 20,
    RATE_MAX = 1000000000,
    RATE_AHEAD_MS = 10,
};

/* What one partition got. */
struct stored {
    int64_t records, first_offset, last_offset;
};

struct produce {
    struct cli *cli;
    struct client_producer *producer;
    struct client_record record; /* what is the same of all */
    struct batch_header headers[HEADERS_MAX];
    struct input input;
    struct stored *stored; /* by partition; owned */
    int32_t stored_count;
    int64_t line, sent, failed;
    int64_t rate; /* records a second; 0: no bound */
    int64_t start_ms;
    bool verbose, dry_run, bad_line;
};

/* ---- what became of them ---- */

static bool
grow_stored(struct produce *produce, int32_t partition)
{
    if (partition < produce->stored_count)
        return true;
    if (partition >= PARTITIONS_MAX)
        return false;
    int32_t count = partition + 1;
    struct stored *grown = mem_realloc(produce->stored, (size_t)count * sizeof *grown);
    if (grown == NULL)
        return false;
    for (int32_t i = produce->stored_count; i < count; i++)
        grown[i] = (struct stored){.first_offset = -1, .last_offset = -1};
    produce->stored = grown;
    produce->stored_count = count;
    return true;
}

static void
print_delivery(struct produce *produce, const struct client_delivery *delivery)
{
    enum cli_format format = produce->cli->format;
    if (format == CLI_FORMAT_JSON || format == CLI_FORMAT_YAML)
        printf("%s\n  {\"partition\": %d, \"offset\": %lld}", produce->sent > 1 ? "," : "",
            (int)delivery->partition, (long long)delivery->offset);
    else
        printf("partition %d offset %lld\n", (int)delivery->partition, (long long)delivery->offset);
}

static void
on_delivery(void *ctx, const struct client_delivery *delivery)
{
    struct produce *produce = ctx;
    if (delivery->err == ERR_OK && delivery->error_code == 0) {
        produce->sent++;
        if (delivery->partition >= 0 && grow_stored(produce, delivery->partition)) {
            struct stored *stored = &produce->stored[delivery->partition];
            stored->records++;
            if (stored->first_offset < 0)
                stored->first_offset = delivery->offset;
            stored->last_offset = delivery->offset;
        }
        if (produce->verbose)
            print_delivery(produce, delivery);
        return;
    }
    if (produce->failed++ == 0)
        cli_fail(produce->cli, "a record was not stored: %s",
            delivery->error_code != 0 ? proto_error_name(delivery->error_code)
                                      : err_text(delivery->err));
}

static int
print_stored(struct produce *produce)
{
    static const char *const columns[] = {
        "topic", "partition", "records", "first_offset", "last_offset"};
    struct output out;
    output_begin(&out, produce->cli->format, columns, COUNT_OF(columns));
    if (produce->dry_run) {
        output_str(&out, produce->record.topic);
        output_str(&out, STR_NULL);
        output_i64(&out, produce->sent);
        output_str(&out, STR_NULL);
        output_str(&out, STR_NULL);
    }
    for (int32_t i = 0; i < produce->stored_count; i++) {
        const struct stored *stored = &produce->stored[i];
        if (stored->records == 0)
            continue;
        output_str(&out, produce->record.topic);
        output_i64(&out, i);
        output_i64(&out, stored->records);
        output_i64_if(&out, stored->first_offset >= 0, stored->first_offset);
        output_i64_if(&out, stored->last_offset >= 0, stored->last_offset);
    }
    return output_end(&out);
}

/* Rows for programs; for people one sentence on standard error, so that it is in nobody's way. */
static int
print_summary(struct produce *produce)
{
    enum cli_format format = produce->cli->format;
    bool json = format == CLI_FORMAT_JSON || format == CLI_FORMAT_YAML;
    if (produce->verbose && json)
        printf("%s]\n", produce->sent > 0 ? "\n" : "");
    else if (json || format == CLI_FORMAT_WIDE)
        return print_stored(produce);
    if (!cli_flag(produce->cli, "quiet"))
        fprintf(stderr, "%lld record%s %s\n", (long long)produce->sent,
            produce->sent == 1 ? "" : "s", produce->dry_run ? "would be stored" : "stored");
    return CLI_OK;
}

/* ---- options ---- */

static int
read_headers(struct produce *produce)
{
    const char *header;
    for (int i = 0; (header = cli_value_at(produce->cli, "header", i)) != NULL; i++) {
        const char *equals = strchr(header, '=');
        if (equals == NULL || i == HEADERS_MAX)
            return cli_usage(produce->cli,
                "--header must be KEY=VALUE, at most %d of them, not '%s'", HEADERS_MAX, header);
        produce->headers[i].key =
            (struct bytes){(const uint8_t *)header, (size_t)(equals - header)};
        produce->headers[i].value = (struct bytes){(const uint8_t *)equals + 1, strlen(equals + 1)};
        produce->record.header_count = i + 1;
    }
    produce->record.headers = produce->headers;
    return CLI_OK;
}

static int
read_input_options(struct produce *produce)
{
    struct cli *cli = produce->cli;
    const char *format = cli_value(cli, "format");
    const char *separator = cli_value(cli, "key-separator");
    produce->input.json = cli_flag(cli, "json");
    produce->input.tombstones = cli_flag(cli, "tombstones");
    if ((format != NULL) + (separator != NULL) + produce->input.json > 1)
        return cli_usage(cli, "wants at most one of --format, --key-separator and --json");
    if (separator != NULL && !input_separator(&produce->input, separator))
        return cli_usage(
            cli, "--key-separator must be 1 to %d bytes, not '%s'", INPUT_LITERAL_MAX, separator);
    const char *wrong = format != NULL ? input_format(&produce->input, format) : NULL;
    if (wrong != NULL)
        return cli_usage(cli, "--format %s: '%s'", wrong, format);
    return read_headers(produce);
}

static int
read_options(struct produce *produce, struct client_producer_opts *opts)
{
    static const char *const acks_names[] = {"0", "1", "all", "-1", NULL};
    struct cli *cli = produce->cli;
    const char *codec = cli_value(cli, "compression");
    const char *key = cli_value(cli, "key");
    int64_t partition, linger_ms, batch_bytes;
    int acks;
    if (!cli_number(cli, "partition", 0, INT32_MAX, -1, &partition) ||
        !cli_number(cli, "linger-ms", 0, 60000, 5, &linger_ms) ||
        !cli_number(cli, "batch-bytes", 1024, 64 << 20, 0, &batch_bytes) ||
        !cli_number(cli, "rate", 1, RATE_MAX, 0, &produce->rate) ||
        !cli_choice(cli, "acks", acks_names, &acks))
        return CLI_USAGE;
    opts->acks = acks == 0 ? 0 : acks == 1 ? 1 : -1;
    if (codec != NULL && !compress_codec_parse(str_of(codec), &opts->codec))
        return cli_usage(
            cli, "--compression must be none, gzip, snappy, lz4 or zstd, not '%s'", codec);
    produce->verbose = cli_flag(cli, "verbose");
    produce->dry_run = cli_flag(cli, "dry-run");
    produce->record.partition = (int32_t)partition;
    if (key != NULL)
        produce->record.key = (struct bytes){(const uint8_t *)key, strlen(key)};
    opts->idempotent = opts->acks == -1;
    opts->linger_ms = linger_ms;
    opts->batch_bytes = (size_t)batch_bytes;
    opts->level = COMPRESS_LEVEL_DEFAULT;
    return read_input_options(produce);
}

/* ---- reading and sending ---- */

/* Waits until one more record is due. */
static void
keep_rate(struct produce *produce)
{
    if (produce->rate == 0 || produce->dry_run)
        return;
    int64_t due_ms = produce->start_ms + (produce->line - 1) * 1000 / produce->rate;
    int64_t ahead_ms = due_ms - env_now_ms(produce->cli->env);
    if (ahead_ms >= RATE_AHEAD_MS) {
        client_producer_push(produce->producer);
        cli_pause(produce->cli, ahead_ms);
    }
}

static enum err
send_line(struct produce *produce, char *line, size_t len)
{
    struct client_record record = produce->record;
    produce->line++;
    if (!input_line(&produce->input, (struct str){line, len}, &record)) {
        produce->bad_line = true;
        cli_fail(produce->cli, "line %lld %s", (long long)produce->line, produce->input.error);
        return ERR_INVALID;
    }
    if (produce->dry_run) {
        produce->sent++;
        return ERR_OK;
    }
    keep_rate(produce);
    cli_progress(produce->cli, "%lld records stored", (long long)produce->sent);
    return client_producer_send_wait(produce->producer, &record, SEND_TIMEOUT_MS);
}

/* Sends the whole lines of `pending` and cuts them off; at the end of the input also a last line
 * without its newline. */
static enum err
send_gathered(struct produce *produce, struct buf *pending, bool at_end)
{
    char *data = (char *)pending->data;
    size_t at = 0;
    enum err err = ERR_OK;
    while (err == ERR_OK && at < pending->len && produce->failed == 0) {
        char *newline = memchr(data + at, '\n', pending->len - at);
        if (newline == NULL && !at_end)
            break;
        size_t len = newline != NULL ? (size_t)(newline - data) - at : pending->len - at;
        err = send_line(produce, data + at, len);
        at += newline != NULL ? len + 1 : len;
    }
    if (at > 0)
        memmove(data, data + at, pending->len - at);
    pending->len -= at;
    return err;
}

static enum err
send_lines(struct produce *produce, FILE *file)
{
    struct buf pending;
    enum err err = ERR_OK;
    bool at_end = false;
    buf_init(&pending, LINE_MAX_BYTES);
    while (err == ERR_OK && !at_end && produce->failed == 0) {
        if (!buf_reserve(&pending, READ_BYTES)) {
            err = ERR_LIMIT;
            break;
        }
        size_t n = fread(pending.data + pending.len, 1, READ_BYTES, file);
        pending.len += n;
        at_end = n == 0;
        if (at_end && ferror(file))
            err = ERR_IO;
        else
            err = send_gathered(produce, &pending, at_end);
    }
    buf_fini(&pending);
    return err;
}

static int
exit_of(struct produce *produce, enum err err)
{
    struct cli *cli = produce->cli;
    if (produce->bad_line || produce->failed > 0)
        return CLI_FAILED;
    if (err == ERR_NOTFOUND) {
        cli_missing(cli, "no such topic or partition: %s", cli->args[0]);
        cli_hint("moldau topic describe %s, or moldau topic create %s", cli->args[0], cli->args[0]);
        return CLI_NOT_FOUND;
    }
    if (err == ERR_LIMIT) {
        cli_fail(cli, "line %lld is longer than a batch may be", (long long)produce->line);
        cli_hint("--batch-bytes N, and the topic's max.message.bytes");
        return CLI_FAILED;
    }
    if (err == ERR_IO)
        return cli_fail(cli, "%s: cannot be read", cli_value(cli, "file"));
    return err == ERR_OK ? CLI_OK : cli_fail_call(cli, err);
}

static int
produce_all(struct produce *produce, struct client_producer_opts *opts, FILE *file)
{
    struct cli *cli = produce->cli;
    enum cli_format format = cli->format;
    if (!produce->dry_run) {
        opts->client = cli_client(cli);
        if (opts->client == NULL || client_producer_new(opts, &produce->producer) != ERR_OK)
            return CLI_FAILED;
        produce->start_ms = env_now_ms(cli->env);
    }
    if (produce->verbose && (format == CLI_FORMAT_JSON || format == CLI_FORMAT_YAML))
        fputc('[', stdout);
    enum err err = send_lines(produce, file);
    /* Also after a bad line: those before it are on their way. */
    if (!produce->dry_run && (err == ERR_OK || produce->bad_line)) {
        enum err flushed = client_producer_flush(produce->producer, FLUSH_TIMEOUT_MS);
        err = err == ERR_OK ? flushed : err;
    }
    cli_progress_end(cli);
    int code = exit_of(produce, err);
    client_producer_free(&produce->producer);
    int end = print_summary(produce);
    return code != CLI_OK ? code : end;
}

static int
run_produce(struct cli *cli)
{
    struct produce *produce = arena_calloc(&cli->arena, 1, sizeof *produce);
    struct client_producer_opts opts = {.on_delivery = on_delivery, .ctx = produce};
    const char *path = cli_value(cli, "file");
    if (produce == NULL)
        return cli_fail_memory(cli);
    produce->cli = cli;
    produce->record = (struct client_record){.topic = str_of(cli->args[0]), .timestamp = -1};
    input_init(&produce->input);
    int code = read_options(produce, &opts);
    FILE *file = path == NULL || code != CLI_OK ? stdin : fopen(path, "r");
    if (file == NULL)
        code = cli_fail(cli, "%s: %m", path);
    if (code == CLI_OK)
        code = produce_all(produce, &opts, file);
    if (file != NULL && file != stdin)
        fclose(file);
    mem_free(produce->stored);
    input_fini(&produce->input);
    return code;
}

const struct cli_command cli_produce = {
    .name = "produce",
    .alias = "topic produce",
    .arguments = "TOPIC",
    .summary = "store each line of standard input as a record",
    .options =
        (const struct cli_option[]){
            {"file", 'F', "PATH", "read this file instead"},
            {"format", 'f', "FORMAT",
                "how a line is cut, e.g. '%k\\t%s'; %k %s %p %T (milliseconds) %h (a=1,b=2)"},
            {"json", 'J', NULL, "lines as consume -o json prints them"},
            {"partition", 'p', "N", "to this partition", "by key, or spread"},
            {"key", 'k', "KEY", "the same key for every record"},
            {"key-separator", 'K', "TEXT", "what stands between key and value of a line"},
            {"header", 'H', "KEY=VALUE", "a header of every record; may be repeated"},
            {"compression", 'z', "CODEC", "none, gzip, snappy, lz4 or zstd", "none"},
            {"acks", 'a', "ACKS", "0, 1 or all", "all, with idempotence"},
            {"rate", 0, "N", "at most so many records a second"},
            {"linger-ms", 0, "MS", "how long to gather a batch", "5"},
            {"batch-bytes", 0, "N", "largest batch", "1000000"},
            {"tombstones", 'Z', NULL, "empty values are null"},
            {"verbose", 'v', NULL, "print where each record went"},
            {"quiet", 'q', NULL, "no summary"},
            {"dry-run", 0, NULL, "only read and check the lines"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 1,
    .not_found = "there is no such topic or partition",
    .examples = "  echo hello | moldau produce greetings\n"
                "  moldau produce orders -K : -z zstd -F orders.txt\n"
                "  moldau consume orders -O start -e -o json | moldau produce copy -J\n",
    .run = run_produce,
};
