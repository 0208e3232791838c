"""What tests need beside the tree: programs of the build, and client libraries kept in build/cache."""
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys

import sanitize
from tap import Skip

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CACHE = os.path.join(ROOT, "build/cache")


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(f"no {program} (script/setup --test installs it)")


def once(name, make):
    """Calls make(directory) the first time only, one process at a time; gives the directory."""
    directory = os.path.join(CACHE, name)
    os.makedirs(directory, exist_ok=True)
    with open(directory + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(directory, ".complete")):
            make(directory)
            open(os.path.join(directory, ".complete"), "w").close()
    return directory


def hashed(name, *files):
    """A name for once() that changes with what the files hold."""
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as f:
            digest.update(f.read())
    return f"{name}-{digest.hexdigest()[:8]}"


def run(*command, **options):
    """A command to its end; its standard output as bytes; an AssertionError with its words when it fails."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=sanitize.stretched(options.pop("timeout_s", 120)), **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout[-1000:]}\n{done.stderr.decode()[-2000:]}")
    return done.stdout


def python_of(version):
    """An interpreter of that version ("3.9"), from the path or from pyenv; None where there is none."""
    homes = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python3"))
    for candidate in [shutil.which(f"python{version}"), *sorted(homes)]:
        if candidate and subprocess.run([candidate, "-c", "import venv, ensurepip"], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0:
            return candidate
    return None


def venv_python(name, *packages, interpreter=None):
    """The interpreter of a Python environment that has the packages (exact versions)."""
    def make(directory):
        run(interpreter or sys.executable, "-m", "venv", directory, timeout_s=300)
        run(os.path.join(directory, "bin/pip"), "install", "-q", "--disable-pip-version-check", *packages, timeout_s=600)
    return os.path.join(once(name, make), "bin/python3")


def node_modules(package_json, timeout_s=300, variables=None):
    """The directory with what that package.json names, installed once, with more variables in its environment."""
    def make(directory):
        shutil.copy(package_json, directory)
        run("npm", "install", "--no-audit", "--no-fund", "--silent", cwd=directory, timeout_s=timeout_s,
            env={**os.environ, **(variables or {})})
    need("node", "npm")
    return os.path.join(once(hashed("npm", package_json), make), "node_modules")


def go_program(name, source, package="."):
    """A program of the Go module in `source` built; its path."""
    need("go")
    program = os.path.join(CACHE, name)
    run("go", "build", "-o", program, package, cwd=source, timeout_s=400)
    return program


def in_venv(name, *packages):
    """Runs this program again inside venv_python."""
    if os.environ.get("MOLDAU_TEST_VENV") == name:
        return
    python = venv_python(name, *packages)
    os.execve(python, [python, *sys.argv], {**os.environ, "MOLDAU_TEST_VENV": name})


def access_log(path, size_bytes, seed=1):
    """Writes an access log of about that size to path."""
    program = os.path.join(ROOT, "build/release/tests/lib/access_log")
    if not os.path.exists(program):
        program = os.path.join(once("access_log", lambda d: run(
            "cc", "-O2", "-o", os.path.join(d, "access_log"), os.path.join(ROOT, "tests/lib/access_log.c"))), "access_log")
    with open(path, "wb") as out:
        subprocess.run([program, str(size_bytes), str(seed)], stdout=out, check=True)
    return path
