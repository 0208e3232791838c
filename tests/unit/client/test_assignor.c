/* The assignors against what Apache's answer (vectors/assignors.txt), and their own promises. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "client/assignor.h"

enum { MEMBERS_MAX = 16, TOPICS_MAX = 8, PARTS_MAX = 128, LINE_MAX_LEN = 4096 };

struct list_of {
    struct client_topic_partition parts[PARTS_MAX];
    int count;
};

struct example {
    enum client_assignor assignor;
    struct client_assignor_topic topics[TOPICS_MAX];
    int topic_count;
    struct client_assignor_member members[MEMBERS_MAX];
    struct str subscriptions[MEMBERS_MAX][TOPICS_MAX];
    struct list_of owned[MEMBERS_MAX], gets[MEMBERS_MAX], ends[MEMBERS_MAX];
    int member_count;
    bool has_owned, has_ends;
    struct arena arena;
};

static struct client_assignor_member *
add_member(struct example *example, const char *id, const char *topics)
{
    int i = example->member_count++;
    struct client_assignor_member *member = &example->members[i];
    assert_true(i < MEMBERS_MAX);
    memset(member, 0, sizeof *member);
    member->member_id = arena_str(&example->arena, str_of(id));
    member->generation = -1;
    member->topics = example->subscriptions[i];
    member->owned = example->owned[i].parts;
    char *copy = arena_strndup(&example->arena, topics, strlen(topics));
    assert_non_null(copy);
    for (char *save = NULL, *t = strtok_r(copy, ",", &save); t != NULL;
         t = strtok_r(NULL, ",", &save))
        example->subscriptions[i][member->topic_count++] = str_of(t);
    return member;
}

static void
add_topic(struct example *example, const char *name, int32_t count)
{
    assert_true(example->topic_count < TOPICS_MAX);
    example->topics[example->topic_count++] =
        (struct client_assignor_topic){arena_str(&example->arena, str_of(name)), count};
}

/* "t1:0 t1:1 t2:0" */
static void
read_list(struct example *example, char *text, struct list_of *out)
{
    out->count = 0;
    for (char *save = NULL, *word = strtok_r(text, " \n", &save); word != NULL;
         word = strtok_r(NULL, " \n", &save)) {
        char *colon = strchr(word, ':');
        assert_non_null(colon);
        struct str topic = {word, (size_t)(colon - word)};
        assert_true(out->count < PARTS_MAX);
        out->parts[out->count++] = (struct client_topic_partition){
            arena_str(&example->arena, topic), (int32_t)atoi(colon + 1)};
    }
}

static int
find_member(const struct example *example, const char *id)
{
    for (int i = 0; i < example->member_count; i++)
        if (str_eq_z(example->members[i].member_id, id))
            return i;
    fail_msg("no member %s", id);
    return -1;
}

static void
example_init(struct example *example)
{
    memset(example, 0, sizeof *example);
    arena_init(&example->arena, 4 << 20);
}

static void
example_clear(struct example *example)
{
    struct arena arena = example->arena;
    arena_reset(&arena);
    memset(example, 0, sizeof *example);
    example->arena = arena;
}

static void
read_line(struct example *example, char *line)
{
    char a[64] = "", b[64] = "", c[512] = "";
    int n = 0, generation;
    if (sscanf(line, "case %63s", a) == 1) {
        example_clear(example);
        assert_true(client_assignor_find(str_of(a), &example->assignor));
    } else if (sscanf(line, "topic %63s %d", a, &n) == 2) {
        add_topic(example, a, n);
    } else if (sscanf(line, "member %63s %63s %d %511s", a, b, &generation, c) == 4) {
        struct client_assignor_member *member = add_member(example, a, c);
        member->generation = generation;
        if (strcmp(b, "-") != 0)
            member->instance_id = arena_str(&example->arena, str_of(b));
    } else if (strncmp(line, "owned", 5) == 0) {
        int i = example->member_count - 1;
        read_list(example, line + 5, &example->owned[i]);
        example->members[i].owned_count = example->owned[i].count;
        example->has_owned = true;
    } else if (sscanf(line, "gets %63s%n", a, &n) == 1) {
        read_list(example, line + n, &example->gets[find_member(example, a)]);
    } else if (sscanf(line, "ends %63s%n", a, &n) == 1) {
        example->has_ends = true;
        read_list(example, line + n, &example->ends[find_member(example, a)]);
    } else {
        fail_msg("a line nobody knows: %s", line);
    }
}

static void
run(struct example *example)
{
    assert_int_equal(client_assignor_run(example->assignor, example->topics, example->topic_count,
                         example->members, example->member_count, &example->arena),
        ERR_OK);
}

static bool
has(const struct client_topic_partition *parts, int count, const struct client_topic_partition *one)
{
    for (int i = 0; i < count; i++)
        if (parts[i].partition == one->partition && str_eq(parts[i].topic, one->topic))
            return true;
    return false;
}

static void
expect_exactly(const struct example *example, int line)
{
    for (int i = 0; i < example->member_count; i++) {
        const struct client_assignor_member *member = &example->members[i];
        if (member->assigned_count != example->gets[i].count)
            fail_msg("the case that ends in line %d: %.*s gets %d partitions, not %d", line,
                STR_FMT(member->member_id), member->assigned_count, example->gets[i].count);
        for (int j = 0; j < member->assigned_count; j++)
            if (!str_eq(member->assigned[j].topic, example->gets[i].parts[j].topic) ||
                member->assigned[j].partition != example->gets[i].parts[j].partition)
                fail_msg("the case that ends in line %d: %.*s gets %.*s:%d", line,
                    STR_FMT(member->member_id), STR_FMT(member->assigned[j].topic),
                    (int)member->assigned[j].partition);
    }
}

/* Nobody is given what another has not given up yet; everything goes to readers of its topic. */
static void
expect_safe(const struct example *example, int line)
{
    for (int i = 0; i < example->member_count; i++)
        for (int j = 0; j < example->members[i].assigned_count; j++) {
            const struct client_topic_partition *part = &example->members[i].assigned[j];
            bool reads = false;
            for (int t = 0; t < example->members[i].topic_count; t++)
                reads = reads || str_eq(example->members[i].topics[t], part->topic);
            if (!reads)
                fail_msg("line %d: %.*s does not read %.*s", line,
                    STR_FMT(example->members[i].member_id), STR_FMT(part->topic));
            for (int k = 0; k < example->member_count; k++) {
                if (k == i)
                    continue;
                if (has(example->members[k].assigned, example->members[k].assigned_count, part))
                    fail_msg("line %d: %.*s:%d has two owners", line, STR_FMT(part->topic),
                        (int)part->partition);
                if (example->members[k].generation >= example->members[i].generation &&
                    has(example->members[k].owned, example->members[k].owned_count, part) &&
                    !has(example->members[i].owned, example->members[i].owned_count, part))
                    fail_msg("line %d: %.*s:%d was not given up", line, STR_FMT(part->topic),
                        (int)part->partition);
            }
        }
}

/* The rounds until nothing changes: every member takes what it got and joins again. */
static void
run_to_the_end(struct example *example)
{
    int32_t generation = 0;
    for (int i = 0; i < example->member_count; i++)
        if (example->members[i].generation > generation)
            generation = example->members[i].generation;
    for (int round = 0; round < 4; round++) {
        generation++;
        for (int i = 0; i < example->member_count; i++) {
            struct client_assignor_member *member = &example->members[i];
            member->owned = member->assigned;
            member->owned_count = member->assigned_count;
            member->generation = generation;
        }
        run(example);
    }
}

static bool
equal_subscriptions(const struct example *example)
{
    for (int i = 1; i < example->member_count; i++)
        if (example->members[i].topic_count != example->members[0].topic_count)
            return false;
    return example->members[0].topic_count == example->topic_count;
}

/* As balanced as Apache's end (sum of squares), and with as much kept. */
static void
expect_as_good(const struct example *example, int line)
{
    int ours = 0, theirs = 0, our_total = 0, their_total = 0, our_kept = 0, their_kept = 0;
    for (int i = 0; i < example->member_count; i++) {
        const struct client_assignor_member *member = &example->members[i];
        our_total += member->assigned_count;
        their_total += example->ends[i].count;
        ours += member->assigned_count * member->assigned_count;
        theirs += example->ends[i].count * example->ends[i].count;
        for (int j = 0; j < example->owned[i].count; j++) {
            const struct client_topic_partition *part = &example->owned[i].parts[j];
            our_kept += has(member->assigned, member->assigned_count, part);
            their_kept += has(example->ends[i].parts, example->ends[i].count, part);
        }
    }
    if (our_total != their_total || ours > theirs)
        fail_msg("line %d: %d partitions in shares of %d; Apache %d, %d", line, our_total, ours,
            their_total, theirs);
    if (ours == theirs && our_kept < their_kept && equal_subscriptions(example))
        fail_msg("line %d: %d partitions kept; Apache %d", line, our_kept, their_kept);
}

static void
check_example(struct example *example, int line)
{
    run(example);
    if (!example->has_ends || (!example->has_owned && equal_subscriptions(example)))
        expect_exactly(example, line);
    if (example->assignor != CLIENT_ASSIGNOR_COOPERATIVE_STICKY)
        return;
    expect_safe(example, line);
    run_to_the_end(example);
    expect_as_good(example, line);
}

static void
assignments_are_apaches(void **state)
{
    static struct example example;
    static char line[LINE_MAX_LEN];
    int number = 0, cases = 0;
    FILE *file = fopen(VECTORS_DIR "/assignors.txt", "r");
    (void)state;
    assert_non_null(file);
    example_init(&example);
    while (fgets(line, sizeof line, file) != NULL) {
        number++;
        if (line[0] == '#')
            continue;
        if (strcmp(line, "end\n") != 0) {
            read_line(&example, line);
            continue;
        }
        check_example(&example, number);
        cases++;
    }
    fclose(file);
    arena_fini(&example.arena);
    assert_int_equal(cases, 160);
}

static void
topics_with_the_same_readers_are_co_partitioned(void **state)
{
    static struct example example;
    (void)state;
    example_init(&example);
    example.assignor = CLIENT_ASSIGNOR_RANGE;
    add_topic(&example, "clicks", 7);
    add_topic(&example, "views", 7);
    for (int i = 0; i < 3; i++)
        add_member(&example, (const char *[]){"c", "a", "b"}[i], "views,clicks");
    run(&example);
    for (int i = 0; i < 3; i++) {
        int half = example.members[i].assigned_count / 2;
        assert_int_equal(half * 2, example.members[i].assigned_count);
        for (int j = 0; j < half; j++)
            assert_int_equal(example.members[i].assigned[j].partition,
                example.members[i].assigned[half + j].partition);
    }
    assert_int_equal(example.members[1].assigned_count, 6); /* "a" is first */
    arena_fini(&example.arena);
}

/* A -> B -> C: B has no room of its own, but can pass something on. */
static void
load_moves_along_chains_of_subscriptions(void **state)
{
    static struct example example;
    (void)state;
    example_init(&example);
    example.assignor = CLIENT_ASSIGNOR_COOPERATIVE_STICKY;
    add_topic(&example, "t1", 3);
    add_topic(&example, "t2", 2);
    add_topic(&example, "t3", 1);
    add_member(&example, "a", "t1");
    add_member(&example, "b", "t1,t2");
    add_member(&example, "c", "t2,t3");
    example.owned[0].count = 3;
    for (int i = 0; i < 3; i++)
        example.owned[0].parts[i] = (struct client_topic_partition){STR("t1"), i};
    example.owned[1].count = 2;
    for (int i = 0; i < 2; i++)
        example.owned[1].parts[i] = (struct client_topic_partition){STR("t2"), i};
    for (int i = 0; i < 2; i++) {
        example.members[i].owned_count = example.owned[i].count;
        example.members[i].generation = 3;
    }
    run(&example);
    assert_int_equal(example.members[0].assigned_count, 2); /* one given up, for b */
    assert_int_equal(example.members[1].assigned_count, 1); /* one given up, for c */
    run_to_the_end(&example);
    for (int i = 0; i < 3; i++)
        assert_int_equal(example.members[i].assigned_count, 2);
    arena_fini(&example.arena);
}

static void
what_two_members_claim_is_nobodys_for_a_round(void **state)
{
    static struct example example;
    (void)state;
    example_init(&example);
    example.assignor = CLIENT_ASSIGNOR_COOPERATIVE_STICKY;
    add_topic(&example, "t", 2);
    for (int i = 0; i < 2; i++) {
        add_member(&example, i == 0 ? "a" : "b", "t");
        example.owned[i].parts[0] = (struct client_topic_partition){STR("t"), 0};
        example.members[i].owned_count = 1;
        example.members[i].generation = 4;
    }
    run(&example);
    assert_int_equal(example.members[0].assigned_count + example.members[1].assigned_count, 1);
    run_to_the_end(&example);
    assert_int_equal(example.members[0].assigned_count, 1);
    assert_int_equal(example.members[1].assigned_count, 1);
    arena_fini(&example.arena);
}

static void
odd_input_is_no_harm(void **state)
{
    static struct example example;
    (void)state;
    for (int a = 0; a < 3; a++) {
        example_init(&example);
        example.assignor = (enum client_assignor)a;
        run(&example); /* nobody, nothing */
        add_topic(&example, "t", 2);
        add_topic(&example, "empty", 0);
        run(&example);
        add_member(&example, "a", "nowhere,empty");
        run(&example);
        assert_int_equal(example.members[0].assigned_count, 0);
        add_member(&example, "b", "t,t,t");
        example.owned[1].parts[0] = (struct client_topic_partition){STR("t"), 99};
        example.owned[1].parts[1] = (struct client_topic_partition){STR("t"), -1};
        example.owned[1].parts[2] = (struct client_topic_partition){STR("gone"), 0};
        example.members[1].owned_count = 3;
        run(&example);
        assert_int_equal(example.members[1].assigned_count, 2);
        arena_fini(&example.arena);
    }
}

static void
a_small_arena_is_an_error(void **state)
{
    static struct example example;
    (void)state;
    for (int a = 0; a < 3; a++) {
        int failures = 0;
        example_init(&example);
        example.assignor = (enum client_assignor)a;
        add_topic(&example, "t", 5);
        add_topic(&example, "u", 5);
        add_member(&example, "a", "t");
        add_member(&example, "b", "t,u");
        for (size_t budget = 0; budget < 2048; budget += 16) {
            struct arena arena;
            arena_init(&arena, budget);
            enum err err = client_assignor_run(
                example.assignor, example.topics, 2, example.members, 2, &arena);
            assert_true(err == ERR_OK || err == ERR_NOMEM);
            failures += err == ERR_NOMEM;
            arena_fini(&arena);
        }
        assert_true(failures > 3 && failures < 128);
        arena_fini(&example.arena);
    }
}

TEST_MAIN(cmocka_unit_test(assignments_are_apaches),
    cmocka_unit_test(topics_with_the_same_readers_are_co_partitioned),
    cmocka_unit_test(load_moves_along_chains_of_subscriptions),
    cmocka_unit_test(what_two_members_claim_is_nobodys_for_a_round),
    cmocka_unit_test(odd_input_is_no_harm), cmocka_unit_test(a_small_arena_is_an_error))
