/* broker/config_resource.h - resources whose configuration belongs to one broker: the broker itself
 * and its logger. */
#ifndef BROKER_CONFIG_RESOURCE_H
#define BROKER_CONFIG_RESOURCE_H

#include <stdbool.h>

#include "base/diag.h"
#include "broker/request.h"
#include "proto/error_codes.h"

/* Whether a broker's resource name means this broker; empty means the default of all, where that is
 * allowed. On false *why is a sentence in the arena. */
bool broker_resource_is_here(
    struct broker_req *req, struct str name, bool empty_allowed, struct str *why);

struct str broker_logger_level_name(enum diag_level level);
/* Sets or checks the level of the one logger, "root". op is an AlterConfigOp; NONE, INVALID_CONFIG
 * or INVALID_REQUEST with a sentence. */
enum proto_error broker_logger_alter(struct broker_req *req, struct str logger, int8_t op,
    struct str level, bool validate_only, struct str *why);

#endif
