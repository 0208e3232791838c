/* broker/config_alter.c - see the header. On the request's reactor; no state of its own. */
#include "broker/config_alter.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"
#include "broker/broker.h"
#include "broker/config_resource.h"
#include "broker/err_map.h"
#include "meta/config_def.h"

enum { WHY_SIZE = 1024 };

struct broker_config_alter *
broker_config_alter_new(struct broker_req *req, int32_t count)
{
    struct broker_config_alter *alter = arena_calloc(req->arena, 1, sizeof *alter);
    if (alter == NULL)
        return NULL;
    alter->count = count;
    alter->targets = arena_calloc(req->arena, (size_t)count, sizeof *alter->targets);
    return alter->targets == NULL ? NULL : alter;
}

enum err
broker_config_target_init(struct broker_req *req, struct broker_config_target *target, int8_t type,
    struct str name, int32_t count)
{
    *target = (struct broker_config_target){.type = type, .name = name, .count = count};
    target->entries = arena_calloc(req->arena, (size_t)count, sizeof *target->entries);
    return target->entries == NULL ? ERR_NOMEM : ERR_OK;
}

static void
settle(struct broker_config_target *target, enum proto_error code, struct str why)
{
    target->settled = true;
    target->code = code;
    target->why = code == PROTO_ERROR_NONE ? STR_NULL : why;
}

/* ---- what is named twice ---- */

static int
compare_targets(const void *a, const void *b)
{
    const struct broker_config_target *x = *(struct broker_config_target *const *)a;
    const struct broker_config_target *y = *(struct broker_config_target *const *)b;
    return x->type != y->type ? (x->type > y->type) - (x->type < y->type)
                              : str_cmp(x->name, y->name);
}

static int
compare_keys(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static enum err
settle_twice(struct broker_req *req, struct broker_config_alter *alter)
{
    struct broker_config_target **sorted =
        arena_calloc(req->arena, (size_t)alter->count, sizeof *sorted);
    if (sorted == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < alter->count; i++)
        sorted[i] = &alter->targets[i];
    qsort(sorted, (size_t)alter->count, sizeof *sorted, compare_targets);
    for (int32_t i = 1; i < alter->count; i++) {
        if (compare_targets(&sorted[i - 1], &sorted[i]) != 0)
            continue;
        settle(sorted[i - 1], PROTO_ERROR_INVALID_REQUEST,
            STR("Each resource must appear at most once."));
        settle(
            sorted[i], PROTO_ERROR_INVALID_REQUEST, STR("Each resource must appear at most once."));
    }
    return ERR_OK;
}

/* Keys twice, and values that are missing. */
static enum err
settle_entries(struct broker_req *req, struct broker_config_target *target)
{
    struct str *keys = arena_calloc(req->arena, (size_t)target->count, sizeof *keys);
    struct str nulls = STR_NULL;
    if (keys == NULL)
        return ERR_NOMEM;
    for (int32_t i = 0; i < target->count; i++) {
        const struct broker_config_entry *entry = &target->entries[i];
        keys[i] = entry->key;
        if (entry->op != BROKER_CONFIG_DELETE && str_is_null(entry->value) && str_is_null(nulls))
            nulls = arena_printf(
                req->arena, "Null value not supported for : %.*s", STR_FMT(entry->key));
    }
    qsort(keys, (size_t)target->count, sizeof *keys, compare_keys);
    for (int32_t i = 1; i < target->count; i++)
        if (str_eq(keys[i - 1], keys[i])) {
            settle(target, PROTO_ERROR_INVALID_REQUEST, STR("Error due to duplicate config keys"));
            return ERR_OK;
        }
    if (!str_is_null(nulls))
        settle(target, PROTO_ERROR_INVALID_REQUEST, nulls);
    return ERR_OK;
}

/* ---- this broker ---- */

/* That the name is this node's number, as Java reads one; *why is then untouched. */
static bool
is_this_node(struct broker_req *req, struct str name, const char *mismatch, struct str *why)
{
    int32_t self = broker_config(req->broker)->node_id;
    int64_t id;
    size_t digits = name.len > 1 && (name.data[0] == '-' || name.data[0] == '+');
    bool number = name.len > 0 && config_parse_i64(name, &id) && id >= INT32_MIN && id <= INT32_MAX;
    for (; number && digits < name.len; digits++)
        number = name.data[digits] >= '0' && name.data[digits] <= '9';
    if (!number) {
        *why =
            arena_printf(req->arena, "Node id must be an integer, but it is: %.*s", STR_FMT(name));
        return false;
    }
    if (id == self)
        return true;
    *why = arena_printf(req->arena, "%s %d, but received %lld", mismatch, (int)self, (long long)id);
    return false;
}

/* Keys of the TLS store: Kafka changes them for a listener only. */
static bool
needs_listener(const char *name)
{
    static const char *const keys[] = {"ssl.key.password", "ssl.keystore.certificate.chain",
        "ssl.keystore.key", "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type",
        "ssl.truststore.certificates", "ssl.truststore.location", "ssl.truststore.password",
        "ssl.truststore.type"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (strcmp(name, keys[i]) == 0)
            return true;
    return false;
}

enum fault { READ_ONLY, PER_LISTENER, PER_BROKER, FAULT_COUNT };

static bool
has_fault(const struct config_def *def, enum fault fault, bool all_brokers)
{
    switch (fault) {
    case READ_ONLY: return def->mode == CONFIG_MODE_READ_ONLY;
    case PER_LISTENER: return needs_listener(def->name);
    case PER_BROKER: return all_brokers && def->mode == CONFIG_MODE_PER_BROKER;
    case FAULT_COUNT: break;
    }
    UNREACHABLE();
}

/* The keys with that fault as "[a, b]" after the text; null when there are none. */
static struct str
find_fault(struct broker_req *req, const struct broker_config_target *target, enum fault fault,
    const char *text)
{
    struct str found = STR_NULL;
    for (int32_t i = 0; i < target->count; i++) {
        const struct broker_config_entry *entry = &target->entries[i];
        const struct config_def *def = config_def_find(CONFIG_SCOPE_BROKER, entry->key);
        if (entry->op == BROKER_CONFIG_DELETE || def == NULL ||
            !has_fault(def, fault, target->name.len == 0))
            continue;
        found = str_is_null(found)
                    ? arena_printf(req->arena, "%s: [%s", text, def->name)
                    : arena_printf(req->arena, "%.*s, %s", STR_FMT(found), def->name);
    }
    return str_is_null(found) ? found : arena_printf(req->arena, "%.*s]", STR_FMT(found));
}

static struct str
find_bad_value(struct broker_req *req, const struct broker_config_target *target)
{
    for (int32_t i = 0; i < target->count; i++) {
        const struct broker_config_entry *entry = &target->entries[i];
        const struct config_def *def = config_def_find(CONFIG_SCOPE_BROKER, entry->key);
        struct buf why;
        if (def == NULL || entry->op != BROKER_CONFIG_SET)
            continue;
        buf_init(&why, WHY_SIZE + entry->value.len);
        bool fine = config_value_explain(def, entry->value, &why);
        struct str text = fine ? STR_NULL : arena_printf(req->arena, "%s", buf_z(&why));
        buf_fini(&why);
        if (!fine)
            return text;
    }
    return STR_NULL;
}

static void
settle_broker(struct broker_req *req, struct broker_config_target *target)
{
    static const char *const texts[FAULT_COUNT] = {
        [READ_ONLY] = "Cannot update these configs dynamically",
        [PER_LISTENER] = ("These security configs can be dynamically updated only per-listener "
                          "using the listener prefix"),
        [PER_BROKER] =
            "Cannot update these configs at default cluster level, broker id must be specified",
    };
    struct str why = STR_NULL;
    if (target->name.len > 0 &&
        !is_this_node(req, target->name, "Unexpected broker id, expected", &why)) {
        settle(target, PROTO_ERROR_INVALID_REQUEST, why);
        return;
    }
    for (int fault = READ_ONLY; fault < PER_BROKER && str_is_null(why); fault++)
        why = find_fault(req, target, (enum fault)fault, texts[fault]);
    if (str_is_null(why))
        why = find_bad_value(req, target);
    if (str_is_null(why))
        why = find_fault(req, target, PER_BROKER, texts[PER_BROKER]);
    if (!str_is_null(why))
        settle(target, PROTO_ERROR_INVALID_REQUEST, why);
}

/* The logger is changed at once: all is checked before the first is changed. */
static void
settle_logger(
    struct broker_req *req, const struct broker_config_alter *alter, struct broker_config_target *t)
{
    struct str why = STR_NULL;
    enum proto_error code = PROTO_ERROR_NONE;
    if (!is_this_node(req, t->name, "Unexpected node id. Expected", &why))
        code = PROTO_ERROR_INVALID_REQUEST;
    for (int pass = 0; pass < 2; pass++)
        for (int32_t i = 0; code == PROTO_ERROR_NONE && i < t->count; i++)
            code = broker_logger_alter(req, t->entries[i].key, t->entries[i].op,
                t->entries[i].value, pass == 0 || alter->validate_only, &why);
    settle(t, code, why);
}

/* ---- the run ---- */

static enum err
judge(struct broker_req *req, struct broker_config_alter *alter)
{
    enum err err = settle_twice(req, alter);
    for (int32_t i = 0; err == ERR_OK && i < alter->count; i++) {
        struct broker_config_target *target = &alter->targets[i];
        if (!target->settled)
            err = settle_entries(req, target);
        if (err != ERR_OK || target->settled)
            continue;
        if (target->type == META_RESOURCE_BROKER)
            settle_broker(req, target);
        else if (target->type == META_RESOURCE_BROKER_LOGGER && alter->incremental)
            settle_logger(req, alter, target);
    }
    return err;
}

static void
answered(struct broker_req *req, enum err err, void *response)
{
    struct broker_config_alter *alter = req->state;
    enum proto_error failure = broker_code_of_controller(err);
    int32_t nth = 0;
    for (int32_t i = 0; i < alter->count; i++) {
        struct broker_config_target *target = &alter->targets[i];
        enum proto_error code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        struct str why = STR_NULL;
        if (target->settled)
            continue;
        if (err != ERR_OK) {
            code = failure;
            why = str_of(proto_error_text((int16_t)failure));
        } else if (!alter->result(response, nth++, &code, &why)) {
            code = PROTO_ERROR_UNKNOWN_SERVER_ERROR;
        }
        settle(target, code, why);
    }
    alter->reply(req, alter);
}

void
broker_config_alter_run(struct broker_req *req, struct broker_config_alter *alter)
{
    bool ask = false;
    ASSERT(alter->forward != NULL && alter->result != NULL && alter->reply != NULL);
    if (judge(req, alter) != ERR_OK) {
        broker_req_close(req, "out of memory");
        return;
    }
    for (int32_t i = 0; i < alter->count; i++)
        ask = ask || !alter->targets[i].settled;
    if (!ask) {
        alter->reply(req, alter);
        return;
    }
    const void *msg = alter->forward(req, alter);
    if (msg == NULL) {
        broker_req_close(req, "out of memory");
        return;
    }
    req->state = alter;
    broker_ask_controller(req, req->api->key, req->version, msg, answered);
}
