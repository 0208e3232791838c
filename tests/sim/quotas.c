/* tests/sim/quotas.c - one request at a time, and what it came to. */
#include "tests/sim/quotas.h"

#include <stdio.h>
#include <string.h>

#include "proto/alter_client_quotas_response.h"
#include "proto/describe_client_quotas_response.h"

enum { CALL_ARENA = 1 << 20, OWN = 4, KINDS = 4, OWN_RATE_MIN = 40000, RATE_BITS_MAX = 30 };

typedef struct proto_describe_client_quotas_response_entry_data entry_shown;

static void
entity_init(struct quotas_entity *entity, int index)
{
    static const char *const types[KINDS][QUOTAS_PARTS] = {
        {"user", NULL}, {"client-id", NULL}, {"client-id", "user"}, {"ip", NULL}};
    static const char *const keys[KINDS][QUOTAS_KEYS] = {
        {"producer_byte_rate", "request_percentage"},
        {"controller_mutation_rate", "consumer_byte_rate"},
        {"request_percentage", "producer_byte_rate"}, {"connection_creation_rate", NULL}};
    int kind = index % KINDS;
    memset(entity, 0, sizeof *entity);
    for (int p = 0; p < QUOTAS_PARTS && types[kind][p] != NULL; p++) {
        entity->types[entity->part_count++] = types[kind][p];
        snprintf(entity->names[p], sizeof entity->names[p], "%s%d",
            strcmp(types[kind][p], "ip") == 0 ? "10.1.0." : "someone-", index);
    }
    memcpy(entity->keys, keys[kind], sizeof entity->keys);
}

/* Ours: every user, every client, every client of every user, the client of these very calls. */
static void
entity_own(struct quotas_entity *entity, int index)
{
    entity_init(entity, index < 2 ? index : 2);
    memset(entity->names, 0, sizeof entity->names);
    if (index == OWN - 1) {
        snprintf(entity->names[0], sizeof entity->names[0], "moldau");
        snprintf(entity->names[1], sizeof entity->names[1], "ANONYMOUS");
    }
    entity->keys[0] = "producer_byte_rate";
    entity->keys[1] = "consumer_byte_rate";
}

void
quotas_init(struct quotas *quotas, struct history *history)
{
    memset(quotas, 0, sizeof *quotas);
    quotas->history = history;
    for (int i = 0; i < QUOTAS_ENTITIES; i++)
        (i < OWN ? entity_own : entity_init)(&quotas->entities[i], i);
    client_call_init(&quotas->call, CALL_ARENA);
}

void
quotas_fini(struct quotas *quotas)
{
    client_call_cancel(&quotas->call);
    client_call_fini(&quotas->call);
}

static void
start(struct quotas *quotas, struct client *client, int16_t key, void (*done)(struct client_call *))
{
    quotas->call.target = CLIENT_TARGET_ANY;
    quotas->call.key = key;
    quotas->call.version_max = 1;
    quotas->call.request = &quotas->request;
    quotas->call.done = done;
    quotas->call.ctx = quotas;
    client_call_start(client, &quotas->call);
}

/* ---- what is asked for ---- */

static void
on_altered(struct client_call *call)
{
    struct quotas *quotas = call->ctx;
    const struct proto_alter_client_quotas_response *response = call->response;
    bool all = call->err == ERR_OK && response->entries.count == quotas->subject_count;
    for (int i = 0; all && i < quotas->subject_count; i++)
        all = response->entries.items[i].error_code == 0;
    for (int i = 0; i < quotas->subject_count; i++) {
        struct quotas_entity *entity = &quotas->entities[quotas->subjects[i]];
        entity->left_alone = !all;
        if (!all)
            continue;
        memcpy(entity->halves, entity->wanted, sizeof entity->halves);
        entity->in_doubt = false;
        history_changed(quotas->history);
    }
}

/* An entity of the request: each key as it is, removed, or anew. */
static void
want(struct quotas *quotas, int i, uint64_t chance)
{
    struct quotas_entity *entity = &quotas->entities[quotas->subjects[i]];
    struct proto_alter_client_quotas_request_entry_data *entry = &quotas->entries[i];
    bool own = quotas->subjects[i] < OWN;
    entry->entity.items = quotas->parts[i];
    entry->entity.count = entity->part_count;
    entry->ops.items = quotas->ops[i];
    entry->ops.count = 0;
    for (int p = 0; p < entity->part_count; p++)
        quotas->parts[i][p] =
            (struct proto_alter_client_quotas_request_entity_data){str_of(entity->types[p]),
                entity->names[p][0] == '\0' ? STR_NULL : str_of(entity->names[p])};
    memcpy(entity->wanted, entity->halves, sizeof entity->wanted);
    for (int k = 0; k < QUOTAS_KEYS && entity->keys[k] != NULL; k++, chance >>= 16) {
        bool removes = chance % 4 == 1;
        bool whole = strcmp(entity->keys[k], "request_percentage") != 0;
        if (chance % 4 == 0)
            continue;
        uint64_t high = (chance >> 2 & 0x3f) % (RATE_BITS_MAX - 7);
        int64_t value = (int64_t)((1 + (chance >> 8 & 0xff)) << high);
        if (own)
            value += OWN_RATE_MIN;
        entity->wanted[k] = removes ? 0 : 2 * value + !whole;
        quotas->ops[i][entry->ops.count++] = (struct proto_alter_client_quotas_request_op_data){
            str_of(entity->keys[k]), (double)entity->wanted[k] / 2, removes};
    }
}

static void on_described(struct client_call *call);

static void
describe(struct quotas *quotas, struct client *client)
{
    quotas->request.describe = (struct proto_describe_client_quotas_request){0};
    start(quotas, client, PROTO_DESCRIBE_CLIENT_QUOTAS_REQUEST_KEY, on_described);
}

void
quotas_act(struct quotas *quotas, struct client *client, uint64_t chance)
{
    int count = 1 + (int)(chance >> 8) % QUOTAS_AT_ONCE, first = (int)(chance >> 16 & 0xff);
    if (quotas->call.active)
        return;
    if (chance % 4 == 0) {
        describe(quotas, client);
        return;
    }
    bool only_checked = chance % 32 == 1;
    quotas->request.alter = (struct proto_alter_client_quotas_request){
        .entries.items = quotas->entries, .validate_only = only_checked};
    quotas->subject_count = 0;
    for (int i = 0; i < count; i++) {
        int index = (first + i * (KINDS + 1)) % QUOTAS_ENTITIES;
        struct quotas_entity *entity = &quotas->entities[index];
        if (entity->left_alone)
            continue;
        quotas->subjects[quotas->subject_count] = index;
        want(quotas, quotas->subject_count++, chance >> 24);
        if (only_checked)
            memcpy(entity->wanted, entity->halves, sizeof entity->wanted);
        entity->in_doubt = true;
    }
    quotas->request.alter.entries.count = quotas->subject_count;
    if (quotas->subject_count > 0)
        start(quotas, client, PROTO_ALTER_CLIENT_QUOTAS_REQUEST_KEY, on_altered);
}

/* ---- what is shown ---- */

static bool
is_of(const entry_shown *entry, const struct quotas_entity *entity)
{
    if (entry->entity.count != entity->part_count)
        return false;
    for (int p = 0; p < entity->part_count; p++) {
        bool found = false;
        for (int32_t i = 0; i < entry->entity.count; i++) {
            struct str name = entry->entity.items[i].entity_name;
            found = found || (str_eq_z(entry->entity.items[i].entity_type, entity->types[p]) &&
                                 (entity->names[p][0] == '\0'
                                         ? str_is_null(name)
                                         : !str_is_null(name) && str_eq_z(name, entity->names[p])));
        }
        if (!found)
            return false;
    }
    return true;
}

static void
compare(struct quotas *quotas, int index, const int64_t *shown)
{
    struct quotas_entity *entity = &quotas->entities[index];
    if (memcmp(shown, entity->halves, sizeof entity->halves) == 0)
        return;
    if (entity->in_doubt && memcmp(shown, entity->wanted, sizeof entity->wanted) == 0) {
        memcpy(entity->halves, shown, sizeof entity->halves);
        return;
    }
    history_fail(quotas->history,
        "quotas of %s %s %s: %lld, %lld halves are right%s (%lld, %lld), %lld, %lld are shown",
        entity->types[0], entity->names[0], entity->names[1], (long long)entity->halves[0],
        (long long)entity->halves[1], entity->in_doubt ? " or in doubt" : "",
        (long long)entity->wanted[0], (long long)entity->wanted[1], (long long)shown[0],
        (long long)shown[1]);
}

static void
on_described(struct client_call *call)
{
    struct quotas *quotas = call->ctx;
    const struct proto_describe_client_quotas_response *response = call->response;
    int64_t shown[QUOTAS_ENTITIES][QUOTAS_KEYS] = {{0}};
    if (call->err != ERR_OK || response->error_code != 0)
        return; /* asked again */
    for (int32_t e = 0; e < response->entries.count; e++) {
        const entry_shown *entry = &response->entries.items[e];
        int index = 0, known = 0;
        while (index < QUOTAS_ENTITIES && !is_of(entry, &quotas->entities[index]))
            index++;
        for (int k = 0; index < QUOTAS_ENTITIES && k < QUOTAS_KEYS; k++)
            for (int32_t v = 0; v < entry->values.count; v++)
                if (quotas->entities[index].keys[k] != NULL &&
                    str_eq_z(entry->values.items[v].key, quotas->entities[index].keys[k])) {
                    shown[index][k] = (int64_t)(entry->values.items[v].value * 2);
                    known++;
                }
        if (known == 0 || known != entry->values.count)
            history_fail(quotas->history, "quotas are shown that nobody set");
    }
    for (int i = 0; i < QUOTAS_ENTITIES; i++)
        compare(quotas, i, shown[i]);
    quotas->described = quotas->auditing;
}

bool
quotas_check(struct quotas *quotas, struct client *client)
{
    if (quotas->call.active || quotas->described)
        return !quotas->call.active;
    quotas->auditing = true;
    describe(quotas, client);
    return false;
}
