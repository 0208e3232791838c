#!/usr/bin/env python3
"""moldau consume as a member of classic groups: sharing, rebalances, a member killed, commits that
outlive members and the broker, and members of librdkafka in the same group. The broker is Moldau, or
Apache Kafka with MOLDAU_TEST_SERVER=apache."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import env
import tap
from sanitize import stretched
from tap import Skip, check, equal, eventually, test

PARTITIONS = 6
SESSION_MS = 6000  # the least that brokers allow by default
LIBRDKAFKA_MEMBER = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "auto.offset.reset": "earliest",
                     "partition.assignment.strategy": sys.argv[4], "session.timeout.ms": 6000, "log_level": 0})
consumer.subscribe([sys.argv[3]])
sys.stdin.close()
import signal
stop = []
signal.signal(signal.SIGINT, lambda *_: stop.append(1))
while not stop:
    message = consumer.poll(0.2)
    if message is not None and not message.error():
        print(message.topic(), message.partition(), message.offset(), message.value().decode(), flush=True)
consumer.close()
"""


def moldau(server, *args, ok=True, **options):
    done = subprocess.run([broker.binary(), *args, "-b", server.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=stretched(60), **options)
    if ok and done.returncode != 0:
        raise AssertionError(f"moldau {args}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


class Member:
    """A process that prints 'topic partition offset value' lines."""

    def __init__(self, server, group, topic, *options, command=None):
        self.out = tempfile.NamedTemporaryFile(prefix="moldau-member-", suffix=".out", delete=False)
        self.err = tempfile.NamedTemporaryFile(prefix="moldau-member-", suffix=".err", delete=False)
        command = command or [broker.binary(), "consume", topic, "-g", group, "-O", "start", "-f", "%t %p %o %s\\n",
                              "--session-timeout-ms", str(SESSION_MS), "-b", server.address, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err)

    def lines(self):
        text = open(self.out.name).read()
        return [l.split(" ") for l in text[:text.rfind("\n") + 1].splitlines()]

    def values(self):
        return [l[3] for l in self.lines()]

    def interrupt(self, timeout_s=30):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(stretched(timeout_s))
        equal((code, open(self.err.name).read()), (0, ""), "the end of a member")

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill9()
        for file in (self.out, self.err):
            file.close()
            os.unlink(file.name)


class Group:
    """A topic of its own, the values that went in, and the members."""

    def __init__(self, server, name):
        self.server, self.name, self.topic = server, name, name + "-topic"
        self.sent, self.members = [], []
        moldau(server, "topic", "create", self.topic, "-p", str(PARTITIONS))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for member in self.members:
            member.close()

    def send(self, count):
        fresh = [f"v{len(self.sent) + i}" for i in range(count)]
        for p in range(PARTITIONS):
            lines = "".join(v + "\n" for v in fresh[p::PARTITIONS])
            moldau(self.server, "produce", self.topic, "-p", str(p), "-q", input=lines)
        self.sent += fresh

    def join(self, *options, command=None):
        self.members.append(Member(self.server, self.name, self.topic, *options, command=command))
        return self.members[-1]

    def shares(self):
        """Partitions of each member in a stable group, in order of their number; [] otherwise."""
        groups = json.loads(moldau(self.server, "group", "list", "-o", "json"))
        state = next((g["state"] for g in groups if g["group"] == self.name), None)
        if state != "Stable":
            return []
        rows = json.loads(moldau(self.server, "group", "members", self.name, "-o", "json"))
        return sorted(len(row["partitions"] or []) for row in rows)

    def stable(self, *shares, timeout_s=40):
        try:
            eventually(lambda: self.shares() == sorted(shares), timeout_s, f"shares {shares}", 0.2)
        except AssertionError as e:
            said = [(m.process.poll(), len(m.lines()), open(m.err.name).read()) for m in self.members]
            raise AssertionError(f"{e}; members: {said}; {moldau(self.server, 'group', 'describe', self.name, ok=False)}")

    def seen(self):
        return [v for member in self.members for v in member.values()]

    def all_seen(self, timeout_s=30):
        want = set(self.sent)
        eventually(lambda: want <= set(self.seen()), timeout_s, f"{len(want)} records by the members", 0.1)

    def once(self):
        equal(sorted(self.seen()), sorted(self.sent), "records, each once")

    def lag(self):
        rows = json.loads(moldau(self.server, "group", "lag", self.name, "-o", "json"))
        return {row["partition"]: row["lag"] for row in rows}


def share_and_grow(server, assignor):
    with Group(server, "grow-" + assignor) as group:
        group.send(300)
        first = group.join("--assignor", assignor)
        second = group.join("--assignor", assignor)
        group.stable(3, 3)
        group.all_seen()
        third = group.join("--assignor", assignor)
        group.stable(2, 2, 2)
        group.send(300)
        group.all_seen()
        check(third.values(), "the third got nothing")
        second.interrupt()
        group.stable(3, 3)
        group.send(60)
        group.all_seen()
        first.interrupt()
        group.stable(6)     # who leaves in the midst of a rebalance may not commit
        third.interrupt()
        group.once()
        equal(set(group.lag().values()), {0}, "lag after all left")


@test
def members_of_range_share_and_hand_over_without_doubles(server):
    share_and_grow(server, "range")


@test
def members_of_roundrobin_share_and_hand_over_without_doubles(server):
    share_and_grow(server, "roundrobin")


@test
def members_of_cooperative_sticky_share_and_hand_over_without_doubles(server):
    share_and_grow(server, "cooperative-sticky")


@test
def cooperative_members_keep_what_they_have(server):
    with Group(server, "keep") as group:
        first = group.join("--assignor", "cooperative-sticky")
        group.stable(6)
        group.join("--assignor", "cooperative-sticky")
        group.stable(3, 3)
        group.send(60)
        group.all_seen()
        mine = {l[1] for l in first.lines()}
        group.join("--assignor", "cooperative-sticky")
        group.stable(2, 2, 2)
        group.send(60)
        group.all_seen()
        later = {l[1] for l in first.lines()[-20:]}
        check(later < mine, f"{later} is no part of {mine}")


@test
def the_others_take_over_from_a_killed_member(server):
    with Group(server, "killed") as group:
        group.send(120)
        group.join()
        victim = group.join()
        group.stable(3, 3)
        group.all_seen()
        victim.kill9()
        group.send(120)
        group.stable(6)
        group.all_seen()


@test
def commits_outlive_members_and_the_broker(server):
    with Group(server, "outlive") as group:
        group.send(120)
        group.join()
        group.all_seen()
        group.members[0].interrupt()
        equal(set(group.lag().values()), {0}, "lag")
        server.restart()
        equal(set(group.lag().values()), {0}, "lag after the restart")
        group.send(60)
        group.join()
        group.all_seen()
        group.once()


@test
def members_survive_a_restart_of_the_broker(server):
    with Group(server, "restart") as group:
        group.send(60)
        group.join()
        group.join()
        group.stable(3, 3)
        group.all_seen()
        server.restart()
        group.send(60)
        group.all_seen(60)
        group.stable(3, 3)


@test
def a_static_member_comes_back_to_its_partitions(server):
    with Group(server, "static") as group:
        group.join("--instance-id", "a")
        group.join("--instance-id", "b")
        group.stable(3, 3)
        group.send(60)
        group.all_seen()
        mine = {l[1] for l in group.members[0].lines()}
        group.members[0].interrupt()
        equal(group.shares(), [3, 3], "shares while it is away")
        back = group.join("--instance-id", "a")
        group.send(60)
        group.all_seen()
        equal({l[1] for l in back.lines()}, mine, "partitions")
        group.once()


@test
def a_second_member_of_an_instance_id_fences_the_first(server):
    with Group(server, "fenced") as group:
        first = group.join("--instance-id", "a")
        group.stable(6)
        group.join("--instance-id", "a")
        equal(first.process.wait(30), 1, "exit code of the first")
        said = open(first.err.name).read()
        check("FENCED_INSTANCE_ID" in said, said)


@test
def members_without_a_common_assignor_are_refused(server):
    with Group(server, "common") as group:
        group.join("--assignor", "range")
        group.stable(6)
        other = group.join("--assignor", "roundrobin")
        equal(other.process.wait(30), 1, "exit code")
        said = open(other.err.name).read()
        check("INCONSISTENT_GROUP_PROTOCOL" in said and "--assignor" in said, said)


@test
def exit_and_count_commit_what_was_printed(server):
    with Group(server, "bounds") as group:
        group.send(60)
        one = moldau(server, "consume", group.topic, "-g", group.name, "-O", "start", "-c", "25", "-f", "%s\\n").split()
        rest = moldau(server, "consume", group.topic, "-g", group.name, "-O", "start", "-e", "-f", "%s\\n").split()
        equal((len(one), len(rest)), (25, 35), "records")
        equal(sorted(one + rest), sorted(group.sent), "records, each once")


def with_librdkafka(server, assignor):
    python = os.path.join(env.CACHE, "venv-confluent/bin/python3")
    if not os.path.exists(python) or subprocess.run([python, "-c", "import confluent_kafka"]).returncode != 0:
        raise Skip("no confluent-kafka in build/cache (tests/interop/python fetches it)")
    with Group(server, "mixed-" + assignor) as group:
        command = [python, "-c", LIBRDKAFKA_MEMBER, server.address, group.name, group.topic, assignor]
        group.send(120)
        theirs = group.join(command=command)
        group.stable(6)
        ours = group.join("--assignor", assignor)  # librdkafka leads
        group.stable(3, 3)
        group.send(120)
        group.all_seen()
        check(ours.values() and theirs.values(), "one of them had nothing")
        theirs.interrupt()
        group.stable(6)
        group.join(command=command)  # ours leads
        group.stable(3, 3)
        group.send(120)
        group.all_seen()
        for member in group.members[1:]:
            member.interrupt()
        group.once()


@test
def librdkafka_and_our_members_share_by_range(server):
    with_librdkafka(server, "range")


@test
def librdkafka_and_our_members_share_by_cooperative_sticky(server):
    with_librdkafka(server, "cooperative-sticky")


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
