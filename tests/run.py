#!/usr/bin/env python3
"""Runs test programs that speak TAP, side by side, and counts what they say.

usage: tests/run.py [-j N] [--timeout SECONDS] KIND=PROGRAM[ ARG...] ...

Each argument names a kind (unit, sim, ...) and one program. A program that dies, times out, prints
no result or prints `not ok` has failed; its output is shown. The last line is
`N passed, N failed, N skipped`; the exit code is 1 when anything failed.
With TEST_SANITIZER set (lib/sanitize.py) a program has failed, too, when any process it started made a report.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
import sanitize  # noqa: E402

RESULT = re.compile(r"^\s*(not ok|ok)\b\s*(\d+)?\s*(?:-\s*)?(.*)$")
REPORTS_SHOWN = 10
SHOWN_LINES = 400 if sanitize.KIND else 120
SKIP = re.compile(r"#\s*skip\b", re.IGNORECASE)


def run_one(kind, command, timeout):
    """One program to its end: (kind, command, passed, failed, skipped, seconds, output, failures)."""
    if not sanitize.KIND:
        return run_under(kind, command, timeout, {})
    with tempfile.TemporaryDirectory(prefix="moldau-reports-") as reports:
        return run_under(kind, command, timeout, {"TEST_REPORTS": reports, **sanitize.options(reports)})


def run_under(kind, command, timeout, variables):
    start = time.monotonic()
    proc = subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, start_new_session=True, env={**os.environ, **variables})
    timed_out = False
    try:
        out, _ = proc.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        os.killpg(proc.pid, signal.SIGKILL)
        out, _ = proc.communicate()
    text = out.decode("utf-8", "replace")
    passed, skipped, failures = 0, 0, []
    for line in text.splitlines():
        match = RESULT.match(line)
        if not match:
            continue
        if match.group(1) == "not ok":
            failures.append(match.group(3) or line)
        elif SKIP.search(line):
            skipped += 1
        else:
            passed += 1
    if timed_out:
        failures.append(f"timed out after {timeout} s")
    elif proc.returncode != 0 and not failures:
        failures.append(f"exit code {proc.returncode}")
    elif passed + skipped + len(failures) == 0:
        failures.append("printed no result")
    reports = sanitize.new_reports(variables.get("TEST_REPORTS"))
    for report in reports[:REPORTS_SHOWN]:
        text += "\n" + report
        failures.append("report of a sanitizer: " + sanitize.summary(report))
    if len(reports) > REPORTS_SHOWN:
        failures.append(f"{len(reports) - REPORTS_SHOWN} more reports of a sanitizer")
    return kind, command, passed, skipped, failures, time.monotonic() - start, text


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=os.cpu_count())
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("programs", nargs="*")
    args = parser.parse_args()
    jobs = [p.split("=", 1) for p in args.programs]
    per_kind = collections.defaultdict(lambda: [0, 0, 0, 0.0])
    with concurrent.futures.ThreadPoolExecutor(args.j) as executor:
        futures = [executor.submit(run_one, kind, command, args.timeout) for kind, command in jobs]
        for future in concurrent.futures.as_completed(futures):
            kind, command, passed, skipped, failures, seconds, text = future.result()
            total = per_kind[kind]
            total[0] += passed
            total[1] += len(failures)
            total[2] += skipped
            total[3] += seconds
            name = os.path.basename(shlex.split(command)[0])
            state = "FAILED" if failures else "ok"
            print(f"{state:6} {kind:12} {name}: {passed} passed, {len(failures)} failed"
                  f"{f', {skipped} skipped' if skipped else ''} ({seconds:.1f} s)", flush=True)
            if failures:
                print("\n".join("    | " + line for line in text.splitlines()[-SHOWN_LINES:]))
                for failure in failures:
                    print(f"    -> {failure}")
                print(f"    run again: {command}", flush=True)
            else:
                for line in text.splitlines():
                    if SKIP.search(line):
                        print("    " + line.strip())
    print()
    print(f"{'kind':12} {'passed':>8} {'failed':>8} {'skipped':>8} {'seconds':>8}")
    for kind, (passed, failed, skipped, seconds) in sorted(per_kind.items()):
        print(f"{kind:12} {passed:8} {failed:8} {skipped:8} {seconds:8.1f}")
    passed, failed, skipped = (sum(v[i] for v in per_kind.values()) for i in range(3))
    tail = f", {skipped} skipped" if skipped else ""
    print(f"{passed} passed, {failed} failed{tail}")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
