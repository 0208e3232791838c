"""Runs mutate.c against a node in rounds; after each the node must be well, and no larger than what it keeps."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TESTS, "lib"), os.path.join(TESTS, "parity")]
import broker  # noqa: E402
import cases  # noqa: E402
import making  # noqa: E402
import making_quotas as quotas  # noqa: E402
import marks  # noqa: E402
import sanitize  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402
from tap import check, equal  # noqa: E402

BUILD = os.path.join(broker.ROOT, "build")
# Freed memory that it keeps back would be taken for growth.
SANITIZER = {"ASAN_OPTIONS": "quarantine_size_mb=8:malloc_context_size=12:detect_stack_use_after_return=0",
             "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
TOPICS = ("t", "u", "small", "compact", "tiny")


def binary():
    """MOLDAU, else the node under the address sanitizer, else the released one."""
    if os.environ.get("MOLDAU") or sanitize.KIND:
        return broker.binary()
    asan = os.path.join(BUILD, "asan/src/node/moldau")
    return asan if os.path.exists(asan) else broker.binary()


class Mutations:
    """topics.count and the like grow by what is asked for, so each round ends with a clean-up."""

    def __init__(self):
        os.environ["MOLDAU"] = binary()
        self.codec = wire.Codec()
        self.server = cases.moldau({"auto.create.topics.enable": "false", "offsets.topic.num.partitions": 2,
                                    "log.retention.ms": -1, "metrics.enable": "false"})
        self.server.props.pop("metrics.enable")
        self.server.env.update(SANITIZER)
        self.server.start()
        self.sums = {}
        self.dir = tempfile.mkdtemp(prefix="moldau-mutate-")

    def log_tail(self):
        """The end of the node's log; from where a sanitizer or an assertion speaks, if one does."""
        lines = self.server.log_tail(4000).splitlines()
        for i, line in enumerate(lines):
            if "ERROR: " in line or "runtime error" in line or "assertion failed" in line or "WARNING: Thread" in line:
                return "\n".join(lines[i:i + 60])
        return "\n".join(lines[-40:])

    def ask(self, api, v, fields):
        return cases.Asker(self.codec, self.server).ask({"name": "", "steps": [making.step(api, v, fields)]})[0]

    def settle(self):
        """The topics of the seeds are there; others, and groups, are gone."""
        conn = cases.Conn(self.server.address)

        def call(api, v, fields):
            step = making.step(api, v, fields, wait=120)
            conn.send(self.codec, step, self.codec.encode(self.codec.apis[api][1], v, fields))
            answer = conn.receive(self.codec, step)
            check(isinstance(answer, dict), f"{api}: {answer}\n{self.log_tail()}")
            return answer

        # A mutation may give everybody next to nothing: those that ask here have quotas that come before those.
        mine = [quotas.entry([("user", "ANONYMOUS"), ("client-id", None)], *((key, 1e9) for key in quotas.KEYS if key != "connection_creation_rate")),
                quotas.entry([("ip", "127.0.0.1")], ("connection_creation_rate", 1e9))]
        for entry in call("AlterClientQuotas", 1, quotas.alter(1, *mine)["f"])["entries"]:
            check(not entry.get("errorCode"), entry)
        # What a mutation set for this broker or all of them goes back to its default; with eligible leader
        # replicas (a feature that a mutation may switch on) this one cannot be removed.
        kept = [{"name": "min.insync.replicas", "value": "1"}]
        for name, configs in (("1", []), ("", kept)):
            answer = call("AlterConfigs", 1, {"resources": [{"resourceType": 4, "resourceName": name, "configs": configs}], "validateOnly": False})
            check(not answer["responses"][0].get("errorCode"), answer)
        metadata = call("Metadata", 12, {"topics": None})
        gone = [t["name"] for t in metadata.get("topics", []) if t["name"] not in TOPICS + ("good",) and not t.get("isInternal")]
        for at in range(0, len(gone), 200):
            call("DeleteTopics", 5, {"topicNames": gone[at:at + 200], "timeoutMs": 30000})
        # A name that is no text comes back longer than it is, and maybe longer than a name may be.
        groups = [g.get("groupId", "") for g in call("ListGroups", 4, {"statesFilter": []}).get("groups", [])]
        groups = [g for g in groups if "\ufffd" not in g]
        for at in range(0, len(groups), 200):
            call("DeleteGroups", 2, {"groupsNames": groups[at:at + 200]})
        wanted = [{"name": n, "numPartitions": 2, "replicationFactor": 1, "assignments": [], "configs": []} for n in TOPICS + ("good",)]
        call("CreateTopics", 7, {"topics": wanted, "timeoutMs": 30000})
        answer = call("Metadata", 12, {"topics": [{"name": n} for n in TOPICS + ("good",)]})
        conn.close()
        return {t["name"]: t["topicId"] for t in answer["topics"] if not t.get("errorCode")}

    def good_round_trip(self):
        """What a good client writes is read back, byte for byte."""
        batch = making.batch([(b"key", os.urandom(100))] * 3)

        def produce():
            answer = self.ask("Produce", 9, {"acks": -1, "timeoutMs": 10000, "topicData": [
                {"name": "good", "partitionData": [{"index": 0, "records": batch}]}]})
            return answer["responses"][0]["partitionResponses"][0] if isinstance(answer, dict) else {"errorCode": answer}

        end = time.monotonic() + 20
        wrote = produce()
        while wrote.get("errorCode") and time.monotonic() < end:
            time.sleep(0.2)
            wrote = produce()
        check(not wrote.get("errorCode"), f"a good produce: {wrote}")
        offset = wrote.get("baseOffset", 0)
        got = self.ask("Fetch", 4, {"replicaId": -1, "maxWaitMs": 1000, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": 0, "topics": [
            {"topic": "good", "partitions": [{"partition": 0, "fetchOffset": offset, "partitionMaxBytes": 1 << 20}]}]})
        held = got["responses"][0]["partitions"][0]["records"]
        equal(held[32:34] + held[42:], batch[32:34] + batch[42:], "what was read back")   # but for offset and epoch

    def round(self, count, seed):
        """One run of mutate."""
        ids = self.settle()
        path = os.path.join(self.dir, "seeds")
        self.seeds = marks.seeds(path, self.codec, ids)
        program = next(p for p in (os.path.join(BUILD, b, "tests/hostile/hostile_mutate") for b in ("release", "dev", "asan")) if os.path.exists(p))
        run = subprocess.run([program, str(self.server.port), path, str(count), str(seed)], capture_output=True, text=True)
        check(self.server.alive(), f"the node ended; seed {seed}\n{self.log_tail()}")
        equal(run.returncode, 0, f"mutate with seed {seed}: {run.stdout}{run.stderr}; exit code")
        for word in run.stdout.split():
            key, value = word.split("=")
            self.sums[key] = self.sums.get(key, 0) + int(value)
        self.settle()
        self.good_round_trip()
        return self.server.rss_mib()

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        code = self.server.stop(60)
        tail = self.log_tail()
        self.server.close()
        equal(code, 0, f"exit code of the node; its last lines:\n{tail}\nexit code")
