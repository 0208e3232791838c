/* node/listeners.c - reads the two lists and joins them by name. Pure; any thread. */
#include "node/listeners.h"

#include <string.h>

#include "base/assert.h"
#include "meta/config_def.h"

bool
node_address_parse(struct str text, char host[NODE_HOST_MAX], uint16_t *port)
{
    const char *colon = memrchr(text.data, ':', text.len);
    int64_t number;
    if (colon == NULL)
        return false;
    struct str name = {text.data, (size_t)(colon - text.data)};
    struct str digits = {colon + 1, text.len - name.len - 1};
    if (name.len >= 2 && name.data[0] == '[' && name.data[name.len - 1] == ']')
        name = (struct str){name.data + 1, name.len - 2};
    if (name.len >= NODE_HOST_MAX || !config_parse_i64(digits, &number) || number < 0 ||
        number > UINT16_MAX)
        return false;
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    *port = (uint16_t)number;
    return true;
}

/* NAME://host:port */
static bool
parse_one(struct str text, struct str *name, char host[NODE_HOST_MAX], uint16_t *port)
{
    const char *at = memmem(text.data, text.len, "://", 3);
    if (at == NULL || at == text.data)
        return false;
    *name = (struct str){text.data, (size_t)(at - text.data)};
    return node_address_parse((struct str){at + 3, text.len - name->len - 3}, host, port);
}

static struct node_listener *
find(struct node_listeners *list, struct str name)
{
    for (int i = 0; i < list->count; i++)
        if (str_eq(list->items[i].name, name))
            return &list->items[i];
    return NULL;
}

static bool
list_contains(struct str list, struct str name)
{
    struct str one;
    while (config_list_next(&list, &one))
        if (str_eq(one, name))
            return true;
    return false;
}

/* What may be said of a listener's protocol: only PLAINTEXT is built. */
static bool
protocol_is_served(const struct node_config *config, struct str name)
{
    struct str map = node_config_str(config, "listener.security.protocol.map");
    struct str one;
    while (config_list_next(&map, &one)) {
        const char *colon = memchr(one.data, ':', one.len);
        if (colon == NULL || !str_eq((struct str){one.data, (size_t)(colon - one.data)}, name))
            continue;
        return str_eq_z(
            (struct str){colon + 1, one.len - (size_t)(colon + 1 - one.data)}, "PLAINTEXT");
    }
    return str_eq_z(name, "PLAINTEXT");
}

static int
read_listeners(const struct node_config *config, struct buf *problems, struct node_listeners *out)
{
    struct str rest = node_config_str(config, "listeners");
    struct str controllers = node_config_str(config, "controller.listener.names");
    struct str one;
    int wrong = 0;
    while (config_list_next(&rest, &one)) {
        struct node_listener *listener = &out->items[out->count];
        if (out->count == NODE_LISTENERS_MAX) {
            buf_printf(problems, "listeners: at most %d\n", NODE_LISTENERS_MAX);
            return wrong + 1;
        }
        if (!parse_one(one, &listener->name, listener->host, &listener->port)) {
            buf_printf(problems, "listeners: %.*s: must be NAME://host:port, e.g. %s\n",
                STR_FMT(one), "PLAINTEXT://0.0.0.0:9092");
            wrong++;
            continue;
        }
        if (find(out, listener->name) != NULL) {
            buf_printf(problems, "listeners: %.*s is there twice\n", STR_FMT(listener->name));
            wrong++;
            continue;
        }
        listener->controller =
            !str_is_null(controllers) && list_contains(controllers, listener->name);
        if (!listener->controller && !protocol_is_served(config, listener->name)) {
            buf_printf(problems,
                "listeners: %.*s: only PLAINTEXT is served so far; map the name to it with "
                "listener.security.protocol.map\n",
                STR_FMT(listener->name));
            wrong++;
        }
        out->count++;
    }
    if (wrong == 0 && out->count == 0) {
        buf_append_z(problems, "listeners: at least one is needed\n");
        wrong++;
    }
    return wrong;
}

static int
read_advertised(const struct node_config *config, struct buf *problems, struct node_listeners *out)
{
    struct str rest = node_config_str(config, "advertised.listeners");
    struct str one, name;
    int wrong = 0;
    while (config_list_next(&rest, &one)) {
        char host[NODE_HOST_MAX];
        uint16_t port;
        if (!parse_one(one, &name, host, &port) || host[0] == '\0' ||
            strcmp(host, "0.0.0.0") == 0) {
            buf_printf(problems,
                "advertised.listeners: %.*s: must be NAME://host:port that clients can reach\n",
                STR_FMT(one));
            wrong++;
            continue;
        }
        struct node_listener *listener = find(out, name);
        if (listener == NULL) {
            buf_printf(problems, "advertised.listeners: %.*s is not in listeners\n", STR_FMT(name));
            wrong++;
            continue;
        }
        memcpy(listener->advertised_host, host, sizeof host);
        listener->advertised_port = port;
    }
    return wrong;
}

enum err
node_listeners_parse(const struct node_config *config, const char *host_name, struct buf *problems,
    struct node_listeners *out)
{
    struct node_listeners list;
    memset(&list, 0, sizeof list);
    ASSERT(strlen(host_name) < NODE_HOST_MAX);
    int wrong = read_listeners(config, problems, &list);
    if (wrong == 0)
        wrong = read_advertised(config, problems, &list);
    if (wrong > 0)
        return ERR_INVALID;
    for (int i = 0; i < list.count; i++) {
        struct node_listener *listener = &list.items[i];
        bool any = listener->host[0] == '\0' || strcmp(listener->host, "0.0.0.0") == 0 ||
                   strcmp(listener->host, "::") == 0;
        if (listener->advertised_host[0] != '\0')
            continue;
        memcpy(listener->advertised_host, any ? host_name : listener->host,
            strlen(any ? host_name : listener->host) + 1);
        listener->advertised_port = listener->port;
    }
    *out = list;
    return ERR_OK;
}
