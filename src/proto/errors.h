/* proto/errors.h - the error codes of a response, wherever in it they stand.
 *
 * A map of the fields is made once for each type of response; reading then goes only where codes
 * are. Made maps are constant, any thread. */
#ifndef PROTO_ERRORS_H
#define PROTO_ERRORS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "proto/schema.h"

struct proto_errors;

/* OK with *out NULL when messages of this schema have no codes. */
MUST_USE enum err proto_errors_new(const struct proto_schema *schema, struct proto_errors **out);
void proto_errors_free(struct proto_errors **map); /* nulls; NULL is fine */

/* Calls fn for every code in msg, a struct of that schema, NONE too; in no promised order. Fields
 * that a version lacks count with their default, as in Kafka. map NULL: no codes. */
void proto_errors_each(const struct proto_errors *map, const void *msg,
    void (*fn)(void *ctx, int16_t code), void *ctx);

#endif
