"""The sanitizer that tests run under: script/test --sanitizer, or TEST_SANITIZER=address|thread by hand.

Picks the build, stretches times, and collects what any process of the build reports: each report is a file in
TEST_REPORTS, which tests/run.py makes for each program and looks through at its end, and tap.main after each test.
"""
import atexit
import glob
import os
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KIND = os.environ.get("TEST_SANITIZER", "")
BUILD = os.path.join(ROOT, "build", {"": "release", "address": "asan", "thread": "tsan"}[KIND])
SUPPRESSED = os.path.join(ROOT, "tests/lib/sanitize_{}.supp")
MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "WARNING: ThreadSanitizer",
         "ERROR: ThreadSanitizer", "FATAL: ThreadSanitizer")
_read = {}  # path: how much of it was looked at


def stretched(seconds):
    """Times that are generous for a plain build, for this one: the only factor there is."""
    return seconds * {"": 1, "address": 4, "thread": 10}[KIND]


def options(reports):
    """Variables for processes of the build: where they report to, and that they go on where they can."""
    at = f"log_path={reports}/"
    return {
        "ASAN_OPTIONS": f"{at}address:allocator_may_return_null=1:exitcode=86",
        "LSAN_OPTIONS": f"suppressions={SUPPRESSED.format('leak')}:print_suppressions=0",
        "UBSAN_OPTIONS": f"{at}undefined:print_stacktrace=1",
        "TSAN_OPTIONS": f"{at}thread:suppressions={SUPPRESSED.format('thread')}:print_suppressions=0:"
                        "second_deadlock_stack=1:history_size=4:exitcode=86",
    }


def runtime(binary):
    """The library of the sanitizer that a binary is linked with, which has to be the first of LD_PRELOAD; else None."""
    for line in subprocess.run(["ldd", binary], stdout=subprocess.PIPE, check=False).stdout.decode().splitlines():
        if "libasan." in line or "libtsan." in line:
            return line.split("=>")[1].split()[0]
    return None


def merged(environment, more, binary):
    """The variables of both for a process of the build: options of a sanitizer are joined, preloads come after its runtime."""
    result = {**environment, **more}
    for name in options(""):
        if environment.get(name) and more.get(name):
            result[name] = environment[name] + ":" + more[name]
    first = runtime(binary) if more.get("LD_PRELOAD") else None
    if first:
        result["LD_PRELOAD"] = first + " " + more["LD_PRELOAD"]
    return result


def summary(report):
    """The first line of a report that says what it is."""
    lines = [line for line in report.splitlines() if "SUMMARY:" in line or "runtime error:" in line]
    return lines[0] if lines else next(line for line in report.splitlines() if any(mark in line for mark in MARKS))


def preloaded(library):
    """Variables for a program that was not built with the sanitizer and loads a library that was."""
    first = runtime(library)
    return {"LD_PRELOAD": first} if first else {}


def new_reports(directory=None):
    """What was reported since the last call: [text], one for each process."""
    found = []
    for path in sorted(glob.glob(os.path.join(directory or os.environ.get("TEST_REPORTS") or "/nonexistent", "*"))):
        with open(path, "rb") as file:
            file.seek(_read.get(path, 0))
            data = file.read()
        _read[path] = _read.get(path, 0) + len(data)
        text = data.decode("utf-8", "replace")
        if any(mark in text for mark in MARKS):
            found.append(text)
    return found


def _start():
    if "TEST_REPORTS" not in os.environ:
        os.environ["TEST_REPORTS"] = tempfile.mkdtemp(prefix="moldau-reports-")
        atexit.register(shutil.rmtree, os.environ["TEST_REPORTS"], True)
    os.environ.update(options(os.environ["TEST_REPORTS"]))


if KIND:
    _start()
