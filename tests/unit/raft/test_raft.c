/* A quorum of one over a fake disk which remembers what was durable and can fail any effect. */
#include "tests/lib/test.h"

#include <string.h>

#include "raft/raft.h"
#include "wire/batch.h"

enum { LOG_MAX = 1 << 16, TEXT_MAX = 512 };

struct disk {
    /* what survives a crash */
    char state_text[TEXT_MAX];
    size_t state_len;
    int64_t end_durable;
    int32_t epoch_durable; /* of the last durable batch */
    /* of this life */
    uint8_t log[LOG_MAX];
    size_t log_len;
    int64_t end;
    int32_t epoch;
    int effects;
    int fail_at; /* the nth effect fails; 0: none */
    bool flush_wanted;
    int leading_calls, lost_calls;
    int64_t committed;
    struct raft *raft;
};

static bool
fails(struct disk *d)
{
    return ++d->effects == d->fail_at;
}

static enum err
store_state(void *ctx, struct bytes text)
{
    struct disk *d = ctx;
    if (fails(d))
        return ERR_IO;
    assert_true(text.len < TEXT_MAX);
    memcpy(d->state_text, text.data, text.len);
    d->state_len = text.len;
    return ERR_OK;
}

static enum err
append(void *ctx, uint8_t *batches, size_t len)
{
    struct disk *d = ctx;
    struct batch_view view;
    struct quorum_state stored;
    if (fails(d))
        return ERR_IO;
    assert_int_equal(batch_parse((struct bytes){batches, len}, &view), ERR_OK);
    assert_true(batch_crc_ok(&view));
    assert_int_equal(view.base_offset, d->end);
    /* I1: nothing is written under an epoch that the disk does not know. */
    assert_int_equal(
        quorum_state_parse((struct str){d->state_text, d->state_len}, &stored), ERR_OK);
    assert_int_equal(stored.leader_epoch, view.leader_epoch);
    assert_true(d->log_len + len <= LOG_MAX);
    memcpy(d->log + d->log_len, batches, len);
    d->log_len += len;
    d->end = batch_last_offset(&view) + 1;
    d->epoch = view.leader_epoch;
    return ERR_OK;
}

static void
want_flush(void *ctx)
{
    ((struct disk *)ctx)->flush_wanted = true;
}

static void
committed(void *ctx, int64_t high_watermark)
{
    struct disk *d = ctx;
    assert_true(high_watermark >= d->committed);   /* I3 */
    assert_true(high_watermark <= d->end_durable); /* only what is durable */
    d->committed = high_watermark;
}

static void
leading(void *ctx, bool leader, int32_t epoch)
{
    struct disk *d = ctx;
    (void)epoch;
    *(leader ? &d->leading_calls : &d->lost_calls) += 1;
}

static const struct raft_ops ops = {store_state, append, want_flush, committed, leading};

/* The process starts on what the disk kept. */
static void
boot(struct disk *d)
{
    struct quorum_state stored;
    int32_t self = 1;
    d->log_len = 0;
    d->end = d->end_durable;
    d->epoch = d->epoch_durable;
    d->effects = 0;
    d->flush_wanted = false;
    d->leading_calls = d->lost_calls = 0;
    d->committed = 0;
    struct raft_opts opts = {.ops = &ops,
        .ctx = d,
        .node_id = 1,
        .voters = &self,
        .voter_count = 1,
        .log_end_offset = d->end,
        .log_epoch = d->epoch};
    opts.directory_id.b[0] = 7;
    if (d->state_len > 0) {
        assert_int_equal(
            quorum_state_parse((struct str){d->state_text, d->state_len}, &stored), ERR_OK);
        opts.state = &stored;
    }
    assert_int_equal(raft_new(&opts, &d->raft), ERR_OK);
}

static void
flush(struct disk *d)
{
    d->flush_wanted = false;
    d->end_durable = d->end;
    d->epoch_durable = d->epoch;
    raft_flushed(d->raft, d->end);
}

static enum err
put(struct disk *d, int64_t *last)
{
    struct batch_builder_record records[2] = {{.timestamp = 5, .value = {(const uint8_t *)"a", 1}},
        {.timestamp = 5, .value = {(const uint8_t *)"b", 1}}};
    return raft_append(d->raft, records, 2, last);
}

static void
a_voter_alone_leads_at_its_first_tick(void **state)
{
    (void)state;
    struct disk d = {0};
    boot(&d);
    assert_int_equal(raft_role_get(d.raft), RAFT_UNATTACHED);
    assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
    assert_int_equal(raft_role_get(d.raft), RAFT_LEADER);
    assert_int_equal(raft_epoch(d.raft), 1);
    assert_int_equal(raft_leader_id(d.raft), 1);
    assert_int_equal(d.leading_calls, 1);
    assert_int_equal(raft_epoch_start_offset(d.raft), 0);
    raft_free(&d.raft);
}

static void
the_epoch_begins_with_a_leader_change_record(void **state)
{
    (void)state;
    struct disk d = {0};
    struct batch_view view;
    struct batch_iter it;
    struct batch_record record;
    enum batch_control_type type = BATCH_CONTROL_UNKNOWN;
    boot(&d);
    assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
    assert_int_equal(batch_parse((struct bytes){d.log, d.log_len}, &view), ERR_OK);
    assert_true(batch_is_control(&view));
    assert_int_equal(view.base_timestamp, 1000);
    assert_int_equal(batch_iter_init(&it, &view, NULL, NULL), ERR_OK);
    assert_true(batch_iter_next(&it, &record));
    assert_int_equal(batch_control_key_parse(record.key, &type), ERR_OK);
    assert_int_equal(type, BATCH_CONTROL_LEADER_CHANGE);
    raft_free(&d.raft);
}

static void
nothing_is_committed_before_it_is_flushed(void **state)
{
    (void)state;
    struct disk d = {0};
    int64_t last = -1;
    boot(&d);
    assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
    assert_int_equal(raft_high_watermark(d.raft), 0);
    assert_true(d.flush_wanted);
    flush(&d);
    assert_int_equal(d.committed, 1);
    assert_int_equal(put(&d, &last), ERR_OK);
    assert_int_equal(last, 2);
    assert_int_equal(raft_high_watermark(d.raft), 1);
    assert_int_equal(d.committed, 1);
    flush(&d);
    assert_int_equal(d.committed, 3);
    assert_int_equal(raft_high_watermark(d.raft), 3);
    raft_free(&d.raft);
}

static void
one_flush_commits_all_that_was_appended_before_it(void **state)
{
    (void)state;
    struct disk d = {0};
    int64_t last = -1;
    boot(&d);
    assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(put(&d, &last), ERR_OK);
    flush(&d);
    assert_int_equal(d.committed, last + 1);
    raft_free(&d.raft);
}

static void
each_life_leads_a_higher_epoch(void **state)
{
    (void)state;
    struct disk d = {0};
    for (int32_t life = 1; life <= 4; life++) {
        boot(&d);
        assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
        assert_int_equal(raft_epoch(d.raft), life);
        flush(&d);
        raft_free(&d.raft);
    }
}

static void
a_lost_quorum_state_file_does_not_take_the_epoch_back(void **state)
{
    (void)state;
    struct disk d = {.end_durable = 10, .epoch_durable = 6};
    boot(&d);
    assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
    assert_int_equal(raft_epoch(d.raft), 7);
    raft_free(&d.raft);
}

static void
who_does_not_lead_cannot_append(void **state)
{
    (void)state;
    struct disk d = {0};
    int64_t last = -1;
    boot(&d);
    assert_int_equal(put(&d, &last), ERR_WRONG_STATE);
    assert_int_equal(last, -1);
    assert_int_equal(d.effects, 0);
    raft_free(&d.raft);
}

static void
a_failed_flush_ends_service_for_good(void **state)
{
    (void)state;
    struct disk d = {0};
    int64_t last = -1;
    boot(&d);
    assert_int_equal(raft_tick(d.raft, 1000), ERR_OK);
    flush(&d);
    assert_int_equal(put(&d, &last), ERR_OK);
    raft_flush_failed(d.raft);
    assert_int_equal(raft_role_get(d.raft), RAFT_FAILED);
    assert_int_equal(d.lost_calls, 1);
    assert_int_equal(raft_leader_id(d.raft), -1);
    int effects = d.effects;
    assert_int_equal(put(&d, &last), ERR_FAILED);
    assert_int_equal(raft_tick(d.raft, 1001), ERR_FAILED);
    assert_int_equal(d.effects, effects); /* I4 */
    assert_int_equal(d.committed, 1);
    raft_free(&d.raft);
}

/* Fails the 1st, 2nd, ... effect of a life of election and appends until none fails; what was
 * committed is durable at each crash, and the next life leads a higher epoch. */
static void
a_failure_of_any_effect_keeps_what_was_committed(void **state)
{
    (void)state;
    bool untouched = false;
    for (int nth = 1; !untouched; nth++) {
        struct disk d = {.end_durable = 4, .epoch_durable = 2};
        enum err err;
        int64_t last = -1;
        assert_true(nth < 100);
        d.fail_at = nth;
        boot(&d);
        err = raft_tick(d.raft, 1000);
        for (int i = 0; i < 3 && err == ERR_OK; i++) {
            flush(&d);
            err = put(&d, &last);
        }
        untouched = err == ERR_OK;
        if (!untouched) {
            int effects = d.effects;
            assert_int_equal(raft_role_get(d.raft), RAFT_FAILED);
            assert_int_equal(raft_tick(d.raft, 1001), ERR_FAILED);
            assert_int_equal(put(&d, &last), ERR_FAILED);
            assert_int_equal(d.effects, effects); /* I4 */
        }
        int64_t was_committed = d.committed;
        int32_t was_epoch = raft_epoch(d.raft);
        raft_free(&d.raft);
        assert_true(was_committed <= d.end_durable);
        d.fail_at = 0;
        boot(&d);
        assert_int_equal(raft_tick(d.raft, 2000), ERR_OK);
        assert_true(raft_epoch(d.raft) > was_epoch || was_epoch == 2); /* I2 */
        assert_true(raft_epoch(d.raft) > 2);
        flush(&d);
        assert_true(d.committed > was_committed);
        raft_free(&d.raft);
    }
}

TEST_MAIN(cmocka_unit_test(a_voter_alone_leads_at_its_first_tick),
    cmocka_unit_test(the_epoch_begins_with_a_leader_change_record),
    cmocka_unit_test(nothing_is_committed_before_it_is_flushed),
    cmocka_unit_test(one_flush_commits_all_that_was_appended_before_it),
    cmocka_unit_test(each_life_leads_a_higher_epoch),
    cmocka_unit_test(a_lost_quorum_state_file_does_not_take_the_epoch_back),
    cmocka_unit_test(who_does_not_lead_cannot_append),
    cmocka_unit_test(a_failed_flush_ends_service_for_good),
    cmocka_unit_test(a_failure_of_any_effect_keeps_what_was_committed))
