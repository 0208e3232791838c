/* cli/when.h - moments as people write them. */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/* What when_parse takes, for error messages. */
#define WHEN_FORMS "milliseconds since 1970, 2026-01-31, 2026-01-31T08:00:00Z (or +01:00), or -2h"

enum { WHEN_TEXT_SIZE = 40 };

/* Milliseconds since 1970 (digits), a day or a second in UTC or with a zone (ISO 8601, at most
 * milliseconds), or a time ago: -10s, -30m, -2h, -7d, -500ms; "now". False when it is none. */
MUST_USE bool when_parse(const char *text, int64_t now_ms, int64_t *out_ms);

/* "2026-01-31T08:00:00.000Z"; "-" below 0. */
void when_format(int64_t ms, char out[WHEN_TEXT_SIZE]);

#endif
