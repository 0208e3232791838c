/* client/public_admin_offset.c - the offsets of every partition of a topic, by position or by time.
 *
 * What: in each round every leader is asked once for all its partitions that have no answer yet;
 * what did not succeed and may pass goes to the next round. Threads: the client's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/public_priv.h"
#include "proto/error_codes.h"
#include "proto/list_offsets_request.h"
#include "proto/list_offsets_response.h"

enum part_state { PART_WANTED, PART_ASKED, PART_DONE };

struct offset_list {
    struct public_ask ask;
    struct moldau_result *result;
    const char *topic;
    int64_t timestamp_ms;
    int32_t count;
    uint8_t *states;                                                 /* owned; enum part_state */
    struct proto_list_offsets_request_list_offsets_partition *slots; /* owned; of one request */
};

static struct moldau_partition_offset *
item_of(struct offset_list *list, int32_t partition)
{
    return list->result->items[partition];
}

static void
keep_answer(struct offset_list *list,
    const struct proto_list_offsets_response_list_offsets_partition_response *from)
{
    int32_t partition = from->partition_index;
    if (partition < 0 || partition >= list->count || list->states[partition] != PART_ASKED)
        return;
    struct moldau_partition_offset *item = item_of(list, partition);
    item->error_code = from->error_code;
    if (from->error_code != 0)
        return;
    item->offset = from->offset;
    item->timestamp_ms = from->timestamp;
    item->leader_epoch = from->leader_epoch;
    list->states[partition] = PART_DONE;
}

/* One request to the leader that the ask points at, for all its partitions from `first` on. */
static void
ask_leader(struct offset_list *list, int32_t first)
{
    struct proto_list_offsets_request_list_offsets_topic topic = {.name = str_of(list->topic)};
    struct proto_list_offsets_request request;
    struct public_ask *ask = &list->ask;
    int32_t leader = ask->call.node_id;
    proto_init(&proto_list_offsets_request_schema, &request);
    request.replica_id = -1;
    request.isolation_level = (int8_t)ask->client->options->numbers[OPTION_ISOLATION_LEVEL];
    request.timeout_ms = public_ask_timeout_ms(ask);
    request.topics.items = &topic;
    request.topics.count = 1;
    topic.partitions.items = list->slots;
    for (int32_t p = first; p < list->count; p++) {
        if (list->states[p] != PART_WANTED || public_ask_leader(ask, list->topic, p) != 0 ||
            ask->call.node_id != leader)
            continue;
        struct proto_list_offsets_request_list_offsets_partition *slot =
            &list->slots[topic.partitions.count++];
        slot->partition_index = p;
        slot->current_leader_epoch = -1;
        slot->timestamp = list->timestamp_ms;
        list->states[p] = PART_ASKED;
        item_of(list, p)->error_code = PROTO_ERROR_UNKNOWN_SERVER_ERROR; /* unless answered */
    }
    ask->call.node_id = leader;
    const struct proto_list_offsets_response *response =
        public_ask_send(ask, CLIENT_TARGET_NODE, PROTO_LIST_OFFSETS_REQUEST_KEY, &request);
    for (int32_t t = 0; response != NULL && t < response->topics.count; t++)
        for (int32_t p = 0; p < response->topics.items[t].partitions.count; p++)
            keep_answer(list, &response->topics.items[t].partitions.items[p]);
}

/* Every leader once. Gives a code of a partition without an answer, 0 when there is none. */
static int16_t
ask_round(struct offset_list *list)
{
    int16_t code = 0;
    for (int32_t p = 0; list->ask.err == ERR_OK && p < list->count; p++) {
        if (list->states[p] != PART_WANTED)
            continue;
        int16_t why = public_ask_leader(&list->ask, list->topic, p);
        if (why == 0)
            ask_leader(list, p);
        else
            item_of(list, p)->error_code = why;
    }
    for (int32_t p = 0; p < list->count; p++) {
        if (list->states[p] == PART_DONE)
            continue;
        list->states[p] = PART_WANTED;
        code = item_of(list, p)->error_code;
    }
    return code;
}

static enum err
list_prepare(struct offset_list *list)
{
    size_t count = (size_t)list->count;
    enum err err = public_result_new(PUBLIC_OFFSETS, count, &list->result);
    if (err != ERR_OK)
        return err;
    list->states = mem_calloc(count + 1, sizeof *list->states);
    list->slots = mem_calloc(count + 1, sizeof *list->slots);
    const char *topic = public_result_text(list->result, str_of(list->topic));
    for (int32_t p = 0; p < list->count; p++) {
        struct moldau_partition_offset *item = public_result_add(list->result, sizeof *item);
        if (item == NULL)
            return ERR_NOMEM;
        item->topic = topic;
        item->partition = p;
        item->leader_epoch = -1;
        item->offset = -1;
        item->timestamp_ms = -1;
    }
    return list->states == NULL || list->slots == NULL || topic == NULL ? ERR_NOMEM : ERR_OK;
}

/* The topic's partitions are known afterwards, or there is a code or ask.err. */
static int16_t
find_topic(struct offset_list *list)
{
    struct public_ask *ask = &list->ask;
    int16_t code;
    do {
        ask->err = public_ask_metadata(ask, list->topic);
        const struct client_topic *known =
            client_topic_find(ask->client->client, str_of(list->topic));
        code = known == NULL ? PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION : known->error_code;
        list->count = known == NULL ? 0 : known->partition_count;
    } while (public_ask_again(ask, code));
    return ask->err == ERR_OK ? code : 0;
}

enum moldau_err
moldau_offset_list(struct moldau_client *client, const char *topic, int64_t timestamp_ms,
    int64_t timeout_ms, struct moldau_result **out)
{
    struct offset_list list = {.topic = topic, .timestamp_ms = timestamp_ms};
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    enum moldau_err err = public_enter(client);
    if (err == MOLDAU_OK)
        err = public_check_topic(client, topic);
    if (err == MOLDAU_OK && timestamp_ms < MOLDAU_OFFSET_EARLIEST)
        err = public_fail(client, MOLDAU_ERR_INVALID, 0, "time %lld", (long long)timestamp_ms);
    if (err == MOLDAU_OK)
        err = public_ask_begin(&list.ask, client, timeout_ms);
    if (err != MOLDAU_OK)
        return err;
    int16_t code = find_topic(&list);
    if (list.ask.err == ERR_OK && code == 0)
        list.ask.err = list_prepare(&list);
    bool again = list.ask.err == ERR_OK && code == 0;
    while (again) {
        int16_t missing = list.ask.err == ERR_OK ? ask_round(&list) : 0;
        again = public_ask_again(&list.ask, missing);
        if (again)
            list.ask.err = public_ask_metadata(&list.ask, topic);
    }
    mem_free(list.states);
    mem_free(list.slots);
    err = public_ask_end(&list.ask, topic, code, STR_NULL);
    return public_result_finish(client, err, list.result, out);
}
