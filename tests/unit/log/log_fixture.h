/* tests/unit/log/log_fixture.h - a log in a scratch directory, and batches to put into it. */
#ifndef TESTS_UNIT_LOG_FIXTURE_H
#define TESTS_UNIT_LOG_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "log/log.h"
#include "os/env.h"
#include "tests/lib/test.h"
#include "wire/batch.h"

struct log_fixture {
    struct env *env;
    char dir[256];
    bool real; /* the environment and the directory are the fixture's */
    struct log_config config;
    struct log_validator *validator;
    struct log *log;
    int32_t epoch;
    int64_t timestamp; /* of the next record; grows by one each */
    /* For fixture_open, as in log_open_opts. */
    bool gaps_are_losses;
    int64_t cleaned_end;
};

/* A real directory and environment. */
void fixture_init(struct log_fixture *fx);
/* In an environment of the caller's, under `dir`, which exists. */
void fixture_init_in(struct log_fixture *fx, struct env *env, const char *dir);
void fixture_fini(struct log_fixture *fx);
void fixture_open(
    struct log_fixture *fx, bool clean, int64_t recovery_point, int64_t high_watermark);
/* Clean close and open. */
void fixture_reopen(struct log_fixture *fx);
/* As after a kill: memory is gone, what was written is there. */
void fixture_kill(struct log_fixture *fx, int64_t recovery_point, int64_t high_watermark);

struct fixture_batch {
    int count;           /* records, at least 1 */
    size_t value_bytes;  /* of each record; the value begins with its offset's low byte */
    int64_t producer_id; /* 0: none */
    int16_t producer_epoch;
    int32_t base_sequence;
    bool transactional;
};
/* Appends a batch and gives the error; *result as the log says. */
enum err fixture_append(
    struct log_fixture *fx, const struct fixture_batch *batch, struct log_append_result *result);
/* Must succeed; gives the first offset. */
int64_t fixture_add(struct log_fixture *fx, int count, size_t value_bytes);
int64_t fixture_marker(
    struct log_fixture *fx, int64_t producer_id, int16_t producer_epoch, bool commit);

/* Reads from offset up to the log end or max_bytes; the bytes go to out (initialised by it). */
enum err fixture_read(struct log_fixture *fx, int64_t offset, size_t max_bytes, struct buf *out,
    struct log_slice *slice);
/* Reads the whole log and checks that batches are whole, sound and contiguous; their number. */
int fixture_check_all(struct log_fixture *fx);

void fixture_path(const struct log_fixture *fx, char *out, size_t size, const char *name);
int64_t fixture_file_size(const struct log_fixture *fx, const char *name);
/* Changes bytes of a file of the log's directory. */
void fixture_poke(
    const struct log_fixture *fx, const char *name, int64_t position, const void *data, size_t len);
uint8_t fixture_peek(const struct log_fixture *fx, const char *name, int64_t position);
void fixture_cut(const struct log_fixture *fx, const char *name, int64_t size);
bool fixture_exists(const struct log_fixture *fx, const char *name);

#endif
