"""A node under test and what stands beside an attack: a good client, the node's memory, its log."""
import os
import random
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TESTS, "lib"), os.path.join(TESTS, "parity")]
import broker  # noqa: E402
import cases  # noqa: E402
import making  # noqa: E402
import wire  # noqa: E402
from sanitize import KIND, stretched  # noqa: E402
from tap import check, equal, eventually  # noqa: E402

GROWTH_MIB = 64   # by which the node may grow under one kind of bad input
WAIT_S = stretched(20)


def frame(key, version, body, client=b"\0\4test", correlation_id=7, tags=b""):
    """With its size; header version 2 when there are tags."""
    data = struct.pack(">hhi", key, version, correlation_id) + client + tags + body
    return struct.pack(">i", len(data)) + data


API_VERSIONS = frame(18, 0, b"")


class Hostile:
    """tap's context: a node with topics t, u (compacted) and tiny (small batches)."""

    def __init__(self, **props):
        self.codec = wire.Codec()
        props = {"offsets.topic.num.partitions": 1, "log.retention.ms": -1, "auto.create.topics.enable": "false", **props}
        self.kind = os.environ.get("MOLDAU_TEST_SERVER", "moldau")
        self.server = cases.moldau(props) if self.kind == "moldau" else broker.Server(self.kind, props)
        self.server.start()
        self.good = socket.create_connection(self.server_pair(), timeout=WAIT_S)
        self.settings("t"), self.settings("u", {"cleanup.policy": "compact"})
        self.settings("tiny", {"max.message.bytes": "200"})
        self.ids = {t["name"]: t["topicId"] for t in self.ask("Metadata", 12, {"topics": None})["topics"]}
        self.versions = self.ask("ApiVersions", 0, {})["apiKeys"]
        self.versions = {a.get("apiKey", 0): (a.get("minVersion", 0), a.get("maxVersion", 0)) for a in self.versions}

    # ---- for tap and broker.finished ----

    def log_tail(self, lines=40):
        return self.server.log_tail(lines)

    def stop(self):
        self.good.close()
        return self.server.stop(60)

    def close(self):
        self.server.close()

    # ---- asking ----

    def server_pair(self):
        return "127.0.0.1", self.server.port

    def settings(self, topic, configs=None):
        eventually(lambda: self.ask("CreateTopics", 7, {"timeoutMs": 20000, "topics": [
            {"name": topic, "numPartitions": 1, "replicationFactor": 1, "assignments": [],
             "configs": [{"name": k, "value": v} for k, v in (configs or {}).items()]}]})["topics"][0].get("errorCode", 0) in (0, 36),
            WAIT_S, f"topic {topic}")

    def dial(self):
        return socket.create_connection(self.server_pair(), timeout=WAIT_S)

    def exchange(self, data, api, v):
        """The fields of the answer, or "closed"."""
        with self.dial() as sock:
            sock.sendall(data)
            try:
                answer = broker.read_frame(sock)
            except (ConnectionError, struct.error):
                return "closed"
            return self.codec.answer(api, v, answer)[1]

    def ask(self, api, v, fields, client="hostile"):
        body = self.codec.encode(self.codec.apis[api][1], v, fields)
        return self.exchange(self.codec.request_frame(api, v, 9, client, body), api, v)

    # ---- judging ----

    def closes(self, data, what):
        """The node says nothing and ends the connection, though we keep our side open."""
        with self.dial() as sock:
            try:
                sock.sendall(data)
                got = sock.recv(100)
            except socket.timeout:
                raise AssertionError(f"{what}: neither answered nor closed in {WAIT_S} s")
            except OSError:
                return
            equal(got, b"", f"{what}: the answer")

    def beside(self):
        """The good client's connection, which was there before, is served."""
        self.good.sendall(API_VERSIONS)
        equal(struct.unpack(">i", broker.read_frame(self.good)[:4])[0], 7, "correlation id of the good client")

    def bounded(self):
        return Bounded(self)


class Bounded:
    """Around an attack: the node lives, has not grown by more than GROWTH_MIB, and serves its good client."""

    def __init__(self, hostile):
        self.hostile = hostile

    def __enter__(self):
        self.before = self.hostile.server.rss_mib()
        with open(f"/proc/{self.hostile.server.proc.pid}/clear_refs", "w") as f:
            f.write("5")   # the peak begins anew
        return self

    def peak_mib(self):
        with open(f"/proc/{self.hostile.server.proc.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024

    def __exit__(self, kind, value, trace):
        if kind is not None:
            return
        check(self.hostile.server.alive(), "the node ended\n" + self.hostile.log_tail())
        self.hostile.beside()
        most = self.peak_mib()
        print(f"# {self.before:.0f} MiB before, {most:.0f} at most", flush=True)
        # A sanitizer keeps freed memory back, and more of its own beside what is there.
        bounded = self.hostile.kind == "moldau" and not KIND
        check(not bounded or most - self.before < GROWTH_MIB, f"grew from {self.before:.0f} to {most:.0f} MiB")
