/* Any bytes as what the members of a group tell its leader, and what the leader tells them:
 * subscriptions are read, every assignor gives each partition to at most one of those who asked for
 * its topic, and the assignment is read back as written. The first byte picks; then pieces of
 * files.h, one a subscription. */
#include <string.h>

#include "base/assert.h"
#include "client/group_priv.h"
#include "tests/fuzz/files.h"

enum { MEMBERS_MAX = 8, TOPICS_MAX = 16, PARTITIONS = 5, ARENA_BYTES = 32 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool
subscribes(const struct client_assignor_member *member, struct str topic)
{
    for (int i = 0; i < member->topic_count; i++)
        if (str_eq(member->topics[i], topic))
            return true;
    return false;
}

static bool
has(const struct client_assignor_member *member, struct str topic, int32_t partition)
{
    for (int i = 0; i < member->assigned_count; i++)
        if (member->assigned[i].partition == partition && str_eq(member->assigned[i].topic, topic))
            return true;
    return false;
}

static int
gather_topics(const struct client_assignor_member *members, int member_count,
    struct client_assignor_topic *topics)
{
    int count = 0;
    for (int i = 0; i < member_count; i++) {
        for (int j = 0; j < members[i].topic_count && count < TOPICS_MAX; j++) {
            int k = 0;
            while (k < count && !str_eq(topics[k].name, members[i].topics[j]))
                k++;
            if (k == count)
                topics[count++] = (struct client_assignor_topic){
                    members[i].topics[j], (int32_t)(members[i].topics[j].len % PARTITIONS)};
        }
    }
    return count;
}

static void
check(const struct client_assignor_topic *topics, int topic_count,
    const struct client_assignor_member *members, int member_count)
{
    for (int t = 0; t < topic_count; t++) {
        for (int32_t p = 0; p < topics[t].partition_count; p++) {
            int readers = 0;
            for (int m = 0; m < member_count; m++) {
                if (!has(&members[m], topics[t].name, p))
                    continue;
                readers++;
                ASSERT(subscribes(&members[m], topics[t].name));
            }
            ASSERT(readers <= 1);
        }
    }
}

static void
assign(enum client_assignor assignor, struct client_assignor_member *members, int count,
    struct arena *arena)
{
    struct client_assignor_topic topics[TOPICS_MAX];
    int topic_count = gather_topics(members, count, topics);
    if (client_assignor_run(assignor, topics, topic_count, members, count, arena) != ERR_OK)
        return;
    check(topics, topic_count, members, count);
    struct bytes written;
    struct client_topic_partition *parts;
    int part_count;
    if (group_assignment_write(members[0].assigned, members[0].assigned_count, arena, &written) !=
            ERR_OK ||
        group_assignment_read(written, arena, &parts, &part_count) != ERR_OK)
        return;
    ASSERT(part_count == members[0].assigned_count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const ids[MEMBERS_MAX] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct client_assignor_member members[MEMBERS_MAX] = {{{0}}};
    struct client_topic_partition *parts;
    struct arena arena;
    struct bytes piece;
    int count = 0, part_count;
    if (len < 2)
        return 0;
    struct bytes input = {data + 1, len - 1};
    arena_init(&arena, ARENA_BYTES);
    (void)!group_assignment_read(input, &arena, &parts, &part_count);
    while (count < MEMBERS_MAX && fuzz_piece_next(&input, &piece)) {
        members[count].member_id = str_of(ids[count]);
        members[count].instance_id = STR_NULL;
        if (group_subscription_read(piece, &arena, &members[count]) == ERR_OK)
            count++;
    }
    if (count > 0)
        assign((enum client_assignor)(data[0] % 3), members, count, &arena);
    arena_fini(&arena);
    return 0;
}
