"""A foreign test suite run against a broker: the list of its tests, the run, and what it said as TAP.

The list (tests.tsv beside the runner) has one test a line: NAME, STATUS, NOTE, separated by tabs.
  run     passes on Apache Kafka, so it must pass here
  later   passes on Apache Kafka and does not here yet; NOTE tells why
  apache  does not pass on Apache Kafka; NOTE tells why
  out     not wanted; NOTE begins with the reason: mock, transactions, kip848, share, security,
          brokers (needs several), manual, ...
usage: run_night [--apache] [--write] [--jobs N] [--keep DIRECTORY] [NAME-PART...]
  --apache  runs what is `run`, `later` or `apache` against Apache Kafka and tells where the list is wrong
  --write   with --apache: writes what was found into the list
"""
import argparse
import concurrent.futures
import os
import re
import tempfile
import time

import broker
from tap import Skip


class Test:
    def __init__(self, name, status, note=""):
        self.name, self.status, self.note = name, status, note


def read(path):
    tests = []
    for line in open(path, encoding="utf-8"):
        if line.strip() and not line.startswith("#"):
            tests.append(Test(*line.rstrip("\n").split("\t")))
    return tests


def write(path, tests):
    head = [line for line in open(path, encoding="utf-8") if line.startswith("#")]
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(head + ["\t".join([t.name, t.status, t.note]) + "\n" for t in tests])


def options(default_jobs=2):
    parser = argparse.ArgumentParser()
    parser.add_argument("--apache", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--jobs", type=int, default=default_jobs)
    parser.add_argument("--keep", help="where outputs of tests go (else a directory that is removed)")
    parser.add_argument("names", nargs="*")
    return parser.parse_args()


def shown(output):
    """The end of a failed test's output without colours, as TAP comments."""
    text = re.sub(r"\x1b\[[0-9;]*m|\x1b\(B", "", output)
    return "\n".join("# " + line for line in text.splitlines()[-40:])


class Report:
    """The TAP lines of a run; corrects the status of tests in a run on Apache Kafka."""

    def __init__(self, correct, kind):
        self.correct, self.kind, self.number, self.failed = correct, kind, 0, 0

    def tell(self, group, results, seconds, remark=""):
        for t in group:
            self.number += 1
            passed, output = results.get(t.name, (False, "did not run"))
            self.failed += not passed
            print(f"{'ok' if passed else 'not ok'} {self.number} - {t.name} ({seconds:.0f} s{remark})", flush=True)
            if not passed:
                print(shown(output), flush=True)
            if self.correct and passed == (t.status == "apache"):
                print(f"# the list says {t.status}, {self.kind} {'passes' if passed else 'fails'}", flush=True)
                t.status = "run" if passed else "apache"


def run(path, args, prepare, run_one, properties):
    """Runs the tests of the list at `path` and gives the exit code.

    prepare() gives what run_one(prepared, server, names, directory) needs; run_one gives
    {name: (passed, output)} for the names, which share one key: properties(name) is
    (key, broker properties, group), tests of one key share a broker, those of one group a call.
    """
    tests = read(path)
    kind = "apache" if args.apache else "moldau"
    chosen = [t for t in tests
              if (t.status in ("run", "later", "apache") if args.apache else t.status == "run") and
              (not args.names or any(part in t.name for part in args.names))]
    print(f"1..{len(chosen)}", flush=True)
    try:
        prepared = prepare()
    except Skip as e:
        for number, t in enumerate(chosen, 1):
            print(f"ok {number} - {t.name} # SKIP {e}")
        return 0
    with tempfile.TemporaryDirectory(prefix="moldau-suite-") as temporary:
        directory = args.keep or temporary
        os.makedirs(directory, exist_ok=True)
        servers, groups = {}, {}
        for t in chosen:
            key, props, group = properties(t.name)
            if key not in servers:
                servers[key] = broker.Server(kind, props=props).start()
            groups.setdefault((key, group), []).append(t)
        report = Report(args.apache, kind)
        again = []
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as executor:
            started = {executor.submit(timed, run_one, prepared, servers[key], [t.name for t in group], directory): (key, group)
                       for (key, _), group in groups.items()}
            for future in concurrent.futures.as_completed(started):
                (key, group), (results, seconds) = started[future], future.result()
                if all(results.get(t.name, (False, ""))[0] for t in group):
                    report.tell(group, results, seconds)
                else:
                    again.append((key, group))
        # Many of these tests have times in them and fail beside others on a small machine: once more, alone.
        for key, group in again:
            results, seconds = timed(run_one, prepared, servers[key], [t.name for t in group], directory)
            report.tell(group, results, seconds, ", second try")
        number, failed = report.number, report.failed
        for server in servers.values():
            if kind == "apache":  # may take its time to stop; that is not what is judged
                server.close()
                continue
            died = not server.alive()
            tail = server.log_tail()
            code = server.stop()
            if died or code not in (None, 0):
                failed += 1
                print(f"not ok {number + 1} - the node ends well\n# exit code {code}\n{shown(tail)}")
            server.close()
    if args.apache and args.write:
        write(path, tests)
    return 1 if failed and not args.apache else 0


def timed(function, *arguments):
    start = time.monotonic()
    return function(*arguments), time.monotonic() - start
