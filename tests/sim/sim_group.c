/* tests/sim/sim_group.c - members of one classic group in the simulated room, over a real broker.
 *
 *   sim_group [--seeds FROM-TO | --seed N] [-v]
 *
 * Members join, leave, die and come back while records flow; by seed the assignor, static or
 * dynamic members, resets of connections, kills and power cuts of the broker. Rules: (R1) two
 * stable members of one generation never hold the same partition; (R2) every acknowledged record
 * comes to some member; (R3) in a calm room, where members only join and leave, it comes once;
 * (R4) when all have left, the committed offsets are the ends; (R5) nobody fails. Each seed runs in
 * a process of its own. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "client/consumer.h"
#include "client/group.h"
#include "client/producer.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "tests/sim/scenarios.h"

enum {
    SEED_FIRST = 1,
    SEED_LAST = 40,
    SLOTS = 4,
    PARTITIONS = 7,
    RECORDS_MAX = 20000,
    TICK_MS_MAX = 40,
    SETTLE_MS = 180000,
    LEAVE_MS = 60000,
    LEARN_MS = 30000,
};

static const char TOPIC[] = "grouped";

struct world;

struct member {
    struct world *world;
    struct loop *loop; /* NULL: an empty slot */
    struct client *client;
    struct client_consumer *consumer;
    struct client_group *group;
    struct client_group_leave leave;
    struct loop_task leave_task;
    struct loop_timer timer;
    bool leaving, left;
};

struct world {
    struct sim_cluster cluster;
    struct member members[SLOTS];
    struct loop *loop; /* of topic and producer */
    struct client *client;
    struct client_producer *producer;
    struct client_call create_call;
    struct proto_create_topics_request create;
    struct proto_create_topics_request_creatable_topic topic;
    struct loop_timer timer;
    bool created, quiet;
    bool calm, is_static;
    enum client_assignor assignors[2];
    int assignor_count;
    uint32_t sent;
    bool acked[RECORDS_MAX];
    uint16_t seen[RECORDS_MAX];
    char problem[300];
};

static uint64_t
below(struct world *world, uint64_t bound)
{
    return sim_cluster_below(&world->cluster, bound);
}

static void PRINTF_LIKE(2, 3) fail(struct world *world, const char *fmt, ...)
{
    va_list args;
    if (world->problem[0] != '\0')
        return;
    va_start(args, fmt);
    vsnprintf(world->problem, sizeof world->problem, fmt, args);
    va_end(args);
}

static bool
is_broken(const struct world *world)
{
    return world->problem[0] != '\0';
}

/* ---- records ---- */

static void
on_delivery(void *ctx, const struct client_delivery *delivery)
{
    struct world *world = ctx;
    if (delivery->err == ERR_OK && delivery->error_code == 0)
        world->acked[(uintptr_t)delivery->opaque] = true;
    else if (delivery->err != ERR_CANCELED)
        fail(world, "record refused: %s, code %d", err_text(delivery->err), delivery->error_code);
}

static void
on_created(struct client_call *call)
{
    struct world *world = call->ctx;
    const struct proto_create_topics_response *response = call->response;
    if (call->err == ERR_OK && response->topics.count == 1)
        world->created =
            response->topics.items[0].error_code == 0 || response->topics.items[0].error_code == 36;
}

static void
create_topic(struct world *world)
{
    if (world->create_call.active)
        return;
    world->topic = (struct proto_create_topics_request_creatable_topic){
        .name = str_of(TOPIC), .num_partitions = PARTITIONS, .replication_factor = 1};
    world->create = (struct proto_create_topics_request){.timeout_ms = 5000};
    world->create.topics.items = &world->topic;
    world->create.topics.count = 1;
    world->create_call.target = CLIENT_TARGET_ANY;
    world->create_call.key = PROTO_CREATE_TOPICS_REQUEST_KEY;
    world->create_call.request = &world->create;
    world->create_call.done = on_created;
    world->create_call.ctx = world;
    client_call_start(world->client, &world->create_call);
}

static void
send_some(struct world *world)
{
    for (uint64_t n = below(world, 6); n > 0 && world->sent < RECORDS_MAX; n--) {
        uint32_t id = world->sent;
        struct client_record record = {
            .topic = str_of(TOPIC),
            .partition = (int32_t)below(world, PARTITIONS),
            .timestamp = -1,
            .value = {(const uint8_t *)&id, sizeof id},
            .opaque = (void *)(uintptr_t)id,
        };
        if (client_producer_send(world->producer, &record) != ERR_OK)
            return;
        world->sent++;
    }
}

static void
world_tick(struct loop_timer *timer)
{
    struct world *world = CONTAINER_OF(timer, struct world, timer);
    if (!world->created)
        create_topic(world);
    else if (!world->quiet && client_producer_outstanding(world->producer) < 200)
        send_some(world);
    enum err err = loop_timer_start(timer, 1 + (int64_t)below(world, TICK_MS_MAX));
    ASSERT(err == ERR_OK);
}

/* ---- members ---- */

/* R1 */
static void
check_owners(struct world *world)
{
    for (int a = 0; a < SLOTS; a++)
        for (int b = 0; b < a; b++) {
            struct client_group *x = world->members[a].group, *y = world->members[b].group;
            if (x == NULL || y == NULL || client_group_state(x) != CLIENT_GROUP_STABLE ||
                client_group_state(y) != CLIENT_GROUP_STABLE ||
                client_group_generation(x) != client_group_generation(y))
                continue;
            int x_count, y_count;
            const struct client_topic_partition *p = client_group_assignment(x, &x_count);
            const struct client_topic_partition *q = client_group_assignment(y, &y_count);
            for (int i = 0; i < x_count; i++)
                for (int j = 0; j < y_count; j++)
                    if (p[i].partition == q[j].partition)
                        fail(world, "members %d and %d both hold partition %d in generation %d", a,
                            b, (int)p[i].partition, (int)client_group_generation(x));
        }
}

static void
take_records(struct member *member)
{
    struct world *world = member->world;
    struct client_message message;
    enum err err;
    while ((err = client_consumer_next(member->consumer, &message)) == ERR_OK) {
        uint32_t id;
        ASSERT(message.value.len == sizeof id);
        memcpy(&id, message.value.data, sizeof id);
        ASSERT(id < RECORDS_MAX);
        world->seen[id]++;
    }
    if (err != ERR_AGAIN)
        fail(world, "member %d: %s", (int)(member - world->members),
            client_consumer_error(member->consumer)); /* R5 */
}

static void
member_tick(struct loop_timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct member, timer);
    take_records(member);
    check_owners(member->world);
    enum err err = loop_timer_start(timer, 1 + (int64_t)below(member->world, TICK_MS_MAX));
    ASSERT(err == ERR_OK);
}

static void
member_join(struct member *member)
{
    struct world *world = member->world;
    char instance[16];
    struct str topic = str_of(TOPIC);
    snprintf(instance, sizeof instance, "i%d", (int)(member - world->members));
    enum err err = loop_new(world->cluster.client_env, "member", &member->loop);
    struct client_opts client_opts = {
        .env = world->cluster.client_env,
        .loop = member->loop,
        .bootstrap = str_of(world->cluster.brokers[0].bootstrap),
        .connect_timeout_ms = 1000,
        .request_timeout_ms = 5000,
    };
    if (err == ERR_OK)
        err = client_new(&client_opts, &member->client);
    struct client_consumer_opts consumer_opts = {.client = member->client,
        .max_wait_ms = 1 + (int32_t)below(world, 500),
        .check_crcs = true};
    if (err == ERR_OK)
        err = client_consumer_new(&consumer_opts, &member->consumer);
    struct client_group_opts opts = {
        .client = member->client,
        .consumer = member->consumer,
        .group_id = STR("members"),
        .instance_id = world->is_static ? str_of(instance) : STR_NULL,
        .topics = &topic,
        .topic_count = 1,
        .assignors = world->assignors,
        .assignor_count = world->assignor_count,
        .session_timeout_ms = 6000,
        .rebalance_timeout_ms = 10000,
        .heartbeat_interval_ms = 500 + (int32_t)below(world, 2000),
        .auto_commit_interval_ms = 1 + (int64_t)below(world, 3000),
        .reset = CLIENT_OFFSET_EARLIEST,
    };
    if (err == ERR_OK)
        err = client_group_new(&opts, &member->group);
    loop_timer_init(&member->timer, member->loop, member_tick);
    if (err == ERR_OK)
        err = loop_timer_start(&member->timer, 1);
    if (err == ERR_OK)
        err = loop_start(member->loop);
    ASSERT(err == ERR_OK);
    member->leaving = member->left = false;
}

/* Without a word, as by kill -9. */
static void
member_drop(struct member *member)
{
    if (member->loop == NULL)
        return;
    loop_stop(member->loop);
    client_group_free(&member->group);
    client_consumer_free(&member->consumer);
    client_free(&member->client);
    loop_free(&member->loop);
}

static void
on_left(struct client_group_leave *leave, enum err err)
{
    struct member *member = CONTAINER_OF(leave, struct member, leave);
    member->left = true;
    if (err != ERR_OK && member->world->calm)
        fail(member->world, "leaving: %s", err_text(err));
}

static void
run_leave(struct loop_task *task)
{
    struct member *member = CONTAINER_OF(task, struct member, leave_task);
    take_records(member);
    loop_timer_stop(&member->timer);
    member->leave.done = on_left;
    client_group_leave(member->group, &member->leave);
}

static void
member_leave(struct member *member)
{
    if (member->loop == NULL || member->leaving)
        return;
    member->leaving = true;
    loop_task_init(&member->leave_task, run_leave);
    loop_post(member->loop, &member->leave_task);
}

static void
reap(struct world *world)
{
    for (int i = 0; i < SLOTS; i++)
        if (world->members[i].loop != NULL && world->members[i].left)
            member_drop(&world->members[i]);
}

/* ---- what happens ---- */

static void
act(struct world *world)
{
    struct member *member = &world->members[below(world, SLOTS)];
    struct sim_broker *broker = &world->cluster.brokers[0];
    reap(world);
    switch (below(world, world->calm ? 4 : 8)) {
    case 0:
    case 1:
        if (member->loop == NULL)
            member_join(member);
        break;
    case 2: member_leave(member); break;
    case 4:
    case 5: member_drop(member); break;
    case 6: sim_scenario_noise(broker); break;
    case 7:
        history_lossy(workload_history(broker->workload));
        sim_broker_crash(broker, below(world, 2) == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        sim_run_ms(world->cluster.sim, (int64_t)below(world, 4000));
        if (!sim_broker_boot(broker, false) || !sim_broker_await(broker))
            fail(world, "the broker does not come back: %s", sim_cluster_problem(&world->cluster));
        break;
    default: break; /* nothing for once */
    }
}

static bool
is_created(void *ctx)
{
    struct world *world = ctx;
    return world->created || is_broken(world);
}

/* R2 */
static bool
all_came(void *ctx)
{
    struct world *world = ctx;
    if (is_broken(world))
        return true;
    if (client_producer_outstanding(world->producer) > 0)
        return false;
    for (uint32_t i = 0; i < world->sent; i++)
        if (world->acked[i] && world->seen[i] == 0)
            return false;
    return true;
}

/* All that came is committed, or will be when the members leave: they hold every partition, and a
 * member that died was missed. */
static bool
all_settled(void *ctx)
{
    struct world *world = ctx;
    int held = 0, generation = -1;
    if (is_broken(world))
        return true;
    for (int i = 0; i < SLOTS; i++) {
        struct member *member = &world->members[i];
        int count;
        if (member->loop == NULL)
            continue;
        if (client_group_state(member->group) != CLIENT_GROUP_STABLE ||
            !client_consumer_at_end(member->consumer) ||
            (generation >= 0 && generation != client_group_generation(member->group)))
            return false;
        generation = client_group_generation(member->group);
        const struct client_topic_partition *parts = client_group_assignment(member->group, &count);
        for (int p = 0; p < count; p++) {
            int64_t position;
            held += client_consumer_position(
                member->consumer, parts[p].topic, parts[p].partition, &position);
        }
    }
    return held == PARTITIONS && all_came(world);
}

static bool
all_left(void *ctx)
{
    struct world *world = ctx;
    for (int i = 0; i < SLOTS; i++)
        if (world->members[i].loop != NULL && !world->members[i].left)
            return is_broken(world);
    return true;
}

static void
say_where_it_stands(struct world *world, const char *what)
{
    uint32_t missing = 0, acked = 0;
    for (uint32_t i = 0; i < world->sent; i++) {
        acked += world->acked[i];
        missing += world->acked[i] && world->seen[i] == 0;
    }
    char text[200] = "";
    for (int i = 0; i < SLOTS; i++) {
        const struct member *member = &world->members[i];
        size_t at = strlen(text);
        if (member->loop != NULL)
            snprintf(text + at, sizeof text - at, " %d:%s/%d", i,
                client_group_state_name(client_group_state(member->group)),
                (int)client_group_generation(member->group));
    }
    fail(world, "%s: %u of %u acked, %u not seen, %lld on their way;%s", what, acked, world->sent,
        missing, (long long)client_producer_outstanding(world->producer), text);
}

/* ---- the end ---- */

/* R4, by a last member: it must find nothing left to read. */
static void
check_committed(struct world *world)
{
    uint32_t before = 0, after = 0;
    for (uint32_t i = 0; i < world->sent; i++)
        before += world->seen[i];
    member_join(&world->members[0]);
    sim_run_ms(world->cluster.sim, 20000);
    for (uint32_t i = 0; i < world->sent; i++)
        after += world->seen[i];
    int count;
    (void)client_group_assignment(world->members[0].group, &count);
    if (client_group_state(world->members[0].group) != CLIENT_GROUP_STABLE || count != PARTITIONS)
        say_where_it_stands(world, "the last member does not become stable");
    if (after != before)
        fail(world, "%u records came again after all had left", after - before);
}

static void
finish(struct world *world)
{
    static const struct sim_link_faults calm = {.delay_min_us = 50, .delay_max_us = 500};
    struct sim_broker *broker = &world->cluster.brokers[0];
    sim_link(world->cluster.sim, world->cluster.client_host, broker->host, &calm);
    world->quiet = true;
    reap(world);
    (void)sim_run_until(world->cluster.sim, all_left, world, 1);
    for (int i = 0; i < SLOTS && world->members[i].leaving; i++)
        (void)sim_run_until(world->cluster.sim, all_left, world, LEAVE_MS);
    reap(world);
    if (world->members[0].loop == NULL)
        member_join(&world->members[0]);
    /* Who was put out while its connection hung learns so. */
    sim_run_ms(world->cluster.sim, LEARN_MS);
    reap(world);
    if (!sim_run_until(world->cluster.sim, all_settled, world, SETTLE_MS))
        say_where_it_stands(world, "records are missing");
    for (uint32_t i = 0; world->calm && i < world->sent; i++)
        if (world->seen[i] > 1)
            fail(world, "record %u came %d times in a calm room", i, world->seen[i]); /* R3 */
    for (int i = 0; i < SLOTS; i++)
        member_leave(&world->members[i]);
    if (!sim_run_until(world->cluster.sim, all_left, world, LEAVE_MS))
        say_where_it_stands(world, "members do not leave");
    reap(world);
    if (!is_broken(world) && !world->is_static)
        check_committed(world);
}

static void
world_init(struct world *world, uint64_t seed, enum diag_level level)
{
    struct sim_cluster_opts opts = {.bare = true, .seed = seed, .brokers = 1, .level_min = level};
    memset(world, 0, sizeof *world);
    sim_cluster_init(&world->cluster, &opts);
    for (int i = 0; i < SLOTS; i++)
        world->members[i].world = world;
    enum err err = loop_new(world->cluster.client_env, "world", &world->loop);
    struct client_opts client_opts = {
        .env = world->cluster.client_env,
        .loop = world->loop,
        .bootstrap = str_of(world->cluster.brokers[0].bootstrap),
        .connect_timeout_ms = 1000,
        .request_timeout_ms = 5000,
    };
    if (err == ERR_OK)
        err = client_new(&client_opts, &world->client);
    struct client_producer_opts producer_opts = {
        .client = world->client,
        .acks = -1,
        .idempotent = true,
        .delivery_timeout_ms = 3600000,
        .codec = COMPRESS_NONE,
        .level = COMPRESS_LEVEL_DEFAULT,
        .on_delivery = on_delivery,
        .ctx = world,
    };
    if (err == ERR_OK)
        err = client_producer_new(&producer_opts, &world->producer);
    client_call_init(&world->create_call, 1 << 20);
    loop_timer_init(&world->timer, world->loop, world_tick);
    if (err == ERR_OK)
        err = loop_timer_start(&world->timer, 1);
    if (err == ERR_OK)
        err = loop_start(world->loop);
    ASSERT(err == ERR_OK);
    world->calm = below(world, 2) == 0;
    world->is_static = below(world, 4) == 0;
    world->assignors[0] = (enum client_assignor)below(world, 3);
    world->assignor_count = 1;
    if (below(world, 4) == 0 && world->assignors[0] != CLIENT_ASSIGNOR_RANGE)
        world->assignors[world->assignor_count++] = CLIENT_ASSIGNOR_RANGE;
}

static void
world_fini(struct world *world)
{
    for (int i = 0; i < SLOTS; i++)
        member_drop(&world->members[i]);
    loop_stop(world->loop);
    client_producer_free(&world->producer);
    client_call_cancel(&world->create_call);
    client_call_fini(&world->create_call);
    client_free(&world->client);
    loop_free(&world->loop);
    sim_cluster_fini(&world->cluster);
}

/* True when all rules held. */
static bool
run_seed(uint64_t seed, enum diag_level level)
{
    struct world *world = calloc(1, sizeof *world);
    ASSERT(world != NULL);
    world_init(world, seed, level);
    struct sim_broker *broker = &world->cluster.brokers[0];
    if (!sim_broker_boot(broker, false) || !sim_broker_await(broker))
        fail(world, "the broker does not start");
    if (!sim_run_until(world->cluster.sim, is_created, world, SETTLE_MS))
        fail(world, "no topic");
    for (uint64_t rounds = 5 + below(world, 25); rounds > 0 && !is_broken(world); rounds--) {
        sim_run_ms(world->cluster.sim, (int64_t)below(world, 4000));
        act(world);
    }
    if (!is_broken(world))
        finish(world);
    bool ok = !is_broken(world);
    if (!ok)
        printf("# seed %llu (%s, %s%s, %s): %s\n", (unsigned long long)seed,
            world->calm ? "calm" : "rough", client_assignor_name(world->assignors[0]),
            world->assignor_count > 1 ? "+range" : "", world->is_static ? "static" : "dynamic",
            world->problem);
    fflush(stdout);
    world_fini(world);
    free(world);
    return ok;
}

/* In a process of its own, so that a failed assertion is one failed seed. */
static bool
run_apart(uint64_t seed)
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    ASSERT(pid >= 0);
    if (pid == 0)
        _exit(run_seed(seed, DIAG_LEVEL_COUNT) ? 0 : 1);
    ASSERT(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status))
        printf("# seed %llu: signal %d\n", (unsigned long long)seed, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int
main(int argc, char **argv)
{
    unsigned long long first = SEED_FIRST, last = SEED_LAST;
    int failed = 0;
    bool verbose = argc > 1 && strcmp(argv[argc - 1], "-v") == 0;
    if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
        first = last = strtoull(argv[2], NULL, 10);
        if (verbose)
            return run_seed(first, DIAG_INFO) ? 0 : 1;
    } else if (argc > 2 && strcmp(argv[1], "--seeds") == 0) {
        if (sscanf(argv[2], "%llu-%llu", &first, &last) != 2)
            return 2;
    }
    printf("1..1\n");
    for (unsigned long long seed = first; seed <= last; seed++)
        failed += !run_apart(seed);
    printf("%s 1 - members share, hand over and lose nothing (%llu seeds, %d failed)\n",
        failed == 0 ? "ok" : "not ok", last - first + 1, failed);
    if (failed > 0)
        printf("# one of them again: sim_group --seed N -v\n");
    return failed == 0 ? 0 : 1;
}
