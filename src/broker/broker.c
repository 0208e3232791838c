/* The broker's frame: its reactors' view of the metadata, its connections' peers, and topics made
 * in the background.
 *
 * I1       A reactor's image is referenced; it is replaced only between requests.
 * I2       image_posted says that image_task is in the reactor's mailbox; image_next is what it
 * will take, the latest of those published since, unless a request came first: whoever was answered
 * through another reactor may ask here before the mailbox is looked at. I3       A topic is in
 * `creations` exactly while its request is with the metadata side. Threads  As said at each
 * function. */
#include "broker/broker.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/limits.h"
#include "broker/broker_priv.h"
#include "net/conn.h"
#include "proto/api_keys.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"
#include "proto/error_codes.h"
#include "security/principal.h"

/* A connection that is to be closed takes nothing up before. */
enum { REFUSED_MARGIN_MS = 1000 };

enum { CREATION_ARENA = 64 << 10, CREATIONS_MAX = 1000 };

/* ---- images ---- */

void
broker_image_take(struct broker_reactor *reactor)
{
    struct broker *broker = reactor->broker;
    struct meta_image *old = NULL;
    if (LIKELY(atomic_load_explicit(&reactor->image_next, memory_order_acquire) == NULL))
        return;
    mutex_lock(&broker->mutex);
    struct meta_image *next = atomic_load(&reactor->image_next);
    if (next != NULL) {
        old = reactor->image;
        reactor->image = next;
        atomic_store(&reactor->image_next, NULL);
        reactor->quotas_on = meta_image_quota_count(next) > 0;
    }
    mutex_unlock(&broker->mutex);
    if (old != NULL)
        meta_image_unref(&old);
}

static void
image_task_run(struct loop_task *task)
{
    struct broker_reactor *reactor = CONTAINER_OF(task, struct broker_reactor, image_task);
    mutex_lock(&reactor->broker->mutex);
    reactor->image_posted = false;
    mutex_unlock(&reactor->broker->mutex);
    broker_image_take(reactor);
}

void
broker_publish(struct broker *broker, struct meta_image *image)
{
    for (int i = 0; i < broker->opts.loop_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        meta_image_ref(image);
        mutex_lock(&broker->mutex);
        struct meta_image *skipped = atomic_load(&reactor->image_next);
        bool post = !reactor->image_posted;
        atomic_store(&reactor->image_next, image);
        reactor->image_posted = true;
        mutex_unlock(&broker->mutex);
        if (post)
            loop_post(reactor->loop, &reactor->image_task);
        if (skipped != NULL)
            meta_image_unref(&skipped);
    }
}

/* ---- connections ---- */

static void
refused_over(struct loop_timer *timer)
{
    struct broker_peer *peer = CONTAINER_OF(timer, struct broker_peer, refused);
    net_conn_close(peer->conn, "connects too often");
}

/* KIP-612: it is not heard, and closed when its address has waited long enough. */
static void
refuse_when_too_fast(struct broker_reactor *reactor, struct broker_peer *peer)
{
    int64_t wait_ms = broker_quota_connected(reactor, peer);
    if (wait_ms > 0 && loop_timer_start(&peer->refused, wait_ms) == ERR_OK)
        net_conn_throttle(peer->conn, wait_ms + REFUSED_MARGIN_MS);
}

static bool
on_open(void *ctx, struct net_conn *conn, void **user)
{
    struct broker *broker = ctx;
    struct broker_reactor *reactor = &broker->reactors[net_conn_reactor(conn)];
    struct broker_peer *peer = mem_calloc(1, sizeof *peer);
    if (peer == NULL)
        return false;
    const char *host = net_conn_peer_host(conn);
    size_t len = strlen(host);
    ASSERT(len < sizeof peer->host);
    memcpy(peer->host, host, len + 1);
    peer->listener = net_conn_listener(conn);
    peer->principal = security_principal_anonymous();
    peer->conn = conn;
    loop_timer_init(&peer->refused, reactor->loop, refused_over);
    broker_image_take(reactor);
    if (reactor->quotas_on)
        refuse_when_too_fast(reactor, peer);
    *user = peer;
    return true;
}

static void
on_frame(void *ctx, struct net_conn *conn, struct net_slot *slot)
{
    broker_dispatch(ctx, conn, slot);
}

static void
on_free(void *ctx, void *user)
{
    struct broker_peer *peer = user;
    (void)ctx;
    loop_timer_stop(&peer->refused);
    mem_free(peer);
}

const struct net_handler *
broker_net_handler(void)
{
    static const struct net_handler handler = {
        .on_open = on_open,
        .on_frame = on_frame,
        .on_turn = broker_req_turn,
        .on_sent = broker_counters_sent,
        .on_free = on_free,
    };
    return &handler;
}

/* ---- topics in the background ---- */

static void
creation_free(struct broker_creation *creation)
{
    arena_fini(&creation->arena);
    mem_free(creation->name);
    mem_free(creation);
}

/* On the metadata thread. */
static void
creation_done(struct meta_request *ask, enum err err)
{
    struct broker_creation *creation = CONTAINER_OF(ask, struct broker_creation, ask);
    struct broker *broker = creation->broker;
    const struct proto_create_topics_response *response = ask->response;
    int16_t code = err == ERR_OK && response->topics.count > 0
                       ? response->topics.items[0].error_code
                       : PROTO_ERROR_NONE;
    bool failed =
        err != ERR_OK || (code != PROTO_ERROR_NONE && code != PROTO_ERROR_TOPIC_ALREADY_EXISTS);
    diag_event(env_diag(broker->opts.env), failed ? DIAG_WARN : DIAG_INFO, "broker",
        failed ? "topic_not_created" : "topic_created", DIAG_Z("topic", creation->name),
        DIAG_ERR("cause", err), DIAG_Z("code", proto_error_name(code)));
    mutex_lock(&broker->mutex);
    HASH_DEL(broker->creations, creation); /* I3 */
    mutex_unlock(&broker->mutex);
    creation_free(creation);
}

/* The request in the creation's arena; false out of memory. */
static bool
creation_fill(struct broker_creation *creation, const struct broker_topic_wish *wish)
{
    struct arena *arena = &creation->arena;
    const struct proto_api *api = proto_api_find(PROTO_API_CREATE_TOPICS);
    struct proto_create_topics_request *msg = arena_alloc(arena, sizeof *msg);
    struct proto_create_topics_request_creatable_topic *topic = arena_alloc(arena, sizeof *topic);
    struct proto_create_topics_response *response = arena_alloc(arena, sizeof *response);
    size_t config_count = (size_t)wish->config_count;
    struct proto_create_topics_request_creatable_topic_config *configs =
        arena_calloc(arena, config_count, sizeof *configs);
    if (msg == NULL || topic == NULL || response == NULL || configs == NULL)
        return false;
    proto_init(&proto_create_topics_request_schema, msg);
    proto_init(&proto_create_topics_request_creatable_topic_schema, topic);
    proto_init(&proto_create_topics_response_schema, response);
    for (int i = 0; i < wish->config_count; i++) {
        configs[i].name = arena_str(arena, str_of(wish->configs[i].key));
        configs[i].value = arena_str(arena, str_of(wish->configs[i].value));
    }
    topic->name = str_of(creation->name);
    topic->num_partitions = wish->partitions;
    topic->replication_factor = wish->replication_factor;
    topic->configs.items = configs;
    topic->configs.count = wish->config_count;
    msg->topics.items = topic;
    msg->topics.count = 1;
    creation->ask = (struct meta_request){
        .api_key = PROTO_API_CREATE_TOPICS,
        .version = api->version_max,
        .msg = msg,
        .response = response,
        .arena = arena,
        .principal = security_principal_anonymous(),
        .done = creation_done,
        .owner = creation,
    };
    return !arena->exhausted;
}

void
broker_create_topic(struct broker *broker, const struct broker_topic_wish *wish)
{
    struct broker_creation *other = NULL;
    struct broker_creation *creation = mem_calloc(1, sizeof *creation);
    if (creation == NULL)
        return;
    creation->broker = broker;
    creation->name = mem_strndup(wish->name.data, wish->name.len);
    arena_init(&creation->arena, CREATION_ARENA);
    if (creation->name == NULL || !creation_fill(creation, wish)) {
        creation_free(creation);
        return;
    }
    mutex_lock(&broker->mutex);
    HASH_FIND(hh, broker->creations, creation->name, wish->name.len, other);
    bool add = other == NULL && HASH_COUNT(broker->creations) < CREATIONS_MAX;
    if (add) {
        HASH_ADD_KEYPTR(hh, broker->creations, creation->name, wish->name.len, creation);
        add = creation->hh.tbl != NULL;
    }
    mutex_unlock(&broker->mutex);
    if (add)
        meta_port_submit(broker->opts.metadata, &creation->ask);
    else
        creation_free(creation);
}

/* ---- life ---- */

enum err
broker_new(const struct broker_opts *opts, struct broker **out)
{
    ASSERT(opts->env != NULL && opts->loop_count > 0);
    ASSERT(opts->rules != NULL && opts->metadata != NULL);
    struct broker *broker = mem_calloc(1, sizeof *broker);
    if (broker == NULL)
        return ERR_NOMEM;
    broker->opts = *opts;
    broker->reactors = mem_calloc((size_t)opts->loop_count, sizeof *broker->reactors);
    struct broker_quotas_opts quotas = {.env = opts->env,
        .window = opts->config.quota_window,
        .mutation_window = opts->config.quota_mutation_window};
    if (broker->reactors == NULL || broker_error_maps_make(broker) != ERR_OK ||
        broker_quotas_new(&quotas, &broker->quotas) != ERR_OK) {
        broker_error_maps_free(broker);
        mem_free(broker->reactors);
        mem_free(broker);
        return ERR_NOMEM;
    }
    mutex_init(&broker->mutex, MUTEX_RANK_LEAF);
    broker_checks_init(&broker->checks, opts->check_pool);
    for (int i = 0; i < opts->loop_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        reactor->broker = broker;
        reactor->loop = opts->loops[i];
        list_init(&reactor->live);
        list_init(&reactor->free);
        loop_task_init(&reactor->image_task, image_task_run);
    }
    *out = broker;
    return ERR_OK;
}

void
broker_free(struct broker **slot)
{
    struct broker *broker = *slot;
    struct broker_creation *creation, *next;
    if (broker == NULL)
        return;
    *slot = NULL;
    broker_checks_fini(&broker->checks); /* before the memory of requests goes */
    for (int i = 0; i < broker->opts.loop_count; i++) {
        struct broker_reactor *reactor = &broker->reactors[i];
        broker_req_pools_fini(reactor);
        broker_counters_free(reactor);
        if (reactor->image != NULL)
            meta_image_unref(&reactor->image);
        struct meta_image *published = atomic_load(&reactor->image_next);
        if (published != NULL)
            meta_image_unref(&published);
    }
    HASH_ITER (hh, broker->creations, creation, next) {
        HASH_DEL(broker->creations, creation);
        creation_free(creation);
    }
    mutex_fini(&broker->mutex);
    broker_quotas_free(&broker->quotas);
    broker_error_maps_free(broker);
    mem_free(broker->reactors);
    mem_free(broker);
}

struct env *
broker_env(const struct broker *broker)
{
    return broker->opts.env;
}

struct pool *
broker_pool(const struct broker *broker)
{
    return broker->opts.pool;
}

struct pool *
broker_read_pool(const struct broker *broker)
{
    return broker->opts.read_pool;
}

const struct broker_config *
broker_config(const struct broker *broker)
{
    return &broker->opts.config;
}

const struct meta_config_rules *
broker_rules(const struct broker *broker)
{
    return broker->opts.rules;
}

struct replica_manager *
broker_replicas(const struct broker *broker)
{
    return broker->opts.replicas;
}

struct broker_coord *
broker_coord(const struct broker *broker)
{
    return broker->opts.coord;
}
