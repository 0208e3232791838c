"""`moldau COMMAND` for tests: what it prints, its JSON, its exit code."""
import json
import os
import subprocess

import broker
from sanitize import stretched
from tap import check, equal

OK, FAILED, USAGE, NOT_FOUND, UNHEALTHY = 0, 1, 2, 3, 4


def run(server, *args, stdin=b"", code=OK, env=None):
    """Runs `moldau ARGS` against a broker.Server or an address; gives what it wrote to standard output and to standard error.
    The exit code must be `code`; None takes any. env: more variables; None takes one away."""
    address = server.address if hasattr(server, "address") else server
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}
    variables = {**clean, "MOLDAU_BROKERS": address, **(env or {})}
    done = subprocess.run([broker.binary(), *map(str, args)], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=stretched(60), env={k: v for k, v in variables.items() if v is not None})
    out, err = done.stdout.decode(), done.stderr.decode()
    if code is not None and done.returncode != code:
        raise AssertionError(f"moldau {args}: exit code {done.returncode}, want {code}\n{out[-1500:]}\n{err[-1500:]}")
    return out, err


def js(server, *args, **options):
    return json.loads(run(server, *args, "-o", "json", **options)[0])


def says(text, *parts):
    for part in parts:
        check(part in text, f"{part!r} is not in {text!r}")


def keys(rows, *names):
    """Exactly these fields, in this order: programs rely on them."""
    check(rows, "no rows")
    equal(list(rows[0] if isinstance(rows, list) else rows), list(names), "fields")
