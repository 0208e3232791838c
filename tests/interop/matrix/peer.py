"""A client library in a process of its own, asked over pipes: one JSON object a line each way. README.md has the verbs."""
import base64
import json
import os
import select
import subprocess
import time

ANSWER_S = 60


class Lacks(Exception):
    """The library has no such function, or its program here says why not."""


class Failed(Exception):
    """The library reported an error: Kafka's code, or None where the library hides it."""

    def __init__(self, code, text):
        super().__init__(f"error {code}: {text}")
        self.code, self.text = code, text


def encoded(data):
    return None if data is None else base64.b64encode(data).decode()


def decoded(text):
    return None if text is None else base64.b64decode(text)


class Record:
    """key, value: bytes or None; headers: list of (name, bytes or None)."""

    def __init__(self, value, key=None, headers=(), timestamp=None, partition=0, offset=None):
        self.value, self.key, self.headers = value, key, list(headers)
        self.timestamp, self.partition, self.offset = timestamp, partition, offset

    def to_json(self):
        out = {"k": encoded(self.key), "v": encoded(self.value)}
        if self.headers:
            out["h"] = [[name, encoded(value)] for name, value in self.headers]
        if self.timestamp is not None:
            out["t"] = self.timestamp
        return out

    @staticmethod
    def from_json(row):
        headers = [(name, decoded(value)) for name, value in row.get("h") or []]
        return Record(decoded(row["v"]), decoded(row["k"]), headers, row.get("t"), row.get("p", 0), row["o"])


class Peer:
    def __init__(self, command, address, log):
        self.command, self.address, self.log = command, address, log
        self.proc, self.buffer = None, b""

    def start(self):
        self.proc = subprocess.Popen([*self.command, self.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=open(self.log, "ab"))
        self.buffer = b""

    def close(self, wait_s=0):
        if not self.proc:
            return
        self.proc.stdin.close()
        try:
            self.proc.wait(wait_s) if wait_s else self.proc.kill()
        except subprocess.TimeoutExpired:
            self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()
        self.proc = None

    def call(self, op, **arguments):
        """Gives what the program answered. After a time-out or its end the next call starts it anew."""
        if not self.proc:
            self.start()
        try:
            self.proc.stdin.write(json.dumps({"op": op, **arguments}).encode() + b"\n")
            self.proc.stdin.flush()
            line = self._line()
        except (OSError, TimeoutError, EOFError) as e:
            self.close()
            raise AssertionError(f"{op}: {type(e).__name__} {e}\n{self.log_tail()}")
        answer = json.loads(line)
        if "lacks" in answer:
            raise Lacks(answer["lacks"])
        if "error" in answer:
            raise Failed(answer["error"], answer.get("text", ""))
        return answer

    def _line(self):
        end = time.monotonic() + ANSWER_S
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.proc.stdout], [], [], left)[0]:
                raise TimeoutError(f"no answer within {ANSWER_S} s")
            data = os.read(self.proc.stdout.fileno(), 1 << 20)
            if not data:
                raise EOFError("the program ended")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line

    def log_tail(self):
        try:
            with open(self.log, "rb") as f:
                return f.read()[-2000:].decode("utf-8", "replace")
        except OSError:
            return ""

    # What several scenarios do.

    def produce(self, topic, records, **options):
        self.call("produce", topic=topic, partition=options.pop("partition", 0), records=[r.to_json() for r in records], **options)

    def poll(self, name, ms=200, **options):
        answer = self.call("poll", name=name, ms=ms, **options)
        return [Record.from_json(r) for r in answer["records"]], sorted(map(tuple, answer.get("assignment", [])))

    def read(self, topic, count, partition=0, offset=0, timeout_s=30, **options):
        """So many records of one partition from an offset, with a reader opened for it."""
        self.call("open", name="reader", topic=topic, partition=partition, offset=offset, **options)
        try:
            return self.collect("reader", count, timeout_s)
        finally:
            self.call("leave", name="reader")

    def collect(self, name, count, timeout_s=30):
        out, end = [], time.monotonic() + timeout_s
        while len(out) < count:
            if time.monotonic() > end:
                raise AssertionError(f"{name}: {len(out)} of {count} records after {timeout_s} s")
            out += self.poll(name, max=count - len(out))[0]
        return out
