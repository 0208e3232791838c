/* Which of the logs found in two directories at a start are the replicas': every way in which a log
 * can be in one, in the other or in both, after a clean stop and after a kill. */
#include "tests/lib/test.h"
#include "tests/unit/replica/node.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/attr.h"
#include "meta/builder.h"
#include "meta/delta.h"
#include "meta/records.h"
#include "proto/partition_record.h"
#include "proto/topic_record.h"
#include "replica/manager_priv.h"
#include "wire/batch_builder.h"

enum { FILE_MAX = 1 << 20 };

static const char *const DIRS[] = {"data", "more"};
static const struct uuid OLD_ID = {{0xa, 1}};
static const struct uuid TOPIC_ID = {{0xb, 1}};

struct fixture {
    struct node node;
    struct uuid dir_ids[2];
    bool kill; /* how the node ends */
};

/* ---- the node ---- */

static void
start(struct fixture *f)
{
    node_open(&f->node);
    for (int i = 0; i < 2; i++) {
        struct log_dir_info info;
        log_manager_dir_info(f->node.logs, i, &info);
        if (!info.offline)
            f->dir_ids[i] = info.id;
    }
}

static void
stop(struct fixture *f)
{
    node_close(&f->node, f->kill);
}

static void
restart(struct fixture *f)
{
    stop(f);
    start(f);
    assert_int_equal(replica_manager_start(f->node.mgr, f->node.image), ERR_OK);
}

static void
fixture_open(struct fixture *f, bool kill)
{
    memset(f, 0, sizeof *f);
    f->kill = kill;
    f->node.dirs = DIRS;
    f->node.dir_count = 2;
    node_start(&f->node);
}

static void
fixture_close(struct fixture *f)
{
    node_end(&f->node);
}

/* The metadata say that topic t has the id, and that its partition is in that directory. */
static void
say(struct fixture *f, struct uuid id, struct uuid dir)
{
    struct proto_topic_record topic = {.name = STR("t"), .topic_id = id};
    struct proto_partition_record record;
    struct meta_records records;
    struct meta_builder *builder;
    struct meta_delta *delta;
    struct meta_image *empty;
    int32_t replica = NODE;

    proto_init(&proto_partition_record_schema, &record);
    record.partition_id = 0;
    record.topic_id = id;
    record.replicas.items = record.isr.items = &replica;
    record.replicas.count = record.isr.count = 1;
    record.directories.items = &dir;
    record.directories.count = 1;
    record.leader = NODE;
    record.leader_epoch = 0;
    meta_records_init(&records, &f->node.arena, 0);
    meta_records_add(&records, META_RECORD_TOPIC, 0, &proto_topic_record_schema, &topic);
    meta_records_add(&records, META_RECORD_PARTITION, 1, &proto_partition_record_schema, &record);
    assert_int_equal(records.err, ERR_OK);
    assert_int_equal(meta_image_new_empty(STR("cluster"), &empty), ERR_OK);
    assert_int_equal(meta_builder_new(empty, &builder), ERR_OK);
    for (int i = 0; i < records.count; i++)
        assert_int_equal(meta_builder_replay(builder, records.items[i].value), ERR_OK);
    meta_image_unref(&f->node.image);
    assert_int_equal(meta_builder_finish(&builder, 2, 1, 0, &f->node.image, &delta), ERR_OK);
    meta_delta_free(&delta);
    meta_image_unref(&empty);
}

/* ---- logs on the disk ---- */

static void
append(struct fixture *f, int count)
{
    struct replica_partition *part = replica_manager_get(f->node.mgr, STR("t"), 0);

    assert_non_null(part);
    for (int i = 0; i < count; i++) {
        struct batch_builder_opts opts = BATCH_BUILDER_OPTS_DEFAULT;
        struct batch_builder_record record = {
            .timestamp = env_wall_ms(f->node.env), .value = {(const uint8_t *)"v", 1}};
        struct replica_append append = {.acks = 1, .leader_epoch = -1, .arena = &f->node.arena};
        struct batch_builder builder;
        struct buf buf;
        buf_init(&buf, 1 << 20);
        batch_builder_init(&builder, &opts, &buf);
        batch_builder_append(&builder, &record);
        assert_int_equal(batch_builder_finish(&builder), ERR_OK);
        append.batches = buf.data;
        append.len = buf.len;
        assert_int_equal(replica_partition_append(part, &append), PROTO_ERROR_NONE);
        buf_fini(&buf);
    }
    replica_partition_unref(&part);
    sim_run_ms(f->node.sim, 5000);
}

struct copying {
    struct fixture *f;
    const char *from, *to;
};

static bool
copy_file(void *ctx, const char *name)
{
    struct copying *c = ctx;
    char path[200], *data;
    size_t len;

    snprintf(path, sizeof path, "%s/%s", c->from, name);
    assert_int_equal(env_read_file(c->f->node.env, path, FILE_MAX, &data, &len), ERR_OK);
    snprintf(path, sizeof path, "%s/%s", c->to, name);
    assert_int_equal(
        env_write_file_atomic(c->f->node.env, path, (struct bytes){(const uint8_t *)data, len}),
        ERR_OK);
    mem_free(data);
    return true;
}

static void
copy_dir(struct fixture *f, const char *from, const char *to)
{
    struct copying c = {f, from, to};

    assert_int_equal(env_mkdir_all(f->node.env, to), ERR_OK);
    assert_int_equal(env_list_dir(f->node.env, from, copy_file, &c), ERR_OK);
}

/* The log of a topic t with that id and so many records is made, and lies in aside. */
static void
make_aside(struct fixture *f, struct uuid id, int records, const char *aside)
{
    say(f, id, META_DIR_UNASSIGNED);
    assert_int_equal(replica_manager_start(f->node.mgr, f->node.image), ERR_OK);
    append(f, records);
    node_close(&f->node, false);
    assert_int_equal(env_rename(f->node.env, "data/t-0", aside), ERR_OK);
    start(f);
}

/* Three logs to put into directories; the node is down. */
static void
make_sources(struct fixture *f)
{
    make_aside(f, OLD_ID, 3, "old3");
    make_aside(f, TOPIC_ID, 2, "new2");
    make_aside(f, TOPIC_ID, 5, "new5");
    stop(f);
}

enum { NO_LOG, OLD_3, NEW_2, NEW_5, UNKNOWN_3, UNKNOWN_5 };

/* Puts logs into the directories and starts; the directory in which the metadata place it. */
static void
start_with(struct fixture *f, int first, int second, int dir)
{
    const int has[] = {first, second};

    for (int i = 0; i < 2; i++) {
        static const char *const sources[] = {[OLD_3] = "old3",
            [NEW_2] = "new2",
            [NEW_5] = "new5",
            [UNKNOWN_3] = "old3",
            [UNKNOWN_5] = "new5"};
        char path[80];
        if (has[i] == NO_LOG)
            continue;
        snprintf(path, sizeof path, "%s/t-0", DIRS[i]);
        copy_dir(f, sources[has[i]], path);
        if (has[i] != UNKNOWN_3 && has[i] != UNKNOWN_5)
            continue;
        snprintf(path, sizeof path, "%s/t-0/partition.metadata", DIRS[i]);
        assert_int_equal(env_unlink(f->node.env, path), ERR_OK);
    }
    start(f);
    say(f, TOPIC_ID, dir < 0 ? META_DIR_UNASSIGNED : f->dir_ids[dir]);
    assert_int_equal(replica_manager_start(f->node.mgr, f->node.image), ERR_OK);
}

/* ---- looking ---- */

struct looking {
    const char *suffix;
    int count;
};

static bool
count_name(void *ctx, const char *name)
{
    struct looking *looking = ctx;
    size_t len = strlen(name), suffix = strlen(looking->suffix);

    if (strncmp(name, "t-0", 3) == 0 || strncmp(name, "t.", 2) == 0)
        looking->count += len >= suffix && strcmp(name + len - suffix, looking->suffix) == 0;
    return true;
}

static int
count_in(struct fixture *f, int dir, const char *suffix)
{
    struct looking looking = {suffix, 0};

    assert_int_equal(env_list_dir(f->node.env, DIRS[dir], count_name, &looking), ERR_OK);
    return looking.count;
}

/* The log that is served is in that directory and has so many records; none but it is there. */
static void
expect(struct fixture *f, int dir, int64_t end)
{
    struct replica_partition *part = replica_manager_get(f->node.mgr, STR("t"), 0);
    struct replica_partition_state state;
    struct log *log = log_manager_find(f->node.logs, STR("t"), 0), *copies[2];

    assert_non_null(part);
    replica_partition_get_state(part, &state);
    replica_partition_unref(&part);
    assert_false(state.offline);
    assert_int_equal(state.log_end_offset, end);
    assert_non_null(log);
    assert_string_equal(log_parent_dir(log), DIRS[dir]);
    assert_true(uuid_eq(log_topic_id(log), TOPIC_ID));
    assert_int_equal(log_manager_copies(f->node.logs, STR("t"), 0, copies, 2), 1);
    assert_int_equal(log_manager_log_count(f->node.logs), 1);
}

/* ---- tests ---- */

struct both_case {
    int first, second;
    int dir;       /* that the metadata name; -1: none */
    int taken;     /* where the log is afterwards */
    int64_t end;   /* and where it ends */
    int strays[2]; /* how many are put aside */
};

/* What is in doubt is decided the same whichever directory it is in. */
static const struct both_case CASES[] = {
    {OLD_3, NO_LOG, -1, 0, 0, {1, 0}},
    {NO_LOG, OLD_3, -1, 0, 0, {0, 1}},
    {NEW_2, NO_LOG, -1, 0, 2, {0, 0}},
    {NO_LOG, NEW_2, -1, 1, 2, {0, 0}},
    {NO_LOG, NEW_2, 0, 1, 2, {0, 0}}, /* moved by hand */
    {OLD_3, NEW_2, -1, 1, 2, {1, 0}},
    {NEW_2, OLD_3, -1, 0, 2, {0, 1}},
    {NEW_2, OLD_3, 1, 0, 2, {0, 1}}, /* whatever the metadata say of the directory */
    {OLD_3, OLD_3, -1, 0, 0, {1, 1}},
    {UNKNOWN_3, NEW_2, -1, 1, 2, {1, 0}},
    {NEW_2, UNKNOWN_3, -1, 0, 2, {0, 1}},
    {NEW_2, UNKNOWN_3, 1, 0, 2, {0, 1}},
    {UNKNOWN_3, OLD_3, -1, 0, 3, {0, 1}},
    {OLD_3, UNKNOWN_3, -1, 1, 3, {1, 0}},
    {UNKNOWN_3, UNKNOWN_5, -1, 1, 5, {1, 0}},
    {UNKNOWN_5, UNKNOWN_3, 1, 0, 5, {0, 1}},
    {NEW_2, NEW_5, -1, 1, 5, {1, 0}}, /* a move that was over but for the old log */
    {NEW_5, NEW_2, -1, 0, 5, {0, 1}},
    {NEW_5, NEW_2, 1, 0, 5, {0, 1}},
    {NEW_5, NEW_5, -1, 0, 5, {0, 1}},
    {NEW_5, NEW_5, 0, 0, 5, {0, 1}},
    {NEW_5, NEW_5, 1, 1, 5, {1, 0}},
};

static void
run_cases(bool kill)
{
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct both_case *c = &CASES[i];
        struct fixture f;
        fixture_open(&f, kill);
        make_sources(&f);
        start_with(&f, c->first, c->second, c->dir);
        expect(&f, c->taken, c->end);
        for (int d = 0; d < 2; d++)
            assert_int_equal(count_in(&f, d, "-stray"), c->strays[d]);
        append(&f, 1);
        /* It stays so. */
        restart(&f);
        expect(&f, c->taken, c->end + 1);
        fixture_close(&f);
    }
}

static void
the_right_log_is_taken_and_the_other_put_aside(void **state)
{
    (void)state;
    run_cases(false);
}

static void
after_a_kill_too(void **state)
{
    (void)state;
    run_cases(true);
}

/* What a crash left of a replica that was being moved. */
static void
a_log_that_was_to_be_moved_is_served_and_its_future_left_alone(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f, true);
    make_sources(&f);
    copy_dir(&f, "new5", "more/t-0.6a7c9ea0f4b84b1dbb3cbf8a6a2fb6a1-future");
    start_with(&f, NEW_5, NO_LOG, 1);
    expect(&f, 0, 5);
    assert_int_equal(count_in(&f, 1, "-future"), 1);
    fixture_close(&f);
}

/* Nobody needs either. */
static void
logs_of_a_topic_that_is_gone_are_put_aside_in_both(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f, false);
    make_sources(&f);
    copy_dir(&f, "new5", "data/t-0");
    copy_dir(&f, "new2", "more/t-0");
    start(&f);
    meta_image_unref(&f.node.image);
    assert_int_equal(meta_image_new_empty(STR("cluster"), &f.node.image), ERR_OK);
    assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
    assert_int_equal(log_manager_log_count(f.node.logs), 0);
    assert_int_equal(count_in(&f, 0, "-stray"), 1);
    assert_int_equal(count_in(&f, 1, "-stray"), 1);
    fixture_close(&f);
}

/* The directory of the wrong one fails just then: it is put aside by a later start. */
static void
what_cannot_be_put_aside_is_forgotten_until_the_next_start(void **state)
{
    static const enum err ERRORS[] = {ERR_IO, ERR_NOSPACE};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ERRORS); i++) {
        struct fixture f;
        fixture_open(&f, true);
        make_sources(&f);
        copy_dir(&f, "new2", "data/t-0");
        copy_dir(&f, "new5", "more/t-0");
        start(&f);
        say(&f, TOPIC_ID, META_DIR_UNASSIGNED);
        sim_host_fail_nth(f.node.host, SIM_OP_RENAME, 1, ERRORS[i]);
        assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
        expect(&f, 1, 5);
        assert_int_equal(count_in(&f, 0, "t-0"), 1);
        append(&f, 1);
        restart(&f);
        expect(&f, 1, 6);
        assert_int_equal(count_in(&f, 0, "t-0"), 0);
        fixture_close(&f);
    }
}

/* A manager that is closed before anybody chose leaves both as they are. */
static void
a_start_that_ends_before_the_choice_changes_nothing(void **state)
{
    struct fixture f;

    (void)state;
    fixture_open(&f, false);
    make_sources(&f);
    copy_dir(&f, "new2", "data/t-0");
    copy_dir(&f, "new5", "more/t-0");
    for (int i = 0; i < 3; i++) {
        start(&f);
        assert_int_equal(log_manager_log_count(f.node.logs), 2);
        f.kill = i == 1;
        stop(&f);
    }
    start(&f);
    say(&f, TOPIC_ID, META_DIR_UNASSIGNED);
    assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
    expect(&f, 1, 5);
    fixture_close(&f);
}

/* The log was moved to a directory that is offline now: what was left behind is not served. */
static void
a_log_left_behind_is_not_served_while_the_right_one_is_offline(void **state)
{
    static const struct sim_disk_faults broken = {.open_error_ppm = 1000000}, none = {0};
    struct replica_partition_state state_then;
    struct replica_partition *part;
    struct fixture f;

    (void)state;
    fixture_open(&f, true);
    make_sources(&f);
    copy_dir(&f, "new2", "data/t-0");
    copy_dir(&f, "new5", "more/t-0");
    sim_host_faults_below(f.node.host, "more");
    sim_host_disk_faults(f.node.host, &broken);
    start(&f);
    say(&f, TOPIC_ID, f.dir_ids[1]);
    assert_int_equal(replica_manager_start(f.node.mgr, f.node.image), ERR_OK);
    part = replica_manager_get(f.node.mgr, STR("t"), 0);
    replica_partition_get_state(part, &state_then);
    replica_partition_unref(&part);
    assert_true(state_then.offline);
    sim_host_disk_faults(f.node.host, &none);
    restart(&f);
    expect(&f, 1, 5);
    fixture_close(&f);
}

TEST_MAIN(cmocka_unit_test(the_right_log_is_taken_and_the_other_put_aside),
    cmocka_unit_test(after_a_kill_too),
    cmocka_unit_test(a_log_that_was_to_be_moved_is_served_and_its_future_left_alone),
    cmocka_unit_test(logs_of_a_topic_that_is_gone_are_put_aside_in_both),
    cmocka_unit_test(what_cannot_be_put_aside_is_forgotten_until_the_next_start),
    cmocka_unit_test(a_start_that_ends_before_the_choice_changes_nothing),
    cmocka_unit_test(a_log_left_behind_is_not_served_while_the_right_one_is_offline))
