/* Any bytes as the files of a partition's directory: the log opens or says why not, what it serves
 * is whole and checks out, it takes appends, closes, and opens again as it was. The first byte
 * picks how it is opened; then sections of files.h. */
#include <stdio.h>

#include "base/arena.h"
#include "base/assert.h"
#include "log/log.h"
#include "tests/fuzz/files.h"
#include "wire/batch_builder.h"

enum { READ_MAX = 1 << 20, READS = 64, ARENA_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const names[] = {"00000000000000000000.log", "00000000000000000000.index",
    "00000000000000000000.timeindex", "00000000000000000000.txnindex", "leader-epoch-checkpoint",
    "partition.metadata", "00000000000000000003.log", "00000000000000000003.index",
    "00000000000000000003.timeindex", "00000000000000000003.txnindex",
    "00000000000000000003.snapshot", "00000000000000000000.snapshot",
    "00000000000000000009.snapshot", "00000000000000000000.log.swap",
    "00000000000000000000.log.cleaned", "00000000000000000003.log.deleted",
    "00000000000000000003.index.swap", "00000000000000000006.log", "00000000000000000006.txnindex"};

static enum err
open_log(struct fuzz_host *host, uint8_t flags, const struct log_config *config, struct log **log)
{
    struct log_open_opts opts = {
        .env = host->env,
        .parent_dir = "d",
        .topic = STR("t"),
        .config = config,
        .clean = (flags & 1) != 0,
        .recovery_point = (flags >> 1) & 7,
        .high_watermark = (flags >> 1) & 7,
        .start_offset = (flags & 16) != 0 ? 1 : 0,
        .gaps_are_losses = (flags & 32) != 0,
    };
    return log_open(&opts, log);
}

/* Whatever was recovered is sound; what was closed cleanly is not looked at, so its batches are
 * only read. */
static void
read_all(struct log *log, bool sound)
{
    int64_t offset = log_start_offset(log);
    for (int i = 0; i < READS && offset < log_end_offset(log); i++) {
        struct log_read_opts opts = {.offset = offset,
            .bound_offset = log_end_offset(log),
            .max_bytes = READ_MAX,
            .min_one = true};
        struct log_slice slice = {0};
        struct batch_view b;
        uint8_t head[BATCH_HEADER_SIZE];
        size_t n = 0;
        if (log_read(log, &opts, &slice) != ERR_OK || slice.file == NULL)
            return;
        enum err err = env_read_at(slice.file, slice.position, head, sizeof head, &n);
        env_file_close(&slice.file);
        if (err != ERR_OK || batch_parse_header((struct bytes){head, n}, &b) != ERR_OK) {
            ASSERT(!sound || log_state(log) != LOG_OPEN);
            return;
        }
        if (batch_last_offset(&b) < offset) {
            ASSERT(!sound || log_state(log) != LOG_OPEN);
            return;
        }
        offset = batch_last_offset(&b) + 1;
    }
}

static void
ask(struct log *log)
{
    struct arena arena;
    struct log_aborted_txn *txns;
    struct log_time_offset found;
    int32_t count, epoch;
    int64_t end_offset;
    struct log_producer_info info;
    arena_init(&arena, ARENA_BYTES);
    (void)!log_aborted_txns(log, log_start_offset(log), log_end_offset(log), &arena, &txns, &count);
    arena_fini(&arena);
    (void)!log_offset_for_time(log, 1, &found);
    (void)!log_offset_for_time(log, INT64_MAX, &found);
    (void)!log_offset_for_max_timestamp(log, &found);
    log_epoch_end(log, 1, &epoch, &end_offset);
    (void)log_epoch_for_offset(log, log_start_offset(log));
    (void)log_producer_find(log, 1, &info);
    (void)log_topic_id(log);
}

static void
append(struct log *log, struct log_validator *validator)
{
    struct batch_builder_opts build = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder builder;
    struct buf bytes;
    struct log_append_result result;
    struct log_append_opts opts = {.origin = LOG_ORIGIN_CLIENT,
        .leader_epoch = log_latest_epoch(log) < 0 ? 0 : log_latest_epoch(log),
        .validator = validator,
        .txn_version = -1,
        .sequence_lowest = -1};
    int64_t end = log_end_offset(log);
    buf_init(&bytes, 4096);
    batch_builder_init(&builder, &build, &bytes);
    batch_builder_append(
        &builder, &(struct batch_builder_record){.timestamp = 1, .value = {(uint8_t *)"v", 1}});
    ASSERT(batch_builder_finish(&builder) == ERR_OK);
    enum err err = log_append(log, bytes.data, bytes.len, &opts, &result);
    ASSERT(err != ERR_OK || result.reject != LOG_REJECT_NONE || log_end_offset(log) == end + 1);
    buf_fini(&bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_host host;
    struct log_config config;
    struct log *log = NULL;
    struct log_validator *validator;
    if (len < 2)
        return 0;
    log_config_default(&config);
    fuzz_host_open(&host);
    ASSERT(log_validator_new(&validator) == ERR_OK);
    ASSERT(env_mkdir_all(host.env, "d/t-0") == ERR_OK);
    fuzz_files_write(&host, "d/t-0", names, COUNT_OF(names), (data[0] & 64) == 0,
        (struct bytes){data + 1, len - 1});
    if (open_log(&host, data[0], &config, &log) == ERR_OK) {
        ASSERT(log_start_offset(log) <= log_end_offset(log));
        /* Only what was scanned from its start is known to be sound. */
        bool scanned = (data[0] & 1) == 0 && ((data[0] >> 1) & 7) == 0;
        read_all(log, scanned);
        ask(log);
        append(log, validator);
        int64_t start = log_start_offset(log), end = log_end_offset(log);
        bool whole = scanned && log_state(log) == LOG_OPEN;
        if (log_close(&log) == ERR_OK && whole) {
            ASSERT(open_log(&host, (data[0] & 48) | 1, &config, &log) == ERR_OK);
            ASSERT(log_end_offset(log) == end);
            ASSERT(log_start_offset(log) <= start || log_start_offset(log) <= end);
            log_abandon(&log);
        }
    }
    log_validator_free(&validator);
    fuzz_host_close(&host);
    return 0;
}
