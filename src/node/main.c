/* node/main.c - the program: `moldau server` is the node, everything else the command line. */
#include "cli/cli.h"

#include <stddef.h>

int
main(int argc, char **argv)
{
    return cli_main(argc, argv, NULL);
}
