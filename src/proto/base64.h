/* proto/base64.h - the standard alphabet with padding, as JSON carries bytes. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"

void proto_base64_append(struct buf *out, struct bytes b);
/* Copies to the arena. INVALID for anything but whole, padded base64; NOMEM. */
MUST_USE enum err proto_base64_parse(struct str text, struct arena *arena, struct bytes *out);

#endif
