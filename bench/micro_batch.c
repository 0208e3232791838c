/* What one core does with batches: checksum, validation as a leader per codec, building, iterating.
 * usage: micro_batch [SECONDS_PER_CASE]; one line a case: name, MB/s of batch bytes, records/s,
 * ratio. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log/validate.h"
#include "wire/batch.h"
#include "wire/batch_builder.h"

enum { RECORDS = 1000, VALUE = 100 };

struct bench {
    struct compress_ctx *ctx;
    struct log_validator *validator;
    struct buf batch, scratch, out;
    struct batch_view view;
    int codec;
    int64_t now_ms;
};

static double
seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
check(bool ok)
{
    if (!ok)
        abort();
}

static void
build(struct bench *b, struct buf *out)
{
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder builder;
    uint8_t value[VALUE];

    o.codec = (enum compress_codec)b->codec;
    o.ctx = b->ctx;
    buf_clear(out);
    batch_builder_init(&builder, &o, out);
    for (int i = 0; i < RECORDS; i++) {
        for (int j = 0; j < VALUE; j++)
            value[j] = (uint8_t)("{\"user\":\"id\",\"n\": }"[j % 19] + (j > 60 ? (i * j) % 11 : 0));
        batch_builder_append(
            &builder, &(struct batch_builder_record){
                          .timestamp = b->now_ms + i, .key = {value, 8}, .value = {value, VALUE}});
    }
    check(batch_builder_finish(&builder) == ERR_OK);
}

static void
run_crc(struct bench *b)
{
    check(batch_crc_ok(&b->view));
}

static void
run_iterate(struct bench *b)
{
    struct batch_iter it;
    struct batch_record r;
    check(batch_iter_init(&it, &b->view, b->ctx, &b->scratch) == ERR_OK);
    while (batch_iter_next(&it, &r))
        ;
    check(it.err == ERR_OK);
}

static void
run_validate(struct bench *b)
{
    struct log_validate_result result;
    struct log_validate_opts opts = {.codec_keep = true,
        .level = COMPRESS_LEVEL_DEFAULT,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = 3600000,
        .now_ms = b->now_ms};
    check(log_validate_leader(b->validator, &opts, b->batch.data, b->batch.len, &result) == ERR_OK);
    check(result.reject == LOG_REJECT_NONE);
}

static void
run_build(struct bench *b)
{
    build(b, &b->out);
}

static void
measure(struct bench *b, const char *what, void (*run)(struct bench *b), double limit)
{
    double start = seconds(), spent;
    int64_t rounds = 0;

    do {
        for (int i = 0; i < 16; i++)
            run(b);
        rounds += 16;
        spent = seconds() - start;
    } while (spent < limit);
    printf("%-9s %-7s %8zu bytes %9.0f MB/s %12.0f records/s\n", what,
        compress_codec_name(b->codec), b->batch.len,
        (double)rounds * (double)b->batch.len / spent / 1e6, (double)rounds * RECORDS / spent);
}

int
main(int argc, char **argv)
{
    double limit = argc > 1 ? atof(argv[1]) : 0.3;
    struct bench b = {.now_ms = 1700000000000};

    check(compress_ctx_new(&b.ctx) == ERR_OK && log_validator_new(&b.validator) == ERR_OK);
    buf_init(&b.batch, 64 << 20);
    buf_init(&b.scratch, 64 << 20);
    buf_init(&b.out, 64 << 20);
    for (b.codec = 0; b.codec < COMPRESS_CODEC_COUNT; b.codec++) {
        build(&b, &b.batch);
        check(batch_parse(buf_bytes(&b.batch), &b.view) == ERR_OK);
        measure(&b, "crc", run_crc, limit);
        measure(&b, "iterate", run_iterate, limit);
        measure(&b, "validate", run_validate, limit);
        measure(&b, "build", run_build, limit);
    }
    buf_fini(&b.batch);
    buf_fini(&b.scratch);
    buf_fini(&b.out);
    compress_ctx_free(&b.ctx);
    log_validator_free(&b.validator);
    return 0;
}
