/* broker/err_map.h - the one place where this program's errors become Kafka's. */
#ifndef BROKER_ERR_MAP_H
#define BROKER_ERR_MAP_H

#include "base/err.h"
#include "log/reject.h"
#include "proto/error_codes.h"

/* What the environment said, e.g. of a partition's storage. */
enum proto_error broker_code_of_err(enum err err);
/* What the metadata side said of a request that it did not answer (meta/port.h). */
enum proto_error broker_code_of_controller(enum err err);
enum proto_error broker_code_of_reject(enum log_reject reject);

#endif
