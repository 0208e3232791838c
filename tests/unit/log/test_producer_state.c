#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "log/producer_state.h"
#include "log/producer_state_priv.h"
#include "tests/lib/test.h"
#include "wire/batch_builder.h"

enum { EXPIRATION = 1000 };

static struct producer_state *ps;

static int
setup(void **state)
{
    (void)state;
    return producer_state_new(&(struct producer_state_opts){.expiration_ms = EXPIRATION}, &ps) ==
                   ERR_OK
               ? 0
               : -1;
}

static int
teardown(void **state)
{
    (void)state;
    producer_state_free(&ps);
    return 0;
}

/* One batch in a few words. */
struct spec {
    int64_t id;
    int epoch, sequence, count;
    int64_t offset;
    bool txn;
    int marker; /* 0 none, 1 commit, 2 abort */
    int coordinator_epoch;
    int64_t time;
};

static struct buf
make(const struct spec *s)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    if (s->marker != 0) {
        struct batch_marker_opts m = {
            .type = s->marker == 1 ? BATCH_CONTROL_COMMIT : BATCH_CONTROL_ABORT,
            .base_offset = s->offset,
            .producer_id = s->id,
            .producer_epoch = (int16_t)s->epoch,
            .coordinator_epoch = s->coordinator_epoch,
            .timestamp_ms = s->time};
        assert_int_equal(batch_build_marker(&m, &out), ERR_OK);
        return out;
    }
    struct batch_builder_opts o = BATCH_BUILDER_OPTS_DEFAULT;
    struct batch_builder b;
    o.base_offset = s->offset;
    o.producer_id = s->id;
    o.producer_epoch = (int16_t)s->epoch;
    o.base_sequence = s->sequence;
    o.transactional = s->txn;
    batch_builder_init(&b, &o, &out);
    for (int i = 0; i < (s->count == 0 ? 1 : s->count); i++)
        batch_builder_append(&b, &(struct batch_builder_record){.timestamp = s->time});
    assert_int_equal(batch_builder_finish(&b), ERR_OK);
    return out;
}

static struct producer_append_opts
client(void)
{
    return (struct producer_append_opts){.origin = LOG_ORIGIN_CLIENT, .sequence_lowest = -1};
}

/* Begins, checks and commits one batch; the answer. */
static enum log_reject
append_as(const struct spec *s, struct producer_append_opts opts, struct producer_append *out)
{
    struct producer_append a;
    struct batch_view b;
    enum log_reject reject;
    struct buf bytes = make(s);

    assert_int_equal(batch_parse(buf_bytes(&bytes), &b), ERR_OK);
    producer_append_begin(&a, ps, &opts);
    assert_int_equal(producer_append_batch(&a, &b, &reject), ERR_OK);
    if (reject == LOG_REJECT_NONE) {
        assert_int_equal(producer_append_reserve(&a), ERR_OK);
        if (out != NULL)
            *out = a; /* for a look at what it would do; only numbers are looked at */
        producer_append_commit(&a);
        producer_state_set_end_offset(ps, batch_last_offset(&b) + 1);
    } else {
        assert_true(a.what[0] != 0);
        if (out != NULL)
            *out = a;
        producer_append_drop(&a);
    }
    buf_fini(&bytes);
    return reject;
}

static enum log_reject
append(struct spec s)
{
    return append_as(&s, client(), NULL);
}

static enum log_reject
marker(struct spec s, int txn_version)
{
    struct producer_append_opts o = {.origin = LOG_ORIGIN_COORDINATOR,
        .txn_version = (int16_t)txn_version,
        .sequence_lowest = -1};
    return append_as(&s, o, NULL);
}

#define S(...) ((struct spec){__VA_ARGS__})

static void
the_last_five_batches_are_duplicates_and_older_ones_out_of_order(void **state)
{
    struct producer_append a;
    (void)state;
    for (int i = 0; i < 7; i++)
        assert_int_equal(append(S(.id = 1, .sequence = i * 3, .count = 3, .offset = 100 + i * 3,
                             .time = 50 + i)),
            LOG_REJECT_NONE);
    for (int i = 2; i < 7; i++) {
        struct spec s = {.id = 1, .sequence = i * 3, .count = 3, .offset = 500};
        assert_int_equal(append_as(&s, client(), &a), LOG_REJECT_DUPLICATE);
        assert_int_equal(a.duplicate.last_offset, 100 + i * 3 + 2);
        assert_int_equal(a.duplicate.offset_delta, 2);
        assert_int_equal(a.duplicate.timestamp, 50 + i);
    }
    assert_int_equal(append(S(.id = 1, .sequence = 3, .count = 3, .offset = 500)),
        LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    /* The same start with another length is no duplicate. */
    assert_int_equal(append(S(.id = 1, .sequence = 18, .count = 2, .offset = 500)),
        LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(
        append(S(.id = 1, .sequence = 22, .offset = 500)), LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(append(S(.id = 1, .sequence = 21, .offset = 500)), LOG_REJECT_NONE);
    assert_int_equal(producer_state_count(ps), 1);
}

static void
epochs_never_go_back_and_a_new_one_begins_at_zero(void **state)
{
    (void)state;
    assert_int_equal(append(S(.id = 1, .epoch = 3, .sequence = 40, .offset = 0)), LOG_REJECT_NONE);
    assert_int_equal(append(S(.id = 1, .epoch = 2, .sequence = 41, .offset = 1)),
        LOG_REJECT_INVALID_PRODUCER_EPOCH);
    assert_int_equal(append(S(.id = 1, .epoch = 4, .sequence = 41, .offset = 1)),
        LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(append(S(.id = 1, .epoch = 4, .sequence = 0, .offset = 1)), LOG_REJECT_NONE);
    assert_int_equal(producer_state_find(ps, 1)->batch_count, 1);
    assert_int_equal(append(S(.id = 1, .epoch = 4, .sequence = 1, .offset = 2)), LOG_REJECT_NONE);
}

static void
sequences_wrap_and_wrapped_duplicates_are_found(void **state)
{
    struct producer_append a;
    (void)state;
    assert_int_equal(
        append(S(.id = 1, .sequence = INT32_MAX - 1, .count = 4, .offset = 0)), LOG_REJECT_NONE);
    assert_int_equal(producer_state_find(ps, 1)->batches[0].last_sequence, 1);
    struct spec s = {.id = 1, .sequence = INT32_MAX - 1, .count = 4, .offset = 9};
    assert_int_equal(append_as(&s, client(), &a), LOG_REJECT_DUPLICATE);
    assert_int_equal(a.duplicate.last_offset, 3);
    assert_int_equal(append(S(.id = 1, .sequence = 2, .offset = 4)), LOG_REJECT_NONE);
    assert_int_equal(append(S(.id = 2, .sequence = INT32_MAX, .offset = 5)), LOG_REJECT_NONE);
    assert_int_equal(append(S(.id = 2, .sequence = 0, .offset = 6)), LOG_REJECT_NONE);
}

static void
unknown_producers_begin_anywhere_except_verified_ones_with_epoch_bump(void **state)
{
    struct producer_append_opts o = client();
    (void)state;
    assert_int_equal(append(S(.id = 1, .sequence = 77, .offset = 0)), LOG_REJECT_NONE);
    o.sequence_lowest = 77;
    o.epoch_bump_supported = true;
    struct spec s = {.id = 2, .sequence = 77, .offset = 1, .txn = true};
    assert_int_equal(append_as(&s, o, NULL), LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    o.epoch_bump_supported = false;
    assert_int_equal(append_as(&s, o, NULL), LOG_REJECT_NONE);
    /* Above the lowest sequence that verification has seen: something is still on its way. */
    o.sequence_lowest = 5;
    s = S(.id = 3, .sequence = 6, .offset = 2, .txn = true);
    assert_int_equal(append_as(&s, o, NULL), LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
}

static void
transactions_bound_the_lso_until_the_marker_is_replicated(void **state)
{
    (void)state;
    assert_int_equal(producer_state_first_undecided(ps), -1);
    assert_int_equal(
        append(S(.id = 1, .sequence = 0, .offset = 10, .txn = true, .time = 5)), LOG_REJECT_NONE);
    assert_int_equal(append(S(.id = 2, .sequence = 0, .offset = 11, .txn = true)), LOG_REJECT_NONE);
    assert_int_equal(
        append(S(.id = 1, .sequence = 1, .offset = 12, .txn = true, .time = 6)), LOG_REJECT_NONE);
    assert_int_equal(producer_state_first_undecided(ps), 10);
    assert_int_equal(producer_state_oldest_txn_timestamp(ps), 6);
    assert_int_equal(marker(S(.id = 1, .offset = 13, .marker = 1), 0), LOG_REJECT_NONE);
    assert_int_equal(producer_state_first_undecided(ps), 11);
    assert_int_equal(producer_state_first_unstable(ps), 10);
    producer_state_high_watermark(ps, 13); /* the marker itself is not below it */
    assert_int_equal(producer_state_first_unstable(ps), 10);
    producer_state_high_watermark(ps, 14);
    assert_int_equal(producer_state_first_unstable(ps), 11);
    assert_int_equal(marker(S(.id = 2, .offset = 14, .marker = 2), 0), LOG_REJECT_NONE);
    assert_int_equal(producer_state_first_undecided(ps), -1);
    assert_int_equal(producer_state_first_unstable(ps), 11);
    producer_state_log_start(ps, 15);
    assert_int_equal(producer_state_first_unstable(ps), -1);
}

static void
a_nested_transaction_that_ends_first_does_not_release_the_outer(void **state)
{
    (void)state;
    append(S(.id = 1, .sequence = 0, .offset = 0, .txn = true));
    append(S(.id = 2, .sequence = 0, .offset = 1, .txn = true));
    marker(S(.id = 2, .offset = 2, .marker = 1), 0);
    marker(S(.id = 1, .offset = 3, .marker = 1), 0);
    producer_state_high_watermark(ps, 3);
    assert_int_equal(producer_state_first_unstable(ps), 0);
    producer_state_high_watermark(ps, 4);
    assert_int_equal(producer_state_first_unstable(ps), -1);
}

static void
non_transactional_write_inside_an_open_transaction_is_refused(void **state)
{
    (void)state;
    append(S(.id = 1, .sequence = 0, .offset = 0, .txn = true));
    assert_int_equal(append(S(.id = 1, .sequence = 1, .offset = 1)), LOG_REJECT_INVALID_TXN_STATE);
    marker(S(.id = 1, .offset = 1, .marker = 1), 0);
    assert_int_equal(append(S(.id = 1, .sequence = 1, .offset = 2)), LOG_REJECT_NONE);
}

static void
markers_check_epochs_as_their_version_says(void **state)
{
    (void)state;
    append(S(.id = 1, .epoch = 5, .sequence = 0, .offset = 0, .txn = true));
    assert_int_equal(marker(S(.id = 1, .epoch = 4, .offset = 1, .marker = 1), 0),
        LOG_REJECT_INVALID_PRODUCER_EPOCH);
    /* Version 2 wants a bumped epoch while a transaction is open ... */
    assert_int_equal(marker(S(.id = 1, .epoch = 5, .offset = 1, .marker = 1), 2),
        LOG_REJECT_INVALID_PRODUCER_EPOCH);
    assert_int_equal(
        marker(S(.id = 1, .epoch = 6, .offset = 1, .marker = 1, .coordinator_epoch = 9), 2),
        LOG_REJECT_NONE);
    assert_int_equal(producer_state_find(ps, 1)->batch_count, 0);
    /* ... and takes the same one again as a retry when none is. */
    assert_int_equal(
        marker(S(.id = 1, .epoch = 6, .offset = 2, .marker = 1, .coordinator_epoch = 9), 2),
        LOG_REJECT_NONE);
    assert_int_equal(
        marker(S(.id = 1, .epoch = 6, .offset = 3, .marker = 1, .coordinator_epoch = 8), 0),
        LOG_REJECT_COORDINATOR_FENCED);
    /* After the bump the sequence begins again. */
    assert_int_equal(append(S(.id = 1, .epoch = 6, .sequence = 1, .offset = 3, .txn = true)),
        LOG_REJECT_OUT_OF_ORDER_SEQUENCE);
    assert_int_equal(
        append(S(.id = 1, .epoch = 6, .sequence = 0, .offset = 3, .txn = true)), LOG_REJECT_NONE);
    /* A marker of a producer nobody knows, and without data: kept, but no transaction ends. */
    assert_int_equal(marker(S(.id = 2, .epoch = 1, .offset = 4, .marker = 2), 0), LOG_REJECT_NONE);
    assert_int_equal(producer_state_find(ps, 2)->producer_epoch, 1);
    assert_int_equal(producer_state_first_undecided(ps), 3);
}

static void
refused_or_dropped_appends_leave_no_trace(void **state)
{
    struct producer_append a;
    struct batch_view b;
    enum log_reject reject;
    struct producer_append_opts o = client();
    struct spec s = {.id = 9, .sequence = 0, .offset = 0, .txn = true};
    struct buf bytes = make(&s);
    (void)state;
    assert_int_equal(batch_parse(buf_bytes(&bytes), &b), ERR_OK);
    producer_append_begin(&a, ps, &o);
    assert_int_equal(producer_append_batch(&a, &b, &reject), ERR_OK);
    assert_int_equal(producer_append_reserve(&a), ERR_OK);
    assert_null(producer_state_find(ps, 9));
    assert_int_equal(producer_state_count(ps), 0);
    producer_append_drop(&a); /* the write failed */
    assert_null(producer_state_find(ps, 9));
    assert_int_equal(producer_state_first_undecided(ps), -1);
    assert_null(ps->map);
    buf_fini(&bytes);
}

static void
every_failed_allocation_leaves_the_state_as_it_was(void **state)
{
    (void)state;
    append(S(.id = 1, .sequence = 0, .offset = 0, .txn = true));
    for (uint64_t nth = 1;; nth++) {
        struct spec s = {.id = 2, .sequence = 0, .offset = 1, .txn = true};
        struct producer_append a;
        struct batch_view b;
        enum log_reject reject = LOG_REJECT_NONE;
        struct producer_append_opts o = client();
        struct buf bytes = make(&s);
        assert_int_equal(batch_parse(buf_bytes(&bytes), &b), ERR_OK);
        mem_fail_after(nth);
        producer_append_begin(&a, ps, &o);
        enum err err = producer_append_batch(&a, &b, &reject);
        if (err == ERR_OK)
            err = producer_append_reserve(&a);
        mem_fail_after(0);
        if (err == ERR_OK)
            producer_append_commit(&a);
        else
            producer_append_drop(&a);
        buf_fini(&bytes);
        if (err == ERR_OK) {
            assert_true(nth > 2);
            break;
        }
        assert_int_equal(err, ERR_NOMEM);
        assert_int_equal(producer_state_count(ps), 1);
        assert_null(producer_state_find(ps, 2));
    }
    assert_int_equal(producer_state_count(ps), 2);
}

static void
idle_producers_expire_and_open_transactions_do_not(void **state)
{
    (void)state;
    append(S(.id = 1, .sequence = 0, .offset = 0, .time = 100));
    append(S(.id = 2, .sequence = 0, .offset = 1, .time = 100, .txn = true));
    append(S(.id = 3, .sequence = 0, .offset = 2, .time = 101));
    producer_state_expire(ps, 100 + EXPIRATION);
    assert_null(producer_state_find(ps, 1));
    assert_non_null(producer_state_find(ps, 2));
    assert_non_null(producer_state_find(ps, 3));
    assert_int_equal(producer_state_count(ps), 2);
}

static void
beyond_the_ceiling_the_longest_silent_goes_and_open_transactions_stay(void **state)
{
    (void)state;
    producer_state_free(&ps);
    assert_int_equal(producer_state_new(&(struct producer_state_opts){.expiration_ms = EXPIRATION,
                                            .producer_count_max = 3},
                         &ps),
        ERR_OK);
    append(S(.id = 1, .sequence = 0, .offset = 0, .txn = true));
    append(S(.id = 2, .sequence = 0, .offset = 1));
    append(S(.id = 3, .sequence = 0, .offset = 2));
    append(S(.id = 2, .sequence = 1, .offset = 3));
    assert_int_equal(append(S(.id = 4, .sequence = 0, .offset = 4, .txn = true)), LOG_REJECT_NONE);
    assert_int_equal(producer_state_count(ps), 3);
    assert_null(producer_state_find(ps, 3));
    assert_int_equal(append(S(.id = 5, .sequence = 0, .offset = 5, .txn = true)), LOG_REJECT_NONE);
    assert_null(producer_state_find(ps, 2));
    assert_int_equal(append(S(.id = 6, .sequence = 0, .offset = 6)), LOG_REJECT_TOO_MANY_PRODUCERS);
    assert_int_equal(append(S(.id = 5, .sequence = 1, .offset = 6, .txn = true)), LOG_REJECT_NONE);
}

/* ---- several batches in one append (a follower's) ---- */

static void
lso_of_each_end_counts_what_is_open_then(void **state)
{
    static const struct spec specs[] = {
        {.id = 1, .sequence = 0, .offset = 0, .txn = true},
        {.id = 2, .sequence = 0, .offset = 1, .txn = true},
        {.id = 1, .offset = 2, .marker = 2},
        {.id = 1, .sequence = 1, .offset = 3, .txn = true},
        {.id = 2, .offset = 4, .marker = 2},
        {.id = 1, .offset = 5, .marker = 1},
    };
    struct producer_append a;
    enum log_reject reject;
    int32_t count;
    (void)state;
    producer_append_begin(&a, ps,
        &(struct producer_append_opts){.origin = LOG_ORIGIN_REPLICATION,
            .txn_version = PRODUCER_TXN_UNKNOWN,
            .sequence_lowest = -1});
    for (size_t i = 0; i < COUNT_OF(specs); i++) {
        struct buf bytes = make(&specs[i]);
        struct batch_view b;
        assert_int_equal(batch_parse(buf_bytes(&bytes), &b), ERR_OK);
        assert_int_equal(producer_append_batch(&a, &b, &reject), ERR_OK);
        assert_int_equal(reject, LOG_REJECT_NONE);
        buf_fini(&bytes);
    }
    const struct producer_txn_end *ends = producer_append_txn_ends(&a, &count);
    assert_int_equal(count, 3);
    assert_true(ends[0].aborted && ends[1].aborted && !ends[2].aborted);
    assert_int_equal(ends[0].first_offset, 0);
    assert_int_equal(ends[0].last_offset, 2);
    assert_int_equal(producer_append_txn_lso(&a, &ends[0]), 1);
    assert_int_equal(producer_append_txn_lso(&a, &ends[1]), 3);
    assert_int_equal(producer_append_txn_lso(&a, &ends[2]), 6);
    assert_int_equal(producer_append_reserve(&a), ERR_OK);
    producer_append_commit(&a);
    assert_int_equal(producer_state_first_undecided(ps), -1);
    assert_int_equal(producer_state_first_unstable(ps), 0);
    assert_int_equal(producer_state_find(ps, 1)->batch_count, 2);
}

/* ---- snapshots ---- */

static struct buf
load(const char *name)
{
    char path[512];
    struct buf b;
    snprintf(path, sizeof path, "%s/%s", VECTORS_DIR, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    buf_init(&b, 1 << 20);
    uint8_t *p = buf_extend(&b, 4096);
    b.len = fread(p, 1, 4096, f);
    fclose(f);
    return b;
}

static void
snapshot_of_apache_is_read_and_written_back_entry_for_entry(void **state)
{
    struct buf file = load("producers.snapshot"), ours;
    (void)state;
    assert_int_equal(producer_state_decode(ps, buf_bytes(&file), 130, -1), ERR_OK);
    assert_int_equal(producer_state_count(ps), 3);
    assert_int_equal(producer_state_end_offset(ps), 130);
    assert_int_equal(producer_state_first_undecided(ps), 120);
    const struct producer_entry *e = producer_state_find(ps, 12);
    assert_int_equal(e->producer_epoch, 2);
    assert_int_equal(e->coordinator_epoch, 6);
    assert_int_equal(e->batches[0].last_sequence, INT32_MAX);
    assert_int_equal(e->batches[0].last_offset, 125);
    assert_int_equal(e->batches[0].offset_delta, 5);
    assert_int_equal(producer_state_find(ps, 13)->batch_count, 0);
    buf_init(&ours, 1 << 20);
    assert_int_equal(producer_state_encode(ps, &ours), ERR_OK);
    assert_int_equal(ours.len, file.len);
    /* The order of the entries is ours; each is the same. */
    for (size_t i = 10; i < file.len; i += 46) {
        bool found = false;
        for (size_t k = 10; k < ours.len; k += 46)
            found = found || memcmp(file.data + i, ours.data + k, 46) == 0;
        assert_true(found);
    }
    const char *dir = getenv("VECTORS_OUT");
    if (dir != NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s/producers.snapshot", dir);
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(ours.data, 1, ours.len, f);
        fclose(f);
    }
    buf_fini(&ours);
    buf_fini(&file);
}

static void
damaged_snapshots_are_corrupt_and_leave_nothing(void **state)
{
    struct buf file = load("producers.snapshot");
    (void)state;
    for (size_t n = 0; n < file.len; n++) {
        assert_int_equal(
            producer_state_decode(ps, (struct bytes){file.data, n}, 1, -1), ERR_CORRUPT);
        assert_int_equal(producer_state_count(ps), 0);
    }
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 1;
        assert_int_equal(producer_state_decode(ps, buf_bytes(&file), 1, -1), ERR_CORRUPT);
        file.data[i] ^= 1;
    }
    assert_int_equal(producer_state_decode(ps, buf_bytes(&file), 1, -1), ERR_OK);
    buf_fini(&file);
}

static void
expired_producers_are_left_out_of_a_loaded_snapshot(void **state)
{
    struct buf file;
    (void)state;
    append(S(.id = 1, .sequence = 0, .offset = 0, .time = 100));
    append(S(.id = 2, .sequence = 0, .offset = 1, .time = 100, .txn = true));
    append(S(.id = 3, .sequence = 0, .offset = 2, .time = 900));
    buf_init(&file, 1000);
    assert_int_equal(producer_state_encode(ps, &file), ERR_OK);
    assert_int_equal(producer_state_decode(ps, buf_bytes(&file), 3, 1200), ERR_OK);
    assert_null(producer_state_find(ps, 1));
    assert_non_null(producer_state_find(ps, 2));
    assert_non_null(producer_state_find(ps, 3));
    /* Only the last batch came back: it is still a duplicate. */
    assert_int_equal(append(S(.id = 3, .sequence = 0, .offset = 9)), LOG_REJECT_DUPLICATE);
    assert_int_equal(append(S(.id = 3, .sequence = 1, .offset = 9)), LOG_REJECT_NONE);
    buf_fini(&file);
}

/* ---- the model: a naive reference that keeps the whole history ---- */

enum { MODEL_IDS = 4, MODEL_STEPS = 6000 };

struct model_batch {
    int epoch;
    int32_t first, last;
    int64_t offset_first;
};

struct model_txn {
    int64_t first, last; /* last -1 while open */
};

struct model_producer {
    int epoch; /* -1 unknown */
    int coordinator_epoch;
    int64_t txn_first;
    struct model_batch history[MODEL_STEPS];
    int count;
};

struct model {
    struct model_producer producers[MODEL_IDS];
    struct model_txn txns[MODEL_STEPS];
    int txn_count;
    int64_t end, high_watermark;
};

static uint64_t
next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* The answer to a client's batch by the rules as the reference states them. */
static enum log_reject
model_data(const struct model *m, const struct spec *s)
{
    const struct model_producer *p = &m->producers[s->id];
    int32_t last = batch_sequence_add(s->sequence, s->count - 1);
    int seen = 0;

    for (int i = p->count - 1; i >= 0 && seen < 5 && p->history[i].epoch == p->epoch; i--, seen++) {
        if (s->epoch == p->epoch && p->history[i].first == s->sequence &&
            p->history[i].last == last)
            return LOG_REJECT_DUPLICATE;
    }
    if (s->epoch < p->epoch)
        return LOG_REJECT_INVALID_PRODUCER_EPOCH;
    if (p->epoch >= 0) {
        int64_t expected = 0;
        if (s->epoch == p->epoch && p->count > 0 && p->history[p->count - 1].epoch == p->epoch)
            expected = batch_sequence_add(p->history[p->count - 1].last, 1);
        if (s->sequence != expected)
            return LOG_REJECT_OUT_OF_ORDER_SEQUENCE;
    }
    if (p->txn_first >= 0 && !s->txn)
        return LOG_REJECT_INVALID_TXN_STATE;
    return LOG_REJECT_NONE;
}

static enum log_reject
model_marker(const struct model *m, const struct spec *s)
{
    const struct model_producer *p = &m->producers[s->id];
    if (s->epoch < p->epoch)
        return LOG_REJECT_INVALID_PRODUCER_EPOCH;
    if (s->coordinator_epoch < p->coordinator_epoch)
        return LOG_REJECT_COORDINATOR_FENCED;
    return LOG_REJECT_NONE;
}

static void
model_take(struct model *m, const struct spec *s)
{
    struct model_producer *p = &m->producers[s->id];
    p->epoch = s->epoch;
    if (s->marker != 0) {
        p->coordinator_epoch = s->coordinator_epoch;
        for (int i = 0; i < m->txn_count && p->txn_first >= 0; i++) {
            if (m->txns[i].first == p->txn_first)
                m->txns[i].last = s->offset;
        }
        p->txn_first = -1;
        m->end = s->offset + 1;
        return;
    }
    p->history[p->count++] = (struct model_batch){
        s->epoch, s->sequence, batch_sequence_add(s->sequence, s->count - 1), s->offset};
    if (s->txn && p->txn_first < 0) {
        p->txn_first = s->offset;
        m->txns[m->txn_count++] = (struct model_txn){s->offset, -1};
    }
    m->end = s->offset + s->count;
}

static int64_t
model_unstable(const struct model *m)
{
    for (int i = 0; i < m->txn_count; i++) { /* in the order of their first offsets */
        if (m->txns[i].last < 0 || m->txns[i].last >= m->high_watermark)
            return m->txns[i].first;
    }
    return -1;
}

static struct spec
model_step(const struct model *m, uint64_t *seed)
{
    struct spec s = {.id = (int64_t)(next_random(seed) % MODEL_IDS), .offset = m->end};
    const struct model_producer *p = &m->producers[s.id];
    int32_t expected = 0;

    if (p->count > 0)
        expected = batch_sequence_add(p->history[p->count - 1].last, 1);
    s.epoch = p->epoch < 0 ? 0 : p->epoch;
    switch (next_random(seed) % 20) {
    case 0: s.epoch++; break;
    case 1: s.epoch = s.epoch > 0 ? s.epoch - 1 : 0; break;
    default: break;
    }
    if (next_random(seed) % 6 == 0) {
        s.marker = 1 + (int)(next_random(seed) % 2);
        s.coordinator_epoch = p->coordinator_epoch + (int)(next_random(seed) % 8) - 1;
        return s;
    }
    s.count = 1 + (int)(next_random(seed) % 5);
    s.txn = p->txn_first >= 0 ? next_random(seed) % 16 != 0 : next_random(seed) % 2 == 0;
    s.sequence = s.epoch == p->epoch ? expected : 0;
    uint64_t kind = next_random(seed) % 8;
    if (kind == 0 && p->count > 0) { /* something already sent */
        const struct model_batch *old =
            &p->history[p->count - 1 - (int)(next_random(seed) % (p->count < 8 ? p->count : 8))];
        s.sequence = old->first;
        s.count = old->last >= old->first ? old->last - old->first + 1 : 3;
    } else if (kind == 1) {
        s.sequence = (int32_t)(next_random(seed) % 50);
    } else if (kind == 2 && p->epoch < 0) {
        s.sequence = INT32_MAX - 3;
    }
    return s;
}

/* Encode and decode: what survives is what the format keeps. */
static void
model_reload(void)
{
    struct producer_entry before[MODEL_IDS];
    bool known[MODEL_IDS];
    struct buf file;
    buf_init(&file, 1 << 16);
    for (int64_t id = 0; id < MODEL_IDS; id++) {
        const struct producer_entry *e = producer_state_find(ps, id);
        known[id] = e != NULL;
        if (known[id])
            before[id] = *e;
    }
    assert_int_equal(producer_state_encode(ps, &file), ERR_OK);
    struct producer_state *live = ps, *copy;
    assert_int_equal(
        producer_state_new(&(struct producer_state_opts){.expiration_ms = EXPIRATION}, &copy),
        ERR_OK);
    assert_int_equal(producer_state_decode(copy, buf_bytes(&file), 0, -1), ERR_OK);
    for (int64_t id = 0; id < MODEL_IDS; id++) {
        const struct producer_entry *e = producer_state_find(copy, id);
        assert_int_equal(e != NULL, known[id]);
        if (e == NULL)
            continue;
        assert_int_equal(e->producer_epoch, before[id].producer_epoch);
        assert_int_equal(e->txn_first_offset, before[id].txn_first_offset);
        assert_int_equal(e->coordinator_epoch, before[id].coordinator_epoch);
    }
    assert_int_equal(producer_state_first_undecided(copy), producer_state_first_undecided(live));
    producer_state_free(&copy);
    buf_fini(&file);
}

static void
answers_and_lso_equal_a_naive_model_over_a_random_history(void **state)
{
    uint64_t seed = test_seed(20261121), printed = seed;
    struct model *m = mem_calloc(1, sizeof *m);
    int taken = 0;
    (void)state;
    assert_non_null(m);
    for (int i = 0; i < MODEL_IDS; i++) {
        m->producers[i].epoch = -1;
        m->producers[i].coordinator_epoch = -1;
        m->producers[i].txn_first = -1;
    }
    for (int step = 0; step < MODEL_STEPS; step++) {
        struct spec s = model_step(m, &seed);
        enum log_reject expected = s.marker != 0 ? model_marker(m, &s) : model_data(m, &s);
        enum log_reject got = s.marker != 0 ? marker(s, 0) : append(s);
        if (got != expected)
            fail_msg("seed %llu step %d: got %d, expected %d", (unsigned long long)printed, step,
                (int)got, (int)expected);
        if (got == LOG_REJECT_NONE) {
            model_take(m, &s);
            taken++;
        }
        if (next_random(&seed) % 4 == 0) {
            m->high_watermark +=
                (int64_t)(next_random(&seed) % (uint64_t)(m->end - m->high_watermark + 1));
            producer_state_high_watermark(ps, m->high_watermark);
        }
        assert_int_equal(producer_state_first_unstable(ps), model_unstable(m));
        assert_int_equal(producer_state_end_offset(ps), m->end);
        if (step % 500 == 0)
            model_reload();
    }
    assert_true(taken > MODEL_STEPS / 3);
    mem_free(m);
}

struct replay_seen {
    int count;
    struct producer_txn_end ends[8];
    int64_t lso[8];
};

static void
seen_end(void *c, const struct producer_txn_end *end, int64_t lso)
{
    struct replay_seen *seen = c;
    seen->ends[seen->count] = *end;
    seen->lso[seen->count++] = lso;
}

static void
replay_rebuilds_the_state_and_tells_of_aborted_transactions(void **state)
{
    static const struct spec specs[] = {
        {.id = 1, .sequence = 0, .offset = 0, .txn = true},
        {.id = 2, .sequence = 40, .offset = 1, .count = 2},
        {.id = 1, .offset = 3, .marker = 2, .coordinator_epoch = 4},
        {.id = 2, .sequence = 90, .offset = 4}, /* a gap: compaction took what was between */
        {.id = 2, .epoch = 7, .sequence = 3, .offset = 5, .txn = true},
    };
    struct replay_seen seen = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(specs); i++) {
        struct buf bytes = make(&specs[i]);
        struct batch_view b;
        assert_int_equal(batch_parse(buf_bytes(&bytes), &b), ERR_OK);
        assert_int_equal(producer_state_replay(ps, &b, seen_end, &seen), ERR_OK);
        buf_fini(&bytes);
    }
    assert_int_equal(seen.count, 1);
    assert_true(seen.ends[0].aborted);
    assert_int_equal(seen.lso[0], 4);
    assert_int_equal(producer_state_find(ps, 1)->coordinator_epoch, 4);
    assert_int_equal(producer_state_find(ps, 2)->producer_epoch, 7);
    assert_int_equal(producer_state_first_undecided(ps), 5);
}

static uint64_t
verify(int64_t id, int epoch, int32_t sequence, int64_t now)
{
    uint64_t guard;
    enum log_reject reject;
    struct producer_verify_opts o = {.producer_id = id,
        .producer_epoch = (int16_t)epoch,
        .sequence = sequence,
        .now_ms = now,
        .epoch_bump_supported = true};
    assert_int_equal(producer_state_verify(ps, &o, &guard, &reject), ERR_OK);
    return reject == LOG_REJECT_NONE ? guard : UINT64_MAX;
}

static void
a_guard_holds_until_the_transaction_begins_or_ends(void **state)
{
    (void)state;
    uint64_t guard = verify(1, 0, 5, 10);
    assert_true(guard != 0);
    assert_true(verify(1, 0, 3, 11) == guard); /* more of the same, out of order */
    assert_int_equal(producer_state_verification(ps, 1)->sequence_lowest, 3);
    assert_true(verify(1, 1, 9, 11) == guard);
    assert_int_equal(producer_state_verification(ps, 1)->sequence_lowest, 9);
    assert_true(producer_state_verified(ps, 1, 1, guard));
    assert_false(producer_state_verified(ps, 1, 1, guard + 1));
    assert_false(producer_state_verified(ps, 1, 1, 0));
    assert_int_equal(
        append(S(.id = 1, .epoch = 1, .sequence = 0, .offset = 0, .txn = true)), LOG_REJECT_NONE);
    assert_null(producer_state_verification(ps, 1)); /* begun: nothing to verify any more */
    assert_true(verify(1, 1, 1, 12) == 0);
    assert_true(producer_state_verified(ps, 1, 1, 0));
    assert_true(verify(1, 0, 1, 12) == UINT64_MAX); /* a fenced epoch */
    /* The coordinator aborts while the next transaction is verified under the old epoch. */
    uint64_t next = verify(1, 2, 0, 13);
    assert_true(next != 0 && next != guard);
    assert_int_equal(marker(S(.id = 1, .epoch = 3, .offset = 1, .marker = 2), 2), LOG_REJECT_NONE);
    assert_false(producer_state_verified(ps, 1, 2, next));
}

static void
a_version_two_marker_of_the_last_transaction_keeps_the_next_ones_guard(void **state)
{
    (void)state;
    append(S(.id = 1, .epoch = 0, .sequence = 0, .offset = 0, .txn = true));
    uint64_t guard = verify(1, 1, 0, 10);
    assert_int_equal(marker(S(.id = 1, .epoch = 1, .offset = 1, .marker = 1), 2), LOG_REJECT_NONE);
    assert_true(producer_state_verified(ps, 1, 1, guard));
    producer_state_expire(ps, 10 + EXPIRATION);
    assert_false(producer_state_verified(ps, 1, 1, guard));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
TEST_MAIN(T(the_last_five_batches_are_duplicates_and_older_ones_out_of_order),
    T(epochs_never_go_back_and_a_new_one_begins_at_zero),
    T(sequences_wrap_and_wrapped_duplicates_are_found),
    T(unknown_producers_begin_anywhere_except_verified_ones_with_epoch_bump),
    T(transactions_bound_the_lso_until_the_marker_is_replicated),
    T(a_nested_transaction_that_ends_first_does_not_release_the_outer),
    T(non_transactional_write_inside_an_open_transaction_is_refused),
    T(markers_check_epochs_as_their_version_says), T(refused_or_dropped_appends_leave_no_trace),
    T(every_failed_allocation_leaves_the_state_as_it_was),
    T(idle_producers_expire_and_open_transactions_do_not),
    T(beyond_the_ceiling_the_longest_silent_goes_and_open_transactions_stay),
    T(lso_of_each_end_counts_what_is_open_then),
    T(snapshot_of_apache_is_read_and_written_back_entry_for_entry),
    T(damaged_snapshots_are_corrupt_and_leave_nothing),
    T(expired_producers_are_left_out_of_a_loaded_snapshot),
    T(answers_and_lso_equal_a_naive_model_over_a_random_history),
    T(replay_rebuilds_the_state_and_tells_of_aborted_transactions),
    T(a_guard_holds_until_the_transaction_begins_or_ends),
    T(a_version_two_marker_of_the_last_transaction_keeps_the_next_ones_guard))
