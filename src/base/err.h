/* base/err.h - the one error enum of the program, for what can go wrong in the environment.
 *
 * Kafka's protocol errors are another, generated enum (proto/error_codes.h); broker/err_map.c is
 * the only place where one becomes the other. Three fates: a programmer's error asserts, an
 * environment's error is returned, doubt about durability marks the object failed for good.
 * (WRONG_STATE, because OpenSSL owns the name ERR_STATE.) */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/attr.h"

#define ERR_LIST(X)                                   \
    X(OK, "ok")                                       \
    X(NOMEM, "out of memory or over a memory budget") \
    X(IO, "input/output error")                       \
    X(NOSPACE, "no space left on device")             \
    X(NOTFOUND, "not found")                          \
    X(EXISTS, "exists already")                       \
    X(PERM, "permission denied")                      \
    X(BUSY, "held by another")                        \
    X(AGAIN, "would block")                           \
    X(CLOSED, "closed by the peer")                   \
    X(REFUSED, "connection refused")                  \
    X(TIMEOUT, "timed out")                           \
    X(CANCELED, "canceled")                           \
    X(LIMIT, "a limit was reached")                   \
    X(FULL, "no room left")                           \
    X(RANGE, "out of range")                          \
    X(INVALID, "invalid argument or input")           \
    X(CORRUPT, "corrupt data")                        \
    X(TRUNCATED, "input ends too early")              \
    X(UNSUPPORTED, "not supported")                   \
    X(WRONG_STATE, "not possible in this state")      \
    X(FAILED, "failed earlier and is out of service")

enum err {
#define X(name, text) ERR_##name,
    ERR_LIST(X)
#undef X
};

/* Static text of an error, never NULL. */
const char *err_text(enum err err);

/* The name without its prefix, e.g. "NOSPACE"; for logs and tests. */
const char *err_name(enum err err);

#endif
