#include "broker/config_resource.h"

#include "base/attr.h"
#include "broker/broker.h"
#include "meta/config_def.h"

enum { OP_SET = 0, OP_DELETE = 1, OP_APPEND = 2, OP_SUBTRACT = 3 };

bool
broker_resource_is_here(
    struct broker_req *req, struct str name, bool empty_allowed, struct str *why)
{
    int64_t id;
    int32_t self = broker_config(req->broker)->node_id;
    if (name.len == 0) {
        *why = STR("Broker id must not be empty");
        return empty_allowed;
    }
    if (!config_parse_i64(name, &id)) {
        *why = arena_printf(
            req->arena, "Broker id must be an integer, but it is: %.*s", STR_FMT(name));
        return false;
    }
    if (id != self) {
        *why = arena_printf(req->arena, "Unexpected broker id, expected %d%s but received %.*s",
            (int)self, empty_allowed ? " or empty string," : "", STR_FMT(name));
        return false;
    }
    return true;
}

static const struct str level_names[DIAG_LEVEL_COUNT] = {
    [DIAG_TRACE] = {"TRACE", 5},
    [DIAG_DEBUG] = {"DEBUG", 5},
    [DIAG_INFO] = {"INFO", 4},
    [DIAG_WARN] = {"WARN", 4},
    [DIAG_ERROR] = {"ERROR", 5},
};

struct str
broker_logger_level_name(enum diag_level level)
{
    return (size_t)level < DIAG_LEVEL_COUNT ? level_names[level] : level_names[DIAG_INFO];
}

enum proto_error
broker_logger_alter(struct broker_req *req, struct str logger, int8_t op, struct str level,
    bool validate_only, struct str *why)
{
    if (op == OP_APPEND || op == OP_SUBTRACT) {
        *why =
            arena_printf(req->arena, "%s operation is not allowed for the BROKER_LOGGER resource",
                op == OP_APPEND ? "APPEND" : "SUBTRACT");
        return PROTO_ERROR_INVALID_REQUEST;
    }
    if (op != OP_SET && op != OP_DELETE) {
        *why = arena_printf(req->arena, "Unknown operations type %d", (int)op);
        return PROTO_ERROR_INVALID_REQUEST;
    }
    if (!str_eq(logger, STR("root"))) {
        *why = arena_printf(req->arena, "Logger %.*s does not exist!", STR_FMT(logger));
        return PROTO_ERROR_INVALID_CONFIG;
    }
    if (op == OP_DELETE) {
        *why = STR("Removing the log level of the root logger is not allowed");
        return PROTO_ERROR_INVALID_REQUEST;
    }
    /* FATAL is one of Kafka's levels: the least that we can say. */
    int found = str_eq(level, STR("FATAL")) ? DIAG_ERROR : -1;
    for (int i = 0; i < DIAG_LEVEL_COUNT; i++)
        if (str_eq(level, level_names[i]))
            found = i;
    if (found < 0) {
        *why = arena_printf(req->arena,
            "Cannot set the log level of root to %.*s as it is not a supported log level. Valid "
            "log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
            STR_FMT(level));
        return PROTO_ERROR_INVALID_CONFIG;
    }
    if (!validate_only)
        diag_set_level(env_diag(broker_env(req->broker)), (enum diag_level)found);
    return PROTO_ERROR_NONE;
}
