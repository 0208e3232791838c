/* Any bytes as the files and directories of a log directory: meta.properties, the checkpoints, the
 * marker of a clean stop, and directories of logs under any name. It opens or says why not, closes,
 * and opens again. Sections of files.h; one of the last name makes a directory of that name. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "log/log_manager.h"
#include "tests/fuzz/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const names[] = {"meta.properties", "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint", "replication-offset-checkpoint", "cleaner-offset-checkpoint",
    ".kafka_cleanshutdown", "moldau-in-use", "t-0/partition.metadata",
    "t-0/leader-epoch-checkpoint", "t-0/00000000000000000000.log", "u-1/partition.metadata",
    "NAME"};

/* The content of the last kind of section names a directory. */
static void
make_directories(struct fuzz_host *host)
{
    char *text;
    size_t len;
    char path[300];
    if (env_read_file(host->env, "d/NAME", 250, &text, &len) != ERR_OK)
        return;
    snprintf(path, sizeof path, "d/%s", text);
    if (strchr(text, '/') == NULL && len > 0)
        (void)!env_mkdir(host->env, path);
    mem_free(text);
}

static enum err
open_manager(struct fuzz_host *host, uint8_t flags, char *why, struct log_manager **out)
{
    const char *const dirs[] = {"d"};
    struct log_manager_opts opts = {.env = host->env,
        .dirs = dirs,
        .dir_count = 1,
        .node_id = 1,
        .cluster_id = (flags & 1) != 0 ? STR("TW9sZGF1VGVzdENsdXN0ZQ") : STR_NULL,
        .format = (flags & 2) != 0 && (flags & 1) != 0};
    log_config_default(&opts.config);
    return log_manager_open_explained(&opts, why, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_host host;
    struct log_manager *logs = NULL;
    char why[LOG_MANAGER_ERROR_SIZE] = "";
    if (len < 2)
        return 0;
    fuzz_host_open(&host);
    ASSERT(env_mkdir_all(host.env, "d") == ERR_OK);
    fuzz_files_write(&host, "d", names, COUNT_OF(names), true, (struct bytes){data + 1, len - 1});
    make_directories(&host);
    enum err err = open_manager(&host, data[0], why, &logs);
    ASSERT(err == ERR_OK || why[0] != '\0');
    if (err == ERR_OK) {
        log_manager_checkpoint(logs);
        log_manager_checkpoint_high_watermarks(logs);
        log_manager_close(&logs, 5);
        ASSERT(open_manager(&host, data[0], why, &logs) == ERR_OK);
        log_manager_abandon(&logs);
    }
    fuzz_host_close(&host);
    return 0;
}
