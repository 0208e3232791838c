#!/usr/bin/env python3
"""Generates the protocol's C code and reference page from spec/messages/ and spec/errors.json.

  generate.py --list            the files that --out writes, one a line (for meson)
  generate.py --out DIR         struct headers and codec tables
  generate.py --docs            brings docs/reference/protocol.md and its pages up to date
  generate.py --check           exit code 1 when one of them is out of date
"""
import pathlib
import sys

import emit_c
import emit_docs
import spec

# One C file for each group of kinds keeps compiling parallel and files short enough.
GROUPS = {"tables_request.c": ("request", "header"), "tables_response.c": ("response",),
          "tables_record.c": ("metadata", "offsets", "transaction", "share", "remote_log",
                              "control", "data")}
DOCS = spec.ROOT / "docs" / "reference"


def outputs(messages):
    files = {"error_codes.h": lambda: emit_c.error_codes_h(spec.load_errors()),
             "tables_index.c": lambda: emit_c.index_table(messages)}
    for name, kinds in GROUPS.items():
        group = [m for m in messages if m.kind in kinds]
        files[name] = lambda group=group, name=name: emit_c.tables(group, name)
    files["api_keys.h"] = lambda: emit_c.api_keys(messages)
    for m in messages:
        files[m.snake + ".h"] = lambda m=m: emit_c.header(m)
    return files


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main(args):
    messages = spec.load_messages()
    if args == ["--list"]:
        print("\n".join(outputs(messages)))
    elif args[:1] == ["--out"] and len(args) == 2:
        for name, text in outputs(messages).items():
            write_if_changed(pathlib.Path(args[1]) / name, text())
    elif args == ["--docs"]:
        for name, text in emit_docs.pages(messages, spec.load_errors()).items():
            (DOCS / name).parent.mkdir(parents=True, exist_ok=True)
            write_if_changed(DOCS / name, text)
    elif args == ["--check"]:
        stale = [name for name, text in emit_docs.pages(messages, spec.load_errors()).items()
                 if not (DOCS / name).exists() or (DOCS / name).read_text() != text]
        for name in stale:
            print(f"docs/reference/{name} is out of date: run python3 gen/generate.py --docs")
        return 1 if stale else 0
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
