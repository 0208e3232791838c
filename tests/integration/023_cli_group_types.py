#!/usr/bin/env python3
"""What only Apache Kafka writes: groups of the newer types, whose members are its own consumers, and its data directory."""
import glob
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import apache
import broker
import tap
from cli import FAILED, NOT_FOUND, js, keys, run, says
from tap import check, equal, eventually, test


class Members:
    """Apache Kafka with a member in a group of the consumer protocol and one in a share group."""

    def __init__(self):
        apache.jars()
        apache.TOOLS["console-share-consumer"] = "org.apache.kafka.tools.consumer.ConsoleShareConsumer"
        apache.TOOLS["producer-perf"] = "org.apache.kafka.tools.ProducerPerformance"
        self.server = broker.Server(kind="apache", props={"offsets.topic.num.partitions": 1, "transaction.state.log.num.partitions": 1,
                                                          "share.coordinator.state.topic.num.partitions": 1}).start()
        run(self.server, "topic", "create", "t", "-p", 3)
        run(self.server, "produce", "t", "-p", 1, stdin=b"1\n2\n")
        self.programs = [self.consumer("console-consumer", "new", "--consumer-property", "group.protocol=consumer", "--from-beginning"),
                         self.consumer("console-share-consumer", "shared")]

    def consumer(self, tool, group, *args):
        return subprocess.Popen(apache.command(tool, "--bootstrap-server", self.server.address, "--topic", "t", "--group", group, *args),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def leave(self):
        for program in self.programs:
            program.send_signal(signal.SIGTERM)
            program.wait()
        self.programs = []

    def close(self):
        self.leave()
        self.server.close()


@test
def groups_of_every_type_are_described(members):
    server = members.server

    def joined():
        types = {g["group"]: (g["type"], g["state"]) for g in js(server, "group", "list")}
        return types == {"new": ("consumer", "Stable"), "shared": ("share", "Stable")} and \
            all(m["partitions"] for m in js(server, "group", "members", "new", "shared"))
    eventually(joined, timeout_s=60, what="both groups")
    told = js(server, "group", "describe", "new", "shared")
    for group, member in zip(told["groups"], told["members"]):
        equal((group["members"], group["coordinator"], group["protocol"]), (1, 1, None), group["group"])
        check(group["epoch"] >= 1 and group["assignment_epoch"] >= 1 and group["assignor"], group)
        equal((member["protocol"], member["topics"]), (group["type"], ["t"]), "member")
        equal(sorted(member["partitions"]), ["t:0", "t:1", "t:2"], "assignment")
        check(member["epoch"] >= 1, member)
    equal([(o["group"], o["partition"], o["end"]) for o in told["offsets"]],
          [(g, p, 2 if p == 1 else 0) for g in ("new", "shared") for p in range(3)], "offsets")
    eventually(lambda: [o["lag"] for o in js(server, "group", "lag", "new") if o["partition"] == 1] == [0], timeout_s=30, what="the commit")


@test
def they_are_moved_and_deleted_when_they_are_empty(members):
    server = members.server
    says(run(server, "group", "seek", "new", "--to", "start", code=FAILED)[1], "is Stable with 1 member")
    says(run(server, "group", "seek", "shared", "t", "--to", "start", code=FAILED)[1], "is a share group")
    says(run(server, "group", "delete", "shared", code=FAILED)[1], "is Stable with 1 member")
    says(run(server, "group", "delete-offsets", "new", "t", code=FAILED)[1], "GROUP_SUBSCRIBED_TO_TOPIC")
    members.leave()
    eventually(lambda: all(g["state"] == "Empty" for g in js(server, "group", "list")), timeout_s=60, what="empty groups")
    equal([(r["partition"], r["before"], r["after"]) for r in js(server, "group", "seek", "new", "t:1", "--to", "start")], [(1, 2, 0)], "moved")
    equal({r["status"] for r in js(server, "group", "delete", "new", "shared")}, {"deleted"}, "deleted")


@test
def transactions_are_shown(members):
    server = members.server
    command = apache.command("producer-perf", "--topic", "t", "--num-records", 100000, "--record-size", 20, "--throughput", 50,
                             "--bootstrap-server", server.address, "--transactional-id", "open", "--transaction-duration-ms", 30000)
    producer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        rows = eventually(lambda: [r for r in js(server, "cluster", "txn", "--state", "ongoing") if r["partitions"]], timeout_s=60, what="a transaction")
    finally:
        producer.kill()
        producer.wait()
    keys(rows, "transactional_id", "producer_id", "state", "coordinator", "age_ms", "partitions", "producer_epoch", "timeout_ms", "start_ms")
    equal((rows[0]["transactional_id"], rows[0]["state"], rows[0]["coordinator"]), ("open", "Ongoing", 1), "transaction")
    check(rows[0]["age_ms"] >= 0 and all(re.fullmatch(r"t:\d", p) for p in rows[0]["partitions"]), rows)
    equal(js(server, "cluster", "txn", "--longer-than", 3600000), [], "long ones")
    equal([r["transactional_id"] for r in js(server, "cluster", "txn", "open")], ["open"], "by name")
    says(run(server, "cluster", "txn", "closed", code=NOT_FOUND)[1], "no transactional id 'closed'")


def dumped(path):
    """Ours: every record of a segment that is none of control, in order."""
    entries = json.loads(run("127.0.0.1:1", "debug", "dump-log", "-r", "-o", "json", path)[0])[0]["entries"]
    return [r for e in entries for r in e["records"] if not e["control"]]


@test
def its_own_topics_are_decoded_as_it_decodes_them(members):
    server = members.server
    apache.run("producer-perf", "--topic", "t", "--num-records", 300, "--record-size", 20, "--throughput", 1000, "--bootstrap-server", server.address,
               "--transactional-id", "tx", "--transaction-duration-ms", 50)
    server.stop()
    seen = set()
    for topic, decoder in (("__cluster_metadata", "--cluster-metadata-decoder"), ("__consumer_offsets", "--offsets-decoder"),
                           ("__transaction_state", "--transaction-log-decoder"), ("__share_group_state", "--share-group-state-decoder")):
        for path in sorted(glob.glob(os.path.join(server.log_dir, topic + "-0", "*.log"))):
            ours = dumped(path)
            theirs = re.findall(r"payload: ?(.*)$", apache.run("dump-log", "--files", path, decoder), re.M)
            equal(len(ours), len(theirs), f"records of {topic}")
            for got, want in zip(ours, theirs):
                seen.add(got.get("record_type") or got.get("value_type") or got.get("key_type"))
                if topic == "__cluster_metadata":
                    equal(got["record"], json.loads(want)["data"], f"{topic} at {got['offset']}")
                else:
                    data = json.loads(want) if want.startswith("{") else {"data": None}
                    equal(got["value"], data.get("data"), f"{topic} at {got['offset']}")
    for name in ("TopicRecord", "ConsumerGroupMetadataValue", "ConsumerGroupTargetAssignmentMemberValue", "ShareGroupMetadataValue", "TransactionLogValue",
                 "ShareSnapshotValue", "OffsetCommitValue"):
        check(name in seen, f"no {name} in {sorted(map(str, seen))}")


@test
def its_whole_data_directory_is_sound(members):
    log_dir = members.server.log_dir
    folders = [f for f in sorted(glob.glob(log_dir + "/*")) if os.path.isdir(f) and glob.glob(f + "/*.log")]
    for folder in [log_dir, *folders]:
        files = json.loads(run("127.0.0.1:1", "debug", "dump-log", "-r", "-o", "json", folder)[0])
        check(files, folder)
    kinds = {e.get("control") for f in files_of(log_dir, "t-*") for b in f["entries"] for e in b.get("records", [])}
    check("commit" in kinds, kinds)


def files_of(log_dir, pattern):
    return [f for folder in glob.glob(os.path.join(log_dir, pattern))
            for f in json.loads(run("127.0.0.1:1", "debug", "dump-log", "-r", "-o", "json", folder)[0])]


if __name__ == "__main__":
    sys.exit(tap.main(Members, Members.close))
