"""TAP from Python: each test is a function with @test whose docstring or name is the promise."""
import os
import random
import sys
import time
import traceback

import sanitize

_tests = []


class Skip(Exception):
    """Raised by a test that cannot run here, with the reason."""


def test(function):
    _tests.append(function)
    return function


def check(condition, message="check failed"):
    if not condition:
        raise AssertionError(message)


def equal(got, want, what="value"):
    if got != want:
        raise AssertionError(f"{what}: got {str(got)[:300]!r}, want {str(want)[:300]!r}")


def plain_only(what):
    """For a test of what a sanitizer changes."""
    if sanitize.KIND:
        raise Skip(f"{what} under the {sanitize.KIND} sanitizer: not the node's")


def eventually(condition, timeout_s=20, what="condition", every_s=0.05):
    """Waits until condition() is true and gives its value."""
    timeout_s = sanitize.stretched(timeout_s)
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(every_s)


def seed():
    """The seed of this run: $TEST_SEED, else a fresh one; printed, so that a failure can be replayed."""
    value = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"# TEST_SEED={value}", flush=True)
    return value


def main(setup=None, teardown=None):
    """Runs every @test in order of definition. setup() gives the argument that each test is handed.
    A test during which any process of the build reports to a sanitizer has failed."""
    only = sys.argv[1:]
    chosen = [t for t in _tests if not only or any(o in t.__name__ for o in only)]
    print(f"1..{len(chosen)}", flush=True)
    context, failed, blocked = None, 0, None
    try:
        try:
            context = setup() if setup else None
        except Skip as e:
            for number, function in enumerate(chosen, 1):
                print(f"ok {number} - {function.__name__} # SKIP {e}")
            return 0
        except Exception:
            blocked = traceback.format_exc()
        for number, function in enumerate(chosen, 1):
            start = time.monotonic()
            try:
                if blocked:
                    reason, blocked = blocked, "the reason is above"
                    raise AssertionError("set-up failed: " + reason)
                function(*([context] if setup else []))
                reports = sanitize.new_reports()
                check(not reports, "reported: " + "".join(reports)[:8000])
                print(f"ok {number} - {function.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            except Skip as e:
                print(f"ok {number} - {function.__name__} # SKIP {e}", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {number} - {function.__name__}", flush=True)
                print("\n".join("# " + l for l in traceback.format_exc().splitlines()), flush=True)
    finally:
        if teardown and context is not None:
            if failed:
                logs = getattr(context, "log_tail", lambda: "")()
                print("\n".join("# server: " + l for l in logs.splitlines()), flush=True)
            teardown(context)
    return 1 if failed else 0
