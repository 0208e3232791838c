/* cli/configs.h - settings of topics, brokers, groups and client metrics: asking and changing. */
#ifndef CLI_CONFIGS_H
#define CLI_CONFIGS_H

#include "cli/cli.h"
#include "proto/describe_configs_response.h"

enum config_kind {
    CONFIG_KIND_TOPIC = 2,
    CONFIG_KIND_BROKER = 4,
    CONFIG_KIND_BROKER_LOGGER = 8,
    CONFIG_KIND_CLIENT_METRICS = 16,
    CONFIG_KIND_GROUP = 32,
};

enum { CONFIG_SOURCE_DEFAULT = 5, CONFIG_CHANGES_MAX = 256 };

struct config_resource {
    enum config_kind kind;
    struct str name;
    int32_t node_id; /* which broker must be asked; -1: any */
};

/* One setting to change. */
struct config_change {
    struct str key;
    struct str value; /* null: back to its default */
};

/* "topic NAME", "group NAME", "client-metrics NAME", "broker ID" or "broker default". */
int config_resource_read(
    const struct cli *cli, const char *kind, const char *name, struct config_resource *out);
const char *config_source_name(int8_t source);

typedef int (*config_print_fn)(
    void *ctx, const struct proto_describe_configs_response_describe_configs_result *result);
/* Asks for all settings of the resources (of one kind) and gives each answer to `print`, in order;
 * stops at its first error. */
int configs_describe(struct cli *cli, const struct config_resource *resources, int count,
    config_print_fn print, void *ctx);

/* Reads "KEY=VALUE" (set) or "KEY" (unset). */
int config_change_read(
    const struct cli *cli, const char *text, bool set, struct config_change *out);
/* One request for all changes: all or none. An unknown key comes with the nearest that is one. */
int configs_alter(struct cli *cli, const struct config_resource *resource,
    const struct config_change *changes, int count, bool dry_run);
/* What configs_alter did, as a table. */
int configs_print_changes(struct cli *cli, const struct config_resource *resource,
    const struct config_change *changes, int count, bool dry_run);

#endif
