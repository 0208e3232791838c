"""franz-go's own tests of its client, built from the module of ../go and run in one go."""
import os
import re
import subprocess

import env

HERE = os.path.dirname(os.path.abspath(__file__))
RESULT = re.compile(r"^\s*--- (PASS|FAIL|SKIP): (\S+)", re.MULTILINE)
TIMEOUT_S = 1500


def build():
    env.need("go")
    program = os.path.join(env.CACHE, "franz-go-kgo.test")
    env.run("go", "test", "-c", "-o", program, "github.com/twmb/franz-go/pkg/kgo",
            cwd=os.path.join(HERE, "../go"), timeout_s=400)
    return program


def properties(_):
    return "", {}, ""


def runner(records):
    """run_one for suite.run: all names in one process; parts of a test run with the whole of it."""
    def run_one(program, server, names, directory):
        whole = sorted({name.partition("/")[0] for name in names})
        # 848 parts would run where the broker knows that protocol.
        skip = ["-test.skip", "/848"]
        variables = {"KGO_SEEDS": server.address, "KGO_TEST_RF": "1", "KGO_TEST_RECORDS": str(records),
                     "KGO_LOG_LEVEL": "none", "KGO_TEST_MAX_TOPIC_PARTS": "11"}
        path = os.path.join(directory, "output")
        with open(path, "wb") as out:
            subprocess.run([program, "-test.v", "-test.timeout", f"{TIMEOUT_S}s", *skip,
                            "-test.run", "^(" + "|".join(whole) + ")$"],
                           cwd=directory, env={**os.environ, **variables}, stdout=out, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, timeout=TIMEOUT_S + 60)
        with open(path, errors="replace") as f:
            text = f.read()
        states = {name: state for state, name in RESULT.findall(text)}
        return {name: (states.get(name) == "PASS", around(text, name, states.get(name))) for name in names}
    return run_one


def around(text, name, state):
    """The lines on a test: what follows its result, or the end when it has none (a panic)."""
    if not state:
        return text[-4000:]
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if RESULT.match(line) and f": {name} " in line)
    return "\n".join(lines[max(0, at - 10):at + 25])
