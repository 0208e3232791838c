/* cli/cmd_dump_log.c - moldau debug dump-log: what is in the files of a log directory.
 *
 * What a file is, its name says: segments and snapshots batch by batch (records too, with
 * --records; those of the broker's own topics decoded), indexes compared with the segment beside
 * them, producer snapshots, and the small files of text. Exit code 1 when anything is damaged. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/dump.h"

enum { FILE_MAX = 2000 << 20, SCRATCH_MAX = 256 << 20, ARENA_BYTES = 64 << 20, PATH_SIZE = 4096 };

enum form {
    FORM_LOG,
    FORM_RECORDS_SNAPSHOT,
    FORM_OFFSET_INDEX,
    FORM_TIME_INDEX,
    FORM_TXN_INDEX,
    FORM_PRODUCER_SNAPSHOT,
    FORM_OFFSET_CHECKPOINT,
    FORM_EPOCH_CHECKPOINT,
    FORM_PROPERTIES,
    FORM_VOTE,
    FORM_UNKNOWN,
};

static const char *const form_names[] = {"log", "snapshot", "index", "timeindex", "txnindex",
    "producer-snapshot", "offset-checkpoint", "leader-epoch-checkpoint", "properties",
    "quorum-state"};

static bool
ends_with(const char *text, const char *ending)
{
    size_t len = strlen(text);
    size_t end_len = strlen(ending);
    return len >= end_len && strcmp(text + len - end_len, ending) == 0;
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Files that are being deleted, swapped or cleaned keep their form. */
static enum form
form_of(const char *path)
{
    static const char *const late[] = {".deleted", ".swap", ".cleaned"};
    char name[PATH_SIZE];
    snprintf(name, sizeof name, "%s", base_name(path));
    for (size_t i = 0; i < COUNT_OF(late); i++)
        if (ends_with(name, late[i]))
            name[strlen(name) - strlen(late[i])] = '\0';
    return ends_with(name, ".log")                      ? FORM_LOG
           : ends_with(name, ".timeindex")              ? FORM_TIME_INDEX
           : ends_with(name, ".txnindex")               ? FORM_TXN_INDEX
           : ends_with(name, ".index")                  ? FORM_OFFSET_INDEX
           : ends_with(name, ".snapshot")               ? FORM_PRODUCER_SNAPSHOT
           : ends_with(name, ".checkpoint")             ? FORM_RECORDS_SNAPSHOT
           : ends_with(name, "leader-epoch-checkpoint") ? FORM_EPOCH_CHECKPOINT
           : ends_with(name, "-checkpoint")             ? FORM_OFFSET_CHECKPOINT
           : ends_with(name, ".properties") || strcmp(name, "partition.metadata") == 0
               ? FORM_PROPERTIES
           : strcmp(name, "quorum-state") == 0 ? FORM_VOTE
                                               : FORM_UNKNOWN;
}

static enum dump_payload
payload_of(const char *path, enum form form)
{
    return form == FORM_RECORDS_SNAPSHOT || strstr(path, "__cluster_metadata-") != NULL
               ? DUMP_METADATA
           : strstr(path, "__consumer_offsets-") != NULL    ? DUMP_OFFSETS
           : strstr(path, "__transaction_state-") != NULL   ? DUMP_TRANSACTIONS
           : strstr(path, "__share_group_state-") != NULL   ? DUMP_SHARE
           : strstr(path, "__remote_log_metadata-") != NULL ? DUMP_REMOTE
                                                            : DUMP_PLAIN;
}

void
dump_problem(struct dump *dump, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    dump->problems++;
    if (!dump->out.json)
        fflush(dump->out.file); /* so that it stands behind what it is about */
    cli_fail(dump->cli, "%s: %s", dump->path, text);
}

/* The segment beside an index, to compare; *data stays NULL when it is not there. */
static struct bytes
read_segment(struct dump *dump, const char *path, char **data)
{
    char log_path[PATH_SIZE];
    size_t len;
    const char *dot = strrchr(path, '.');
    if (dot == NULL || (size_t)(dot - path) + 5 > sizeof log_path)
        return BYTES_NULL;
    snprintf(log_path, sizeof log_path, "%.*s.log", (int)(dot - path), path);
    if (env_read_file(dump->cli->env, log_path, FILE_MAX, data, &len) != ERR_OK) {
        cli_warn(dump->cli, "%s: not compared, there is no %s", path, log_path);
        *data = NULL;
        return BYTES_NULL;
    }
    return (struct bytes){(const uint8_t *)*data, len};
}

static void
dump_form(struct dump *dump, enum form form, struct bytes data)
{
    int64_t base_offset = strtoll(base_name(dump->path), NULL, 10);
    char *segment = NULL;
    struct bytes log = BYTES_NULL;
    if (form == FORM_OFFSET_INDEX || form == FORM_TIME_INDEX)
        log = read_segment(dump, dump->path, &segment);
    switch (form) {
    case FORM_LOG:
    case FORM_RECORDS_SNAPSHOT: dump_batches(dump, data); break;
    case FORM_OFFSET_INDEX: dump_offset_index(dump, data, base_offset, log); break;
    case FORM_TIME_INDEX: dump_time_index(dump, data, base_offset, log); break;
    case FORM_TXN_INDEX: dump_txn_index(dump, data); break;
    case FORM_PRODUCER_SNAPSHOT: dump_producer_snapshot(dump, data); break;
    case FORM_OFFSET_CHECKPOINT: dump_offset_checkpoint(dump, data); break;
    case FORM_EPOCH_CHECKPOINT: dump_epoch_checkpoint(dump, data); break;
    case FORM_PROPERTIES: dump_properties(dump, data); break;
    case FORM_VOTE: dump_json_file(dump, data); break;
    case FORM_UNKNOWN: break;
    }
    mem_free(segment);
}

static int
dump_file(struct dump *dump, const char *path, bool heading)
{
    char *data;
    size_t len;
    enum form form = form_of(path);
    if (form == FORM_UNKNOWN)
        return cli_usage(dump->cli,
            "%s: knows .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint, *-checkpoint, "
            "*.properties, partition.metadata and quorum-state",
            path);
    enum err err = env_read_file(dump->cli->env, path, FILE_MAX, &data, &len);
    if (err == ERR_NOTFOUND)
        return cli_missing(dump->cli, "%s: no such file", path);
    if (err != ERR_OK)
        return cli_fail(
            dump->cli, "%s: %s", path, err == ERR_LIMIT ? "larger than 2000 MiB" : err_text(err));
    dump->path = path;
    dump->payload = payload_of(path, form);
    dump_file_begin(&dump->out, path, form_names[form], heading);
    if (!dump->out.names)
        dump_form(dump, form, (struct bytes){(const uint8_t *)data, len});
    dump_file_end(&dump->out);
    mem_free(data);
    return CLI_OK;
}

/* ---- directories ---- */

struct listing {
    struct dump *dump;
    const char *dir;
    int code;
};

static bool
dump_listed(void *ctx, const char *name)
{
    struct listing *listing = ctx;
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%s", listing->dir, name);
    struct env_stat stat;
    if (n < 0 || (size_t)n >= sizeof path || form_of(path) == FORM_UNKNOWN ||
        env_stat(listing->dump->cli->env, path, &stat) != ERR_OK || stat.kind != ENV_KIND_FILE)
        return true;
    listing->code = dump_file(listing->dump, path, true);
    return listing->code == CLI_OK;
}

static int
dump_path(struct dump *dump, char *path, bool heading)
{
    struct env_stat stat;
    struct listing listing = {.dump = dump, .dir = path};
    size_t len = strlen(path);
    if (env_stat(dump->cli->env, path, &stat) == ERR_NOTFOUND)
        return cli_missing(dump->cli, "%s: no such file", path);
    if (env_stat(dump->cli->env, path, &stat) != ERR_OK || stat.kind != ENV_KIND_DIR)
        return dump_file(dump, path, heading);
    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    int before = dump->out.file_count;
    enum err err = env_list_dir(dump->cli->env, path, dump_listed, &listing);
    if (err != ERR_OK)
        return cli_fail(dump->cli, "%s: %s", path, err_text(err));
    if (listing.code == CLI_OK && dump->out.file_count == before)
        return cli_missing(dump->cli, "%s: no file of a log stands in it", path);
    return listing.code;
}

static int
run_dump(struct cli *cli)
{
    struct dump dump = {.cli = cli, .records = cli_flag(cli, "records")};
    if (cli_env(cli) == NULL || compress_ctx_new(&dump.compress) != ERR_OK)
        return cli_fail_memory(cli);
    buf_init(&dump.scratch, SCRATCH_MAX);
    arena_init(&dump.arena, ARENA_BYTES);
    /* What is JSON is YAML too. */
    dump_out_init(&dump.out, stdout,
        cli->format == CLI_FORMAT_JSON || cli->format == CLI_FORMAT_YAML,
        cli->format == CLI_FORMAT_NAME);
    int code = CLI_OK;
    for (int i = 0; i < cli->arg_count && code == CLI_OK; i++)
        code = dump_path(&dump, cli->args[i], cli->arg_count > 1);
    dump_out_end(&dump.out);
    arena_fini(&dump.arena);
    buf_fini(&dump.scratch);
    compress_ctx_free(&dump.compress);
    return code != CLI_OK ? code : dump.problems > 0 ? CLI_FAILED : CLI_OK;
}

const struct cli_command cli_debug_dump_log = {
    .name = "debug dump-log",
    .arguments = "FILE|DIRECTORY...",
    .summary = "what is in segments, indexes, snapshots and checkpoints, and whether it is sound",
    .text = "Checksums, the order of offsets, and indexes against their segment are checked; exit "
            "code 1 when anything is wrong. Of a directory every file that belongs to a log is "
            "shown.",
    .options =
        (const struct cli_option[]){
            {"records", 'r', NULL, "each record too; those of the broker's own topics decoded"},
            {NULL, 0, NULL, NULL},
        },
    .arguments_min = 1,
    .arguments_max = -1,
    .not_found = "there is no such file",
    .examples = "  moldau debug dump-log moldau-data/orders-0\n"
                "  moldau debug dump-log -r moldau-data/__cluster_metadata-0/*.log -o json\n",
    .run = run_dump,
};
