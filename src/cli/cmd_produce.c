/* cli/cmd_produce.c - moldau produce: lines of standard input or of a file become records. */
#include <string.h>

#include "cli/commands.h"
#include "client/producer.h"
#include "proto/error_codes.h"

enum {
    SEND_TIMEOUT_MS = 60000,
    FLUSH_TIMEOUT_MS = 150000,
    HEADERS_MAX = 32,
    READ_BYTES = 1 << 16,
    LINE_MAX_BYTES = 128 << 20,
};

struct produce {
    struct cli *cli;
    struct client_producer *producer;
    struct client_record record; /* what is the same of all */
    const char *separator;       /* between key and value; NULL: no keys */
    struct batch_header headers[HEADERS_MAX];
    int64_t sent, failed;
    bool verbose;
};

static void
on_delivery(void *ctx, const struct client_delivery *delivery)
{
    struct produce *produce = ctx;
    if (delivery->err == ERR_OK && delivery->error_code == 0) {
        produce->sent++;
        if (produce->verbose)
            printf("partition %d offset %lld\n", (int)delivery->partition,
                (long long)delivery->offset);
        return;
    }
    if (produce->failed++ == 0)
        cli_fail(produce->cli, "a record was not stored: %s",
            delivery->error_code != 0 ? proto_error_name(delivery->error_code)
                                      : err_text(delivery->err));
}

static int
read_options(struct produce *produce, struct client_producer_opts *opts)
{
    struct cli *cli = produce->cli;
    const char *acks = cli_value(cli, "acks");
    const char *codec = cli_value(cli, "compression");
    int64_t partition, linger_ms, batch_bytes;
    const char *header;
    if (!cli_number(cli, "partition", -1, INT32_MAX, -1, &partition) ||
        !cli_number(cli, "linger-ms", 0, 60000, 5, &linger_ms) ||
        !cli_number(cli, "batch-bytes", 1024, 64 << 20, 0, &batch_bytes))
        return CLI_USAGE;
    if (acks == NULL || strcmp(acks, "all") == 0 || strcmp(acks, "-1") == 0)
        opts->acks = -1;
    else if (strcmp(acks, "0") == 0 || strcmp(acks, "1") == 0)
        opts->acks = (int16_t)(acks[0] - '0');
    else
        return cli_usage(cli, "--acks must be 0, 1 or all, not '%s'", acks);
    if (codec != NULL && !compress_codec_parse(str_of(codec), &opts->codec))
        return cli_usage(
            cli, "--compression must be none, gzip, snappy, lz4 or zstd, not '%s'", codec);
    for (int i = 0; (header = cli_value_at(cli, "header", i)) != NULL; i++) {
        const char *equals = strchr(header, '=');
        if (equals == NULL || i == HEADERS_MAX)
            return cli_usage(cli, "--header wants KEY=VALUE, at most %d of them", HEADERS_MAX);
        produce->headers[i].key =
            (struct bytes){(const uint8_t *)header, (size_t)(equals - header)};
        produce->headers[i].value = (struct bytes){(const uint8_t *)equals + 1, strlen(equals + 1)};
        produce->record.header_count = i + 1;
    }
    produce->separator = cli_value(cli, "key-separator");
    produce->verbose = cli_flag(cli, "verbose");
    produce->record.partition = (int32_t)partition;
    produce->record.headers = produce->headers;
    opts->idempotent = opts->acks == -1;
    opts->linger_ms = linger_ms;
    opts->batch_bytes = (size_t)batch_bytes;
    opts->level = COMPRESS_LEVEL_DEFAULT;
    return CLI_OK;
}

static enum err
send_line(struct produce *produce, char *line, size_t len)
{
    struct client_record record = produce->record;
    const char *fixed = cli_value(produce->cli, "key");
    if (fixed != NULL)
        record.key = (struct bytes){(const uint8_t *)fixed, strlen(fixed)};
    record.value = (struct bytes){(const uint8_t *)line, len};
    if (produce->separator != NULL) {
        size_t separator_len = strlen(produce->separator);
        char *at = memmem(line, len, produce->separator, separator_len);
        if (at != NULL) {
            record.key = (struct bytes){(const uint8_t *)line, (size_t)(at - line)};
            record.value = (struct bytes){
                (const uint8_t *)at + separator_len, len - (size_t)(at - line) - separator_len};
        }
    }
    if (record.value.len == 0 && cli_flag(produce->cli, "tombstones"))
        record.value = BYTES_NULL;
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
        err = send_gathered(produce, &pending, at_end);
    }
    buf_fini(&pending);
    return err;
}

static int
run_produce(struct cli *cli)
{
    struct produce produce = {.cli = cli};
    struct client_producer_opts opts = {.on_delivery = on_delivery, .ctx = &produce};
    const char *path = cli_value(cli, "file");
    produce.record = (struct client_record){.topic = str_of(cli->args[0]), .timestamp = -1};
    int code = read_options(&produce, &opts);
    if (code != CLI_OK)
        return code;
    FILE *file = path == NULL ? stdin : fopen(path, "r");
    if (file == NULL)
        return cli_fail(cli, "%s: %m", path);
    opts.client = cli_client(cli);
    if (opts.client == NULL || client_producer_new(&opts, &produce.producer) != ERR_OK) {
        code = CLI_FAILED;
        goto out;
    }
    enum err err = send_lines(&produce, file);
    if (err == ERR_OK)
        err = client_producer_flush(produce.producer, FLUSH_TIMEOUT_MS);
    if (err == ERR_NOTFOUND)
        code = cli_fail(cli, "no such topic or partition: %s", cli->args[0]);
    else if (err == ERR_LIMIT)
        code = cli_fail(cli, "a line is longer than a batch may be (--batch-bytes)");
    else if (err != ERR_OK)
        code = cli_fail_call(cli, err);
    client_producer_free(&produce.producer);
    if (code == CLI_OK && produce.failed > 0)
        code = CLI_FAILED;
    if (!cli_flag(cli, "quiet"))
        fprintf(stderr, "%lld records stored\n", (long long)produce.sent);
out:
    if (file != stdin)
        fclose(file);
    return code;
}

const struct cli_command cli_produce = {
    .name = "produce",
    .arguments = "TOPIC",
    .summary = "store each line of standard input as a record",
    .options =
        (const struct cli_option[]){
            {"file", 'F', "PATH", "read this file instead"},
            {"partition", 'p', "N", "to this partition (by key, or spread)"},
            {"key", 'k', "KEY", "the same key for every record"},
            {"key-separator", 'K', "TEXT", "what stands between key and value of a line"},
            {"header", 'H', "KEY=VALUE", "a header of every record; may be repeated"},
            {"compression", 'z', "CODEC", "none, gzip, snappy, lz4 or zstd"},
            {"acks", 'a', "ACKS", "0, 1 or all (all, with idempotence)"},
            {"linger-ms", 0, "MS", "how long to gather a batch (5)"},
            {"batch-bytes", 0, "N", "largest batch (1000000)"},
            {"tombstones", 'Z', NULL, "empty values are null"},
            {"verbose", 'v', NULL, "print where each record went"},
            {"quiet", 'q', NULL, "no summary"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  echo hello | moldau produce greetings\n"
                "  moldau produce orders -K : -z zstd -F orders.txt\n",
    .run = run_produce,
};
