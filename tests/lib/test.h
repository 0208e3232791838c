/* tests/lib/test.h - cmocka with the includes it wants, and TAP output. */
#ifndef TESTS_LIB_TEST_H
#define TESTS_LIB_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A fresh scratch directory under $TMPDIR; removed by test_dir_remove. */
void test_dir_make(char *out, size_t size);
void test_dir_remove(const char *path);

/* The seed of a random test: $TEST_SEED when set, else the one given. */
uint64_t test_seed(uint64_t fallback);

/* Runs one group and returns the exit code; TAP on standard output. */
#define TEST_MAIN(...)                                    \
    int main(void)                                        \
    {                                                     \
        const struct CMUnitTest tests[] = {__VA_ARGS__};  \
        cmocka_set_message_output(CM_OUTPUT_TAP);         \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

#endif
