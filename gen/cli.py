#!/usr/bin/env python3
"""The reference page and the manual pages of the command line, as the binary prints them from its own table of commands.

  gen/cli.py page      writes docs/reference/cli.md
  gen/cli.py man DIR   writes moldau.1 and a moldau-FAMILY.1 for each family of commands into DIR
  gen/cli.py --check   says whether that page is up to date (exit 1 when not)

The binary is build/release's, or what $MOLDAU names.
"""
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "cli.md"


def ask(*words):
    binary = os.environ.get("MOLDAU") or ROOT / "build/release/src/node/moldau"
    return subprocess.run([binary, "help", *words], stdout=subprocess.PIPE, check=True, text=True).stdout


def page_text():
    return ask("--markdown")


def write_man(directory):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "moldau.1").write_text(ask("--man"))
    families = re.findall(r"^## (\S+)$", page_text(), re.M)
    for family in families:
        (directory / f"moldau-{family}.1").write_text(ask("--man", family))


def main():
    match sys.argv[1:]:
        case ["page"]:
            PAGE.write_text(page_text())
        case ["man", directory]:
            write_man(pathlib.Path(directory))
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
