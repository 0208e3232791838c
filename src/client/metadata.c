/* client/metadata.c - the client's picture of brokers and topics, and how it is refreshed.
 *
 * What: refreshes gather names in `wants`; one Metadata request at a time asks for all of them, and
 * its answer updates the cache and ends the refreshes that were waiting for it.
 * Invariants: I1 refresh_now is empty when no request is on its way. I2 a topic's leader epoch in
 * the cache never goes back. Threads: the loop's. */
#include "base/alloc.h"
#include "base/assert.h"
#include "client/client_priv.h"
#include "proto/metadata_request.h"
#include "proto/metadata_response.h"

enum { METADATA_ARENA = 256 << 20, REQUEST_ARENA = 16 << 20 };

struct client_topic_want {
    char *name; /* owned */
    size_t name_len;
    UT_hash_handle hh;
};

static void send_refresh(struct client *client);

void
client_metadata_init(struct client *client)
{
    client_call_init(&client->metadata_call, METADATA_ARENA);
    arena_init(&client->metadata_arena, REQUEST_ARENA);
    list_init(&client->refresh_now);
    list_init(&client->refresh_next);
}

static void
wants_clear(struct client *client)
{
    struct client_topic_want *want, *next;
    HASH_ITER (hh, client->wants, want, next) {
        HASH_DEL(client->wants, want);
        mem_free(want->name);
        mem_free(want);
    }
}

void
client_metadata_fini(struct client *client)
{
    struct client_topic_entry *entry, *next;
    HASH_ITER (hh, client->topics, entry, next) {
        HASH_DEL(client->topics, entry);
        mem_free(entry);
    }
    wants_clear(client);
    client_call_fini(&client->metadata_call);
    arena_fini(&client->metadata_arena);
}

const struct client_topic *
client_topic_find(const struct client *client, struct str name)
{
    struct client_topic_entry *entry;
    HASH_FIND(hh, client->topics, name.data, name.len, entry);
    return entry == NULL ? NULL : &entry->topic;
}

int32_t
client_controller_id(const struct client *client)
{
    return client->controller_id;
}

struct str
client_cluster_id(const struct client *client)
{
    return str_of(client->cluster_id);
}

/* ---- taking an answer ---- */

static enum err
keep_topic(
    struct client *client, const struct proto_metadata_response_metadata_response_topic *answer)
{
    int32_t count = 0;
    for (int32_t i = 0; i < answer->partitions.count; i++) {
        int32_t index = answer->partitions.items[i].partition_index;
        if (index < 0 || index >= answer->partitions.count)
            return ERR_CORRUPT;
        if (index >= count)
            count = index + 1;
    }
    size_t size = sizeof(struct client_topic_entry) +
                  (size_t)count * sizeof(struct client_partition) + answer->name.len;
    struct client_topic_entry *entry = mem_calloc(1, size);
    struct client_topic_entry *old;
    if (entry == NULL)
        return ERR_NOMEM;
    entry->topic.partitions = (struct client_partition *)(entry + 1);
    char *name = (char *)(entry->topic.partitions + count);
    memcpy(name, answer->name.data, answer->name.len);
    entry->topic.name = (struct str){name, answer->name.len};
    entry->topic.id = answer->topic_id;
    entry->topic.error_code = answer->error_code;
    entry->topic.partition_count = count;
    HASH_FIND(hh, client->topics, name, answer->name.len, old);
    for (int32_t i = 0; i < count; i++)
        entry->topic.partitions[i] = (struct client_partition){-1, -1};
    for (int32_t i = 0; i < answer->partitions.count; i++) {
        int32_t index = answer->partitions.items[i].partition_index;
        struct client_partition *part = &entry->topic.partitions[index];
        part->leader = answer->partitions.items[i].leader_id;
        part->leader_epoch = answer->partitions.items[i].leader_epoch;
        if (old != NULL && index < old->topic.partition_count &&
            uuid_eq(old->topic.id, answer->topic_id) &&
            old->topic.partitions[index].leader_epoch > part->leader_epoch)
            *part = old->topic.partitions[index]; /* I2 */
    }
    if (old != NULL) {
        HASH_DEL(client->topics, old);
        mem_free(old);
    }
    HASH_ADD_KEYPTR(hh, client->topics, entry->topic.name.data, entry->topic.name.len, entry);
    if (entry->hh.tbl == NULL) {
        mem_free(entry);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

/* Brokers that are still named keep their connection; addresses that changed are connected anew. */
static enum err
keep_brokers(struct client *client, const struct proto_metadata_response *answer)
{
    for (int32_t i = 0; i < answer->brokers.count; i++) {
        int32_t id = answer->brokers.items[i].node_id;
        struct str host = answer->brokers.items[i].host;
        uint16_t port = (uint16_t)answer->brokers.items[i].port;
        struct client_broker *broker = client_broker_find(client, id);
        if (broker != NULL && (!str_eq_z(host, broker->host) || broker->port != port)) {
            client_broker_forget(client, id);
            broker = NULL;
        }
        if (broker == NULL && client_broker_add(client, id, host, port) == NULL)
            return ERR_NOMEM;
    }
    return ERR_OK;
}

static enum err
keep_answer(struct client *client, const struct proto_metadata_response *answer)
{
    enum err err = keep_brokers(client, answer);
    client->controller_id = answer->controller_id;
    size_t len = answer->cluster_id.len;
    if (len < sizeof client->cluster_id && len > 0) {
        memcpy(client->cluster_id, answer->cluster_id.data, len);
        client->cluster_id[len] = '\0';
    }
    for (int32_t i = 0; err == ERR_OK && i < answer->topics.count; i++)
        if (!str_is_null(answer->topics.items[i].name))
            err = keep_topic(client, &answer->topics.items[i]);
    return err;
}

static void
on_metadata(struct client_call *call)
{
    struct client *client = call->client;
    struct list ended;
    enum err err = call->err;
    if (err == ERR_OK)
        err = keep_answer(client, call->response);
    list_init(&ended);
    list_splice(&ended, &client->refresh_now);
    struct list *node;
    while ((node = list_pop(&ended)) != NULL) {
        struct client_refresh *refresh = LIST_ENTRY(node, struct client_refresh, link);
        refresh->waiting = false;
        refresh->done(refresh, err);
    }
    if (!list_empty(&client->refresh_next) && !client->metadata_call.active)
        send_refresh(client);
}

/* ---- asking ---- */

static enum err
fill_request(struct client *client, struct proto_metadata_request *request)
{
    unsigned count = HASH_COUNT(client->wants);
    struct client_topic_want *want;
    int32_t i = 0;
    proto_init(&proto_metadata_request_schema, request);
    request->allow_auto_topic_creation = client->auto_create_next;
    request->topics.items =
        arena_calloc(&client->metadata_arena, count, sizeof *request->topics.items);
    if (request->topics.items == NULL)
        return ERR_NOMEM;
    for (want = client->wants; want != NULL; want = want->hh.next) {
        struct str name =
            arena_str(&client->metadata_arena, (struct str){want->name, want->name_len});
        if (str_is_null(name))
            return ERR_NOMEM;
        request->topics.items[i++].name = name;
    }
    request->topics.count = i;
    return ERR_OK;
}

static void
send_refresh(struct client *client)
{
    struct client_call *call = &client->metadata_call;
    ASSERT(!call->active); /* one at a time */
    arena_reset(&client->metadata_arena);
    struct proto_metadata_request *request = arena_alloc(&client->metadata_arena, sizeof *request);
    list_splice(&client->refresh_now, &client->refresh_next);
    call->target = CLIENT_TARGET_ANY;
    call->key = 3;
    call->request = request;
    call->done = on_metadata;
    call->client = client;
    if (request == NULL || fill_request(client, request) != ERR_OK) {
        call->err = ERR_NOMEM;
        on_metadata(call);
        return;
    }
    wants_clear(client);
    client->auto_create_next = false;
    client_call_start(client, call);
}

static enum err
want_topic(struct client *client, struct str name)
{
    struct client_topic_want *want;
    HASH_FIND(hh, client->wants, name.data, name.len, want);
    if (want != NULL)
        return ERR_OK;
    want = mem_calloc(1, sizeof *want);
    if (want == NULL)
        return ERR_NOMEM;
    want->name = mem_strndup(name.data, name.len);
    want->name_len = name.len;
    if (want->name != NULL)
        HASH_ADD_KEYPTR(hh, client->wants, want->name, want->name_len, want);
    if (want->name == NULL || want->hh.tbl == NULL) {
        mem_free(want->name);
        mem_free(want);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void
client_refresh_topics(struct client *client, const struct str *topics, int count,
    bool allow_auto_create, struct client_refresh *refresh)
{
    for (int i = 0; i < count; i++) {
        enum err err = want_topic(client, topics[i]);
        if (err != ERR_OK) {
            refresh->done(refresh, err);
            return;
        }
    }
    client->auto_create_next |= allow_auto_create;
    refresh->waiting = true;
    list_push(&client->refresh_next, &refresh->link);
    if (!client->metadata_call.active && list_empty(&client->refresh_now))
        send_refresh(client);
}

void
client_refresh_cancel(struct client_refresh *refresh)
{
    if (!refresh->waiting)
        return;
    refresh->waiting = false;
    list_remove(&refresh->link);
}

struct refresh_wait {
    struct client_refresh refresh;
    struct client *client;
    bool done;
    enum err err;
};

static void
wake_refresh(struct client_refresh *refresh, enum err err)
{
    struct refresh_wait *wait = CONTAINER_OF(refresh, struct refresh_wait, refresh);
    wait->err = err;
    wait->done = true;
    client_wake(wait->client);
}

enum err
client_refresh_wait(
    struct client *client, const struct str *topics, int count, bool allow_auto_create)
{
    struct refresh_wait wait = {.client = client};
    wait.refresh.done = wake_refresh;
    client_refresh_topics(client, topics, count, allow_auto_create, &wait.refresh);
    bool ended = client_run_until(client, &wait.done, INT64_MAX / 4);
    ASSERT(ended);
    return wait.err;
}
