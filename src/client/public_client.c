/* client/public_client.c - libmoldau's client: environment and loop, errors, waits, questions.
 *
 * Invariants: I1 the loop runs only inside a call that passed public_enter, so never inside itself.
 * I2 the client lives while its handle or anything made on it does (references).
 * Threads: the caller's, one at a time. Errors: kept in the client as text and code. */
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/client_priv.h"
#include "client/public_priv.h"
#include "proto/error_codes.h"

enum { ASK_ARENA = 256 << 20 };

#define VERSION_TEXT(number) #number
#define VERSION_JOIN(a, b, c) VERSION_TEXT(a) "." VERSION_TEXT(b) "." VERSION_TEXT(c)

const char *
moldau_version(void)
{
    return VERSION_JOIN(MOLDAU_VERSION_MAJOR, MOLDAU_VERSION_MINOR, MOLDAU_VERSION_PATCH);
}

/* ---- errors ---- */

const char *
moldau_err_text(enum moldau_err err)
{
    switch (err) {
    case MOLDAU_OK: return "ok";
    case MOLDAU_ERR_INVALID: return "invalid argument";
    case MOLDAU_ERR_NOMEM: return "out of memory";
    case MOLDAU_ERR_TIMEOUT: return "timed out";
    case MOLDAU_ERR_AGAIN: return "not now";
    case MOLDAU_ERR_FULL: return "the buffer is full";
    case MOLDAU_ERR_NOTFOUND: return "not found";
    case MOLDAU_ERR_TOO_LARGE: return "too large";
    case MOLDAU_ERR_BROKER: return "refused by the cluster";
    case MOLDAU_ERR_NETWORK: return "network error";
    case MOLDAU_ERR_UNSUPPORTED: return "not supported by the broker";
    case MOLDAU_ERR_STATE: return "not possible in this state";
    case MOLDAU_ERR_CANCELED: return "canceled";
    case MOLDAU_ERR_CORRUPT: return "corrupt data";
    case MOLDAU_ERR_DISK: return "files cannot be read or written";
    default: return "unknown error";
    }
}

const char *
moldau_code_name(int16_t code)
{
    return proto_error_name(code);
}

const char *
moldau_code_text(int16_t code)
{
    return proto_error_text(code);
}

bool
moldau_code_retriable(int16_t code)
{
    return proto_error_retriable(code);
}

enum moldau_err
public_err_of(enum err err)
{
    switch (err) {
    case ERR_OK: return MOLDAU_OK;
    case ERR_NOMEM: return MOLDAU_ERR_NOMEM;
    case ERR_NOTFOUND: return MOLDAU_ERR_NOTFOUND;
    case ERR_AGAIN: return MOLDAU_ERR_AGAIN;
    case ERR_TIMEOUT: return MOLDAU_ERR_TIMEOUT;
    case ERR_CANCELED: return MOLDAU_ERR_CANCELED;
    case ERR_LIMIT: return MOLDAU_ERR_TOO_LARGE;
    case ERR_FULL: return MOLDAU_ERR_FULL;
    case ERR_RANGE:
    case ERR_INVALID: return MOLDAU_ERR_INVALID;
    case ERR_CORRUPT:
    case ERR_TRUNCATED: return MOLDAU_ERR_CORRUPT;
    case ERR_UNSUPPORTED: return MOLDAU_ERR_UNSUPPORTED;
    case ERR_EXISTS:
    case ERR_BUSY:
    case ERR_WRONG_STATE:
    case ERR_FAILED: return MOLDAU_ERR_STATE;
    case ERR_IO:
    case ERR_NOSPACE:
    case ERR_PERM:
    case ERR_CLOSED:
    case ERR_REFUSED: return MOLDAU_ERR_NETWORK;
    }
    return MOLDAU_ERR_STATE;
}

enum moldau_err
public_fail(struct moldau_client *client, enum moldau_err err, int16_t code, const char *fmt, ...)
{
    va_list args;
    ASSERT(err != MOLDAU_OK);
    va_start(args, fmt);
    vsnprintf(client->error_text, sizeof client->error_text, fmt, args);
    va_end(args);
    client->error_code = code;
    return err;
}

const char *
public_trouble(const struct moldau_client *client)
{
    LIST_FOREACH (&client->client->brokers, node) {
        const struct client_broker *broker = LIST_ENTRY(node, struct client_broker, link);
        if (broker->conn != NULL && client_conn_ready(broker->conn))
            return "";
    }
    return client_error_text(client->client);
}

enum moldau_err
public_fail_err(struct moldau_client *client, enum err err)
{
    enum moldau_err mapped = public_err_of(err);
    const char *text = client_error_text(client->client);
    bool told =
        text[0] != '\0' && (mapped == MOLDAU_ERR_NETWORK || mapped == MOLDAU_ERR_UNSUPPORTED);
    if (mapped == MOLDAU_OK)
        return MOLDAU_OK;
    if (mapped == MOLDAU_ERR_TIMEOUT && public_trouble(client)[0] != '\0')
        return public_fail(client, mapped, 0, "timed out: %s", public_trouble(client));
    return public_fail(client, mapped, 0, "%s", told ? text : err_text(err));
}

enum moldau_err
public_fail_code(struct moldau_client *client, const char *what, int16_t code, struct str message)
{
    if (code == 0)
        return MOLDAU_OK;
    struct str text = message.len > 0 ? message : str_of(proto_error_text(code));
    return public_fail(client, MOLDAU_ERR_BROKER, code, "%.250s: %s: %.*s", what,
        proto_error_name(code), STR_FMT(text));
}

const char *
moldau_client_error(const struct moldau_client *client)
{
    return client == NULL ? "no client" : client->error_text;
}

int16_t
moldau_client_error_code(const struct moldau_client *client)
{
    return client == NULL ? 0 : client->error_code;
}

/* ---- life ---- */

static void
on_turn(struct loop_task *task)
{
    loop_quit(CONTAINER_OF(task, struct moldau_client, turn)->loop);
}

static void
client_fini(struct moldau_client *client)
{
    client_free(&client->client);
    if (client->loop != NULL)
        loop_free(&client->loop);
    if (client->env != NULL)
        env_free(&client->env);
    moldau_options_free(&client->options);
    mem_free(client);
}

static enum err
client_open(struct moldau_client *client, const struct moldau_options *options)
{
    struct env_real_opts env_opts = {.level_min = DIAG_WARN, .diag_fd = -1};
    enum err err = public_options_copy(options, &client->options);
    if (err == ERR_OK)
        err = env_real_new(&env_opts, &client->env);
    if (err == ERR_OK)
        err = loop_new(client->env, "moldau", &client->loop);
    if (err != ERR_OK)
        return err;
    struct client_opts opts = {
        .env = client->env,
        .loop = client->loop,
        .bootstrap = public_option_str(client->options, OPTION_BOOTSTRAP_SERVERS),
        .client_id = public_option_str(client->options, OPTION_CLIENT_ID),
        .connect_timeout_ms = client->options->numbers[OPTION_CONNECT_TIMEOUT_MS],
        .request_timeout_ms = client->options->numbers[OPTION_REQUEST_TIMEOUT_MS],
    };
    return client_new(&opts, &client->client);
}

enum moldau_err
moldau_client_new(struct moldau_options *options, struct moldau_client **out)
{
    if (options == NULL || out == NULL)
        return MOLDAU_ERR_INVALID;
    struct moldau_client *client = mem_calloc(1, sizeof *client);
    enum err err = client == NULL ? ERR_NOMEM : client_open(client, options);
    if (err != ERR_OK) {
        struct str servers = public_option_str(options, OPTION_BOOTSTRAP_SERVERS);
        if (err != ERR_INVALID)
            snprintf(options->error, sizeof options->error, "%s", err_text(err));
        else if (str_is_null(servers))
            snprintf(options->error, sizeof options->error, "bootstrap.servers is not set");
        else
            snprintf(options->error, sizeof options->error,
                "bootstrap.servers: wants host:port,host:port, not '%.100s'", servers.data);
        if (client != NULL)
            client_fini(client);
        return public_err_of(err);
    }
    options->error[0] = '\0';
    client->references = 1;
    loop_task_init(&client->turn, on_turn);
    client->turn_end_ms = public_now_ms(client);
    *out = client;
    return MOLDAU_OK;
}

void
public_client_ref(struct moldau_client *client)
{
    ASSERT(client->references > 0);
    client->references++;
}

void
public_client_unref(struct moldau_client *client)
{
    ASSERT(client->references > 0);
    if (--client->references == 0)
        client_fini(client);
}

void
moldau_client_free(struct moldau_client **client)
{
    if (client == NULL || *client == NULL)
        return;
    struct moldau_client *c = *client;
    *client = NULL;
    public_client_unref(c);
}

/* ---- waits ---- */

enum moldau_err
public_enter(struct moldau_client *client)
{
    if (client == NULL)
        return MOLDAU_ERR_INVALID;
    if (client->callbacks > 0)
        return public_fail(client, MOLDAU_ERR_STATE, 0, "not from inside a callback");
    return MOLDAU_OK;
}

int64_t
public_now_ms(const struct moldau_client *client)
{
    return env_now_ms(client->env);
}

int64_t
public_end_ms(const struct moldau_client *client, int64_t timeout_ms)
{
    int64_t longest_ms = INT64_MAX / 8;
    if (timeout_ms < 0 || timeout_ms > longest_ms)
        timeout_ms = longest_ms;
    return public_now_ms(client) + timeout_ms;
}

bool
public_run_until(struct moldau_client *client, const bool *flag, int64_t end_ms)
{
    bool never = false;
    ASSERT(client->callbacks == 0); /* I1 */
    bool reached = client_run_until(
        client->client, flag != NULL ? flag : &never, end_ms - public_now_ms(client));
    client->turn_end_ms = public_now_ms(client);
    return reached;
}

void
public_turn(struct moldau_client *client)
{
    ASSERT(client->callbacks == 0); /* I1 */
    if (!client->turn.queued)
        loop_defer(client->loop, &client->turn);
    loop_run_here(client->loop);
    client->turn_end_ms = public_now_ms(client);
}

void
public_turn_if_older(struct moldau_client *client, int64_t age_ms)
{
    if (public_now_ms(client) - client->turn_end_ms >= age_ms)
        public_turn(client);
}

enum moldau_err
moldau_client_run(struct moldau_client *client, int64_t timeout_ms)
{
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK)
        return err;
    if (timeout_ms == 0)
        public_turn(client);
    else
        (void)public_run_until(client, NULL, public_end_ms(client, timeout_ms));
    return MOLDAU_OK;
}

int
moldau_client_fd(const struct moldau_client *client, int64_t *wait_ms)
{
    int64_t ms = -1;
    if (client == NULL || client->callbacks > 0)
        return -1;
    int fd = loop_poll_fd(client->loop, &ms);
    if (wait_ms != NULL)
        *wait_ms = ms;
    return fd;
}

/* ---- arguments ---- */

enum moldau_err
public_check_name(struct moldau_client *client, const char *what, const char *name)
{
    if (name == NULL || name[0] == '\0')
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "no %s", what);
    if (strlen(name) > INT16_MAX)
        return public_fail(
            client, MOLDAU_ERR_INVALID, 0, "the %s is longer than %d bytes", what, INT16_MAX);
    return MOLDAU_OK;
}

enum moldau_err
public_check_topic(struct moldau_client *client, const char *topic)
{
    if (topic == NULL || topic[0] == '\0')
        return public_fail(client, MOLDAU_ERR_INVALID, 0, "no topic");
    if (strnlen(topic, PUBLIC_TOPIC_NAME_MAX + 1) > PUBLIC_TOPIC_NAME_MAX)
        return public_fail(client, MOLDAU_ERR_INVALID, 0,
            "the topic's name is longer than %d bytes", PUBLIC_TOPIC_NAME_MAX);
    return MOLDAU_OK;
}

/* ---- questions ---- */

enum moldau_err
public_ask_begin(struct public_ask *ask, struct moldau_client *client, int64_t timeout_ms)
{
    enum moldau_err err = public_enter(client);
    if (err != MOLDAU_OK)
        return err;
    ask->client = client;
    ask->end_ms = public_end_ms(client, timeout_ms);
    ask->err = ERR_OK;
    client_call_init(&ask->call, ASK_ARENA);
    return MOLDAU_OK;
}

static void
on_answer(struct client_call *call)
{
    struct public_ask *ask = CONTAINER_OF(call, struct public_ask, call);
    ask->done = true;
    client_wake(call->client);
}

const void *
public_ask_send(struct public_ask *ask, enum client_target target, int16_t key, const void *request)
{
    struct client_call *call = &ask->call;
    int64_t left_ms = ask->end_ms - public_now_ms(ask->client);
    int64_t request_ms = ask->client->options->numbers[OPTION_REQUEST_TIMEOUT_MS];
    call->target = target;
    call->key = key;
    call->request = request;
    call->timeout_ms = left_ms < request_ms ? (left_ms > 0 ? left_ms : 1) : request_ms;
    call->done = on_answer;
    ask->done = false;
    client_call_start(ask->client->client, call);
    if (!public_run_until(ask->client, &ask->done, ask->end_ms)) {
        client_call_cancel(call);
        call->err = ERR_TIMEOUT;
    }
    ask->err = call->err;
    return ask->err == ERR_OK ? call->response : NULL;
}

static bool
code_may_pass(int16_t code, bool *refresh)
{
    *refresh = code == PROTO_ERROR_NOT_LEADER_OR_FOLLOWER ||
               code == PROTO_ERROR_LEADER_NOT_AVAILABLE ||
               code == PROTO_ERROR_FENCED_LEADER_EPOCH ||
               code == PROTO_ERROR_UNKNOWN_LEADER_EPOCH || code == PROTO_ERROR_NOT_CONTROLLER ||
               code == PROTO_ERROR_KAFKA_STORAGE_ERROR || code == PROTO_ERROR_REPLICA_NOT_AVAILABLE;
    return *refresh || code == PROTO_ERROR_COORDINATOR_LOAD_IN_PROGRESS ||
           code == PROTO_ERROR_COORDINATOR_NOT_AVAILABLE || code == PROTO_ERROR_NOT_COORDINATOR ||
           code == PROTO_ERROR_OFFSET_NOT_AVAILABLE || code == PROTO_ERROR_NETWORK_EXCEPTION ||
           code == PROTO_ERROR_UNSTABLE_OFFSET_COMMIT ||
           code == PROTO_ERROR_THROTTLING_QUOTA_EXCEEDED;
}

bool
public_ask_again(struct public_ask *ask, int16_t code)
{
    bool refresh = true;
    bool passes = ask->err == ERR_OK ? code_may_pass(code, &refresh)
                                     : public_err_of(ask->err) == MOLDAU_ERR_NETWORK;
    int64_t now_ms = public_now_ms(ask->client);
    if (!passes || ask->end_ms - now_ms <= PUBLIC_PAUSE_MS)
        return false;
    (void)public_run_until(ask->client, NULL, now_ms + PUBLIC_PAUSE_MS);
    if (refresh && ask->err == ERR_OK)
        ask->err = public_ask_metadata(ask, NULL);
    return true;
}

int32_t
public_ask_timeout_ms(const struct public_ask *ask)
{
    int64_t left_ms = ask->end_ms - public_now_ms(ask->client);
    int64_t most_ms = ask->client->options->numbers[OPTION_REQUEST_TIMEOUT_MS];
    return (int32_t)(left_ms > most_ms ? most_ms : left_ms > 0 ? left_ms : 1);
}

enum moldau_err
public_ask_end(struct public_ask *ask, const char *what, int16_t code, struct str message)
{
    enum moldau_err err = ask->err != ERR_OK ? public_fail_err(ask->client, ask->err)
                                             : public_fail_code(ask->client, what, code, message);
    client_call_fini(&ask->call);
    return err;
}

/* ---- metadata for a question ---- */

struct refresh_wait {
    struct client_refresh refresh;
    struct client *client;
    enum err err;
    bool done;
};

static void
on_refreshed(struct client_refresh *refresh, enum err err)
{
    struct refresh_wait *wait = CONTAINER_OF(refresh, struct refresh_wait, refresh);
    wait->err = err;
    wait->done = true;
    client_wake(wait->client);
}

enum err
public_ask_metadata(struct public_ask *ask, const char *topic)
{
    struct moldau_client *client = ask->client;
    struct refresh_wait wait = {.client = client->client, .refresh.done = on_refreshed};
    struct str name = str_of(topic);
    client_refresh_topics(client->client, &name, topic != NULL, false, &wait.refresh);
    if (!public_run_until(client, &wait.done, ask->end_ms)) {
        client_refresh_cancel(&wait.refresh);
        return ERR_TIMEOUT;
    }
    return wait.err;
}

int16_t
public_ask_leader(struct public_ask *ask, const char *topic, int32_t partition)
{
    struct client *client = ask->client->client;
    const struct client_topic *known = client_topic_find(client, str_of(topic));
    if (known == NULL)
        return PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    if (known->error_code != 0)
        return known->error_code;
    if (partition < 0 || partition >= known->partition_count)
        return PROTO_ERROR_UNKNOWN_TOPIC_OR_PARTITION;
    int32_t leader = known->partitions[partition].leader;
    if (leader < 0 || client_broker_find(client, leader) == NULL)
        return PROTO_ERROR_LEADER_NOT_AVAILABLE;
    ask->call.node_id = leader;
    return 0;
}
