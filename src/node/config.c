/* node/config.c - where the static configuration comes from, and what is wrong with it.
 *
 * What: a table of entries in the order of their sources; a later source replaces the value.
 * Invariants: I1 every entry with a definition passed config_value_check. I2 constant after load.
 * Threads: load on one; then any. */
#include "node/config.h"

#include <ctype.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/map.h"
#include "meta/config_def.h"

enum {
    FILE_SIZE_MAX = 1 << 20,
    ARENA_BYTES = 8 << 20,
    WHY_SIZE = 200,
};

static const char ENV_PREFIX[] = "MOLDAU_";

struct entry {
    struct str key;
    struct str value;
    const struct config_def *def; /* NULL: unknown */
    UT_hash_handle hh;
};

struct node_config {
    struct arena arena; /* keys and values live here */
    struct entry *entries;
    struct buf *problems; /* while loading */
    int problem_count;
};

static void
problem(struct node_config *config, struct str where, struct str key, const char *text)
{
    config->problem_count++;
    buf_printf(config->problems, "%.*s: %.*s: %s\n", STR_FMT(where), STR_FMT(key), text);
}

static void
warn_unknown(struct node_config *config, struct str where, struct str key)
{
    const struct config_def *near = config_def_nearest(CONFIG_SCOPE_BROKER, key);
    buf_printf(config->problems, "%.*s: warning: unknown key %.*s", STR_FMT(where), STR_FMT(key));
    if (near != NULL)
        buf_printf(config->problems, "; did you mean %s?", near->name);
    buf_append_z(config->problems, "\n");
}

/* Keys with a listener's or a plugin's prefix are not in the table and are nobody's mistake. */
static bool
is_prefixed(struct str key)
{
    static const char *const prefixes[] = {"listener.name.", "rsm.config.", "rlmm.config.",
        "controller.quorum.", "metrics.", "confluent."};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        size_t len = strlen(prefixes[i]);
        if (key.len > len && memcmp(key.data, prefixes[i], len) == 0)
            return true;
    }
    return false;
}

/* Kafka: an empty text or list is a value, an empty number is not. */
static bool
may_be_empty(const struct config_def *def)
{
    return def->type == CONFIG_TYPE_STRING || def->type == CONFIG_TYPE_LIST ||
           def->type == CONFIG_TYPE_CLASS || def->type == CONFIG_TYPE_PASSWORD;
}

static enum err
put(struct node_config *config, struct str where, struct str key, struct str value)
{
    char why[WHY_SIZE];
    struct str kept_key = arena_str(&config->arena, key);
    struct str kept_value = arena_str(&config->arena, value);
    const struct config_def *def = config_def_find(CONFIG_SCOPE_BROKER, key);
    struct entry *entry;

    if (str_is_null(kept_key) || str_is_null(kept_value))
        return ERR_NOMEM;
    if (def == NULL && !is_prefixed(key))
        warn_unknown(config, where, key);
    if (def != NULL && def->mode == CONFIG_MODE_DYNAMIC_ONLY)
        problem(config, where, key, "can only be set at run time, with `moldau config set`");
    else if (def != NULL && (value.len > 0 || !may_be_empty(def)) &&
             !config_value_check(def, value, why, sizeof why))
        problem(config, where, key, why);

    HASH_FIND(hh, config->entries, kept_key.data, kept_key.len, entry);
    if (entry == NULL) {
        entry = arena_calloc(&config->arena, 1, sizeof *entry);
        if (entry == NULL)
            return ERR_NOMEM;
        entry->key = kept_key;
        HASH_ADD_KEYPTR(hh, config->entries, entry->key.data, entry->key.len, entry);
        if (entry->hh.tbl == NULL)
            return ERR_NOMEM;
    }
    entry->value = kept_value;
    entry->def = def;
    return ERR_OK;
}

/* Java's properties: `#` and `!` begin comments, key ends at = or : or blank, a backslash at the
 * end joins lines and elsewhere escapes. One logical line was gathered into `line` already. */
static enum err
put_line(struct node_config *config, struct str where, struct str line)
{
    struct buf key;
    struct buf value;
    enum err err;
    size_t i = 0;

    buf_init(&key, line.len + 1);
    buf_init(&value, line.len + 1);
    for (; i < line.len && line.data[i] != '=' && line.data[i] != ':' &&
           !isspace((unsigned char)line.data[i]);
         i++) {
        if (line.data[i] == '\\' && i + 1 < line.len)
            i++;
        buf_append_byte(&key, (uint8_t)line.data[i]);
    }
    while (i < line.len && isspace((unsigned char)line.data[i]))
        i++;
    if (i < line.len && (line.data[i] == '=' || line.data[i] == ':'))
        i++;
    while (i < line.len && isspace((unsigned char)line.data[i]))
        i++;
    for (; i < line.len; i++) {
        uint8_t c = (uint8_t)line.data[i];
        if (c == '\\' && i + 1 < line.len) {
            c = (uint8_t)line.data[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        buf_append_byte(&value, c);
    }
    err = key.err != ERR_OK ? key.err : value.err;
    if (err == ERR_OK)
        err = put(config, where, (struct str){key.len > 0 ? (const char *)key.data : "", key.len},
            config_trim((struct str){value.len > 0 ? (const char *)value.data : "", value.len}));
    buf_fini(&key);
    buf_fini(&value);
    return err;
}

/* Gathers one logical line from *rest; false at the end of the text. */
static bool
next_line(struct str *rest, struct buf *line, int *number)
{
    buf_clear(line);
    bool continued = false;
    while (rest->len > 0) {
        const char *end = memchr(rest->data, '\n', rest->len);
        size_t len = end == NULL ? rest->len : (size_t)(end - rest->data);
        struct str one = {rest->data, len};
        rest->data += end == NULL ? len : len + 1;
        rest->len -= end == NULL ? len : len + 1;
        (*number)++;
        while (one.len > 0 && isspace((unsigned char)one.data[0])) {
            one.data++;
            one.len--;
        }
        if (one.len > 0 && one.data[one.len - 1] == '\r')
            one.len--;
        if (!continued && (one.len == 0 || one.data[0] == '#' || one.data[0] == '!'))
            continue;
        size_t slashes = 0;
        while (slashes < one.len && one.data[one.len - 1 - slashes] == '\\')
            slashes++;
        continued = slashes % 2 == 1;
        buf_append(line, one.data, one.len - (continued ? 1 : 0));
        if (!continued)
            return true;
    }
    return line->len > 0;
}

static enum err
load_file(struct env *env, struct node_config *config, const char *path)
{
    char *text;
    size_t len;
    struct buf line;
    int number = 0;
    enum err err = env_read_file(env, path, FILE_SIZE_MAX, &text, &len);
    if (err != ERR_OK) {
        buf_printf(config->problems, "%s: cannot be read: %s\n", path, err_text(err));
        config->problem_count++;
        return err == ERR_NOMEM ? err : ERR_OK;
    }
    buf_init(&line, FILE_SIZE_MAX);
    struct str rest = {text, len};
    while (err == ERR_OK && next_line(&rest, &line, &number)) {
        struct str where = arena_printf(&config->arena, "%s:%d", path, number);
        err = line.err != ERR_OK
                  ? line.err
                  : put_line(config, where, (struct str){(const char *)line.data, line.len});
    }
    buf_fini(&line);
    mem_free(text);
    return err;
}

/* MOLDAU_LOG_DIRS=... means log.dirs: the underscore stands for the dot. */
static enum err
load_environ(struct node_config *config, char *const *environment)
{
    enum err err = ERR_OK;
    for (; err == ERR_OK && environment != NULL && *environment != NULL; environment++) {
        struct str one = str_of(*environment);
        const char *equals = memchr(one.data, '=', one.len);
        size_t prefix = sizeof ENV_PREFIX - 1;
        if (equals == NULL || one.len <= prefix || memcmp(one.data, ENV_PREFIX, prefix) != 0)
            continue;
        size_t name_len = (size_t)(equals - one.data) - prefix;
        char *key = arena_strndup(&config->arena, one.data + prefix, name_len);
        if (key == NULL)
            return ERR_NOMEM;
        for (char *c = key; *c != '\0'; c++)
            *c = *c == '_' ? '.' : (char)tolower((unsigned char)*c);
        err = put(config, (struct str){one.data, prefix + name_len}, str_of(key),
            (struct str){equals + 1, one.len - prefix - name_len - 1});
    }
    return err;
}

static enum err
load_set(struct node_config *config, struct str where, const char *text)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        problem(config, where, str_of(text), "must be key=value, e.g. --set num.partitions=3");
        return ERR_OK;
    }
    return put(config, where, config_trim((struct str){text, (size_t)(equals - text)}),
        config_trim(str_of(equals + 1)));
}

enum err
node_config_load(struct env *env, const struct node_config_opts *opts, struct buf *problems,
    struct node_config **out)
{
    enum err err = ERR_OK;
    struct node_config *config = mem_calloc(1, sizeof *config);
    if (config == NULL)
        return ERR_NOMEM;
    arena_init(&config->arena, ARENA_BYTES);
    config->problems = problems;

    if (opts->path != NULL)
        err = load_file(env, config, opts->path);
    if (err == ERR_OK)
        err = load_environ(config, opts->environment);
    for (int i = 0; err == ERR_OK && i < opts->set_count; i++)
        err = load_set(
            config, str_of(opts->set_name != NULL ? opts->set_name : "--set"), opts->set[i]);
    config->problems = NULL;
    if (err == ERR_OK && config->problem_count > 0)
        err = ERR_INVALID;
    if (err != ERR_OK) {
        node_config_free(&config);
        return err;
    }
    *out = config;
    return ERR_OK;
}

void
node_config_free(struct node_config **config)
{
    if (*config == NULL)
        return;
    HASH_CLEAR(hh, (*config)->entries);
    arena_fini(&(*config)->arena);
    mem_free(*config);
    *config = NULL;
}

static const struct entry *
find(const struct node_config *config, const char *key)
{
    struct entry *entry;
    HASH_FIND(hh, config->entries, key, strlen(key), entry);
    return entry;
}

bool
node_config_is_set(const struct node_config *config, const char *key)
{
    return find(config, key) != NULL;
}

struct str
node_config_str(const struct node_config *config, const char *key)
{
    const struct entry *entry = find(config, key);
    if (entry != NULL)
        return entry->value;
    const struct config_def *def = config_def_find(CONFIG_SCOPE_BROKER, str_of(key));
    ASSERT(def != NULL);
    return str_of(def->default_value);
}

int64_t
node_config_i64(const struct node_config *config, const char *key)
{
    int64_t v = 0;
    bool ok = config_parse_i64(node_config_str(config, key), &v);
    ASSERT(ok);
    return v;
}

bool
node_config_bool(const struct node_config *config, const char *key)
{
    bool v = false;
    bool ok = config_parse_bool(node_config_str(config, key), &v);
    ASSERT(ok);
    return v;
}

void
node_config_each(const struct node_config *config,
    void (*fn)(void *ctx, struct str key, struct str value), void *ctx)
{
    for (const struct entry *entry = config->entries; entry != NULL; entry = entry->hh.next)
        fn(ctx, entry->key, entry->value);
}

enum diag_level
node_config_diag_level(const struct node_config *config)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error"};
    struct str name = node_config_str(config, "log.level");
    for (int i = 0; i < DIAG_LEVEL_COUNT; i++)
        if (str_eq_z(name, names[i]))
            return (enum diag_level)i;
    return DIAG_INFO;
}
