/* Any bytes as the files of __cluster_metadata-0 (log, snapshots, quorum-state) and the bootstrap
 * file: the metadata opens or says why not, and what it opened it can show. The first byte picks
 * whether checksums are set; then sections of files.h. */
#include "base/assert.h"
#include "log/log_manager.h"
#include "meta/config_rules.h"
#include "node/metadata.h"
#include "os/loop.h"
#include "tests/fuzz/files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char *const names[] = {"__cluster_metadata-0/00000000000000000000.log",
    "__cluster_metadata-0/quorum-state",
    "__cluster_metadata-0/00000000000000000005-0000000001.checkpoint", "bootstrap.checkpoint",
    "__cluster_metadata-0/leader-epoch-checkpoint", "__cluster_metadata-0/00000000000000000005.log",
    "__cluster_metadata-0/00000000000000000002-0000000001.checkpoint",
    "__cluster_metadata-0/partition.metadata",
    "__cluster_metadata-0/00000000000000000009-0000000002.checkpoint.part"};

static void
open_metadata(struct fuzz_host *host, struct log_manager *logs, struct pool *pool)
{
    struct meta_config_rules rules = meta_config_rules_make(NULL);
    struct node_metadata *md = NULL;
    struct node_metadata_opts opts = {.env = host->env,
        .logs = logs,
        .pool = pool,
        .rules = &rules,
        .node_id = 1,
        .rack = STR_NULL,
        .snapshot_bytes = 1 << 20,
        .retention_bytes = 1 << 20,
        .retention_ms = -1,
        .segment_bytes = 1 << 20,
        .segment_ms = INT64_MAX};
    if (node_metadata_open(&opts, &md) != ERR_OK)
        return;
    struct meta_image *image = node_metadata_image(md);
    ASSERT(image != NULL);
    for (const struct meta_topic *t = NULL;
         (t = meta_image_topic_after(image, t != NULL ? t->name : STR_NULL)) != NULL;)
        ASSERT(meta_image_topic_by_id(image, t->id) == t);
    meta_image_unref(&image);
    if (node_metadata_start(md) == ERR_OK) {
        sim_run_ms(host->sim, 50);
        node_metadata_stop(md);
    }
    node_metadata_free(&md);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_host host;
    const char *const dirs[] = {"d"};
    struct log_manager *logs = NULL;
    struct pool *pool;
    struct log_manager_opts opts = {.dirs = dirs,
        .dir_count = 1,
        .node_id = 1,
        .cluster_id = STR("TW9sZGF1VGVzdENsdXN0ZQ"),
        .format = true};
    if (len < 2)
        return 0;
    fuzz_host_open(&host);
    opts.env = host.env;
    log_config_default(&opts.config);
    ASSERT(pool_new(host.env, "io", 1, &pool) == ERR_OK);
    ASSERT(env_mkdir_all(host.env, "d/__cluster_metadata-0") == ERR_OK);
    fuzz_files_write(
        &host, "d", names, COUNT_OF(names), data[0] % 2 == 0, (struct bytes){data + 1, len - 1});
    if (log_manager_open(&opts, &logs) == ERR_OK) {
        open_metadata(&host, logs, pool);
        sim_host_crash(host.host, SIM_CRASH_KILL);
        pool_free(&pool);
        log_manager_abandon(&logs);
    } else {
        pool_free(&pool);
    }
    fuzz_host_close(&host);
    return 0;
}
