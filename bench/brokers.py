"""What the benchmarks share: brokers to measure, the load, and what the system says about a process."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TICK = os.sysconf("SC_CLK_TCK")
DELETE_MS = 1000  # after which the files of a deleted topic go, so that this is no later row's load
KIB = 1024
MOLDAU = ROOT / "build/release/src/node/moldau"
FLOOR = ROOT / "build/release/bench/floor"


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / KIB
    return 0.0


def answers_metadata(port):
    """One Metadata request (version 0, all topics); True when a whole answer came. The port must not be one that the
    system gives out, or the connection may be made with itself."""
    request = bytes.fromhex("0003000000000001ffff00000000")
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(len(request).to_bytes(4, "big") + request)
            return len(sock.recv(4)) == 4
    except OSError:
        return False


def kafka_command():
    return os.environ.get("KAFKA", str(ROOT.parent / "shared/tools/kafka/kafka"))


class Moldau:
    def __init__(self, name, flush, port, **props):
        self.name, self.port = name, port
        self.props = {"listeners": f"PLAINTEXT://127.0.0.1:{port}", "http.listener": "", "log.ack.flush": flush,
                      "log.segment.delete.delay.ms": DELETE_MS} | props
        self.dir = tempfile.mkdtemp(prefix="moldau-bench-")
        self.proc = None

    def start(self):
        settings = [word for key, value in (self.props | {"log.dirs": self.dir}).items() for word in ("--set", f"{key}={value}")]
        self.proc = subprocess.Popen([MOLDAU, "server", *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.proc.pid

    def stop(self):
        self.proc.terminate()
        self.proc.wait(60)

    def kill(self):
        self.proc.kill()
        self.proc.wait(60)

    def wipe(self):
        if self.proc is not None and self.proc.poll() is None:
            self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Kafka:
    name = "kafka"

    def __init__(self, command, port):
        self.command, self.port, self.made = command, port, False
        self.dir = tempfile.mkdtemp(prefix="kafka-bench-")
        self.env = dict(os.environ, KAFKA_PEER_PORT=str(port), KAFKA_PEER_DATA=self.dir)

    def ask(self, *args):
        return subprocess.run([self.command, *args], env=self.env, capture_output=True, text=True, check=True).stdout

    def start(self):
        self.ask(*(["restart", "1"] if self.made else ["start", f"log.segment.delete.delay.ms={DELETE_MS}"]))
        self.made = True
        rows = [line.split() for line in self.ask("status").splitlines()]
        self.pid = next(int(row[1]) for row in rows if row and row[0] == "1")

    def stop(self):
        self.ask("stop")

    def kill(self):
        self.ask("kill", "1")
        time.sleep(0.5)  # the command does not wait for the process to be gone

    def wipe(self):
        self.ask("wipe")
        shutil.rmtree(self.dir, ignore_errors=True)


def moldau(broker, *args):
    command = [MOLDAU, *map(str, args), "-b", f"127.0.0.1:{broker.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(f"{broker.name}: {' '.join(map(str, args))}: {done.stderr.strip()}")
    return done.stdout


def touch_memory(megabytes):
    """Makes the host back that much memory, which the page cache then uses for the row."""
    with tempfile.NamedTemporaryFile(prefix="moldau-bench-") as file:
        block = bytes(1 << 20)
        for _ in range(megabytes):
            file.write(block)


def load(broker, kind, topic, *args):
    got = json.loads(moldau(broker, "bench", kind, topic, "--cpu", broker.pid, "-o", "json", *args))
    return {"MB/s": got["mb_per_s"], "requests/s": got["requests_per_s"], "CPU-s/GB": got["cpu_s"] * 1e9 / got["bytes"],
            "CPU us/request": got["cpu_s"] * 1e6 / got["requests"], "p50 us": got["latency_us"]["p50"],
            "p99 us": got["latency_us"]["p99"], "p99.9 us": got["latency_us"]["p99.9"]}
