/* node/public_server.c - include/moldau/broker.h: a node inside somebody else's process.
 *
 * What: settings are gathered, then an environment (once, since files in memory live as long as it
 * does) and at each start a configuration and a node. States: new or stopped (node is NULL) ->
 * running (node). Invariants: I1 a node that did not become ready is gone when the start returns.
 * Threads: the caller's, one at a time; on_ready, on_fatal and log lines come from the node's.
 * Errors: the text stays in `problems` until the next call. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "moldau/broker.h"
#include "node/config.h"
#include "node/node.h"
#include "os/loop.h"

enum {
    PROBLEMS_MAX = 1 << 20,
    SETTINGS_MAX = 1000,
    ADDRESS_SIZE = 300,
    DRAIN_MS = 1000, /* of a free */
    LINE_MAX = 8 << 10,
};

static const int64_t MEMORY_DEFAULT = (int64_t)1 << 30, MEMORY_MIN = (int64_t)1 << 20;

/* What tests want; see the header. */
static const char *const DEFAULTS[] = {
    "listeners=PLAINTEXT://127.0.0.1:0",
    "http.listener=",
    "num.network.threads=1",
    "num.io.threads=2",
    "group.initial.rebalance.delay.ms=0",
};
/* Where an in-memory node has its directory. */
static const char MEMORY_DIR[] = "log.dirs=/data";

struct moldau_server {
    char *settings[SETTINGS_MAX]; /* "name=value", owned */
    int setting_count;
    int64_t memory_bytes_max;
    bool no_flush;
    moldau_log_fn log_fn;
    void *log_ctx;
    struct env *env; /* from the first start on */
    bool in_memory;  /* how env was made */
    struct node_config *config;
    struct node *node;
    struct buf problems;
    const char *error; /* points into problems, or "" */
    char address[ADDRESS_SIZE];
    /* While it starts: the caller's thread runs this loop until on_ready. */
    struct loop *waiting;
    struct loop_task ready_task;
    enum err ready_err;
    /* Written by the node's threads. */
    _Atomic int fatal; /* enum err */
};

/* ---- errors ---- */

static enum moldau_err
server_err_of(enum err err)
{
    switch ((int)err) {
    case ERR_OK: return MOLDAU_OK;
    case ERR_NOMEM:
    case ERR_LIMIT: return MOLDAU_ERR_NOMEM;
    case ERR_INVALID:
    case ERR_RANGE:
    case ERR_UNSUPPORTED: return MOLDAU_ERR_INVALID;
    case ERR_CORRUPT:
    case ERR_TRUNCATED: return MOLDAU_ERR_CORRUPT;
    case ERR_IO:
    case ERR_NOSPACE:
    case ERR_NOTFOUND:
    case ERR_PERM: return MOLDAU_ERR_DISK;
    default: return MOLDAU_ERR_STATE; /* busy, failed */
    }
}

static void
begin(struct moldau_server *server)
{
    buf_clear(&server->problems);
    server->error = "";
}

/* Problems are lines; the last needs no end. */
static enum moldau_err
finish(struct moldau_server *server, enum moldau_err err)
{
    struct buf *text = &server->problems;
    if (err == MOLDAU_OK) {
        begin(server);
        return MOLDAU_OK;
    }
    while (text->len > 0 && text->data[text->len - 1] == '\n')
        text->len--;
    if (text->len == 0)
        buf_append_z(text, moldau_err_text(err));
    server->error = buf_z(text);
    return err;
}

static enum moldau_err
refuse(struct moldau_server *server, enum moldau_err err, const char *text)
{
    begin(server);
    buf_append_z(&server->problems, text);
    return finish(server, err);
}

const char *
moldau_server_error(const struct moldau_server *server)
{
    return server == NULL ? "no server" : server->error;
}

/* ---- before the start ---- */

enum moldau_err
moldau_server_new(struct moldau_server **out)
{
    struct moldau_server *server = out == NULL ? NULL : mem_calloc(1, sizeof *server);
    if (server == NULL)
        return out == NULL ? MOLDAU_ERR_INVALID : MOLDAU_ERR_NOMEM;
    buf_init(&server->problems, PROBLEMS_MAX);
    server->error = "";
    server->memory_bytes_max = MEMORY_DEFAULT;
    *out = server;
    return MOLDAU_OK;
}

/* The setting of that name, or NULL. */
static char **
find_setting(struct moldau_server *server, const char *name)
{
    size_t len = strlen(name);
    for (int i = 0; i < server->setting_count; i++)
        if (strncmp(server->settings[i], name, len) == 0 && server->settings[i][len] == '=')
            return &server->settings[i];
    return NULL;
}

/* Loads it alone: what the configuration has to say of it, warnings too, is what is wrong. */
static enum moldau_err
check_setting(struct moldau_server *server, const char *text)
{
    struct node_config *config = NULL;
    struct node_config_opts opts = {.set = &text, .set_count = 1, .set_name = "setting"};
    enum err err = node_config_load(NULL, &opts, &server->problems, &config);
    node_config_free(&config);
    if (err == ERR_OK && server->problems.len > 0)
        err = ERR_INVALID; /* it is not known */
    return server_err_of(err);
}

enum moldau_err
moldau_server_set(struct moldau_server *server, const char *name, const char *value)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    begin(server);
    if (name == NULL || value == NULL || name[0] == '\0' || strchr(name, '=') != NULL)
        return refuse(server, MOLDAU_ERR_INVALID, "a setting is a name and a value");
    if (server->node != NULL)
        return refuse(server, MOLDAU_ERR_STATE, "the server runs");
    char **slot = find_setting(server, name);
    if (slot == NULL && server->setting_count == SETTINGS_MAX)
        return refuse(server, MOLDAU_ERR_INVALID, "too many settings");
    size_t size = strlen(name) + strlen(value) + 2;
    char *text = mem_alloc(size);
    if (text == NULL)
        return refuse(server, MOLDAU_ERR_NOMEM, "out of memory");
    snprintf(text, size, "%s=%s", name, value);
    enum moldau_err err = check_setting(server, text);
    if (err != MOLDAU_OK) {
        mem_free(text);
        return finish(server, err);
    }
    if (slot == NULL)
        slot = &server->settings[server->setting_count++];
    mem_free(*slot);
    *slot = text;
    return finish(server, MOLDAU_OK);
}

enum moldau_err
moldau_server_memory_max(struct moldau_server *server, int64_t size_bytes)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    if (server->env != NULL)
        return refuse(server, MOLDAU_ERR_STATE, "the server was started already");
    if (size_bytes < MEMORY_MIN)
        return refuse(server, MOLDAU_ERR_INVALID, "memory: at least 1 MiB");
    server->memory_bytes_max = size_bytes;
    return finish(server, MOLDAU_OK);
}

enum moldau_err
moldau_server_no_flush(struct moldau_server *server)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    if (server->env != NULL)
        return refuse(server, MOLDAU_ERR_STATE, "the server was started already");
    server->no_flush = true;
    return finish(server, MOLDAU_OK);
}

enum moldau_err
moldau_server_on_log(struct moldau_server *server, moldau_log_fn fn, void *ctx)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    if (server->env != NULL)
        return refuse(server, MOLDAU_ERR_STATE, "the server was started already");
    server->log_fn = fn;
    server->log_ctx = ctx;
    return finish(server, MOLDAU_OK);
}

/* ---- start ---- */

static void
on_log_line(void *ctx, const char *line, size_t len)
{
    struct moldau_server *server = ctx;
    char text[LINE_MAX];
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len >= sizeof text)
        len = sizeof text - 1;
    memcpy(text, line, len);
    text[len] = '\0';
    server->log_fn(server->log_ctx, text);
}

static enum err
make_env(struct moldau_server *server)
{
    bool in_memory =
        find_setting(server, "log.dirs") == NULL && find_setting(server, "log.dir") == NULL;
    if (server->env != NULL && in_memory == server->in_memory)
        return ERR_OK;
    env_free(&server->env); /* directories were set after a run in memory */
    server->in_memory = in_memory;
    struct env_real_opts opts = {.level_min = DIAG_INFO,
        .diag_fd = -1,
        .diag_write = server->log_fn != NULL ? on_log_line : NULL,
        .diag_ctx = server,
        .no_sync = server->no_flush,
        .memory_bytes_max = in_memory ? server->memory_bytes_max : 0};
    return env_real_new(&opts, &server->env);
}

static enum err
load_config(struct moldau_server *server)
{
    const char *set[COUNT_OF(DEFAULTS) + 1 + SETTINGS_MAX];
    struct node_config_opts opts = {.set = set, .set_name = "setting"};
    for (size_t i = 0; i < COUNT_OF(DEFAULTS); i++)
        set[opts.set_count++] = DEFAULTS[i];
    if (server->in_memory)
        set[opts.set_count++] = MEMORY_DIR;
    for (int i = 0; i < server->setting_count; i++)
        set[opts.set_count++] = server->settings[i];
    enum err err = node_config_load(server->env, &opts, &server->problems, &server->config);
    if (err == ERR_OK && env_diag(server->env) != NULL)
        diag_set_level(env_diag(server->env), node_config_diag_level(server->config));
    return err;
}

static void
on_ready_here(struct loop_task *task)
{
    loop_quit(CONTAINER_OF(task, struct moldau_server, ready_task)->waiting);
}

static void
on_ready(void *ctx, enum err err)
{
    struct moldau_server *server = ctx;
    struct loop *waiting = server->waiting;
    if (waiting == NULL)
        return; /* canceled by the stop of a start that failed already */
    server->ready_err = err;
    loop_post(waiting, &server->ready_task);
}

static void
on_fatal(void *ctx, enum err err)
{
    atomic_store(&((struct moldau_server *)ctx)->fatal, err);
}

static enum err
run_node(struct moldau_server *server)
{
    struct node_opts opts = {.env = server->env,
        .config = server->config,
        .ready = on_ready,
        .fatal = on_fatal,
        .ctx = server};
    loop_task_init(&server->ready_task, on_ready_here);
    enum err err = loop_new(server->env, "starting", &server->waiting);
    if (err != ERR_OK)
        return err;
    err = node_open(&opts, &server->problems, &server->node);
    if (err == ERR_OK) {
        err = node_start(server->node);
        if (err == ERR_OK) {
            loop_run_here(server->waiting);
            err = server->ready_err;
        }
        if (err != ERR_OK) {
            node_stop(server->node, 0);
            node_free(&server->node); /* I1 */
        }
    }
    loop_free(&server->waiting);
    return err;
}

enum moldau_err
moldau_server_start(struct moldau_server *server)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    begin(server);
    if (server->node != NULL)
        return refuse(server, MOLDAU_ERR_STATE, "the server runs");
    atomic_store(&server->fatal, ERR_OK);
    enum err err = make_env(server);
    if (err == ERR_OK)
        err = load_config(server);
    if (err == ERR_OK)
        err = run_node(server);
    if (err == ERR_OK)
        node_address(server->node, server->address, sizeof server->address);
    else
        node_config_free(&server->config);
    return finish(server, server_err_of(err));
}

/* ---- running ---- */

enum moldau_err
moldau_server_stop(struct moldau_server *server, int64_t drain_ms)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    begin(server);
    if (server->node == NULL)
        return MOLDAU_OK;
    server->address[0] = '\0';
    node_stop(server->node, drain_ms < 0 ? INT32_MAX : drain_ms);
    node_free(&server->node);
    node_config_free(&server->config);
    return MOLDAU_OK;
}

void
moldau_server_free(struct moldau_server **server)
{
    struct moldau_server *s = server == NULL ? NULL : *server;
    if (s == NULL)
        return;
    (void)moldau_server_stop(s, DRAIN_MS);
    env_free(&s->env);
    for (int i = 0; i < s->setting_count; i++)
        mem_free(s->settings[i]);
    buf_fini(&s->problems);
    mem_free(s);
    *server = NULL;
}

enum moldau_err
moldau_server_check(struct moldau_server *server)
{
    if (server == NULL)
        return MOLDAU_ERR_INVALID;
    if (server->node == NULL)
        return refuse(server, MOLDAU_ERR_STATE, "the server does not run");
    if (atomic_load(&server->fatal) != ERR_OK)
        return refuse(server, MOLDAU_ERR_STATE, "its log directory went offline");
    return finish(server, MOLDAU_OK);
}

const char *
moldau_server_address(const struct moldau_server *server)
{
    return server == NULL || server->node == NULL ? "" : server->address;
}

uint16_t
moldau_server_port(const struct moldau_server *server)
{
    return server == NULL || server->node == NULL ? 0 : node_port(server->node);
}

uint16_t
moldau_server_http_port(const struct moldau_server *server)
{
    return server == NULL || server->node == NULL ? 0 : node_http_port(server->node);
}
