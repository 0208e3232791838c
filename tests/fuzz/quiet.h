/* tests/fuzz/quiet.h - what the command line would print goes nowhere for a while. */
#ifndef TESTS_FUZZ_QUIET_H
#define TESTS_FUZZ_QUIET_H

#include <stdio.h>

struct quiet {
    FILE *out, *err, *nowhere;
};

static inline void
quiet_begin(struct quiet *quiet)
{
    *quiet = (struct quiet){stdout, stderr, fopen("/dev/null", "w")};
    if (quiet->nowhere != NULL)
        stdout = stderr = quiet->nowhere;
}

static inline void
quiet_end(struct quiet *quiet)
{
    stdout = quiet->out;
    stderr = quiet->err;
    if (quiet->nowhere != NULL)
        fclose(quiet->nowhere);
}

#endif
