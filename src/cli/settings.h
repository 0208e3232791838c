/* cli/settings.h - where the cluster is and how long to wait: from options, the environment, and
 * files in the form of Kafka's client.properties or kcat's configuration. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "cli/cli.h"

/* Sets bootstrap, timeout_ms and client_id of the command. Of several sources the first that says
 * something counts: --brokers and --timeout-ms; -X; the environment (MOLDAU_BROKERS); the file of
 * --command-config; the built-in value. CLI_OK, or the exit code after printing. */
int settings_read(struct cli *cli);

#endif
