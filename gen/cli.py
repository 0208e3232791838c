#!/usr/bin/env python3
"""The reference page of the command line, as the binary prints it from its own table of commands.

  gen/cli.py page      writes docs/reference/cli.md
  gen/cli.py --check   says whether that page is up to date (exit 1 when not)

The binary is build/release's, or what $MOLDAU names.
"""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"


def page_text():
    binary = os.environ.get("MOLDAU") or ROOT / "build/release/src/node/moldau"
    return subprocess.run([binary, "help", "--markdown"], stdout=subprocess.PIPE, check=True, text=True).stdout


def main():
    match sys.argv[1:]:
        case ["page"]:
            PAGE.write_text(page_text())
        case ["--check"]:
            if not PAGE.exists() or PAGE.read_text() != page_text():
                print("docs/reference/cli.md is out of date: run gen/cli.py page")
                return 1
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
