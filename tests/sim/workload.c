/* tests/sim/workload.c - the clients of one broker.
 *
 * What: a timer on the clients' loop, at random intervals, does a little of everything. States:
 * creating the topic, running, quiesced, auditing, audited. Invariants: I1 one call of each kind is
 * on its way at a time; its request lives in the workload. I2 a producer that was refused is
 * replaced before it sends again, so that its sequences start anew. Threads: the loop's. */
#include "tests/sim/workload.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "client/consumer.h"
#include "client/producer.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/error_codes.h"
#include "tests/sim/admin.h"
#include "tests/sim/epochs.h"
#include "tests/sim/group_offsets.h"
#include "tests/sim/members.h"
#include "tests/sim/quotas.h"
#include "tests/sim/sim_memory.h"

enum {
    TICK_MS_MAX = 20,
    BURST_MAX = 6,
    CALL_ARENA = 1 << 20,
    OUTSTANDING_MAX = 200,
    REPACKED_LINGER_FACTOR = 40,
    REPACKED_BATCH_FACTOR = 8,
    DELIVERY_TIMEOUT_MS = 3600000, /* nothing is given up for being late */
    REQUEST_TIMEOUT_MS = 5000,
    CONNECT_TIMEOUT_MS = 1000,
    /* With damage: a partition refuses for good, but what hangs on a dead connection comes back. */
    SETTLE_MS = 40000,
    AUDIT_STALL_MS = 5000, /* with damage: a partition that says nothing has nothing more to say */
};

static const char TOPIC[] = "history";

enum state { CREATING, RUNNING, QUIESCED, AUDITING, AUDITED };

/* A producer and whether it was refused. */
struct sender {
    struct workload *workload;
    struct client_producer *producer;
    bool durable;
    bool refused;
};

struct workload {
    struct workload_opts opts;
    struct history *history;
    struct loop *loop;
    struct client *client;
    struct sender all, one;
    struct client_consumer *consumer;
    int64_t read_next[HISTORY_PARTITIONS]; /* offset of the next message */
    struct group_offsets offsets;
    struct epochs epochs;
    struct admin admin;
    struct members members;
    struct quotas quotas;
    struct loop_timer timer;
    struct loop_task audit_task;
    enum state state;
    bool refusals_expected;
    bool damage_expected, damage_live;
    int32_t audit_part; /* with damage: read one after the other */
    int64_t quiesced_ms;
    int64_t audit_ms; /* when something was read last */
    bool freeing;
    struct client_call create_call;
    struct proto_create_topics_request create;
    struct proto_create_topics_request_creatable_topic create_topic;
    struct proto_create_topics_request_creatable_topic_config create_config;
    uint8_t value[HISTORY_VALUE_MAX];
};

static uint64_t
below(struct workload *workload, uint64_t bound)
{
    return sim_random(workload->opts.sim) % bound;
}

/* ---- the topic ---- */

static void
on_created(struct client_call *call)
{
    struct workload *workload = call->ctx;
    const struct proto_create_topics_response *response = call->response;
    if (call->err != ERR_OK || response->topics.count != 1)
        return;
    int16_t code = response->topics.items[0].error_code;
    if ((code == 0 || code == PROTO_ERROR_TOPIC_ALREADY_EXISTS) && workload->state == CREATING)
        workload->state = RUNNING;
}

static void
create_topic(struct workload *workload)
{
    if (workload->create_call.active)
        return;
    workload->create_topic = (struct proto_create_topics_request_creatable_topic){
        .name = str_of(TOPIC), .num_partitions = HISTORY_PARTITIONS, .replication_factor = 1};
    if (workload->opts.compacted || workload->opts.repacked) {
        workload->create_config = (struct proto_create_topics_request_creatable_topic_config){
            .name = STR("cleanup.policy"), .value = STR("compact")};
        if (workload->opts.repacked)
            workload->create_config = (struct proto_create_topics_request_creatable_topic_config){
                .name = STR("compression.type"), .value = STR("zstd")};
        workload->create_topic.configs.items = &workload->create_config;
        workload->create_topic.configs.count = 1;
    }
    workload->create = (struct proto_create_topics_request){.timeout_ms = 5000};
    workload->create.topics.items = &workload->create_topic;
    workload->create.topics.count = 1;
    workload->create_call.target = CLIENT_TARGET_ANY;
    workload->create_call.key = PROTO_CREATE_TOPICS_REQUEST_KEY;
    workload->create_call.request = &workload->create;
    workload->create_call.done = on_created;
    workload->create_call.ctx = workload;
    client_call_start(workload->client, &workload->create_call);
}

/* ---- producing ---- */

static void
on_delivery(void *ctx, const struct client_delivery *delivery)
{
    struct sender *sender = ctx;
    struct workload *workload = sender->workload;
    uint64_t id = (uint64_t)(uintptr_t)delivery->opaque;
    if (delivery->err == ERR_OK && delivery->error_code == 0) {
        history_acked(workload->history, id, delivery->offset);
        return;
    }
    if (workload->freeing || delivery->err == ERR_CANCELED)
        return;
    sender->refused = true;
    if (!workload->refusals_expected)
        history_fail(workload->history, "partition %d: record %llu (acks=%s) refused: %s, %s",
            (int)delivery->partition, (unsigned long long)id, sender->durable ? "all" : "1",
            err_text(delivery->err), proto_error_name(delivery->error_code));
}

static void
sender_renew(struct sender *sender)
{
    struct workload *workload = sender->workload;
    struct client_producer_opts opts = {
        .client = workload->client,
        .acks = sender->durable ? -1 : 1,
        .idempotent = sender->durable,
        .linger_ms = (int64_t)below(workload, 5),
        .batch_bytes = 1000 + (size_t)below(workload, 16000),
        .delivery_timeout_ms = DELIVERY_TIMEOUT_MS,
        .codec = below(workload, 4) == 0 ? COMPRESS_LZ4 : COMPRESS_NONE,
        .level = COMPRESS_LEVEL_DEFAULT,
        .on_delivery = on_delivery,
        .ctx = sender,
    };
    if (workload->opts.repacked) {
        opts.linger_ms *= REPACKED_LINGER_FACTOR;
        opts.batch_bytes *= REPACKED_BATCH_FACTOR;
    }
    client_producer_free(&sender->producer);
    sender->refused = false;
    enum err err = client_producer_new(&opts, &sender->producer);
    ASSERT(err == ERR_OK);
}

static void
send_some(struct workload *workload, struct sender *sender)
{
    int count = (int)below(workload, BURST_MAX);
    if (sender->refused)
        sender_renew(sender);
    while (count-- > 0 && client_producer_outstanding(sender->producer) < OUTSTANDING_MAX) {
        struct str topic = str_of(TOPIC);
        const struct client_topic *known = client_topic_find(workload->client, topic);
        int32_t partition = (int32_t)below(workload, HISTORY_PARTITIONS);
        /* A record gets its id only when it will be taken: ids stand for the order of sending. */
        if (known == NULL || known->error_code != 0) {
            struct client_record probe = {.topic = topic, .partition = HISTORY_PARTITIONS + 1};
            enum err asked = client_producer_send(sender->producer, &probe);
            ASSERT(asked != ERR_OK);
            return;
        }
        size_t len = below(workload, 4) == 0 ? 16 + (size_t)below(workload, 800)
                                             : 16 + (size_t)below(workload, 60);
        if (below(workload, 64) == 0)
            len = HISTORY_VALUE_MAX / 4;
        if (workload->opts.repacked)
            len = HISTORY_VALUE_MAX;
        uint64_t id =
            history_send(workload->history, partition, sender->durable, workload->value, len);
        char key[16];
        int key_len = snprintf(key, sizeof key, "k%u", history_key_of(id));
        struct client_record record = {
            .topic = topic,
            .partition = partition,
            .timestamp = -1,
            .value = {workload->value, len},
            .opaque = (void *)(uintptr_t)id,
        };
        if (workload->opts.compacted)
            record.key = (struct bytes){(const uint8_t *)key, (size_t)key_len};
        enum err err = client_producer_send(sender->producer, &record);
        if (err != ERR_OK)
            return;
    }
}

/* ---- consuming ---- */

static void
assign(struct workload *workload, int32_t partition, int64_t offset)
{
    enum err err = client_consumer_assign(workload->consumer, str_of(TOPIC), partition, offset);
    ASSERT(err == ERR_OK);
    workload->read_next[partition] = offset;
}

static void
assign_all(struct workload *workload, int64_t offset)
{
    for (int32_t p = 0; p < HISTORY_PARTITIONS; p++)
        assign(workload, p, offset);
}

/* Wherever a reader begins, it is given every offset from there on. */
static void
take_message(struct workload *workload, const struct client_message *message)
{
    int32_t p = message->partition;
    history_seen(workload->history, p, message->offset, message->value);
    bool in_order = workload->opts.compacted ? message->offset >= workload->read_next[p]
                                             : message->offset == workload->read_next[p];
    if (!in_order && !workload->damage_expected)
        history_fail(workload->history, "partition %d: asked for offset %lld, given %lld", (int)p,
            (long long)workload->read_next[p], (long long)message->offset);
    workload->read_next[p] = message->offset + 1;
    /* An epoch may have no record left where it begins or ends. */
    if (workload->state == AUDITING && !workload->opts.compacted)
        epochs_note(&workload->epochs, p, message->leader_epoch, message->offset);
}

static void
consumer_renew(struct workload *workload, int64_t offset)
{
    struct client_consumer_opts opts = {
        .client = workload->client,
        .read_committed = below(workload, 2) == 0,
        .max_wait_ms = (int32_t)(1 + below(workload, 100)),
        .partition_max_bytes = (int32_t)(200 + below(workload, 20000)),
        .check_crcs = true,
    };
    client_consumer_free(&workload->consumer);
    enum err err = client_consumer_new(&opts, &workload->consumer);
    ASSERT(err == ERR_OK);
    assign_all(workload, offset);
}

/* A batch that does not fit its checksum was sent to us. */
static void
check_sent(struct workload *workload, enum err err)
{
    if (workload->damage_expected && !workload->damage_live && err == ERR_CORRUPT)
        history_fail(
            workload->history, "sent as it is: %s", client_consumer_error(workload->consumer));
}

static void
consume_some(struct workload *workload)
{
    struct client_message message;
    enum err err;
    while ((err = client_consumer_next(workload->consumer, &message)) == ERR_OK)
        take_message(workload, &message);
    if (err != ERR_AGAIN) {
        check_sent(workload, err);
        if (!workload->refusals_expected)
            history_fail(workload->history, "reading %s (%s)",
                client_consumer_error(workload->consumer), err_text(err));
        if (workload->state == AUDITING) {
            history_fail(workload->history, "the audit cannot read %s",
                client_consumer_error(workload->consumer));
            return;
        }
        consumer_renew(workload, 0);
        return;
    }
    for (int32_t p = 0; p < HISTORY_PARTITIONS; p++) {
        int64_t end = client_consumer_end(workload->consumer, str_of(TOPIC), p);
        if (end < 0)
            continue;
        history_end_seen(workload->history, p, end);
        if (workload->state != AUDITING && below(workload, 100) == 0)
            assign(workload, p, (int64_t)below(workload, (uint64_t)end + 1));
    }
}

/* ---- the audit of damaged partitions ---- */

static void
audit_next_part(struct workload *workload)
{
    int32_t p = workload->audit_part++;
    if (p >= 0)
        client_consumer_unassign(workload->consumer, str_of(TOPIC), p);
    workload->audit_ms = env_now_ms(workload->opts.env);
    if (workload->audit_part == HISTORY_PARTITIONS)
        return;
    enum err err =
        client_consumer_assign(workload->consumer, str_of(TOPIC), workload->audit_part, 0);
    ASSERT(err == ERR_OK);
}

/* Goes on behind an offset that cannot be read. */
static void
audit_skip(struct workload *workload)
{
    int32_t p = workload->audit_part;
    int64_t position, end = client_consumer_end(workload->consumer, str_of(TOPIC), p);
    if (!client_consumer_position(workload->consumer, str_of(TOPIC), p, &position) ||
        (end >= 0 && position + 1 >= end)) {
        audit_next_part(workload);
        return;
    }
    enum err err = client_consumer_assign(workload->consumer, str_of(TOPIC), p, position + 1);
    ASSERT(err == ERR_OK);
}

static void
audit_damaged(struct workload *workload)
{
    struct client_message message;
    enum err err;
    int32_t p = workload->audit_part;
    int64_t now_ms = env_now_ms(workload->opts.env);
    while ((err = client_consumer_next(workload->consumer, &message)) == ERR_OK) {
        history_seen(workload->history, message.partition, message.offset, message.value);
        workload->audit_ms = now_ms;
    }
    int64_t end = client_consumer_end(workload->consumer, str_of(TOPIC), p);
    if (end >= 0)
        history_end_seen(workload->history, p, end);
    if (err != ERR_AGAIN) {
        check_sent(workload, err);
        audit_skip(workload);
    } else if ((end >= 0 && client_consumer_at_end(workload->consumer)) ||
               now_ms - workload->audit_ms > AUDIT_STALL_MS) {
        audit_next_part(workload);
    }
}

/* ---- the timer ---- */

static void
run_audit(struct workload *workload)
{
    bool damaged = workload->damage_expected;
    if (damaged && workload->audit_part < HISTORY_PARTITIONS) {
        audit_damaged(workload);
        return;
    }
    if (!damaged)
        consume_some(workload);
    if ((damaged || client_consumer_at_end(workload->consumer)) &&
        group_offsets_fetch(&workload->offsets, workload->client) &&
        epochs_check(&workload->epochs, workload->client) &&
        admin_check(&workload->admin, workload->client) &&
        (!workload->opts.quotas || quotas_check(&workload->quotas, workload->client)) &&
        (workload->opts.bare || members_check(&workload->members))) {
        history_final_end(workload->history);
        workload->state = AUDITED;
    }
}

static void
tick(struct workload *workload)
{
    switch (workload->state) {
    case CREATING: create_topic(workload); return;
    case RUNNING:
        send_some(workload, &workload->all);
        if (below(workload, 2) == 0)
            send_some(workload, &workload->one);
        consume_some(workload);
        if (workload->opts.commits_often || below(workload, 8) == 0)
            group_offsets_commit(&workload->offsets, workload->client);
        if (workload->opts.quotas && below(workload, 4) == 0)
            quotas_act(&workload->quotas, workload->client, sim_random(workload->opts.sim));
        if (workload->opts.bare)
            return;
        if (below(workload, 6) == 0)
            admin_act(&workload->admin, workload->client, sim_random(workload->opts.sim));
        members_act(&workload->members, sim_random(workload->opts.sim));
        return;
    case QUIESCED: consume_some(workload); return;
    case AUDITING: run_audit(workload); return;
    case AUDITED: return;
    }
}

static void
on_timer(struct loop_timer *timer)
{
    struct workload *workload = CONTAINER_OF(timer, struct workload, timer);
    tick(workload);
    if (workload->state == AUDITED)
        return;
    enum err err = loop_timer_start(timer, 1 + (int64_t)below(workload, TICK_MS_MAX));
    ASSERT(err == ERR_OK);
}

/* ---- public ---- */

struct workload *
workload_new(const struct workload_opts *opts)
{
    struct workload *workload = sim_memory_new(sizeof *workload);
    struct client_opts client_opts = {
        .env = opts->env,
        .bootstrap = str_of(opts->bootstrap),
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .request_timeout_ms = REQUEST_TIMEOUT_MS,
    };
    workload->opts = *opts;
    workload->history = history_new(opts->origin);
    enum err err = loop_new(opts->env, "clients", &workload->loop);
    ASSERT(err == ERR_OK);
    client_opts.loop = workload->loop;
    err = client_new(&client_opts, &workload->client);
    ASSERT(err == ERR_OK);
    workload->all = (struct sender){.workload = workload, .durable = true};
    workload->one = (struct sender){.workload = workload};
    sender_renew(&workload->all);
    sender_renew(&workload->one);
    consumer_renew(workload, 0);
    group_offsets_init(&workload->offsets, workload->history, TOPIC);
    if (opts->compacted)
        history_keyed(workload->history);
    epochs_init(&workload->epochs, workload->history, TOPIC);
    admin_init(&workload->admin, workload->history);
    workload->admin.anew = opts->anew;
    quotas_init(&workload->quotas, workload->history);
    members_init(&workload->members, opts->env, workload->loop, opts->bootstrap, workload->history);
    workload->members.is_static = below(workload, 2) == 0;
    client_call_init(&workload->create_call, CALL_ARENA);
    loop_timer_init(&workload->timer, workload->loop, on_timer);
    err = loop_timer_start(&workload->timer, 1);
    ASSERT(err == ERR_OK);
    err = loop_start(workload->loop);
    ASSERT(err == ERR_OK);
    return workload;
}

void
workload_free(struct workload **workload)
{
    struct workload *w = *workload;
    if (w == NULL)
        return;
    w->freeing = true;
    loop_stop(w->loop);
    loop_timer_stop(&w->timer);
    client_call_cancel(&w->create_call);
    group_offsets_fini(&w->offsets);
    epochs_fini(&w->epochs);
    admin_fini(&w->admin);
    quotas_fini(&w->quotas);
    members_fini(&w->members);
    client_producer_free(&w->all.producer);
    client_producer_free(&w->one.producer);
    client_consumer_free(&w->consumer);
    client_call_fini(&w->create_call);
    client_free(&w->client);
    loop_free(&w->loop);
    history_free(&w->history);
    sim_memory_free(w);
    *workload = NULL;
}

struct history *
workload_history(struct workload *workload)
{
    return workload->history;
}

void
workload_expect_refusals(struct workload *workload)
{
    workload->refusals_expected = true;
    history_lossy(workload->history);
}

void
workload_expect_damage(struct workload *workload, bool live)
{
    workload_expect_refusals(workload);
    workload->damage_expected = true;
    workload->damage_live = workload->damage_live || live;
}

void
workload_quiesce(struct workload *workload)
{
    if (workload->state == RUNNING) {
        workload->state = QUIESCED;
        workload->quiesced_ms = env_now_ms(workload->opts.env);
    }
}

bool
workload_is_settled(const struct workload *workload)
{
    if (workload->state != QUIESCED || workload->offsets.commit_call.active ||
        workload->admin.call.active || workload->quotas.call.active)
        return false;
    if (workload->damage_expected)
        return env_now_ms(workload->opts.env) - workload->quiesced_ms > SETTLE_MS;
    return client_producer_outstanding(workload->all.producer) == 0 &&
           client_producer_outstanding(workload->one.producer) == 0;
}

static void
start_audit(struct loop_task *task)
{
    struct workload *workload = CONTAINER_OF(task, struct workload, audit_task);
    workload->refusals_expected = false;
    history_final_begin(workload->history);
    consumer_renew(workload, 0);
    workload->state = AUDITING;
    if (workload->damage_expected) {
        for (int32_t p = 0; p < HISTORY_PARTITIONS; p++)
            client_consumer_unassign(workload->consumer, str_of(TOPIC), p);
        workload->audit_part = -1;
        audit_next_part(workload);
    }
}

void
workload_audit(struct workload *workload)
{
    loop_task_init(&workload->audit_task, start_audit);
    loop_post(workload->loop, &workload->audit_task);
}

bool
workload_is_audited(const struct workload *workload)
{
    return workload->state == AUDITED;
}

void
workload_describe(const struct workload *workload, char *out, size_t size)
{
    static const char *const names[] = {
        "creating the topic", "running", "quiesced", "auditing", "audited"};
    struct history_counts counts;
    history_counts(workload->history, &counts);
    snprintf(out, size,
        "%s; sent %lld, acknowledged %lld + %lld, waiting %lld + %lld, read %lld; last error: %s",
        names[workload->state], (long long)counts.sent, (long long)counts.acked_all,
        (long long)counts.acked_one, (long long)client_producer_outstanding(workload->all.producer),
        (long long)client_producer_outstanding(workload->one.producer), (long long)counts.seen,
        client_error_text(workload->client));
}
