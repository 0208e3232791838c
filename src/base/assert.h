/* base/assert.h - assertions, graded, on in production.
 *
 * They check this program, never the peer and never the disk: bytes from outside reach an error
 * code. ASSERT is always on; ASSERT_SLOW only where MOLDAU_SLOW_CHECKS is defined (debug, sanitizer
 * and simulation builds). No side effects inside. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/attr.h"

NORETURN void assert_failed(const char *file, int line, const char *func, const char *expr);

#define ASSERT(expr) (LIKELY(expr) ? (void)0 : assert_failed(__FILE__, __LINE__, __func__, #expr))

#ifdef MOLDAU_SLOW_CHECKS
#define ASSERT_SLOW(expr) ASSERT(expr)
#else
#define ASSERT_SLOW(expr) ((void)sizeof(expr))
#endif

#define UNREACHABLE() assert_failed(__FILE__, __LINE__, __func__, "unreachable")

#endif
