#include "tests/unit/broker/fixture.h"

#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "meta/builder.h"
#include "meta/records.h"
#include "proto/api_keys.h"
#include "proto/broker_heartbeat_request.h"
#include "proto/broker_heartbeat_response.h"
#include "proto/broker_registration_request.h"
#include "proto/broker_registration_response.h"
#include "proto/create_topics_request.h"
#include "proto/create_topics_response.h"

static void
random_bytes(void *ctx, void *out, size_t len)
{
    env_random(ctx, out, len);
}

static void
replay(struct fixture *f, const struct meta_records *records)
{
    struct meta_builder *builder;
    struct meta_image *next;
    struct meta_delta *delta;
    if (records->count == 0)
        return;
    assert_int_equal(meta_builder_new(f->image, &builder), ERR_OK);
    for (int i = 0; i < records->count; i++)
        assert_int_equal(meta_builder_replay(builder, records->items[i].value), ERR_OK);
    f->offset += records->count;
    assert_int_equal(
        meta_builder_finish(&builder, f->offset, 1, env_wall_ms(f->env), &next, &delta), ERR_OK);
    meta_image_unref(&f->image);
    f->image = next;
    meta_delta_free(&delta);
    broker_publish(f->broker, f->image);
}

static void
submit(void *ctx, struct meta_request *req)
{
    struct fixture *f = ctx;
    struct meta_records records;
    enum err err = f->refuse_with;
    if (err == ERR_OK) {
        mutex_lock(&f->mutex);
        if (req->image != NULL) {
            *req->image = f->image;
            meta_image_ref(f->image);
        }
        meta_records_init(&records, req->arena, env_wall_ms(f->env));
        err = meta_controller_handle(&f->controller, f->image, f->offset + 1, req, &records);
        if (err == ERR_OK)
            replay(f, &records);
        mutex_unlock(&f->mutex);
    }
    req->done(req, err);
}

static struct meta_image *
image_now(void *ctx)
{
    struct fixture *f = ctx;
    meta_image_ref(f->image);
    return f->image;
}

static struct str
static_value(void *ctx, struct str key)
{
    (void)ctx;
    return str_eq_z(key, "num.partitions") ? STR("3") : STR_NULL;
}

static void
done_check(struct meta_request *req, enum err err)
{
    (void)req;
    assert_int_equal(err, ERR_OK);
}

static void *
ask(struct fixture *f, int16_t key, int16_t version, const void *msg)
{
    const struct proto_api *api = proto_api_find(key);
    struct meta_request req = {.api_key = key,
        .version = version,
        .msg = msg,
        .response = fixture_msg(f, api->response),
        .arena = &f->arena,
        .principal = STR("User:test"),
        .done = done_check};
    submit(f, &req);
    return req.response;
}

static void
registered(struct fixture *f)
{
    struct proto_broker_registration_request *reg =
        fixture_msg(f, &proto_broker_registration_request_schema);
    struct proto_broker_registration_request_listener listener = {
        .name = STR("PLAINTEXT"), .host = STR("localhost"), .port = f->port};
    struct uuid dir = env_random_uuid(f->env);
    reg->broker_id = 1;
    reg->cluster_id = STR("cluster-for-tests");
    reg->incarnation_id = env_random_uuid(f->env);
    reg->listeners.items = &listener;
    reg->listeners.count = 1;
    reg->log_dirs.items = &dir;
    reg->log_dirs.count = 1;
    size_t count = 0;
    while (meta_features_supported[count].name != NULL)
        count++;
    reg->features.items = arena_calloc(&f->arena, count, sizeof *reg->features.items);
    for (size_t i = 0; i < count; i++) {
        reg->features.items[i].name = str_of(meta_features_supported[i].name);
        reg->features.items[i].min_supported_version = meta_features_supported[i].min;
        reg->features.items[i].max_supported_version = meta_features_supported[i].max;
    }
    reg->features.count = (int32_t)count;
    struct proto_broker_registration_response *answer =
        ask(f, PROTO_API_BROKER_REGISTRATION, 4, reg);
    assert_int_equal(answer->error_code, 0);
    struct proto_broker_heartbeat_request *beat =
        fixture_msg(f, &proto_broker_heartbeat_request_schema);
    beat->broker_id = 1;
    beat->broker_epoch = answer->broker_epoch;
    beat->current_metadata_offset = f->offset;
    struct proto_broker_heartbeat_response *beaten = ask(f, PROTO_API_BROKER_HEARTBEAT, 1, beat);
    assert_int_equal(beaten->error_code, 0);
    assert_false(beaten->is_fenced);
}

void
fixture_start(struct fixture *f)
{
    struct meta_records records;
    memset(f, 0, sizeof *f);
    arena_init(&f->arena, 64 << 20);
    mutex_init(&f->mutex, MUTEX_RANK_LOG_MANAGER);
    assert_int_equal(env_real_new(&(struct env_real_opts){DIAG_ERROR, 2}, &f->env), ERR_OK);
    f->statics.value = static_value;
    f->rules = meta_config_rules_make(&f->statics);
    f->controller = (struct meta_controller){
        .rules = &f->rules, .node_id = 1, .random = random_bytes, .random_ctx = f->env};
    f->metadata = (struct meta_port){.ctx = f, .submit = submit, .image = image_now};
    for (int i = 0; i < 2; i++)
        assert_int_equal(loop_new(f->env, "reactor", &f->loops[i]), ERR_OK);
    struct broker_opts opts = {.env = f->env,
        .loops = f->loops,
        .loop_count = 2,
        .config = {.node_id = 1,
            .cluster_id = STR("cluster-for-tests"),
            .auto_create_topics = true,
            .slow_request_ms = 10000},
        .rules = &f->rules,
        .metadata = &f->metadata};
    assert_int_equal(broker_new(&opts, &f->broker), ERR_OK);
    struct net_server_opts net = {.env = f->env,
        .loops = f->loops,
        .loop_count = 2,
        .handler = broker_net_handler(),
        .ctx = f->broker};
    assert_int_equal(net_server_new(&net, &f->server), ERR_OK);
    struct net_listen_opts listen = {.name = STR("PLAINTEXT")};
    const char *port = getenv("FIXTURE_PORT");
    assert_int_equal(sock_addr_parse(STR("127.0.0.1"),
                         port == NULL ? 0 : (uint16_t)strtoul(port, NULL, 10), &listen.addr),
        ERR_OK);
    assert_int_equal(net_server_listen(f->server, &listen, &f->port), ERR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(loop_start(f->loops[i]), ERR_OK);
    assert_int_equal(meta_image_new_empty(STR("cluster-for-tests"), &f->image), ERR_OK);
    f->offset = -1;
    meta_records_init(&records, &f->arena, env_wall_ms(f->env));
    meta_controller_bootstrap(NULL, &records);
    mutex_lock(&f->mutex);
    replay(f, &records);
    mutex_unlock(&f->mutex);
    registered(f);
}

void
fixture_end(struct fixture *f)
{
    for (int i = 0; i < 2; i++)
        loop_stop(f->loops[i]);
    net_server_free(&f->server);
    broker_free(&f->broker);
    for (int i = 0; i < 2; i++)
        loop_free(&f->loops[i]);
    meta_image_unref(&f->image);
    mutex_fini(&f->mutex);
    arena_fini(&f->arena);
    env_free(&f->env);
}

int
fixture_dial(const struct fixture *f)
{
    struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(f->port)};
    struct timeval timeout = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    return fd;
}

void
fixture_send(int fd, const void *data, size_t len)
{
    assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

static void
receive(int fd, void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)data + at, len - at, 0);
        assert_true(n > 0);
        at += (size_t)n;
    }
}

void
fixture_expect_closed(int fd)
{
    char byte;
    assert_true(recv(fd, &byte, 1, 0) <= 0);
    close(fd);
}

void *
fixture_msg(struct fixture *f, const struct proto_schema *schema)
{
    void *msg = arena_calloc(&f->arena, 1, proto_schema_size(schema));
    assert_non_null(msg);
    proto_init(schema, msg);
    return msg;
}

void *
fixture_call(struct fixture *f, int fd, int16_t key, int16_t version, const void *msg)
{
    const struct proto_api *api = proto_api_find(key);
    struct writer w;
    struct reader r;
    uint8_t head[4];
    writer_init(&w, 10 << 20);
    writer_i32(&w, 0);
    writer_i16(&w, key);
    writer_i16(&w, version);
    writer_i32(&w, 4711);
    writer_i16(&w, 4);
    writer_raw(&w, "test", 4);
    if (proto_request_header_version(api, version) >= 2)
        writer_i8(&w, 0);
    assert_int_equal(proto_encode(api->request, version, msg, &w), ERR_OK);
    store_be32(w.buf.data, (uint32_t)(w.buf.len - 4));
    fixture_send(fd, w.buf.data, w.buf.len);
    writer_fini(&w);
    receive(fd, head, 4);
    uint32_t len = load_be32(head);
    uint8_t *body = arena_alloc(&f->arena, len);
    assert_non_null(body);
    receive(fd, body, len);
    reader_init(&r, (struct bytes){body, len});
    assert_int_equal(reader_i32(&r), 4711);
    if (proto_response_header_version(api, version) >= 1)
        assert_int_equal(reader_i8(&r), 0);
    void *response = fixture_msg(f, api->response);
    assert_int_equal(proto_decode(api->response, version, &r, &f->arena, response), ERR_OK);
    assert_int_equal(reader_remaining(&r), 0);
    return response;
}

void
fixture_topic(struct fixture *f, int fd, const char *name, int32_t partitions)
{
    struct proto_create_topics_request *msg = fixture_msg(f, &proto_create_topics_request_schema);
    msg->topics.items = fixture_msg(f, &proto_create_topics_request_creatable_topic_schema);
    msg->topics.count = 1;
    msg->topics.items[0].name = str_of(name);
    msg->topics.items[0].num_partitions = partitions;
    msg->topics.items[0].replication_factor = 1;
    struct proto_create_topics_response *answer =
        fixture_call(f, fd, PROTO_API_CREATE_TOPICS, 7, msg);
    assert_int_equal(answer->topics.count, 1);
    assert_int_equal(answer->topics.items[0].error_code, 0);
}
