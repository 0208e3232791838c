"""Brokers for tests: a real process on a free loopback port with a directory of its own.

Server("moldau") and Server("apache") behave alike, so a test runs against both:
MOLDAU_TEST_SERVER=apache switches the default. MOLDAU names the binary.
"""
import atexit
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import apache
import sanitize
from sanitize import stretched

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def binary():
    return os.path.abspath(os.environ.get("MOLDAU") or os.path.join(sanitize.BUILD, "src/node/moldau"))


RESERVED = []   # sockets by whose names other tests know that a port is taken, also while nobody listens on it


def free_port():
    """A port that nobody listens on, this process's to its end; below the range the kernel hands to outgoing connections."""
    for _ in range(200):
        port = random.randrange(21800, 30000)
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0moldau-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        RESERVED.append(name)
        return port
    raise RuntimeError("no free port")


def request(address, api_key, version, body=b"", timeout_s=5, client_id=b"test"):
    """One request with header version 1; gives the body of the answer without the correlation id."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=stretched(timeout_s)) as sock:
        sock.settimeout(stretched(timeout_s))
        frame = struct.pack(">hhih", api_key, version, 7, len(client_id)) + client_id + body
        sock.sendall(struct.pack(">i", len(frame)) + frame)
        return read_frame(sock)[4:]


def read_exactly(sock, size):
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionError(f"closed after {len(data)} of {size} bytes")
        data += chunk
    return bytes(data)


def read_frame(sock):
    return read_exactly(sock, struct.unpack(">i", read_exactly(sock, 4))[0])


def metadata_ready(address):
    """True when Metadata v1 names a broker and a controller."""
    try:
        body = request(address, 3, 1, struct.pack(">i", 0), timeout_s=2)
        brokers = struct.unpack_from(">i", body)[0]
        controller = struct.unpack_from(">i", body, len(body) - 8)[0]
        return brokers >= 1 and controller >= 0
    except (OSError, struct.error):
        return False


class Server:
    """One broker. dir survives kill9/stop/start; close() ends the process and removes the directory."""

    def __init__(self, kind=None, props=None, directory=None, log_dir=None, port=None, env=None):
        self.kind = kind or os.environ.get("MOLDAU_TEST_SERVER", "moldau")
        self.own_dir = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="moldau-test-")
        self.log_dir = log_dir or os.path.join(self.dir, "data")
        self.port = port or free_port()
        self.controller_port = None
        self.props = dict(props or {})
        self.env = dict(env or {})
        self.wrapper = []  # a command that runs the node's
        self.out = os.path.join(self.dir, "server.out")
        self.proc = None
        self.ready_ms = None
        atexit.register(self.close)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def spawn(self):
        """Starts the process and does not wait for it."""
        assert self.proc is None
        command = self._apache_command() if self.kind == "apache" else self._moldau_command()
        with open(self.out, "ab") as out:
            self.proc = subprocess.Popen([*self.wrapper, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                         cwd=self.dir, env=self._environment())

    def start(self, timeout_s=None):
        timeout_s = stretched(timeout_s or (240 if self.kind == "apache" else 60))   # a JVM on a busy machine
        start = time.monotonic()
        self.spawn()
        while not metadata_ready(self.address):
            if self.proc.poll() is not None:
                code, self.proc = self.proc.returncode, None
                raise RuntimeError(f"{self.kind} ended with {code} at start:\n{self.log_tail()}")
            if time.monotonic() - start > timeout_s:
                tail = self.log_tail()
                self.kill9()
                raise RuntimeError(f"{self.kind} not ready after {timeout_s} s:\n{tail}")
            time.sleep(0.002 if self.kind == "moldau" else 0.05)
        self.ready_ms = (time.monotonic() - start) * 1000
        return self

    def _environment(self):
        """MOLDAU_* would be read as settings of the node."""
        return sanitize.merged({k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}, self.env, binary())

    def _moldau_command(self):
        props = {"listeners": f"PLAINTEXT://{self.address}", "log.dirs": self.log_dir,
                 "group.initial.rebalance.delay.ms": 0, **self.props}
        command = [binary(), "server"]
        for key, value in props.items():
            command += ["--set", f"{key}={value}"]
        return command

    def _apache_command(self):
        self.controller_port = self.controller_port or free_port()
        return apache.node_command(self.dir, self.log_dir, self.port, self.controller_port, self.props)

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def kill9(self):
        """Ends it without a chance to clean up."""
        if self.proc:
            self.proc.send_signal(signal.SIGKILL)
            self.proc.wait()
            self.proc = None

    def stop(self, timeout_s=30):
        """Asks it to stop; gives the exit code, which a sanitizer makes non-zero on a finding."""
        if not self.proc:
            return None
        timeout_s = stretched(timeout_s)
        self.proc.send_signal(signal.SIGTERM)
        try:
            code = self.proc.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"{self.kind} did not stop within {timeout_s} s:\n{self.log_tail()}")
        self.proc = None
        return code

    def restart(self):
        self.stop()
        return self.start()

    def cpu_s(self):
        fields = open(f"/proc/{self.proc.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self):
        for line in open(f"/proc/{self.proc.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def log_tail(self, lines=40):
        try:
            with open(self.out, "rb") as f:
                return "\n".join(f.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def close(self):
        try:
            self.stop(20)
        except AssertionError:
            pass
        if self.own_dir and not os.environ.get("MOLDAU_TEST_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


def started(**options):
    """For tap.main(setup=...): one server for all tests of a program."""
    return Server(**options).start()


def finished(server):
    """A node that ends badly fails its tests: sanitizers tell what they found by the exit code."""
    code = server.stop()
    tail = server.log_tail()
    server.close()
    if server.kind == "moldau" and code not in (None, 0):
        raise AssertionError(f"moldau ended with {code}:\n{tail}")
