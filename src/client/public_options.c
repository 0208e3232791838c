/* client/public_options.c - the options of libmoldau: names, defaults, checks.
 *
 * What: a table, one row an option. A text is checked and turned into a number when it is set, so
 * that whoever reads it later finds nothing to refuse. Threads: the caller's. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "client/assignor.h"
#include "client/consumer.h"
#include "client/public_priv.h"
#include "wire/compress.h"

enum option_kind { KIND_TEXT, KIND_NUMBER, KIND_CHOICE, KIND_ASSIGNORS };

struct choice {
    const char *text;
    int64_t number;
};

struct option_def {
    const char *name;
    const char *fallback;
    enum option_kind kind;
    int64_t min, max;
    const struct choice *choices; /* ends with a NULL text */
};

static const struct choice booleans[] = {{"true", 1}, {"false", 0}, {NULL, 0}};
static const struct choice acks[] = {{"all", -1}, {"-1", -1}, {"0", 0}, {"1", 1}, {NULL, 0}};
static const struct choice codecs[] = {{"none", COMPRESS_NONE}, {"gzip", COMPRESS_GZIP},
    {"snappy", COMPRESS_SNAPPY}, {"lz4", COMPRESS_LZ4}, {"zstd", COMPRESS_ZSTD}, {NULL, 0}};
static const struct choice partitioners[] = {{"default", 0}, {"round_robin", 1}, {NULL, 0}};
static const struct choice resets[] = {
    {"earliest", CLIENT_OFFSET_EARLIEST}, {"latest", CLIENT_OFFSET_LATEST}, {"none", 0}, {NULL, 0}};
static const struct choice isolations[] = {
    {"read_uncommitted", 0}, {"read_committed", 1}, {NULL, 0}};

#define TEXT(name, fallback)                  \
    {                                         \
        name, fallback, KIND_TEXT, 0, 0, NULL \
    }
#define NUMBER(name, fallback, min, max)            \
    {                                               \
        name, fallback, KIND_NUMBER, min, max, NULL \
    }
#define CHOICE(name, fallback, choices)            \
    {                                              \
        name, fallback, KIND_CHOICE, 0, 0, choices \
    }

static const struct option_def option_defs[OPTION_COUNT] = {
    [OPTION_BOOTSTRAP_SERVERS] = TEXT("bootstrap.servers", ""),
    [OPTION_CLIENT_ID] = TEXT("client.id", "moldau"),
    [OPTION_REQUEST_TIMEOUT_MS] = NUMBER("request.timeout.ms", "30000", 1, INT32_MAX),
    [OPTION_CONNECT_TIMEOUT_MS] =
        NUMBER("socket.connection.setup.timeout.ms", "10000", 1, INT32_MAX),
    [OPTION_ACKS] = CHOICE("acks", "all", acks),
    [OPTION_ENABLE_IDEMPOTENCE] = CHOICE("enable.idempotence", "true", booleans),
    [OPTION_LINGER_MS] = NUMBER("linger.ms", "5", 0, INT32_MAX),
    [OPTION_MAX_REQUEST_SIZE] = NUMBER("max.request.size", "1048576", 1024, 256 << 20),
    [OPTION_BUFFER_MEMORY] = NUMBER("buffer.memory", "33554432", 65536, (int64_t)1 << 40),
    [OPTION_DELIVERY_TIMEOUT_MS] = NUMBER("delivery.timeout.ms", "120000", 1, INT32_MAX),
    [OPTION_COMPRESSION_TYPE] = CHOICE("compression.type", "none", codecs),
    [OPTION_GZIP_LEVEL] = NUMBER("compression.gzip.level", "-1", -1, 9),
    [OPTION_LZ4_LEVEL] = NUMBER("compression.lz4.level", "9", 1, 17),
    [OPTION_ZSTD_LEVEL] = NUMBER("compression.zstd.level", "3", -131072, 22),
    [OPTION_PARTITIONER] = CHOICE("partitioner", "default", partitioners),
    [OPTION_GROUP_ID] = TEXT("group.id", ""),
    [OPTION_GROUP_INSTANCE_ID] = TEXT("group.instance.id", ""),
    [OPTION_AUTO_OFFSET_RESET] = CHOICE("auto.offset.reset", "latest", resets),
    [OPTION_ISOLATION_LEVEL] = CHOICE("isolation.level", "read_uncommitted", isolations),
    [OPTION_FETCH_MAX_WAIT_MS] = NUMBER("fetch.max.wait.ms", "500", 1, INT32_MAX),
    [OPTION_FETCH_MIN_BYTES] = NUMBER("fetch.min.bytes", "1", 1, INT32_MAX),
    [OPTION_FETCH_MAX_BYTES] = NUMBER("fetch.max.bytes", "52428800", 1, INT32_MAX),
    [OPTION_PARTITION_FETCH_BYTES] = NUMBER("max.partition.fetch.bytes", "1048576", 1, INT32_MAX),
    [OPTION_CHECK_CRCS] = CHOICE("check.crcs", "true", booleans),
    [OPTION_SESSION_TIMEOUT_MS] = NUMBER("session.timeout.ms", "45000", 1, INT32_MAX),
    [OPTION_HEARTBEAT_INTERVAL_MS] = NUMBER("heartbeat.interval.ms", "3000", 1, INT32_MAX),
    [OPTION_MAX_POLL_INTERVAL_MS] = NUMBER("max.poll.interval.ms", "300000", 1, INT32_MAX),
    [OPTION_ENABLE_AUTO_COMMIT] = CHOICE("enable.auto.commit", "true", booleans),
    [OPTION_AUTO_COMMIT_INTERVAL_MS] = NUMBER("auto.commit.interval.ms", "5000", 1, INT32_MAX),
    [OPTION_ASSIGNMENT_STRATEGY] = {"partition.assignment.strategy", "range,cooperative-sticky",
        KIND_ASSIGNORS, 0, 0, NULL},
    [OPTION_METADATA_MAX_AGE_MS] = NUMBER("metadata.max.age.ms", "300000", 1, INT32_MAX),
    [OPTION_ALLOW_AUTO_CREATE] = CHOICE("allow.auto.create.topics", "true", booleans),
};

enum { TEXT_MAX = 32767 };

static void PRINTF_LIKE(2, 3) note(struct moldau_options *options, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(options->error, sizeof options->error, fmt, args);
    va_end(args);
}

static bool
assignors_valid(const char *text)
{
    int count = 0;
    for (const char *at = text;; at++) {
        size_t len = strcspn(at, ",");
        enum client_assignor assignor;
        if (!client_assignor_find((struct str){at, len}, &assignor))
            return false;
        count++;
        at += len;
        if (*at == '\0')
            return count > 0;
    }
}

/* False with a text when the value is none for the option. */
static bool
check_value(struct moldau_options *options, const struct option_def *def, const char *value,
    int64_t *number)
{
    char *end;
    long long v;
    *number = 0;
    switch (def->kind) {
    case KIND_TEXT:
        if (strlen(value) <= TEXT_MAX)
            return true;
        note(options, "%s: longer than %d bytes", def->name, TEXT_MAX);
        return false;
    case KIND_NUMBER:
        v = strtoll(value, &end, 10);
        *number = v;
        if (end != value && *end == '\0' && v >= def->min && v <= def->max)
            return true;
        note(options, "%s: wants a number from %lld to %lld, not '%.100s'", def->name,
            (long long)def->min, (long long)def->max, value);
        return false;
    case KIND_CHOICE:
        for (const struct choice *choice = def->choices; choice->text != NULL; choice++)
            if (strcmp(choice->text, value) == 0) {
                *number = choice->number;
                return true;
            }
        note(options, "%s: wants one of", def->name);
        for (const struct choice *choice = def->choices; choice->text != NULL; choice++) {
            size_t len = strlen(options->error);
            snprintf(options->error + len, sizeof options->error - len, " %s,", choice->text);
        }
        snprintf(options->error + strlen(options->error),
            sizeof options->error - strlen(options->error), " not '%.100s'", value);
        return false;
    case KIND_ASSIGNORS:
        if (assignors_valid(value))
            return true;
        note(options, "%s: wants some of range,roundrobin,cooperative-sticky, not '%.100s'",
            def->name, value);
        return false;
    }
    ASSERT(false);
    return false;
}

enum moldau_err
moldau_options_new(struct moldau_options **out)
{
    if (out == NULL)
        return MOLDAU_ERR_INVALID;
    struct moldau_options *options = mem_calloc(1, sizeof *options);
    if (options == NULL)
        return MOLDAU_ERR_NOMEM;
    for (int i = 0; i < OPTION_COUNT; i++) {
        bool ok =
            check_value(options, &option_defs[i], option_defs[i].fallback, &options->numbers[i]);
        ASSERT(ok);
    }
    *out = options;
    return MOLDAU_OK;
}

void
moldau_options_free(struct moldau_options **options)
{
    if (options == NULL || *options == NULL)
        return;
    for (int i = 0; i < OPTION_COUNT; i++)
        mem_free((*options)->texts[i]);
    mem_free(*options);
    *options = NULL;
}

enum err
public_options_copy(const struct moldau_options *options, struct moldau_options **out)
{
    struct moldau_options *copy = mem_alloc(sizeof *copy);
    if (copy == NULL)
        return ERR_NOMEM;
    *copy = *options;
    copy->error[0] = '\0';
    memset(copy->texts, 0, sizeof copy->texts);
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (options->texts[i] == NULL)
            continue;
        copy->texts[i] = mem_strdup(options->texts[i]);
        if (copy->texts[i] == NULL) {
            moldau_options_free(&copy);
            return ERR_NOMEM;
        }
    }
    *out = copy;
    return ERR_OK;
}

static int
find_option(const char *name)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (strcmp(option_defs[i].name, name) == 0)
            return i;
    return -1;
}

enum moldau_err
moldau_options_set(struct moldau_options *options, const char *name, const char *value)
{
    int64_t number;
    if (options == NULL)
        return MOLDAU_ERR_INVALID;
    if (name == NULL || value == NULL) {
        note(
            options, "%s", name == NULL ? "no name of an option" : "no value; \"\" empties a text");
        return MOLDAU_ERR_INVALID;
    }
    int i = find_option(name);
    if (i < 0) {
        note(options, "no option '%.100s'", name);
        return MOLDAU_ERR_INVALID;
    }
    if (!check_value(options, &option_defs[i], value, &number))
        return MOLDAU_ERR_INVALID;
    char *copy = mem_strdup(value);
    if (copy == NULL) {
        note(options, "out of memory");
        return MOLDAU_ERR_NOMEM;
    }
    mem_free(options->texts[i]);
    options->texts[i] = copy;
    options->numbers[i] = number;
    options->error[0] = '\0';
    return MOLDAU_OK;
}

const char *
moldau_options_get(struct moldau_options *options, const char *name)
{
    int i = options == NULL || name == NULL ? -1 : find_option(name);
    if (i < 0)
        return NULL;
    return options->texts[i] != NULL ? options->texts[i] : option_defs[i].fallback;
}

const char *
moldau_options_error(const struct moldau_options *options)
{
    return options == NULL ? "no options" : options->error;
}

struct str
public_option_str(const struct moldau_options *options, enum public_option option)
{
    const char *text = options->texts[option];
    if (text == NULL)
        text = option_defs[option].fallback;
    return text[0] == '\0' ? STR_NULL : str_of(text);
}

bool
public_option_is_set(const struct moldau_options *options, enum public_option option)
{
    return options->texts[option] != NULL;
}

void
moldau_options_on_delivery(struct moldau_options *options, moldau_delivery_fn fn, void *ctx)
{
    if (options == NULL)
        return;
    options->on_delivery = fn;
    options->delivery_ctx = ctx;
}

void
moldau_options_partitioner(struct moldau_options *options, moldau_partitioner_fn fn, void *ctx)
{
    if (options == NULL)
        return;
    options->partitioner = fn;
    options->partitioner_ctx = ctx;
}

void
moldau_options_on_rebalance(struct moldau_options *options, moldau_rebalance_fn fn, void *ctx)
{
    if (options == NULL)
        return;
    options->on_rebalance = fn;
    options->rebalance_ctx = ctx;
}
