#!/usr/bin/env python3
"""kcat, one process an action, behind the verbs of the matrix: what a program of the command line can do.

usage: kcat_peer.py ADDRESS
"""
import json
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../python"))
import verbs  # noqa: E402
from verbs import Failed, Lacks  # noqa: E402

ERRORS = [("Unknown topic", 3), ("Unknown partition", 3), ("Message size too large", 10), ("Offset out of range", 1),
          ("violates the record policy", 87), ("failed to validate record", 87), ("Broker failed to validate", 87)]
ASSIGNED = re.compile(r"\): (assigned|revoked): ?(.*)")


def code_of(text):
    return next((code for words, code in ERRORS if words.lower() in str(text).lower()), None)


class Reader:
    """A kcat that reads; rows come from its output, a group's partitions from what it says."""

    def __init__(self, address, *arguments):
        form = "%t\\t%p\\t%o\\t%T\\t%K\\t%S\\t%h\\n"
        self.rows, self.assignment, self.error = [], [], None
        self.proc = subprocess.Popen(["kcat", "-b", address, "-u", "-X", "fetch.wait.max.ms=50", "-f", form + "%k%s\\n", *arguments],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self._rows, self._words)]
        for thread in self.threads:
            thread.start()

    def _rows(self):
        out = self.proc.stdout
        for line in iter(out.readline, b""):
            topic, partition, offset, timestamp, key_size, size, headers = line.rstrip(b"\n").split(b"\t", 6)
            key = None if int(key_size) < 0 else out.read(int(key_size))
            value = None if int(size) < 0 else out.read(int(size))
            out.read(1)
            pairs = [pair.partition(b"=") for pair in headers.split(b",")] if headers else []
            self.rows.append(verbs.record(int(partition), int(offset), key, value, [(n.decode(), v) for n, _, v in pairs], int(timestamp)))

    def _words(self):
        for line in self.proc.stderr:
            text = line.decode("utf-8", "replace")
            sys.stderr.write(text)
            found = ASSIGNED.search(text)
            if found:
                places = re.findall(r"(\S+) \[(\d+)\]", found.group(2)) if found.group(1) == "assigned" else []
                self.assignment = [[topic, int(partition)] for topic, partition in places]
            elif text.startswith("% ERROR") and code_of(text) is not None:
                self.error = Failed(code_of(text), text)

    def poll(self, ms, most):
        end = time.time() + ms / 1000.0
        while not self.rows and not self.error and time.time() < end:
            time.sleep(0.01)
        if self.error and not self.rows:
            raise self.error
        taken, self.rows[:most] = self.rows[:most], []
        return {"records": taken, "assignment": self.assignment}

    def close(self):
        self.proc.terminate()
        self.proc.wait(20)


class Peer:
    def __init__(self, address):
        self.address, self.readers = address, {}

    def hello(self):
        words = subprocess.run(["kcat", "-V"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        return {"client": "kcat " + re.search(r"Version (\S+)", words).group(1), "library": "librdkafka " + re.search(r"librdkafka (\S+)", words).group(1)}

    def produce(self, topic, partition, records, codec="none", acks="all", idempotent=False, name=None, size_max=1000000, patience_ms=30000):
        if name and idempotent:
            raise Lacks("a producer does not outlive its command")
        if any("t" in r for r in records):
            raise Lacks("it sets no timestamp")
        rows = list(records)
        while rows:   # headers are those of the command, so records with others need another
            same = [r for r in rows if r.get("h") == rows[0].get("h")]
            if same != rows[:len(same)]:
                same = same[:1]
            rows = rows[len(same):]
            self._produce(topic, partition, same, codec, acks, size_max, patience_ms)

    def _produce(self, topic, partition, rows, codec, acks, size_max, patience_ms):
        command = ["kcat", "-b", self.address, "-P", "-t", topic, "-p", str(partition), "-z", codec, "-X", "acks=" + acks,
                   "-X", "message.max.bytes=%d" % (size_max + 200000), "-X", "topic.metadata.propagation.max.ms=%d" % patience_ms, "-X", "linger.ms=20"]
        if any(value is None for _, value in rows[0].get("h", [])):
            raise Lacks("headers have a value")
        if any(b"\0" in verbs.decoded(value) for _, value in rows[0].get("h", [])):
            raise Lacks("headers are arguments, without a zero byte")
        for header, value in rows[0].get("h", []):
            command += ["-H", header.encode() + b"=" + verbs.decoded(value)]
        pairs = [(verbs.decoded(r["k"]), verbs.decoded(r["v"])) for r in rows]
        if any(k is None or not k or not v for k, v in pairs) and len(pairs) > 1:
            raise Lacks("empty is null, or null is empty")
        data = b"".join((b"" if k is None else k + b"<kv>") + (v or b"") + b"<end>" for k, v in pairs)
        if data.count(b"<end>") != len(pairs):
            raise Lacks("bytes that stand between records cannot be in them")
        command += ["-D", "<end>"] + ([] if pairs[0][0] is None else ["-K", "<kv>"])
        done = subprocess.run(command, input=data, capture_output=True, timeout=50)
        if done.returncode != 0 or b"ERROR" in done.stderr or b"Delivery failed" in done.stderr:
            raise Failed(code_of(done.stderr), done.stderr.decode("utf-8", "replace"))

    def open(self, name, topic, partition, offset, reset="earliest"):
        at = {"earliest": "beginning", "latest": "end"}.get(offset, str(offset))
        self.readers[name] = Reader(self.address, "-C", "-t", topic, "-p", str(partition), "-o", at,
                                    "-X", "topic.auto.offset.reset=" + {"none": "error"}.get(reset, reset),
                                    "-X", "fetch.message.max.bytes=6000000")

    def join(self, name, group, topics, instance=None, session_ms=6000, heartbeat_ms=250, reset="earliest"):
        more = ["-X", "group.instance.id=" + instance] if instance else []
        self.readers[name] = Reader(self.address, "-X", "auto.offset.reset=" + reset, "-X", "session.timeout.ms=%d" % session_ms,
                                    "-X", "heartbeat.interval.ms=%d" % heartbeat_ms, *more, "-G", group, *topics)

    def poll(self, name, ms, max=100000):
        return self.readers[name].poll(ms, max)

    def commit(self, name):
        raise Lacks("it commits by itself (see run_test)")

    def leave(self, name, keep=False):
        self.readers.pop(name).close()

    def offset_of_time(self, topic, partition, time):
        out = subprocess.run(["kcat", "-b", self.address, "-Q", "-J", "-t", "%s:%d:%d" % (topic, partition, time)], capture_output=True, timeout=30).stdout
        return {"offset": json.loads(out)[topic][str(partition)]["offset"]}

    def list_offsets(self, topic, partition, at):
        return self.offset_of_time(topic, partition, {"earliest": -2, "latest": -1}[at])

    def list_topics(self):
        raise Lacks("it makes no topics")


if __name__ == "__main__":
    verbs.serve(Peer(sys.argv[1]), lambda e: code_of(e))
