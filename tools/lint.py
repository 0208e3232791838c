#!/usr/bin/env python3
"""The house rules that a program can check. Run by script/lint; prints each breach, exit 1 when any.

  tools/lint.py BUILD_DIR      all checks; BUILD_DIR is a finished build (for include paths and symbols)
  tools/lint.py --figures BUILD_DIR   lines per module, longest file and function, mutable globals
"""
import json
import pathlib
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
FILE_LINES_MAX, FUNCTION_LINES_MAX, LINE_COLUMNS_MAX, MODULE_LINES_MAX = 1000, 100, 100, 12000
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
# Words that say nothing to a reader of the project, or that must not be in it.
FORBIDDEN_TEXT = re.compile(r"/work/|\bTODO\b|\bFIXME\b|\bXXX\b(?!X)")


def c_files(*folders):
    return sorted(p for f in folders for p in (ROOT / f).rglob("*.[ch]"))


def layers():
    allowed = {}
    for line in (ROOT / "tools" / "layers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            module, _, rest = line.partition(":")
            allowed[module] = set(rest.split()) | {module}
    problems, arrows = [], 0
    for path in c_files("src"):
        module = path.relative_to(SRC).parts[0]
        if module not in allowed:
            problems.append(f"{path.relative_to(ROOT)}: module {module} is not in tools/layers.txt")
            continue
        for target in INCLUDE.findall(path.read_text()):
            other = target.split("/")[0]
            if other == "moldau":
                continue
            if "/" not in target:
                problems.append(f'{path.relative_to(ROOT)}: include "{target}" is not a full path from src/')
            elif other != module:
                arrows += 1
                if "*" not in allowed[module] and other not in allowed[module]:
                    problems.append(f"{path.relative_to(ROOT)}: {module} may not include {other} ({target})")
                if target.endswith("_priv.h"):
                    problems.append(f"{path.relative_to(ROOT)}: {target} is private to {other}")
    return problems, f"layers: {arrows} arrows between modules, {len(problems)} wrong"


def functions():
    """(lines, name, path) of every function, by ctags."""
    files = [str(p) for p in c_files("src")]
    out = subprocess.run(["ctags", "--output-format=json", "--fields=+ne", "--kinds-C=f", "-f", "-", "-L", "-"],
                         input="\n".join(files), capture_output=True, text=True, check=True).stdout
    rows = []
    for line in out.splitlines():
        tag = json.loads(line)
        if "end" in tag:
            rows.append((tag["end"] - tag["line"] + 1, tag["name"], str(pathlib.Path(tag["path"]).relative_to(ROOT))))
    return sorted(rows, reverse=True)


def sizes():
    problems = []
    for path in c_files("src", "tests", "bench", "examples", "include"):
        lines = path.read_text().splitlines()
        where = path.relative_to(ROOT)
        if len(lines) > FILE_LINES_MAX:
            problems.append(f"{where}: {len(lines)} lines, at most {FILE_LINES_MAX}")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS_MAX:
                problems.append(f"{where}:{number}: {len(line)} columns, at most {LINE_COLUMNS_MAX}")
    for count, name, where in functions():
        if count > FUNCTION_LINES_MAX:
            problems.append(f"{where}: {name} has {count} lines, at most {FUNCTION_LINES_MAX}")
    return problems, f"sizes: {len(problems)} too large"


def texts():
    problems = []
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in tracked:
        path = ROOT / name
        if not name or not path.is_file() or name == "tools/lint.py" or path.suffix in {".bin", ".log", ".index"}:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if FORBIDDEN_TEXT.search(line):
                problems.append(f"{name}:{number}: {line.strip()[:90]}")
    return problems, f"texts: {len(problems)} that should not be there"


def formatted():
    files = [str(p) for p in c_files("src", "tests", "bench", "examples", "include")]
    bad = []

    def check(chunk):
        out = subprocess.run(["clang-format", "--dry-run", "-Werror", *chunk], capture_output=True, text=True).stderr
        return {m.group(1) for m in re.finditer(r"^(.+?):\d+:\d+: error: code should be clang-formatted", out, re.M)}

    with ThreadPoolExecutor() as executor:
        for found in executor.map(check, [files[i:i + 20] for i in range(0, len(files), 20)]):
            bad += found
    problems = [f"{pathlib.Path(p).relative_to(ROOT)}: run clang-format -i" for p in sorted(bad)]
    return problems, f"format: {len(files)} files, {len(problems)} to format"


def headers(build):
    """Every header compiles as a unit of its own, in C."""
    commands = json.loads((build / "compile_commands.json").read_text())
    flags = next(shlex.split(c["command"]) for c in commands if c["file"].endswith("src/node/main.c"))
    includes = [f for f in flags if f.startswith("-I")]
    paths = [p for p in c_files("src", "include")]

    def check(path):
        out = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", "-Wall", "-Werror", *includes, "-x", "c", str(path)],
                             cwd=build, capture_output=True, text=True)
        return None if out.returncode == 0 else f"{path.relative_to(ROOT)} does not compile alone: {out.stderr.splitlines()[0] if out.stderr else ''}"

    with ThreadPoolExecutor() as executor:
        problems = [r for r in executor.map(check, [p for p in paths if p.suffix == ".h"]) if r]
    return problems, f"headers: {sum(p.suffix == '.h' for p in paths)} compiled alone, {len(problems)} failed"


def mutable_globals(build):
    """Objects of the product that have writable data outside base/alloc and os (thread-local and const apart)."""
    found = []
    for obj in sorted((build / "src").rglob("*.o")):
        # Constants with pointers stand in .data.rel.ro, thread-locals in .tdata and .tbss.
        out = subprocess.run(["objdump", "-t", str(obj)], capture_output=True, text=True).stdout
        for line in out.splitlines():
            match = re.match(r"[0-9a-f]+ .{6}O (\.data|\.bss|\*COM\*)(?!\.rel\.ro)\S*\s+[0-9a-f]+ (\S+)$", line)
            if match:
                found.append((str(obj.relative_to(build / "src")), match[2]))
    allowed = {line.split("#")[0].strip() for line in (ROOT / "tools" / "globals.txt").read_text().splitlines()}
    problems = [f"{obj}: {name} is writable; put it in a struct or in tools/globals.txt with its reason"
                for obj, name in found if name not in allowed]
    return problems, f"globals: {len(problems)} writable"


def generated():
    problems = []
    for script in sorted((ROOT / "gen").glob("*.py")):
        text = script.read_text()
        if '"--check"' not in text:
            continue
        out = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
        if out.returncode != 0:
            problems.append((out.stdout + out.stderr).strip())
    return problems, f"generated: {len(problems)} pages out of date"


def figures(build):
    print(f"{'module':10} {'files':>6} {'lines':>7}")
    for module in sorted(p for p in SRC.iterdir() if p.is_dir()):
        files = list(module.rglob("*.[ch]"))
        print(f"{module.name:10} {len(files):6} {sum(len(f.read_text().splitlines()) for f in files):7}")
    longest = max((len(p.read_text().splitlines()), str(p.relative_to(ROOT))) for p in c_files("src"))
    lines, name, where = functions()[0]
    print(f"longest file: {longest[1]}, {longest[0]} lines")
    print(f"longest function: {name} in {where}, {lines} lines")
    print(mutable_globals(build)[1])
    print(layers()[1])


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--figures":
        figures(pathlib.Path(sys.argv[2]).resolve())
        return 0
    build = pathlib.Path(sys.argv[1]).resolve()
    failed = False
    for problems, summary in (layers(), sizes(), texts(), formatted(), headers(build), mutable_globals(build), generated()):
        for problem in problems:
            print(f"  {problem}")
        print(("FAILED " if problems else "ok     ") + summary)
        failed = failed or bool(problems)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
