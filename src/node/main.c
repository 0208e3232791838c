/* node/main.c - the program: `moldau server` is a node, everything else the command line. */
#include "node/cmd_profile.h"
#include "node/cmd_server.h"

#include <stddef.h>

int
main(int argc, char **argv)
{
    static const struct cli_command *const more[] = {
        &node_cmd_server, &node_cmd_profile, &node_cmd_doctor, NULL};
    return cli_main(argc, argv, more);
}
