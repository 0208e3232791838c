/* cli/log_dirs.c - DescribeLogDirs. */
#include "cli/log_dirs.h"

#include "base/assert.h"
#include "proto/describe_log_dirs_request.h"
#include "proto/describe_log_dirs_response.h"

enum { RESPONSE_ARENA = 256 << 20 };

/* The request's topics: runs of partitions with the same name. */
static bool
fill_request(struct cli *cli, const struct partition *parts, int count,
    struct proto_describe_log_dirs_request *request)
{
    struct proto_describe_log_dirs_request_describable_log_dir_topic *topics =
        arena_calloc(&cli->arena, (size_t)count + 1, sizeof *topics);
    int32_t *indexes = arena_calloc(&cli->arena, (size_t)count + 1, sizeof *indexes);
    int32_t n = 0;
    if (topics == NULL || indexes == NULL)
        return false;
    for (int i = 0; i < count; i++) {
        if (i == 0 || !str_eq(parts[i].topic, parts[i - 1].topic)) {
            topics[n].topic = parts[i].topic;
            topics[n++].partitions.items = indexes + i;
        }
        topics[n - 1].partitions.count++;
        indexes[i] = parts[i].index;
    }
    request->topics.items = topics;
    request->topics.count = n;
    return true;
}

static int
take_answer(struct cli *cli, int32_t broker,
    const struct proto_describe_log_dirs_response *response, struct log_dir_row **out, int *count)
{
    int n = 0;
    for (int32_t d = 0; d < response->results.count; d++) {
        n++;
        for (int32_t t = 0; t < response->results.items[d].topics.count; t++)
            n += response->results.items[d].topics.items[t].partitions.count;
    }
    struct log_dir_row *rows = arena_calloc(&cli->arena, (size_t)n + 1, sizeof *rows);
    if (rows == NULL)
        return cli_fail_memory(cli);
    n = 0;
    for (int32_t d = 0; d < response->results.count; d++) {
        const struct proto_describe_log_dirs_response_describe_log_dirs_result *dir =
            &response->results.items[d];
        struct log_dir_row head = {.broker = broker,
            .dir = arena_str(&cli->arena, dir->log_dir),
            .index = -1,
            .error_code = dir->error_code,
            .total_bytes = dir->total_bytes,
            .usable_bytes = dir->usable_bytes};
        int head_at = n++;
        for (int32_t t = 0; t < dir->topics.count; t++) {
            struct str topic = arena_str(&cli->arena, dir->topics.items[t].name);
            for (int32_t p = 0; p < dir->topics.items[t].partitions.count; p++) {
                rows[n] = head;
                rows[n].topic = topic;
                rows[n].index = dir->topics.items[t].partitions.items[p].partition_index;
                rows[n].size_bytes = dir->topics.items[t].partitions.items[p].partition_size;
                rows[n].lag = dir->topics.items[t].partitions.items[p].offset_lag;
                rows[n].is_future = dir->topics.items[t].partitions.items[p].is_future_key;
                head.size_bytes += rows[n].size_bytes;
                rows[n].total_bytes = rows[n].usable_bytes = -1;
                n++;
            }
        }
        rows[head_at] = head;
    }
    *out = rows;
    *count = n;
    return cli->arena.exhausted ? cli_fail_memory(cli) : CLI_OK;
}

int
log_dirs_ask(struct cli *cli, int32_t broker, const struct partition *parts, int part_count,
    struct log_dir_row **out, int *count)
{
    struct proto_describe_log_dirs_request request;
    const struct proto_describe_log_dirs_response *response;
    struct client_call call;
    proto_init(&proto_describe_log_dirs_request_schema, &request);
    if (parts == NULL)
        request.topics.count = -1;
    else if (!fill_request(cli, parts, part_count, &request))
        return cli_fail_memory(cli);
    client_call_init(&call, RESPONSE_ARENA);
    call.node_id = broker;
    int code = cli_call(cli, &call, CLIENT_TARGET_NODE, PROTO_DESCRIBE_LOG_DIRS_REQUEST_KEY,
        &request, (const void **)&response);
    if (code == CLI_OK && response->error_code != 0)
        code = cli_fail_code(cli, STR("log directories"), response->error_code, STR_NULL);
    if (code == CLI_OK)
        code = take_answer(cli, broker, response, out, count);
    client_call_fini(&call);
    return code;
}

/* The sizes that one leader has, into those of its partitions. */
static int
sizes_of_leader(
    struct cli *cli, struct partition *parts, int count, int32_t leader, int64_t *size_bytes)
{
    struct partition *asked = arena_calloc(&cli->arena, (size_t)count, sizeof *asked);
    struct log_dir_row *rows;
    int asked_count = 0;
    int row_count;
    if (asked == NULL)
        return cli_fail_memory(cli);
    for (int i = 0; i < count; i++)
        if (parts[i].leader == leader)
            asked[asked_count++] = parts[i];
    int code = log_dirs_ask(cli, leader, asked, asked_count, &rows, &row_count);
    for (int r = 0; code == CLI_OK && r < row_count; r++) {
        const struct partition *part =
            str_is_null(rows[r].topic) || rows[r].is_future
                ? NULL
                : partitions_find(parts, count, rows[r].topic, rows[r].index);
        if (part != NULL && part->leader == leader)
            size_bytes[part - parts] = rows[r].size_bytes;
    }
    return code;
}

int
log_dirs_sizes(struct cli *cli, struct partition *parts, int count, int64_t *size_bytes)
{
    int code = CLI_OK;
    for (int i = 0; i < count; i++)
        size_bytes[i] = -1;
    for (int i = 0; code == CLI_OK && i < count; i++) {
        bool asked = parts[i].leader < 0;
        for (int k = 0; k < i && !asked; k++) /* ends soon: leaders are few */
            asked = parts[k].leader == parts[i].leader;
        if (!asked)
            code = sizes_of_leader(cli, parts, count, parts[i].leader, size_bytes);
    }
    return code;
}
