/* cli/partitions.c - topic arguments, metadata of topics, ListOffsets by leader. */
#include "cli/partitions.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "cli/suggest.h"
#include "proto/error_codes.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

enum {
    RESPONSE_ARENA = 256 << 20,
    TRIES = 30,
    TRIES_HASTY = 2,
    TRIES_MISSING = 4,
    PAUSE_MS = 100,
    NAME_SHOWN = 280,
};

/* ---- "TOPIC:0,2-4" ---- */

/* One "N" or "N-M" at *p; moves it past the comma. */
static bool
take_range(const char **p, int64_t *first, int64_t *last)
{
    char *end;
    if (**p < '0' || **p > '9')
        return false;
    *first = strtoll(*p, &end, 10);
    *last = *first;
    if (*end == '-') {
        const char *at = end + 1;
        if (*at < '0' || *at > '9')
            return false;
        *last = strtoll(at, &end, 10);
    }
    if (*end != '\0' && *end != ',')
        return false;
    if (*end == ',' && end[1] == '\0')
        return false;
    *p = *end == ',' ? end + 1 : end;
    return *first <= *last && *last <= INT32_MAX;
}

int
partitions_parse(const struct cli *cli, const char *text, struct str *topic, const char **ranges)
{
    const char *colon = strchr(text, ':');
    *topic = (struct str){text, colon != NULL ? (size_t)(colon - text) : strlen(text)};
    *ranges = colon != NULL ? colon + 1 : NULL;
    if (topic->len == 0)
        return cli_usage(cli, "'%s' names no topic", text);
    if (*ranges == NULL)
        return CLI_OK;
    const char *p = *ranges;
    int64_t first, last;
    do
        if (!take_range(&p, &first, &last))
            return cli_usage(cli, "'%s' must be TOPIC or TOPIC:PARTITIONS, e.g. %.*s:0,2-4", text,
                STR_FMT(*topic));
    while (*p != '\0');
    return CLI_OK;
}

bool
partitions_named(const char *ranges, int32_t index)
{
    int64_t first, last;
    if (ranges == NULL)
        return true;
    while (*ranges != '\0' && take_range(&ranges, &first, &last))
        if (index >= first && index <= last)
            return true;
    return false;
}

/* The first named index that a topic of so many partitions lacks; -1: none. */
static int64_t
first_beyond(const char *ranges, int32_t partition_count)
{
    int64_t first, last;
    while (ranges != NULL && *ranges != '\0' && take_range(&ranges, &first, &last))
        if (last >= partition_count)
            return first >= partition_count ? first : partition_count;
    return -1;
}

/* ---- topics ---- */

int
partitions_missing_topic(struct cli *cli, struct str topic)
{
    struct proto_metadata_request request;
    const struct proto_metadata_response *response;
    struct client_call call;
    struct suggest suggest;
    char *word = arena_strndup(&cli->arena, topic.data, topic.len);
    proto_init(&proto_metadata_request_schema, &request);
    request.topics.items = NULL;
    request.topics.count = -1;
    client_call_init(&call, RESPONSE_ARENA);
    suggest_init(&suggest, word != NULL ? word : "");
    int code = cli_call(cli, &call, CLIENT_TARGET_ANY, PROTO_METADATA_REQUEST_KEY, &request,
        (const void **)&response);
    for (int32_t i = 0; code == CLI_OK && i < response->topics.count; i++) {
        struct str name = response->topics.items[i].name;
        char *copy = arena_strndup(&cli->arena, name.data, name.len);
        if (copy != NULL)
            suggest_add(&suggest, copy);
    }
    client_call_fini(&call);
    if (suggest_best(&suggest) != NULL)
        cli_missing(
            cli, "no topic '%.*s'; did you mean %s?", STR_FMT(topic), suggest_best(&suggest));
    else
        cli_missing(cli, "no topic '%.*s'", STR_FMT(topic));
    cli_hint("moldau topic list");
    return CLI_NOT_FOUND;
}

static int
refresh(struct cli *cli, const struct partition *parts, int count)
{
    struct str *names = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *names);
    int name_count = 0;
    if (cli_client(cli) == NULL)
        return CLI_FAILED;
    if (names == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++)
        if (i == 0 || !str_eq(parts[i].topic, parts[i - 1].topic))
            names[name_count++] = parts[i].topic;
    if (name_count == 0)
        return CLI_OK;
    enum err err = client_refresh_wait(cli->client, names, name_count, false);
    return err == ERR_OK ? CLI_OK : cli_fail_call(cli, err);
}

/* The topic as metadata has it now, or the exit code of why it cannot be used. */
static int
known_topic(struct cli *cli, struct str name, const struct client_topic **out)
{
    const struct client_topic *topic = client_topic_find(cli->client, name);
    int16_t error =
        topic != NULL ? topic->error_code : (int16_t)PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (error == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
        return partitions_missing_topic(cli, name);
    if (error != 0)
        return cli_fail_code(cli, name, error, STR_NULL);
    *out = topic;
    return CLI_OK;
}

/* Adds one argument's partitions that are not there yet. */
static int
expand_one(struct cli *cli, const char *arg, struct partition *parts, int capacity, int *count)
{
    const struct client_topic *topic = NULL;
    struct str name;
    const char *ranges;
    int code = partitions_parse(cli, arg, &name, &ranges);
    if (code == CLI_OK)
        code = known_topic(cli, name, &topic);
    if (code != CLI_OK)
        return code;
    int before = *count;
    int64_t beyond = first_beyond(ranges, topic->partition_count);
    if (beyond >= 0)
        return cli_missing(cli, "%.*s has %d partition%s, so no partition %lld", STR_FMT(name),
            (int)topic->partition_count, topic->partition_count == 1 ? "" : "s", (long long)beyond);
    for (int32_t p = 0; p < topic->partition_count; p++) {
        bool known = !partitions_named(ranges, p);
        for (int i = 0; i < before && !known; i++)
            known = parts[i].index == p && str_eq(parts[i].topic, name);
        if (known)
            continue;
        ASSERT(*count < capacity);
        parts[(*count)++] = (struct partition){
            .topic = name, .index = p, .leader = topic->partitions[p].leader, .offset = -1};
    }
    return CLI_OK;
}

static int
by_topic(const void *a, const void *b)
{
    const struct partition *x = a;
    const struct partition *y = b;
    int order = str_cmp(x->topic, y->topic);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

struct partition *
partitions_find(struct partition *parts, int count, struct str topic, int32_t index)
{
    struct partition key = {.topic = topic, .index = index};
    return bsearch(&key, parts, (size_t)count, sizeof *parts, by_topic);
}

static bool
any_missing(const struct cli *cli, const struct partition *named, int count)
{
    for (int i = 0; i < count; i++) {
        const struct client_topic *topic = client_topic_find(cli->client, named[i].topic);
        if (topic == NULL || topic->error_code == PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION)
            return true;
    }
    return false;
}

int
partitions_expand(struct cli *cli, char **args, int arg_count, struct partition **out, int *count)
{
    struct partition *named = arena_calloc(&cli->arena, (size_t)arg_count + 1, sizeof *named);
    const char *ranges;
    int capacity = 0;
    if (named == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < arg_count; i++) {
        int code = partitions_parse(cli, args[i], &named[i].topic, &ranges);
        if (code != CLI_OK)
            return code;
    }
    int code = refresh(cli, named, arg_count);
    /* A topic that was just made may not have reached this broker yet. */
    for (int tries = 0;
         code == CLI_OK && tries < TRIES_MISSING && any_missing(cli, named, arg_count); tries++) {
        cli_pause(cli, PAUSE_MS);
        code = refresh(cli, named, arg_count);
    }
    for (int i = 0; code == CLI_OK && i < arg_count; i++) {
        const struct client_topic *topic = client_topic_find(cli->client, named[i].topic);
        capacity += topic != NULL ? topic->partition_count : 0;
    }
    struct partition *parts = arena_calloc(&cli->arena, (size_t)capacity + 1, sizeof *parts);
    int n = 0;
    if (code == CLI_OK && parts == NULL)
        code = cli_fail_memory(cli);
    for (int i = 0; code == CLI_OK && i < arg_count; i++)
        code = expand_one(cli, args[i], parts, capacity, &n);
    if (code != CLI_OK)
        return code;
    qsort(parts, (size_t)n, sizeof *parts, by_topic);
    *out = parts;
    *count = n;
    return CLI_OK;
}

/* ---- offsets ---- */

static int
by_leader(const void *a, const void *b)
{
    const struct partition *x = *(struct partition *const *)a;
    const struct partition *y = *(struct partition *const *)b;
    if (x->leader != y->leader)
        return x->leader < y->leader ? -1 : 1;
    int order = str_cmp(x->topic, y->topic);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static void
find_leader(const struct cli *cli, struct partition *part)
{
    const struct client_topic *topic = client_topic_find(cli->client, part->topic);
    part->leader = -1;
    part->offset = -1;
    if (topic == NULL || (topic->error_code == 0 && part->index >= topic->partition_count))
        part->error_code = PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    else if (topic->error_code != 0)
        part->error_code = topic->error_code;
    else if (topic->partitions[part->index].leader < 0)
        part->error_code = PROTO_ERROR_LEADER_NOT_AVAILABLE;
    else
        part->leader = topic->partitions[part->index].leader;
}

/* The request for `count` partitions of one leader, sorted by topic. */
static bool
fill_request(struct cli *cli, struct partition **parts, int count,
    struct proto_list_offsets_request *request)
{
    struct proto_list_offsets_request_list_offsets_partition *asked =
        arena_calloc(&cli->arena, (size_t)count, sizeof *asked);
    request->topics.items = arena_calloc(&cli->arena, (size_t)count, sizeof *request->topics.items);
    if (asked == NULL || request->topics.items == NULL)
        return false;
    request->topics.count = 0;
    for (int i = 0; i < count; i++) {
        if (i == 0 || !str_eq(parts[i]->topic, parts[i - 1]->topic)) {
            request->topics.items[request->topics.count].name = parts[i]->topic;
            request->topics.items[request->topics.count].partitions.items = asked + i;
            request->topics.items[request->topics.count].partitions.count = 0;
            request->topics.count++;
        }
        request->topics.items[request->topics.count - 1].partitions.count++;
        asked[i].partition_index = parts[i]->index;
        asked[i].current_leader_epoch = -1;
        asked[i].timestamp = parts[i]->timestamp;
    }
    return true;
}

static void
take_answer(struct partition **parts, int count, const struct proto_list_offsets_response *response)
{
    for (int i = 0; i < count; i++)
        parts[i]->error_code = PROTO_ERROR_UNKNOWN_SERVER_ERROR; /* until the answer names it */
    for (int32_t t = 0; t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++) {
            const struct proto_list_offsets_response_list_offsets_partition_response *got =
                &response->topics.items[t].partitions.items[p];
            struct partition key = {.topic = response->topics.items[t].name,
                .index = got->partition_index,
                .leader = parts[0]->leader};
            struct partition *key_ptr = &key;
            struct partition **found =
                bsearch(&key_ptr, parts, (size_t)count, sizeof(struct partition *), by_leader);
            if (found == NULL)
                continue;
            (*found)->error_code = got->error_code;
            (*found)->offset = got->error_code == 0 ? got->offset : -1;
        }
}

static int
ask_leader(struct cli *cli, struct partition **parts, int count)
{
    struct proto_list_offsets_request request;
    const struct proto_list_offsets_response *response;
    struct client_call call;
    ASSERT(count > 0 && parts[0]->leader >= 0);
    proto_init(&proto_list_offsets_request_schema, &request);
    request.replica_id = -1;
    if (!fill_request(cli, parts, count, &request))
        return cli_fail_memory(cli);
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = parts[0]->leader;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_LIST_OFFSETS_REQUEST_KEY, &request,
        (const void **)&response);
    if (code == CLI_OK)
        take_answer(parts, count, response);
    client_call_fini(&call);
    return code;
}

/* One round: those with `open` set, by leader. */
static int
ask_round(struct cli *cli, struct partition **parts, int count)
{
    for (int i = 0; i < count; i++)
        find_leader(cli, parts[i]);
    qsort(parts, (size_t)count, sizeof *parts, by_leader);
    int code = CLI_OK;
    for (int i = 0; i < count && code == CLI_OK;) {
        int n = 1;
        while (i + n < count && parts[i + n]->leader == parts[i]->leader)
            n++;
        if (parts[i]->leader >= 0)
            code = ask_leader(cli, parts + i, n);
        i += n;
        cli_progress(cli, "looking up offsets: %d of %d partitions", i, count);
    }
    return code;
}

int
partitions_offsets(struct cli *cli, struct partition *parts, int count, bool patient)
{
    struct partition **open = arena_calloc(&cli->arena, (size_t)count + 1, sizeof(void *));
    int open_count = count;
    if (open == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++)
        open[i] = &parts[i];
    int code = CLI_OK;
    for (int tries = 0; open_count > 0 && code == CLI_OK; tries++) {
        code = refresh(cli, parts, count);
        if (code == CLI_OK)
            code = ask_round(cli, open, open_count);
        int left = 0;
        bool unused;
        for (int i = 0; i < open_count; i++)
            if (open[i]->error_code != 0 &&
                open[i]->error_code != PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION &&
                client_error_is_retriable(open[i]->error_code, &unused))
                open[left++] = open[i];
        open_count = left;
        if (tries == (patient ? TRIES : TRIES_HASTY))
            break;
        if (open_count > 0)
            cli_pause(cli, PAUSE_MS);
    }
    cli_progress_end(cli);
    return code;
}

int
partitions_offsets_all(
    struct cli *cli, struct partition *parts, int count, int64_t timestamp, int64_t *offsets)
{
    for (int i = 0; i < count; i++) {
        parts[i].timestamp = timestamp;
        parts[i].error_code = 0;
    }
    int code = partitions_offsets(cli, parts, count, true);
    for (int i = 0; code == CLI_OK && i < count; i++) {
        if (parts[i].error_code != 0) {
            char what[NAME_SHOWN];
            snprintf(what, sizeof what, "%.*s:%d", STR_FMT(parts[i].topic), (int)parts[i].index);
            code = cli_fail_code(cli, str_of(what), parts[i].error_code, STR_NULL);
        }
        offsets[i] = parts[i].offset;
    }
    return code;
}
