#!/usr/bin/env python3
"""Programs under script/ refuse what they do not know, at once, and explain themselves."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import tap
from sanitize import stretched
from tap import check, equal, test

SCRIPTS = ("bench", "build", "lint", "server", "setup", "test")


def run(name, *args):
    done = subprocess.run([os.path.join(broker.ROOT, "script", name), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=stretched(20), cwd="/")
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@test
def unknown_options_are_refused_with_the_usage():
    for name in SCRIPTS:
        for args in (["--no-such-option"], ["-Q"]):
            code, out, err = run(name, *args)
            equal((code, out), (2, ""), f"script/{name} {args}")
            check(args[0] in err and ("usage" in err or f"script/{name}" in err), err)


@test
def help_is_given_without_doing_anything():
    for name in SCRIPTS:
        for option in ("--help", "-h"):
            code, out, err = run(name, option)
            equal((code, err), (0, ""), f"script/{name} {option}")
            check(len(out) > 40, out)


@test
def a_variant_that_is_none_is_refused():
    code, _, err = run("build", "relaese")
    equal(code, 2, "exit code")
    check("no variant 'relaese'" in err and "release" in err, err)


if __name__ == "__main__":
    sys.exit(tap.main())
