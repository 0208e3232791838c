"""What every client does against a broker: one function a scenario, in the order of docs/clients.md.

A scenario gets (peer, server): a client behind the verbs of peer.py, and a broker.Server. Topics and groups have names of
their own, so that scenarios can run alone and in any order.
"""
import itertools
import os
import random
import time

import raw
from peer import Failed, Record
from tap import check, equal, eventually

SCENARIOS = []
IDLE_S = 4   # more than the idle and expiration times of matrix.AUTO
_numbers = itertools.count()
_random = random.Random(int(os.environ.get("TEST_SEED", "1")))


def scenario(area, text):
    def add(function):
        function.area, function.text = area, text
        SCENARIOS.append(function)
        return function
    return add


def fresh(name):
    return f"{name}-{next(_numbers)}-{os.getpid()}"


def topic_of(server, name, partitions=1, **configs):
    topic = fresh(name)
    raw.create_topic(server.address, topic, partitions, {k.replace("_", "."): str(v) for k, v in configs.items()})
    return topic


def lines(count, first=0):
    """Records that compress, of many sizes."""
    return [Record(b"record %d of a line " % i * (1 + i % 30), b"key-%d" % i) for i in range(first, first + count)]


def same(got, want):
    equal([(r.key, r.value) for r in got], [(r.key, r.value) for r in want], "keys and values")


def fails(codes, call, *args, **options):
    codes = codes if isinstance(codes, (set, tuple)) else (codes,)
    try:
        call(*args, **options)
    except Failed as e:
        check(e.code in codes, f"error {e.code} ({e.text}), want {codes}")
        return
    raise AssertionError(f"no error, want {codes}")


# Records

def _codec(name):
    @scenario("produce", f"{name}: stored so, read back the same")
    def run(peer, server):
        topic = topic_of(server, "codec")
        peer.produce(topic, lines(100), codec=name)
        same(peer.read(topic, 100), lines(100))
        stored = raw.batches(server.address, topic)
        other = [(b.codec, b.count) for b in stored if b.codec != name]   # of a record or two: no gain, so not compressed
        check(len(other) < len(stored) and all(c == "none" and n < 5 for c, n in other), f"stored with {other}")
    run.__name__ = f"codec_{name}"


for _name in raw.CODECS:
    _codec(_name)


def _acks(value):
    @scenario("produce", f"acks={value}")
    def run(peer, server):
        topic = topic_of(server, "acks")
        peer.produce(topic, lines(50), acks=value)
        same(peer.read(topic, 50), lines(50))
    run.__name__ = f"acks_{value}"


for _name in ("0", "1", "all"):
    _acks(_name)


@scenario("produce", "idempotent: one producer id, sequences without a gap")
def idempotent_producer(peer, server):
    topic = topic_of(server, "idempotent")
    for first in range(0, 100, 20):
        peer.produce(topic, lines(20, first), idempotent=True, name="p")
    peer.call("close_producer", name="p")
    same(peer.read(topic, 100), lines(100))
    stored = raw.batches(server.address, topic)
    check(stored[0].producer_id >= 0, "no producer id")
    equal(len({b.producer_id for b in stored}), 1, "producer ids")
    equal([b.sequence for b in stored], [b.base_offset for b in stored], "sequences")


@scenario("produce", "idempotent, the broker killed and started again meanwhile: every record once")
def idempotent_producer_over_a_kill(peer, server):
    topic = topic_of(server, "kill")
    peer.produce(topic, lines(30), idempotent=True, name="p")
    server.kill9()
    server.start()
    peer.produce(topic, lines(30, 30), idempotent=True, name="p")
    peer.call("close_producer", name="p")
    same(peer.read(topic, 60), lines(60))
    equal(sum(b.count for b in raw.batches(server.address, topic)), 60, "records stored")


@scenario("produce", "headers: order, repeated names, bytes of every value")
def headers(peer, server):
    topic = topic_of(server, "headers")
    wanted = [("z", b"1"), ("z", b"2"), ("b", bytes(range(256))), ("ünï", b"x")]
    peer.produce(topic, [Record(b"v", b"k", wanted), Record(b"none", b"k")])
    got = peer.read(topic, 2)
    equal(got[0].headers, wanted, "headers")
    equal(got[1].headers, [], "headers of a record without")


@scenario("produce", "headers of one name with others between them")
def interleaved_headers(peer, server):
    topic = topic_of(server, "interleaved")
    wanted = [("a", b"1"), ("b", b"2"), ("a", b"3")]
    peer.produce(topic, [Record(b"v", b"k", wanted)])
    equal(peer.read(topic, 1)[0].headers, wanted, "headers")


@scenario("produce", "null and empty header values, told apart")
def null_and_empty_headers(peer, server):
    topic = topic_of(server, "null-header")
    peer.produce(topic, [Record(b"v", b"k", [("null", None), ("empty", b"")])])
    equal(peer.read(topic, 1)[0].headers, [("null", None), ("empty", b"")], "headers")


@scenario("produce", "null and empty keys and values, told apart")
def nulls_and_empties(peer, server):
    topic = topic_of(server, "nulls")
    records = [Record(v, k) for k in (None, b"", b"k") for v in (None, b"", b"v") if k is not None or v is not None]
    peer.produce(topic, records)
    same(peer.read(topic, len(records)), records)


@scenario("produce", "a record whose key and value are both null")
def null_key_and_value(peer, server):
    topic = topic_of(server, "null")
    peer.produce(topic, [Record(None)] * 3)
    same(peer.read(topic, 3), [Record(None)] * 3)


@scenario("produce", "create times are kept")
def timestamps(peer, server):
    topic = topic_of(server, "times")
    times = [1_600_000_000_000 + i * 61_001 for i in range(10)]
    peer.produce(topic, [Record(b"v", timestamp=t) for t in times])
    equal([r.timestamp for r in peer.read(topic, 10)], times, "timestamps")


@scenario("produce", "LogAppendTime: the broker's time in place of the client's")
def log_append_time(peer, server):
    topic = topic_of(server, "append-time", message_timestamp_type="LogAppendTime")
    before = int(time.time() * 1000)
    peer.produce(topic, [Record(b"v", timestamp=before - 5_000_000)] * 2)
    got = peer.read(topic, 2)
    check(all(before <= r.timestamp <= before + 60_000 for r in got), f"{[r.timestamp for r in got]} from {before}")
    check(raw.batches(server.address, topic)[0].log_append_time, "attribute of the batch")


@scenario("produce", "a record of 900 KB that does not compress, and of 5 MB where the topic allows it")
def big_records(peer, server):
    topic = topic_of(server, "big", max_message_bytes=6_000_000)
    records = [Record(_random.randbytes(size), b"big") for size in (900_000, 5_000_000, 1)]
    peer.produce(topic, records, size_max=5_900_000)
    same(peer.read(topic, 3), records)


# Reading

@scenario("fetch", "from an offset inside a batch, and up to the end")
def offset_inside_a_batch(peer, server):
    topic = topic_of(server, "inside")
    peer.produce(topic, lines(100), codec="gzip")
    for offset in (37, 99):
        got = peer.read(topic, 100 - offset, offset=offset)
        equal([r.offset for r in got], list(range(offset, 100)), "offsets")
        same(got, lines(100)[offset:])


@scenario("fetch", "the offset of a time; past the last record's time there is none")
def offset_of_a_time(peer, server):
    topic = topic_of(server, "of-time")
    peer.produce(topic, [Record(b"v", timestamp=1_600_000_000_000 + i * 1000) for i in range(50)])
    for at, want in ((0, {0}), (1_600_000_010_000, {10}), (1_600_000_010_001, {11}), (1_700_000_000_000, {-1, 50})):
        got = peer.call("offset_of_time", topic=topic, partition=0, time=at)["offset"]
        check(got in want, f"time {at}: {got}, want {want}")


@scenario("errors", "an offset below the log's start, reset to earliest")
def out_of_range_to_earliest(peer, server):
    topic = topic_of(server, "earliest")
    peer.produce(topic, lines(40))
    equal(raw.delete_records(server.address, topic, 0, 25), 25, "low watermark")
    same(peer.read(topic, 15, offset=3, reset="earliest"), lines(15, 25))


@scenario("errors", "an offset past the end, reset to latest: only what comes then")
def out_of_range_to_latest(peer, server):
    topic = topic_of(server, "latest")
    peer.produce(topic, lines(10))
    peer.call("open", name="late", topic=topic, partition=0, offset=1000, reset="latest")
    extra, number = [], itertools.count(10)

    def arrives():
        peer.produce(topic, lines(1, next(number)))
        extra.extend(peer.poll("late", 300)[0])
        return extra
    eventually(arrives, what="a record after the reset")
    peer.call("leave", name="late")
    check(extra[0].offset >= 10, f"first record has offset {extra[0].offset}")


@scenario("errors", "an offset out of range without a reset is an error")
def out_of_range_is_an_error(peer, server):
    topic = topic_of(server, "range")
    peer.produce(topic, lines(10))

    def read():
        peer.call("open", name="range", topic=topic, partition=0, offset=1000, reset="none")
        for _ in range(50):
            peer.poll("range")
    fails(1, read)
    peer.call("leave", name="range")


# Groups

def settle(peer, members, done, what, got=None, timeout_s=40):
    """Polls the members in turn until done(their assignments); what they read is appended to got."""
    held, end = {}, time.monotonic() + timeout_s
    while True:
        for member in members:
            records, held[member] = peer.poll(member, 150)
            if got is not None:
                got.extend(records)
        if len(held) == len(members) and done([held[m] for m in members]):
            return held
        check(time.monotonic() < end, f"{what}: not within {timeout_s} s: {held}")


def shared(partitions, shape):
    """True when every partition is held once, by so many members as shape says."""
    def done(held):
        flat = [p for assignment in held for _, p in assignment]
        return sorted(flat) == list(range(partitions)) and sorted(map(len, held)) == sorted(shape)
    return done


def gather(peer, members, count, timeout_s=30):
    got, end = [], time.monotonic() + timeout_s
    while len(got) < count:
        for member in members:
            got += peer.poll(member, 150)[0]
        check(time.monotonic() < end, f"{len(got)} of {count} records after {timeout_s} s")
    return got


def fill(peer, topic, partitions, each, first=0):
    for partition in range(partitions):
        peer.produce(topic, lines(each, first), partition=partition, name="filler")


def state(server, group):
    name, members = raw.describe_group(server.address, group)
    return name, len(members)


def left(peer, server, group, *members):
    for member in members:
        peer.call("leave", name=member)
    eventually(lambda: state(server, group) in (("Empty", 0), ("Dead", 0)), what=f"{group} is empty")


@scenario("groups", "a committed group goes on where it stood")
def commit_and_resume(peer, server):
    topic, group = topic_of(server, "resume"), fresh("resume")
    peer.produce(topic, lines(60))
    peer.call("join", name="a", group=group, topics=[topic])
    same(peer.collect("a", 25), lines(25))
    peer.call("commit", name="a")
    left(peer, server, group, "a")
    peer.call("join", name="b", group=group, topics=[topic])
    same(peer.collect("b", 35), lines(35, 25))
    left(peer, server, group, "b")


@scenario("groups", "a second member joins, shares the partitions, and leaves")
def second_member_joins_and_leaves(peer, server):
    topic, group = topic_of(server, "share", 4), fresh("share")
    peer.call("join", name="a", group=group, topics=[topic])
    settle(peer, ["a"], shared(4, [4]), "one member has all")
    peer.call("join", name="b", group=group, topics=[topic])
    settle(peer, ["a", "b"], shared(4, [2, 2]), "two members have two each")
    equal(state(server, group), ("Stable", 2), "group")
    fill(peer, topic, 4, 10)
    got = gather(peer, ["a", "b"], 40)
    equal(sorted((r.partition, r.offset) for r in got), [(p, o) for p in range(4) for o in range(10)], "records")
    peer.call("leave", name="b")
    settle(peer, ["a"], shared(4, [4]), "the first has all again")
    equal(state(server, group), ("Stable", 1), "group")
    left(peer, server, group, "a")


@scenario("groups", "more members than partitions: one waits without any, and takes over")
def member_without_partitions(peer, server):
    topic, group = topic_of(server, "spare"), fresh("spare")
    for member in ("a", "b"):
        peer.call("join", name=member, group=group, topics=[topic])
    held = settle(peer, ["a", "b"], shared(1, [1, 0]), "one has it, one has none")
    owner, spare = ("a", "b") if held["a"] else ("b", "a")
    peer.call("leave", name=owner)
    settle(peer, [spare], shared(1, [1]), "the other takes over")
    fill(peer, topic, 1, 5)
    same(gather(peer, [spare], 5), lines(5))
    left(peer, server, group, spare)


@scenario("groups", "three groups of two members on one topic at once: each reads all")
def three_groups_at_once(peer, server):
    topic, groups = topic_of(server, "three", 2), [fresh("three") for _ in range(3)]
    members = {group: [f"{group}-{n}" for n in "ab"] for group in groups}
    for group in groups:
        for member in members[group]:
            peer.call("join", name=member, group=group, topics=[topic])
    everyone = [m for group in groups for m in members[group]]
    settle(peer, everyone, lambda held: all(shared(2, [1, 1])(held[i:i + 2]) for i in (0, 2, 4)), "all three are shared")
    fill(peer, topic, 2, 10)
    by_group = {group: [] for group in groups}

    def all_read():
        for group in groups:
            for member in members[group]:
                by_group[group] += peer.poll(member, 100)[0]
        return all(len(rows) == 20 for rows in by_group.values())
    eventually(all_read, what="every group reads all")
    for group in groups:
        left(peer, server, group, *members[group])


@scenario("groups", "a static member goes and comes back: no rebalance, the same partitions")
def static_member(peer, server):
    topic, group = topic_of(server, "static", 2), fresh("static")
    for member in ("a", "b"):
        peer.call("join", name=member, group=group, topics=[topic], instance=f"i-{member}", session_ms=20000)
    held = settle(peer, ["a", "b"], shared(2, [1, 1]), "one each")
    peer.call("leave", name="b", keep=True)
    for _ in range(5):
        equal(peer.poll("a", 100)[1], held["a"], "the other's partitions while it is away")
    equal(state(server, group), ("Stable", 2), "group while it is away")
    peer.call("join", name="b", group=group, topics=[topic], instance="i-b", session_ms=20000)
    again = settle(peer, ["a", "b"], shared(2, [1, 1]), "one each again")
    equal(again, held, "partitions")
    fill(peer, topic, 2, 5)
    gather(peer, ["a", "b"], 10)
    for member in ("a", "b"):
        peer.call("leave", name=member)


@scenario("groups", "the broker restarts: the member reads on, and what was committed stays")
def group_over_a_restart(peer, server):
    topic, group = topic_of(server, "restart"), fresh("restart")
    peer.produce(topic, lines(20))
    peer.call("join", name="a", group=group, topics=[topic])
    same(peer.collect("a", 20), lines(20))
    peer.call("commit", name="a")
    server.restart()
    peer.produce(topic, lines(20, 20))
    same([r for r in gather(peer, ["a"], 20) if r.offset >= 20], lines(20, 20))
    left(peer, server, group, "a")
    peer.call("join", name="b", group=group, topics=[topic])
    same(peer.collect("b", 20), lines(20, 20))
    left(peer, server, group, "b")


@scenario("groups", "an offset committed with words about it comes back with them")
def commit_with_metadata(peer, server):
    topic, group = topic_of(server, "metadata"), fresh("metadata")
    peer.produce(topic, lines(30))
    peer.call("join", name="a", group=group, topics=[topic])
    peer.collect("a", 5)
    peer.call("commit_offset", name="a", topic=topic, partition=0, offset=17, metadata="seventeen, naïve")
    got = peer.call("committed", name="a", topic=topic, partition=0)
    equal((got["offset"], got["metadata"]), (17, "seventeen, naïve"), "committed")
    left(peer, server, group, "a")
    peer.call("join", name="b", group=group, topics=[topic])
    same(peer.collect("b", 13), lines(13, 17))
    left(peer, server, group, "b")


@scenario("errors", "a member that was removed: its commit is refused, and it joins again")
def removed_member(peer, server):
    topic, group = topic_of(server, "removed"), fresh("removed")
    peer.produce(topic, lines(10))
    peer.call("join", name="a", group=group, topics=[topic], heartbeat_ms=3000)
    peer.collect("a", 10)
    before = raw.describe_group(server.address, group)[1]
    equal(len(before), 1, "members")
    raw.throw_out(server.address, group, before[0])
    fails((22, 25, 27), peer.call, "commit", name="a")
    settle(peer, ["a"], shared(1, [1]), "it has its partition")
    eventually(lambda: peer.poll("a") and raw.describe_group(server.address, group)[0] == "Stable", what="the group is stable again")
    check(raw.describe_group(server.address, group)[1] != before, "the member id is a new one")
    left(peer, server, group, "a")


# Administration

@scenario("admin", "a topic is created with partitions and settings, and listed")
def create_topic(peer, server):
    topic = fresh("made")
    peer.call("create_topic", topic=topic, partitions=3, configs={"retention.ms": "3600000"})
    equal(eventually(lambda: raw.led(server.address, topic, 3), what="leaders"), True)
    check(topic in peer.call("list_topics")["topics"], "not listed")
    equal(peer.call("describe_topic", topic=topic)["partitions"], 3, "partitions")


@scenario("admin", "a topic's settings are described and altered")
def topic_settings(peer, server):
    topic = topic_of(server, "settings", retention_ms=3600000, cleanup_policy="compact")
    got = peer.call("describe_configs", topic=topic)["configs"]
    equal((got.get("retention.ms"), got.get("cleanup.policy")), ("3600000", "compact"), "settings")
    check({"max.message.bytes", "segment.bytes", "min.insync.replicas"} <= set(got), f"defaults are missing: {sorted(got)}")
    peer.call("alter_config", topic=topic, config="retention.ms", value="7200000", keep={"cleanup.policy": "compact"})
    eventually(lambda: peer.call("describe_configs", topic=topic)["configs"]["retention.ms"] == "7200000", what="the new value")
    equal(peer.call("describe_configs", topic=topic)["configs"]["cleanup.policy"], "compact", "the other one")


@scenario("admin", "partitions are added")
def create_partitions(peer, server):
    topic = topic_of(server, "grown", 2)
    peer.call("create_partitions", topic=topic, total=5)
    check(eventually(lambda: raw.led(server.address, topic, 5), what="leaders"))
    eventually(lambda: peer.call("describe_topic", topic=topic)["partitions"] == 5, what="five partitions described")


@scenario("admin", "records are deleted up to an offset")
def delete_records(peer, server):
    topic = topic_of(server, "deleted")
    peer.produce(topic, lines(20))
    peer.call("delete_records", topic=topic, partition=0, before=12)
    same(peer.read(topic, 8, offset="earliest"), lines(8, 12))


@scenario("admin", "the first and the next offset are listed")
def list_offsets(peer, server):
    topic = topic_of(server, "offsets")
    peer.produce(topic, lines(20))
    raw.delete_records(server.address, topic, 0, 4)
    for at, want in (("earliest", 4), ("latest", 20)):
        equal(peer.call("list_offsets", topic=topic, partition=0, at=at)["offset"], want, at)


@scenario("admin", "groups are listed, described and deleted")
def groups_listed_described_deleted(peer, server):
    topic, group = topic_of(server, "group"), fresh("group")
    peer.produce(topic, lines(5))
    peer.call("join", name="a", group=group, topics=[topic])
    peer.collect("a", 5)
    try:
        peer.call("commit", name="a")
        check(group in peer.call("list_groups")["groups"], "not listed")
        got = peer.call("describe_group", group=group)
        equal((got["state"].upper(), got["members"]), ("STABLE", 1), "group")
    finally:
        left(peer, server, group, "a")
    peer.call("delete_group", group=group)
    check(group not in peer.call("list_groups")["groups"], "listed after it was deleted")


@scenario("admin", "a topic is deleted")
def delete_topic(peer, server):
    topic = topic_of(server, "gone")
    peer.call("delete_topic", topic=topic)
    eventually(lambda: topic not in peer.call("list_topics")["topics"], what="not listed")


# Errors

@scenario("errors", "producing to a topic that is not there")
def produce_to_unknown_topic(peer, server):
    fails(3, peer.produce, fresh("nowhere"), lines(1), patience_ms=1500)


@scenario("produce", "a topic is made by the first record where the broker makes topics")
def auto_created_topic(peer, server):
    del server
    topic = fresh("auto-made")
    peer.auto.produce(topic, lines(10))
    same(peer.auto.read(topic, 10), lines(10))


@scenario("errors", "a record over the topic's limit is refused, the next one is not")
def record_too_large(peer, server):
    topic = topic_of(server, "too-large", max_message_bytes=100_000)
    fails(10, peer.produce, topic, [Record(_random.randbytes(300_000))], size_max=5_000_000)
    peer.produce(topic, lines(3), size_max=5_000_000)
    same(peer.read(topic, 3), lines(3))


@scenario("errors", "a record without a key for a compacted topic is refused")
def keyless_record_for_a_compacted_topic(peer, server):
    topic = topic_of(server, "compacted", cleanup_policy="compact")
    fails((87, "unknown"), peer.produce, topic, [Record(b"v")])   # a code that some libraries have no name for
    peer.produce(topic, lines(3))
    same(peer.read(topic, 3), lines(3))


@scenario("errors", "a topic name that is not allowed")
def invalid_topic_name(peer, server):
    fails(17, peer.call, "create_topic", topic="no spaces!", partitions=1, configs={})


@scenario("errors", "a topic that is there already")
def topic_exists(peer, server):
    fails(36, peer.call, "create_topic", topic=topic_of(server, "twice"), partitions=1, configs={})


@scenario("errors", "a setting that does not exist, and a value that is none")
def bad_settings(peer, server):
    for configs in ({"no.such.setting": "1"}, {"retention.ms": "soon"}):
        fails(40, peer.call, "create_topic", topic=fresh("bad"), partitions=1, configs=configs)


@scenario("errors", "fewer partitions than there are")
def fewer_partitions(peer, server):
    fails(37, peer.call, "create_partitions", topic=topic_of(server, "fewer", 3), total=2)


@scenario("errors", "deleting a topic that is not there")
def delete_unknown_topic(peer, server):
    fails(3, peer.call, "delete_topic", topic=fresh("nowhere"))


@scenario("errors", "deleting a group that has members, and one that is not there")
def delete_group_refused(peer, server):
    topic, group = topic_of(server, "busy"), fresh("busy")
    peer.call("join", name="a", group=group, topics=[topic])
    settle(peer, ["a"], shared(1, [1]), "joined")
    try:
        fails(68, peer.call, "delete_group", group=group)
        fails(69, peer.call, "delete_group", group=fresh("nobody"))
    finally:
        left(peer, server, group, "a")


@scenario("produce", "idempotent, after the broker closed the idle connection and forgot the producer's state")
def idempotent_producer_after_idleness(peer, server):
    del server
    time.sleep(max(0.0, peer.idle_since + IDLE_S - time.monotonic()))
    peer.auto.produce(peer.idle_topic, lines(10, 10), idempotent=True, name="idle")
    same(peer.auto.read(peer.idle_topic, 20), lines(20))
    peer.auto.call("close_producer", name="idle")


def begin_idleness(peer):
    """Before all scenarios, so that they are what the time passes with."""
    peer.idle_topic = fresh("idle")
    peer.auto.produce(peer.idle_topic, lines(10), idempotent=True, name="idle")
    peer.idle_since = time.monotonic()
