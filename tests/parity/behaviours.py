"""docs/behaviours.md names tests; this says which of them are not there."""
import fnmatch
import os
import re

import cases

ROOT = os.path.dirname(os.path.dirname(cases.HERE))


def missing():
    with open(os.path.join(ROOT, "docs/behaviours.md")) as f:
        named = re.findall(r"`((?:parity |tests/)[^`]+)`", f.read())
    held, out = {}, []
    for one in named:
        if one.startswith("parity "):
            file, wanted = one[len("parity "):].split("/", 1)
            if file not in held:
                path = os.path.join(cases.CASES, file + ".jsonl")
                held[file] = [c["name"] for c in cases.load(path)[1]] if os.path.exists(path) else []
            if not fnmatch.filter(held[file], wanted):
                out.append(one)
        elif ": " in one:
            path, name = one.split(": ", 1)
            try:
                with open(os.path.join(ROOT, path)) as f:
                    found = name in f.read()
            except OSError:
                found = False
            if not found:
                out.append(one)
        elif not os.path.exists(os.path.join(ROOT, one)):
            out.append(one)
    return out, len(named)
