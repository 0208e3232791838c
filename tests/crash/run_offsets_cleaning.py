#!/usr/bin/env python3
"""Hundreds of thousands of offset commits with SIGKILLs in between: the offsets topic stays short.

usage: run_offsets_cleaning.py       $COMMITS (300000), $CRASH_ROUNDS (4); TEST_SEED replays the moments

Every acknowledged commit is there after each restart, from the process that wrote it and from
Apache Kafka on the same directory; the live files of the partition never grow beyond a bound.
"""
import glob
import os
import random
import re
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import apache
import broker
import tap
from tap import check, equal, test

COMMITS = int(os.environ.get("COMMITS", 300_000))
ROUNDS = int(os.environ.get("CRASH_ROUNDS", 4))
GROUPS, PARTITIONS = 40, 8
CLEAN_MIN = 1 << 20
BOUND = 4 * CLEAN_MIN
FLIGHT = 2000


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def commit_body(group, partition, offset):
    return (string(f"g{group}") + struct.pack(">i", -1) + string("") + struct.pack(">q", -1) +
            struct.pack(">i", 1) + string("t") + struct.pack(">iiqh", 1, partition, offset, -1))


def commit_frame(number, group, partition, offset):
    frame = struct.pack(">hhih", 8, 2, number, 1) + b"c" + commit_body(group, partition, offset)
    return struct.pack(">i", len(frame)) + frame


def fetch(address, group):
    """{partition: offset} of one group."""
    body = string(f"g{group}") + struct.pack(">i", 1) + string("t") + struct.pack(">i", PARTITIONS)
    body += b"".join(struct.pack(">i", p) for p in range(PARTITIONS))
    answer = broker.request(address, 9, 1, body)
    at, found = 4 + 2 + 1 + 4, {}
    for _ in range(PARTITIONS):
        partition, offset, length = struct.unpack_from(">iqh", answer, at)
        at += 14 + max(length, 0)
        error, = struct.unpack_from(">h", answer, at)
        at += 2
        if error == 14:  # the coordinator is loading
            return None
        equal(error, 0, f"OffsetFetch of g{group}-{partition}")
        found[partition] = offset
    return found


def coordinator(address):
    """Makes topic and offsets topic, and waits until commits are taken."""
    def ready():
        broker.request(address, 3, 4, struct.pack(">i", 1) + string("t") + b"\x01")
        if struct.unpack_from(">h", broker.request(address, 10, 0, string("g0")))[0] != 0:
            return False
        answer = broker.request(address, 8, 2, commit_body(GROUPS, 0, 1))
        return struct.unpack(">h", answer[-2:])[0] == 0
    tap.eventually(ready, 30, "a coordinator that takes commits", 0.02)


def folder(server):
    return os.path.join(server.log_dir, "__consumer_offsets-0")


def live_bytes(server):
    """What the partition's files take, but for those that wait to be deleted."""
    total = 0
    for name in glob.glob(os.path.join(folder(server), "*.log")):
        try:
            total += os.path.getsize(name)
        except FileNotFoundError:
            pass
    return total


class Load:
    """Commits with many in flight; knows what was sent and what was acknowledged."""

    def __init__(self):
        self.sent, self.acked, self.next, self.largest = {}, {}, 0, 0

    def take(self, sock, flight):
        answer = broker.read_frame(sock)
        equal(struct.unpack(">h", answer[-2:])[0], 0, "the error of a commit")
        key, offset = flight.pop(0)
        self.acked[key] = max(self.acked.get(key, -1), offset)

    def run(self, server, seconds):
        """Until all are sent, or for so long: then with a kill in the middle, and gives true."""
        end, flight = time.monotonic() + seconds, []
        host, port = server.address.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as sock:
            while self.next < COMMITS and time.monotonic() < end:
                frames = []
                for _ in range(500):
                    key = (random.randrange(GROUPS), random.randrange(PARTITIONS))
                    frames.append(commit_frame(self.next & 0x7fffffff, *key, self.next))
                    self.sent[key] = self.next
                    flight.append((key, self.next))
                    self.next += 1
                sock.sendall(b"".join(frames))
                while len(flight) > FLIGHT:
                    self.take(sock, flight)
                self.largest = max(self.largest, live_bytes(server))
            killed = self.next < COMMITS
            if killed:
                server.kill9()
            while flight:
                try:
                    self.take(sock, flight)  # also what was answered before the kill
                except (OSError, ConnectionError):
                    break
        return killed

    def audit(self, server):
        for group in range(GROUPS):
            found = tap.eventually(lambda: fetch(server.address, group), 30, "offsets", 0.02)
            for partition, offset in found.items():
                key = (group, partition)
                check(self.acked.get(key, -1) <= offset <= self.sent.get(key, -1),
                      f"g{group}-{partition}: committed {self.acked.get(key)}, sent {self.sent.get(key)}, read {offset}")


def setup():
    return broker.Server(props={"offsets.topic.num.partitions": 1, "num.partitions": PARTITIONS,
                                "offsets.topic.clean.min.bytes": CLEAN_MIN, "log.segment.delete.delay.ms": 1000}).start()


@test
def commits_survive_kills_while_the_log_is_cleaned_and_it_stays_short(server):
    random.seed(tap.seed())
    load, kills = Load(), 0
    coordinator(server.address)
    start = time.monotonic()
    while load.next < COMMITS:
        if load.run(server, random.uniform(0.3, 1.5) if kills < ROUNDS else 600):
            kills += 1
            started = time.monotonic()
            server.start()
            coordinator(server.address)
            load.audit(server)
            print(f"# kill {kills} after {load.next} commits: serving and audited after {time.monotonic() - started:.2f} s", flush=True)
    seconds = time.monotonic() - start
    load.audit(server)
    load.largest = max(load.largest, live_bytes(server))
    names = sorted(os.path.basename(n) for n in glob.glob(os.path.join(folder(server), "*.log")))
    print(f"# {load.next} commits in {seconds:.1f} s, {kills} kills; largest {load.largest} bytes live, at the end "
          f"{live_bytes(server)} in {names}", flush=True)
    check(load.largest < BOUND, f"{load.largest} bytes")
    check(int(names[0][:20]) > load.next // 2, f"the log begins at {names[0]}")
    tap.eventually(lambda: not glob.glob(os.path.join(folder(server), "*.deleted")), 15, "old files gone")
    server.load = load


@test
def apache_reads_the_same_offsets_from_the_directory(server):
    apache.jars()
    check(hasattr(server, "load"), "the test before this one failed")
    server.stop()
    reader = broker.Server(kind="apache", log_dir=server.log_dir, port=server.port,
                           props={"offsets.topic.num.partitions": 1, "num.partitions": PARTITIONS})
    try:
        reader.start()
        starts = apache.run("get-offsets", "--bootstrap-server", reader.address, "--topic", "__consumer_offsets", "--time", "earliest")
        check(int(starts.strip().split(":")[2]) > server.load.next // 2, starts)
        out = apache.run("consumer-groups", "--bootstrap-server", reader.address, "--describe", "--all-groups")
        found = {(int(g), int(p)): int(o) for g, p, o in re.findall(r"^g(\d+) +t +(\d+) +(\d+) ", out, re.M)}
        found = {key: offset for key, offset in found.items() if key[0] < GROUPS}
        equal(found, server.load.sent, "offsets that Apache sees")
    finally:
        reader.close()


if __name__ == "__main__":
    sys.exit(tap.main(setup, broker.finished))
