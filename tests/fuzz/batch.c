/* Any bytes as a leader's append, a follower's append, each codec's stream and a producer snapshot:
 * nothing crashes, and what is accepted is whole and checks out. The first byte picks options. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "log/producer_state.h"
#include "log/validate.h"
#include "wire/batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Mutations would never get past the checksum. */
static void
seal_all(uint8_t *data, size_t len)
{
    struct batch_view b;
    size_t at = 0;
    while (batch_parse((struct bytes){data + at, len - at}, &b) == ERR_OK) {
        batch_seal(data + at, b.size_bytes);
        at += b.size_bytes;
    }
}

static void
as_leader(uint8_t flags, uint8_t *data, size_t len)
{
    struct log_validator *v;
    struct log_validate_result result;
    struct log_validate_opts opts = {
        .origin = (flags & 1) != 0 ? LOG_ORIGIN_CLIENT : LOG_ORIGIN_COORDINATOR,
        .batches_many = (flags & 2) != 0,
        .compacted = (flags & 4) != 0,
        .codec_keep = (flags & 8) != 0,
        .codec = (enum compress_codec)((flags >> 4) % COMPRESS_CODEC_COUNT),
        .level = COMPRESS_LEVEL_DEFAULT,
        .log_append_time = (flags & 128) != 0,
        .timestamp_before_max_ms = INT64_MAX,
        .timestamp_after_max_ms = INT64_MAX,
        .now_ms = 1700000000000,
    };

    ASSERT(log_validator_new(&v) == ERR_OK);
    seal_all(data, len);
    if (log_validate_leader(v, &opts, data, len, &result) == ERR_OK &&
        result.reject == LOG_REJECT_NONE && result.batch_count > 0) {
        struct batch_view b;
        log_validate_assign(&result, 5, 1);
        ASSERT(batch_parse((struct bytes){result.data, result.len}, &b) == ERR_OK);
        ASSERT(batch_crc_ok(&b));
        ASSERT(b.base_offset == 5);
    }
    log_validator_free(&v);
}

static void
as_follower(uint8_t *data, size_t len)
{
    struct log_validate_result result;
    struct producer_state *ps;
    size_t at = 0;

    if (log_validate_follower(data, len, 0, INT32_MAX, &result) != ERR_OK ||
        result.reject != LOG_REJECT_NONE)
        return;
    ASSERT(producer_state_new(
               &(struct producer_state_opts){.expiration_ms = 1000, .producer_count_max = 4},
               &ps) == ERR_OK);
    while (at < result.len) {
        struct batch_view b;
        ASSERT(batch_parse((struct bytes){data + at, result.len - at}, &b) == ERR_OK);
        ASSERT(producer_state_replay(ps, &b, NULL, NULL) == ERR_OK);
        at += b.size_bytes;
    }
    producer_state_free(&ps);
}

static void
as_stream(uint8_t flags, struct bytes in)
{
    struct compress_ctx *ctx;
    struct buf out;

    ASSERT(compress_ctx_new(&ctx) == ERR_OK);
    buf_init(&out, 1 << 20);
    enum err err = compress_decode(
        ctx, (enum compress_codec)(flags % COMPRESS_CODEC_COUNT), in, 1 << 18, &out);
    ASSERT(err == ERR_OK || out.len == 0);
    ASSERT(out.len <= 1 << 18);
    buf_fini(&out);
    compress_ctx_free(&ctx);
}

static void
as_snapshot(struct bytes in)
{
    struct producer_state *ps;

    ASSERT(producer_state_new(&(struct producer_state_opts){.expiration_ms = 1000}, &ps) == ERR_OK);
    (void)!producer_state_decode(ps, in, 1, -1);
    producer_state_free(&ps);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    uint8_t *copy = malloc(len - 1);
    if (copy == NULL)
        return 0;
    memcpy(copy, data + 1, len - 1);
    as_stream(data[0], (struct bytes){copy, len - 1});
    as_snapshot((struct bytes){copy, len - 1});
    as_leader(data[0], copy, len - 1);
    as_follower(copy, len - 1);
    free(copy);
    return 0;
}
