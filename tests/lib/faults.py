"""System calls of a node that fail on demand, and a clock that is wrong (fault_shim.c)."""
import errno
import mmap
import os
import struct

import env

WRITE, SYNC, OPEN, RENAME, UNLINK, TRUNCATE, READ = 1, 2, 4, 8, 16, 32, 64
SIZE = 48 + 256


def library():
    source = os.path.join(env.ROOT, "tests/lib/fault_shim.c")
    name = "fault_shim-%d" % os.stat(source).st_mtime
    return os.path.join(env.once(name, lambda d: env.run(
        "cc", "-O2", "-shared", "-fPIC", "-o", os.path.join(d, "fault_shim.so"), source, "-ldl")), "fault_shim.so")


class Plan:
    """attach(server) before its start; then fail() and clock() at any time."""

    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(4096))
        self.path, self.file = path, open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 4096)

    def attach(self, server):
        server.env.update(LD_PRELOAD=library(), FAULT_PLAN=self.path)

    def fail(self, ops, path="", error=errno.EIO, skip=0, count=1):
        """The next `count` (-1: all) of these operations on paths with this part fail, after `skip` that go well."""
        self.map[0:8] = bytes(8)
        self.map[48:SIZE] = path.encode().ljust(256, b"\0")
        self.map[8:40] = struct.pack("=qqqq", error, skip, count, 0)
        self.map[0:8] = struct.pack("=q", ops)

    def heal(self):
        self.map[0:8] = bytes(8)

    def hits(self):
        return struct.unpack("=q", self.map[32:40])[0]

    def clock(self, offset_s):
        self.map[40:48] = struct.pack("=q", offset_s * 1000)
