/* node/cmd_profile.h - settings for a purpose, and whether the machine is fit for them. */
#ifndef NODE_CMD_PROFILE_H
#define NODE_CMD_PROFILE_H

#include "cli/cli.h"

extern const struct cli_command node_cmd_profile;
extern const struct cli_command node_cmd_doctor;

#endif
