/* Any bytes as a server.properties: it is loaded, or every problem is told in a line; listeners are
 * parsed, every key's value can be asked. Behind a NUL byte: one --set text, and behind another one
 * an environment entry. */
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "meta/config_def.h"
#include "node/config.h"
#include "node/listeners.h"
#include "tests/fuzz/files.h"

enum { PROBLEMS_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
seen(void *ctx, struct str key, struct str value)
{
    size_t *sum = ctx;
    *sum += key.len + value.len;
}

static void
ask(const struct node_config *config)
{
    size_t count, sum = 0;
    const struct config_def *defs = config_def_list(CONFIG_SCOPE_BROKER, &count);
    for (size_t i = 0; i < count; i++) {
        (void)node_config_str(config, defs[i].name);
        if (!node_config_is_set(config, defs[i].name))
            continue;
        if (defs[i].type == CONFIG_TYPE_BOOLEAN)
            (void)node_config_bool(config, defs[i].name);
        if (defs[i].type == CONFIG_TYPE_INT || defs[i].type == CONFIG_TYPE_LONG ||
            defs[i].type == CONFIG_TYPE_SHORT)
            (void)node_config_i64(config, defs[i].name);
    }
    node_config_each(config, seen, &sum);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_host host;
    struct buf problems;
    struct node_config *config = NULL;
    struct node_listeners listeners;
    char *text = mem_alloc(len + 3);
    char *environment[2] = {NULL, NULL};
    if (text == NULL)
        return 0;
    memcpy(text, data, len);
    memset(text + len, 0, 3);
    size_t file_len = strlen(text);
    char *set = file_len < len ? text + file_len + 1 : text + len;
    char *entry = set + strlen(set) < text + len ? set + strlen(set) + 1 : text + len;
    environment[0] = *entry != '\0' ? entry : NULL;
    fuzz_host_open(&host);
    fuzz_file_add(&host, "c/server.properties", (struct bytes){data, file_len});
    struct node_config_opts opts = {.path = "c/server.properties",
        .set = (const char *const *)&set,
        .set_count = *set != '\0',
        .environment = environment};
    buf_init(&problems, PROBLEMS_MAX);
    if (node_config_load(host.env, &opts, &problems, &config) == ERR_OK) {
        ask(config);
        (void)!node_listeners_parse(config, "host", &problems, &listeners);
        node_config_free(&config);
    } else {
        ASSERT(problems.len > 0);
    }
    buf_fini(&problems);
    fuzz_host_close(&host);
    mem_free(text);
    return 0;
}
