/* node/main.c - the program: `moldau server` is a node, everything else the command line. */
#include "node/cmd_server.h"

#include <stddef.h>

int
main(int argc, char **argv)
{
    static const struct cli_command *const more[] = {&node_cmd_server, NULL};
    return cli_main(argc, argv, more);
}
