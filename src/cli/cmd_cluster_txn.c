/* cli/cmd_cluster_txn.c - moldau cluster txn: transactions of every coordinator. */
#include <string.h>

#include "cli/cluster.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "proto/describe_transactions_request.h"
#include "proto/describe_transactions_response.h"
#include "proto/error_codes.h"
#include "proto/list_transactions_request.h"
#include "proto/list_transactions_response.h"

enum { RESPONSE_ARENA = 256 << 20, TRIES = 50, PAUSE_MS = 100 };

struct transactions {
    struct cli *cli;
    struct output out;
    int64_t now_ms;    /* when the coordinator answered */
    int64_t longer_ms; /* 0: all */
    bool *found;       /* of each argument */
};

static bool
is_wanted(struct transactions *txns, struct str id, struct str state)
{
    struct cli *cli = txns->cli;
    const char *wanted = cli_value(cli, "state");
    bool named = cli->arg_count == 0;
    for (int i = 0; i < cli->arg_count; i++)
        if (str_eq_z(id, cli->args[i])) {
            named = true;
            txns->found[i] = true;
        }
    return named && (wanted == NULL || (state.len == strlen(wanted) &&
                                           strncasecmp(state.data, wanted, state.len) == 0));
}

/* Those of one coordinator; tries again while it loads them. */
static int
list_ids(struct transactions *txns, int32_t broker, struct str **ids, int *count)
{
    struct cli *cli = txns->cli;
    struct proto_list_transactions_request request;
    const struct proto_list_transactions_response *response;
    struct client_call call;
    bool refresh;
    proto_init(&proto_list_transactions_request_schema, &request);
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = broker;
    int code = CLI_OK;
    for (int tries = 0; tries < TRIES; tries++) {
        code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_LIST_TRANSACTIONS_REQUEST_KEY,
            &request, (const void **)&response);
        if (code != CLI_OK || !client_error_is_retriable(response->error_code, &refresh))
            break;
        cli_pause(cli, PAUSE_MS);
    }
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("transactions"), response->error_code, STR_NULL);
    *count = 0;
    *ids = NULL;
    if (code == CLI_OK)
        *ids =
            arena_calloc(&cli->arena, (size_t)response->transaction_states.count + 1, sizeof **ids);
    for (int32_t i = 0; *ids != NULL && i < response->transaction_states.count; i++) {
        struct str id = response->transaction_states.items[i].transactional_id;
        if (is_wanted(txns, id, response->transaction_states.items[i].transaction_state))
            (*ids)[(*count)++] = arena_str(&cli->arena, id);
    }
    client_call_fini(&call);
    return code == CLI_OK && cli->arena.exhausted ? cli_fail_memory(cli) : code;
}

static void
print_one(struct transactions *txns, int32_t broker,
    const struct proto_describe_transactions_response_transaction_state *state)
{
    struct output *out = &txns->out;
    int64_t start_ms = state->transaction_start_time_ms;
    int count = 0;
    if (txns->longer_ms > 0 && (start_ms < 0 || txns->now_ms - start_ms < txns->longer_ms))
        return;
    for (int32_t t = 0; t < state->topics.count; t++)
        count += state->topics.items[t].partitions.count;
    output_str(out, state->transactional_id);
    output_i64(out, state->producer_id);
    output_str(out, state->transaction_state);
    output_i64(out, broker);
    output_i64_if(out, start_ms >= 0, txns->now_ms - start_ms);
    output_list(out, count);
    for (int32_t t = 0; t < state->topics.count; t++)
        for (int32_t p = 0; p < state->topics.items[t].partitions.count; p++) {
            char text[300];
            snprintf(text, sizeof text, "%.*s:%d", STR_FMT(state->topics.items[t].topic),
                (int)state->topics.items[t].partitions.items[p]);
            output_z(out, text);
        }
    output_i64(out, state->producer_epoch);
    output_i64(out, state->transaction_timeout_ms);
    output_i64_if(out, start_ms >= 0, start_ms);
}

static int
describe(struct transactions *txns, int32_t broker, struct str *ids, int count)
{
    struct cli *cli = txns->cli;
    struct proto_describe_transactions_request request;
    const struct proto_describe_transactions_response *response;
    struct client_call call;
    if (count == 0)
        return CLI_OK;
    proto_init(&proto_describe_transactions_request_schema, &request);
    request.transactional_ids.items = ids;
    request.transactional_ids.count = count;
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = broker;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_DESCRIBE_TRANSACTIONS_REQUEST_KEY,
        &request, (const void **)&response);
    txns->now_ms = env_wall_ms(cli->env); /* after all of them began */
    for (int32_t i = 0; code == CLI_OK && i < response->transaction_states.count; i++) {
        const struct proto_describe_transactions_response_transaction_state *state =
            &response->transaction_states.items[i];
        if (state->error_code == 0)
            print_one(txns, broker, state);
        else if (state->error_code != PROTO_ERROR_TRANSACTIONAL_ID_NOT_FOUND) /* it expired */
            code = cli_fail_code(cli, state->transactional_id, state->error_code, STR_NULL);
    }
    client_call_fini(&call);
    return code;
}

static int
run_txn(struct cli *cli)
{
    static const char *const columns[] = {"transactional_id", "producer_id", "state", "coordinator",
        "age_ms", "partitions", "+producer_epoch", "+timeout_ms", "+start_ms"};
    struct transactions txns = {.cli = cli};
    struct cluster cluster;
    if (!cli_number(cli, "longer-than", 1, INT64_MAX, 0, &txns.longer_ms))
        return CLI_USAGE;
    txns.found = arena_calloc(&cli->arena, (size_t)cli->arg_count + 1, sizeof *txns.found);
    if (txns.found == NULL || cli_env(cli) == NULL)
        return cli_fail_memory(cli);
    int code = cluster_describe(cli, &cluster);
    if (code != CLI_OK)
        return code;
    output_begin(&txns.out, cli->format, columns, COUNT_OF(columns));
    for (int i = 0; code == CLI_OK && i < cluster.broker_count; i++) {
        struct str *ids;
        int count;
        if (cluster.brokers[i].is_fenced)
            continue;
        code = list_ids(&txns, cluster.brokers[i].id, &ids, &count);
        if (code == CLI_OK)
            code = describe(&txns, cluster.brokers[i].id, ids, count);
    }
    for (int i = 0; code == CLI_OK && i < cli->arg_count; i++)
        if (!txns.found[i]) {
            code = cli_missing(cli, "no transactional id '%s'", cli->args[i]);
            cli_hint("moldau cluster txn");
        }
    int end = output_end(&txns.out);
    return code != CLI_OK ? code : end;
}

const struct cli_command cli_cluster_txn = {
    .name = "cluster txn",
    .arguments = "[TRANSACTIONAL-ID...]",
    .summary = "transactions of every coordinator, with their age and partitions",
    .options =
        (const struct cli_option[]){
            {"state", 's', "STATE", "only those in this state: Ongoing, CompleteCommit, ..."},
            {"longer-than", 0, "MS", "only those open for so long"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_max = -1,
    .not_found = "there is no such transactional id",
    .examples = "  moldau cluster txn --state Ongoing --longer-than 60000\n",
    .run = run_txn,
};
