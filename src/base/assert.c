#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void
assert_failed(const char *file, int line, const char *func, const char *expr)
{
    fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, func, expr);
    fflush(stderr);
    abort();
}
