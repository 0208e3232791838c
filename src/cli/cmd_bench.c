/* cli/cmd_bench.c - moldau bench produce|fetch|e2e: loads a topic of any Kafka cluster and reports
 * rates, percentiles, and the processor time of the broker's processes. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bench/load.h"
#include "cli/commands.h"
#include "proto/error_codes.h"

enum { PIDS_MAX = 16, RECORD_BYTES_MIN = 8, BATCH_BYTES_MAX = 64 << 20 };

struct bench {
    struct cli *cli;
    struct bench_opts opts;
    int pids[PIDS_MAX];
    int pid_count;
    double cpu_before, cpu_s; /* of these processes */
};

/* ---- processor time of the brokers ---- */

/* User and system seconds of a process so far; -1 when it is gone. */
static double
process_cpu_s(int pid)
{
    char path[40], line[1024];
    unsigned long long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return -1;
    bool whole = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    const char *after = whole ? strrchr(line, ')') : NULL;
    if (after == NULL || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
                             &user, &system) != 2)
        return -1;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double
all_cpu_s(const struct bench *bench)
{
    double sum = 0;
    for (int i = 0; i < bench->pid_count; i++) {
        double one = process_cpu_s(bench->pids[i]);
        sum += one > 0 ? one : 0;
    }
    return sum;
}

static void
on_begin(void *ctx)
{
    struct bench *bench = ctx;
    bench->cpu_before = all_cpu_s(bench);
}

static void
on_end(void *ctx)
{
    struct bench *bench = ctx;
    bench->cpu_s = all_cpu_s(bench) - bench->cpu_before;
}

static int
read_pids(struct bench *bench)
{
    const char *text = cli_value(bench->cli, "cpu");
    while (text != NULL && *text != '\0') {
        char *end;
        long pid = strtol(text, &end, 10);
        bool good = end != text && (*end == '\0' || *end == ',') && pid > 0;
        if (!good || bench->pid_count == PIDS_MAX || process_cpu_s((int)pid) < 0)
            return cli_usage(bench->cli,
                "--cpu must be ids of running processes, at most %d, separated by commas, not '%s'",
                PIDS_MAX, text);
        bench->pids[bench->pid_count++] = (int)pid;
        text = *end == ',' ? end + 1 : end;
    }
    return CLI_OK;
}

/* ---- the report ---- */

struct percentile {
    const char *name;
    double share;
};

static const struct percentile percentiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p99.99", 0.9999}};

static void
report_json(const struct bench *bench, const struct bench_result *result)
{
    double s = (double)result->elapsed_ns / 1e9;
    printf("{\"requests\": %lld, \"records\": %lld, \"bytes\": %lld, \"errors\": %lld, "
           "\"seconds\": %.3f, \"requests_per_s\": %.1f, \"mb_per_s\": %.2f, \"latency_us\": {",
        (long long)result->requests, (long long)result->records, (long long)result->bytes,
        (long long)result->errors, s, (double)result->requests / s,
        (double)result->bytes / 1e6 / s);
    for (size_t i = 0; i < COUNT_OF(percentiles); i++)
        printf("\"%s\": %.1f, ", percentiles[i].name,
            (double)bench_histogram_at(&result->latency, percentiles[i].share) / 1e3);
    printf("\"max\": %.1f}, \"cpu_s\": ", (double)result->latency.max_ns / 1e3);
    if (bench->pid_count > 0)
        printf("%.3f}\n", bench->cpu_s);
    else
        printf("null}\n");
}

static void
report_text(const struct bench *bench, const struct bench_result *result)
{
    double s = (double)result->elapsed_ns / 1e9;
    double requests = (double)result->requests, bytes = (double)result->bytes;
    printf("%lld requests, %lld records, %.1f MB in %.2f s: %.0f requests/s, %.1f MB/s\n",
        (long long)result->requests, (long long)result->records, bytes / 1e6, s, requests / s,
        bytes / 1e6 / s);
    printf("latency, us:");
    for (size_t i = 0; i < COUNT_OF(percentiles); i++)
        printf(" %s %.0f,", percentiles[i].name,
            (double)bench_histogram_at(&result->latency, percentiles[i].share) / 1e3);
    printf(" max %.0f\n", (double)result->latency.max_ns / 1e3);
    if (bench->pid_count > 0 && result->requests > 0)
        printf("brokers' processor time: %.2f s, %.1f %% of a core, %.2f us a request, "
               "%.3f s a GB\n",
            bench->cpu_s, bench->cpu_s / s * 100, bench->cpu_s * 1e6 / requests,
            bench->cpu_s * 1e9 / bytes);
}

/* ---- the commands ---- */

static int
read_shared(struct bench *bench)
{
    struct cli *cli = bench->cli;
    struct bench_opts *opts = &bench->opts;
    int64_t connections, seconds, warm_up, rate;
    if (!cli_number(cli, "connections", 1, 10000, 1, &connections) ||
        !cli_number(cli, "seconds", 1, 86400, 10, &seconds) ||
        !cli_number(cli, "warm-up", 0, 86400, 2, &warm_up) ||
        !cli_number(cli, "requests", 1, INT64_MAX, 0, &opts->requests_max) ||
        !cli_number(cli, "rate", 1, 10000000, opts->kind == BENCH_END_TO_END ? 1000 : 0, &rate))
        return CLI_USAGE;
    opts->connections = (int)connections;
    opts->duration_ms = seconds * 1000;
    opts->warm_up_ms = warm_up * 1000;
    opts->rate = (double)rate;
    opts->topic = str_of(cli->args[0]);
    return read_pids(bench);
}

static int
read_produce(struct bench *bench)
{
    struct cli *cli = bench->cli;
    struct bench_opts *opts = &bench->opts;
    int64_t in_flight, record_bytes, records = 1;
    bool single = opts->kind == BENCH_END_TO_END;
    if (!cli_number(cli, "in-flight", 1, 10000, single ? 100 : 5, &in_flight) ||
        !cli_number(cli, "record-size", RECORD_BYTES_MIN, 16 << 20, 1024, &record_bytes) ||
        (!single && !cli_number(cli, "records", 1, 1000000, 1000, &records)))
        return CLI_USAGE;
    if (record_bytes * records > BATCH_BYTES_MAX)
        return cli_usage(cli, "%lld records of %lld bytes are more than a batch of %d bytes holds",
            (long long)records, (long long)record_bytes, BATCH_BYTES_MAX);
    const char *acks = cli_value(cli, "acks");
    if (acks != NULL && strcmp(acks, "all") != 0 && strcmp(acks, "-1") != 0 &&
        strcmp(acks, "1") != 0)
        return cli_usage(
            cli, "--acks must be all or 1 (an answer is needed to measure), not '%s'", acks);
    const char *codec = cli_value(cli, "compression");
    if (!single && codec != NULL && !compress_codec_parse(str_of(codec), &opts->codec))
        return cli_usage(
            cli, "--compression must be none, gzip, snappy, lz4 or zstd, not '%s'", codec);
    opts->acks = acks != NULL && strcmp(acks, "1") == 0 ? 1 : -1;
    opts->in_flight = (int)in_flight;
    opts->record_bytes = (int32_t)record_bytes;
    opts->batch_records = (int32_t)records;
    return CLI_OK;
}

static int
run_load(struct bench *bench)
{
    struct cli *cli = bench->cli;
    const char *what;
    struct bench_result *result = mem_calloc(1, sizeof *result);
    bench->opts.client = cli_client(cli);
    bench->opts.on_begin = on_begin;
    bench->opts.on_end = on_end;
    bench->opts.ctx = bench;
    if (result == NULL || bench->opts.client == NULL) {
        mem_free(result);
        return CLI_FAILED;
    }
    int code = CLI_OK;
    enum err err = bench_load_run(&bench->opts, result, &what);
    if (err != ERR_OK && what[0] != '\0')
        code = cli_fail(cli, "%s: %s", cli->args[0], what);
    else if (err != ERR_OK)
        code = cli_fail_call(cli, err);
    else if (cli->format == CLI_FORMAT_JSON)
        report_json(bench, result);
    else
        report_text(bench, result);
    if (err == ERR_OK && result->errors > 0)
        code = cli_fail(cli, "%lld requests were refused, the last with %s",
            (long long)result->errors, proto_error_name(result->last_code));
    mem_free(result);
    return code;
}

static int
run_produce(struct cli *cli)
{
    struct bench bench = {.cli = cli, .opts.kind = BENCH_PRODUCE};
    int code = read_shared(&bench);
    if (code == CLI_OK)
        code = read_produce(&bench);
    return code == CLI_OK ? run_load(&bench) : code;
}

static int
run_e2e(struct cli *cli)
{
    struct bench bench = {.cli = cli, .opts.kind = BENCH_END_TO_END};
    bench.opts.fetch_bytes = 1 << 20;
    int code = read_shared(&bench);
    if (code == CLI_OK)
        code = read_produce(&bench);
    return code == CLI_OK ? run_load(&bench) : code;
}

static int
run_fetch(struct cli *cli)
{
    struct bench bench = {.cli = cli, .opts = {.kind = BENCH_FETCH, .in_flight = 1}};
    int64_t fetch_bytes;
    int code = read_shared(&bench);
    if (code != CLI_OK)
        return code;
    if (!cli_number(cli, "fetch-size", 1, 64 << 20, 1 << 20, &fetch_bytes))
        return CLI_USAGE;
    bench.opts.fetch_bytes = (int32_t)fetch_bytes;
    return run_load(&bench);
}

/* What every kind of load has. */
#define BENCH_OPTIONS                                                                       \
    {"connections", 'n', "N", "connections, the topic's partitions shared among them (1)"}, \
        {"seconds", 't', "S", "how long to measure (10)"},                                  \
        {"warm-up", 'w', "S", "how long to load before measuring (2)"},                     \
        {"requests", 0, "N", "stop after so many"},                                         \
        {"cpu", 0, "PID,...", "report the processor time of these processes: the brokers"},

#define BENCH_PRODUCE_OPTIONS                              \
    {"record-size", 's', "BYTES", "of each value (1024)"}, \
        {"acks", 'a', "ACKS", "all (default) or 1"},

const struct cli_command cli_bench_produce = {
    .name = "bench produce",
    .arguments = "TOPIC",
    .summary = "measure writing: requests encoded once, sent over and over",
    .options =
        (const struct cli_option[]){
            BENCH_OPTIONS BENCH_PRODUCE_OPTIONS{
                "in-flight", 'i', "N", "requests on their way on each connection (5)"},
            {"records", 'r', "N", "in a batch, one batch a request (1000)"},
            {"compression", 'z', "CODEC", "none, gzip, snappy, lz4 or zstd"},
            {"rate", 'R', "N", "requests a second, due steadily whatever happens (closed loop)"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau bench produce load --cpu $(pidof moldau)\n"
                "  moldau bench produce load -n 64 -i 1 -r 1 -s 100 -a 1\n"
                "  moldau bench produce load -R 5000 -r 1 -o json\n",
    .run = run_produce,
};

const struct cli_command cli_bench_fetch = {
    .name = "bench fetch",
    .arguments = "TOPIC",
    .summary = "measure reading: over what the topic holds, again and again",
    .options =
        (const struct cli_option[]){
            BENCH_OPTIONS{"fetch-size", 's', "BYTES", "of an answer (1 MiB)"},
            {"rate", 'R', "N", "requests a second, due steadily whatever happens (closed loop)"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau bench fetch load -n 8 -t 30\n",
    .run = run_fetch,
};

const struct cli_command cli_bench_e2e = {
    .name = "bench e2e",
    .arguments = "TOPIC",
    .summary = "measure the way of a record from a producer to a consumer that waits for it",
    .options =
        (const struct cli_option[]){
            BENCH_OPTIONS BENCH_PRODUCE_OPTIONS{
                "in-flight", 'i', "N", "requests on their way on each connection (100)"},
            {"rate", 'R', "N", "records a second, one a request (1000)"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = 1,
    .examples = "  moldau bench e2e load -R 5000 -n 8 -o json\n",
    .run = run_e2e,
};
