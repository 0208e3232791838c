/* node/exposition_groups.c - metrics of the groups that this node coordinates. Threads: HTTP. */
#include "node/exposition_priv.h"

void
exposition_put_groups(struct scrape *scrape)
{
    (void)scrape;
}
