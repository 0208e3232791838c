"""A file system of a test's own, in an image behind a loop device, that can lose its power.

power_cut() shuts the file system down without flushing its journal: what was not synced is gone,
every later operation fails; remount() replays the journal like a machine that starts again.
"""
import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
import time

from tap import Skip

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
NO_LOG_FLUSH = 2
MAKE = {"ext4": ["mkfs.ext4", "-q", "-F", "-m", "0"], "xfs": ["mkfs.xfs", "-q", "-f"], "btrfs": ["mkfs.btrfs", "-q", "-f"]}


def run(*command, check=True):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout.decode(errors='replace')[-500:]}")
    return done.returncode == 0


class Disk:
    """kind: ext4, xfs, btrfs or tmpfs; path is where it is mounted. Needs root."""

    def __init__(self, kind="ext4", size_mib=256):
        if os.geteuid() != 0:
            raise Skip("mounting needs root")
        if kind in MAKE and not shutil.which(MAKE[kind][0]):
            raise Skip(f"no {MAKE[kind][0]} (script/setup --test installs it)")
        self.kind, self.size_mib = kind, size_mib
        self.dir = tempfile.mkdtemp(prefix="moldau-disk-")
        self.image, self.path = os.path.join(self.dir, "image"), os.path.join(self.dir, "fs")
        os.mkdir(self.path)
        self.mounted = False
        if kind in MAKE:
            with open(self.image, "wb") as image:
                image.truncate(size_mib << 20)
            run(*MAKE[kind], self.image)
        try:
            self.mount()
        except AssertionError as e:
            shutil.rmtree(self.dir, ignore_errors=True)
            raise Skip(f"{kind} cannot be mounted here: {e}")

    def mount(self):
        if self.kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", f"size={self.size_mib}m", "moldau-test", self.path)
        else:
            run("mount", "-o", "loop", self.image, self.path)
        self.mounted = True

    def unmount(self):
        for _ in range(100):
            if run("umount", self.path, check=False):
                self.mounted = False
                return
            time.sleep(0.05)
        raise AssertionError(f"{self.path} stays busy")

    def power_cut(self):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as e:
            raise Skip(f"{self.kind} knows no shutdown here: {e}")
        finally:
            os.close(fd)

    def remount(self):
        self.unmount()
        self.mount()

    def read_only(self, on=True):
        run("mount", "-o", "remount,ro" if on else "remount,rw", self.path)

    def fill(self, leave_bytes=0):
        """Takes all room but for so much; free() gives it back."""
        with open(os.path.join(self.path, "filler"), "ab", buffering=0) as file:
            for block in (1 << 20, 4096):
                try:
                    while os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize > leave_bytes + block:
                        file.write(b"\xff" * block)
                except OSError:
                    pass

    def free(self):
        os.unlink(os.path.join(self.path, "filler"))

    def close(self):
        if self.mounted:
            self.unmount()
        shutil.rmtree(self.dir, ignore_errors=True)
