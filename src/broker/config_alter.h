/* broker/config_alter.h - what IncrementalAlterConfigs and AlterConfigs share: the broker judges
 * what is its own, asks the controller for the rest, and answers for all.
 *
 * AlterConfigs is the change that sets each key that it names; that the controller deletes the
 * others is all that sets it apart. */
#ifndef BROKER_CONFIG_ALTER_H
#define BROKER_CONFIG_ALTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "broker/request.h"
#include "proto/error_codes.h"

enum { BROKER_CONFIG_SET = 0, BROKER_CONFIG_DELETE = 1 };

struct broker_config_entry {
    struct str key;
    int8_t op;
    struct str value;
};

struct broker_config_target {
    int8_t type;
    struct str name;
    struct broker_config_entry *entries;
    int32_t count;
    bool settled; /* here: the controller is not asked */
    enum proto_error code;
    struct str why;
};

struct broker_config_alter {
    bool validate_only;
    bool incremental;
    struct broker_config_target *targets;
    int32_t count;
    /* Of the request type. The request for the controller with the targets that are not settled;
     * NULL out of memory. */
    const void *(*forward)(struct broker_req *req, const struct broker_config_alter *alter);
    /* Code and text of the nth result of the controller's response; false: it has no such. */
    bool (*result)(const void *response, int32_t nth, enum proto_error *code, struct str *why);
    void (*reply)(struct broker_req *req, const struct broker_config_alter *alter);
};

/* In the request's arena, with room for the entries of `counts`; NULL out of memory. */
struct broker_config_alter *broker_config_alter_new(struct broker_req *req, int32_t count);
MUST_USE enum err broker_config_target_init(struct broker_req *req,
    struct broker_config_target *target, int8_t type, struct str name, int32_t count);
/* Takes the request to its end. */
void broker_config_alter_run(struct broker_req *req, struct broker_config_alter *alter);

#endif
