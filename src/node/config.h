/* node/config.h - the node's static configuration: Kafka's keys from a properties file, from
 * MOLDAU_<KEY> variables and from --set key=value, later ones winning, over Kafka's defaults.
 *
 * Every problem is collected, each with where it stands and what to write instead; a node with
 * problems does not start. Unknown keys are warnings, as other programs' keys may stand in the
 * same file. After loading it is constant, any thread. */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "os/env.h"

struct node_config;

struct node_config_opts {
    const char *path;       /* properties file; NULL for none */
    const char *const *set; /* "key=value" texts */
    int set_count;
    const char *set_name;     /* what problems call these; NULL: --set */
    char *const *environment; /* the process's, NULL-terminated; NULL for none */
};

/* INVALID when there are problems: one per line in `problems`. Warnings go there too, marked. */
MUST_USE enum err node_config_load(struct env *env, const struct node_config_opts *opts,
    struct buf *problems, struct node_config **out);
void node_config_free(struct node_config **config);

/* The value as written, or the default; STR_NULL when there is neither. The key must exist. */
struct str node_config_str(const struct node_config *config, const char *key);
int64_t node_config_i64(const struct node_config *config, const char *key);
bool node_config_bool(const struct node_config *config, const char *key);
/* Of log.level. */
enum diag_level node_config_diag_level(const struct node_config *config);
/* Set by the user (not defaulted). */
bool node_config_is_set(const struct node_config *config, const char *key);
/* Calls fn for each key that was set, known or not; for DescribeConfigs. */
void node_config_each(const struct node_config *config,
    void (*fn)(void *ctx, struct str key, struct str value), void *ctx);

#endif
