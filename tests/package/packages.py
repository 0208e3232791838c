"""The Debian packages of this tree, made once a run, and what is looked at in them."""
import atexit
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import env
from broker import ROOT
from tap import Skip

SCRIPT = os.path.join(ROOT, "script/package")


class Packages:
    """made: {name: path of its .deb}; trees: {name: directory it was unpacked into}."""

    def __init__(self):
        for program in ("dpkg-deb", "dpkg-shlibdeps", "meson", "strip"):
            if not shutil.which(program):
                raise Skip(f"no {program} (dpkg-dev is for Debian)")
        self.dir = tempfile.mkdtemp(prefix="moldau-package-")
        atexit.register(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        out = env.run(SCRIPT, "deb", "--out", os.path.join(self.dir, "out"), timeout_s=600).decode().split()
        self.made = {os.path.basename(path).split("_")[0]: path for path in out}
        self.trees = {}

    def tree(self, name):
        if name not in self.trees:
            self.trees[name] = os.path.join(self.dir, "tree-" + name)
            env.run("dpkg-deb", "-x", self.made[name], self.trees[name])
        return self.trees[name]

    def field(self, name, field):
        return env.run("dpkg-deb", "-f", self.made[name], field).decode().strip()

    def contents(self, name):
        """{path: (mode as ls prints it, owner)}."""
        lines = env.run("dpkg-deb", "-c", self.made[name]).decode().splitlines()
        return {line.split()[5].lstrip("."): (line.split()[0], line.split()[1]) for line in lines}

    def scripts(self, name):
        directory = os.path.join(self.dir, "control-" + name)
        if not os.path.exists(directory):
            env.run("dpkg-deb", "-e", self.made[name], directory)
        return directory

    def log_tail(self):
        return ""

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def finished(packages):
    packages.close()


def quiet(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, check=False, **options)
