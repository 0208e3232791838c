/* cli/brokers.h - the brokers of the cluster, as Metadata names them. */
#ifndef CLI_BROKERS_H
#define CLI_BROKERS_H

#include "cli/cli.h"

struct broker {
    int32_t id;
    struct str host;
    int32_t port;
    struct str rack; /* null: none */
};

/* In order of their ids, in the command's arena; *controller_id is -1 when there is none. */
int brokers_list(
    struct cli *cli, struct broker **out, int *count, struct str *cluster_id, int32_t *controller);

#endif
