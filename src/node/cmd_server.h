/* node/cmd_server.h - the command that runs a node. */
#ifndef NODE_CMD_SERVER_H
#define NODE_CMD_SERVER_H

#include "cli/cli.h"

extern const struct cli_command node_cmd_server;

#endif
