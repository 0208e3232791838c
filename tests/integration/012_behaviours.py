#!/usr/bin/env python3
"""Promises of the protocol that need time, order or a restart to be seen; docs/behaviours.md lists all of them.

MOLDAU_TEST_SERVER=apache asks Apache Kafka the same.
"""
import gzip
import os
import socket
import struct
import sys
import threading
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../lib"), os.path.join(HERE, "../parity")]
import broker
import cases
import making
import making_data as requests
import tap
import wire
from tap import check, equal, eventually, test

CODEC = wire.Codec()
CONNS = {}


def send(server, api, v, fields, conn=""):
    one = CONNS.setdefault((server.port, conn), cases.Conn(server.address))
    one.send(CODEC, {"api": api, "v": v}, CODEC.encode(CODEC.apis[api][1], v, fields))
    return one


def ask(server, api, v, fields, conn=""):
    return send(server, api, v, fields, conn).receive(CODEC, {"api": api, "v": v})


def create(server, *names, conn="", **options):
    answer = ask(server, "CreateTopics", 7, requests.create(*names, **options)["f"], conn)
    check(all(t.get("errorCode", 0) == 0 for t in answer["topics"]), answer)
    return {t["name"]: t["topicId"] for t in answer["topics"]}


def append(server, topic, n=1, acks=-1, conn=""):
    return ask(server, "Produce", 9, requests.produce_base(9, topic, requests.records(n), acks), conn)["responses"][0]["partitionResponses"][0]


def post(conn, fields):
    """A Produce on a connection of its own, whose answer is read later."""
    conn.send(CODEC, {"api": "Produce", "v": 9}, CODEC.encode(CODEC.apis["Produce"][1], 9, fields))


def answers(conn, count):
    """Of what was posted, in the order of posting: the partitions that each answer names."""
    for i in range(count):
        correlation_id, answer = CODEC.answer("Produce", 9, conn.frame())
        equal(correlation_id, i + 1, "the answer's number")
        yield answer["responses"][0]["partitionResponses"]


def offset(server, topic, timestamp=-1, conn=""):
    return ask(server, "ListOffsets", 7, {"replicaId": -1, "topics": [{"name": topic, "partitions": [{"partitionIndex": 0, "timestamp": timestamp}]}]},
               conn)["topics"][0]["partitions"][0]


def packed(size, cut=False):
    """A gzip batch of one record of so many zeros; cut: its last bytes are missing inside."""
    value = bytes(size)
    body = b"\0" * 3 + b"\1" + varint(size) + value + b"\0"
    inside = gzip.compress(varint(len(body)) + body, mtime=0)
    tail = struct.pack(">hiqqqhii", 1, 0, 1000, 1000, -1, -1, -1, 1) + (inside[:-20] if cut else inside)
    return (struct.pack(">qiibI", 0, 9 + len(tail), -1, 2, making.crc32c(tail)) + tail).hex()


def varint(n):
    """Of a number that is not negative, zigzag."""
    n, out = n << 1, b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def fetch(topic, at, wait_ms, min_bytes=1, **more):
    return {**requests.fetch_base(12, topic, 0, at), "maxWaitMs": wait_ms, "minBytes": min_bytes, **more}


@test
def an_unknown_request_key_closes_the_connection(server):
    for key in (4, 5, 6, 7, 999, -1, 32767):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
            sock.sendall(struct.pack(">ihhih", 10, key, 0, 1, -1))
            try:
                equal(sock.recv(1), b"", f"answer to key {key}")
            except ConnectionResetError:
                pass


@test
def produce_is_said_to_begin_at_version_0(server):
    keys = {k.get("apiKey", 0): k for k in ask(server, "ApiVersions", 3, {"clientSoftwareName": "t", "clientSoftwareVersion": "1"})["apiKeys"]}
    equal(keys[0].get("minVersion", 0), 0, "lowest version")


@test
def pipelined_requests_are_answered_and_appended_in_order(server):
    create(server, "ordered", partitions=1)
    eventually(lambda: offset(server, "ordered").get("errorCode", 0) == 0)
    conn = cases.Conn(server.address)
    for i in range(50):
        post(conn, requests.produce_base(9, "ordered", making.batch([(b"k", b"%d" % i)])))
    for i, (got,) in enumerate(answers(conn, 50)):
        equal((got.get("errorCode", 0), got.get("baseOffset", 0)), (0, i), "its offset")
    conn.close()


@test
def no_request_overtakes_one_whose_check_takes_long(server):
    """Small packed batches between those that unpack to much, all sent at once on one connection."""
    create(server, "ordered2", partitions=1)
    eventually(lambda: offset(server, "ordered2").get("errorCode", 0) == 0)
    conn = cases.Conn(server.address)
    sizes = [10, 900000, 20, 300000, 30, 40, 700000, 50] * 5
    for size in sizes:
        post(conn, requests.produce_base(9, "ordered2", packed(size)))
    for i, (got,) in enumerate(answers(conn, len(sizes))):
        equal((got.get("errorCode", 0), got.get("baseOffset", 0)), (0, i), "its offset")
    conn.close()


@test
def nothing_overtakes_a_request_of_many_large_batches(server):
    """A hundred partitions, 6 MB: the broker serves others meanwhile, but not its connection."""
    create(server, "wide", partitions=100)
    eventually(lambda: offset(server, "wide").get("errorCode", 0) == 0)
    conn, large, small = cases.Conn(server.address), making.batch([(b"k", bytes(60000))]), making.batch()
    for held in (large, small):
        fields = requests.produce_base(9, "wide", held)
        fields["topicData"][0]["partitionData"] = [{"index": i, "records": held} for i in range(100)]
        post(conn, fields)
    for at, partitions in enumerate(answers(conn, 2)):
        got = sorted((p.get("index", 0), p.get("errorCode", 0), p.get("baseOffset", 0)) for p in partitions)
        equal(got, [(i, 0, at) for i in range(100)], "offsets")
    conn.close()


@test
def an_error_that_takes_long_to_find_closes_a_connection_without_acks(server):
    create(server, "bad", partitions=1)
    eventually(lambda: offset(server, "bad").get("errorCode", 0) == 0)
    conn = cases.Conn(server.address)
    for acks, held in ((0, packed(500000)), (0, packed(500000, cut=True))):
        post(conn, requests.produce_base(9, "bad", held, acks))
    equal(conn.sock.recv(1), b"", "what follows an error without acks")
    eventually(lambda: offset(server, "bad").get("offset") == 1)
    conn.close()


@test
def topic_ids_are_random_uuids_and_never_come_again(server):
    seen = set()
    for _ in range(20):
        got = create(server, "named", partitions=1)["named"]
        equal(uuid.UUID(bytes=wire.uuid_bytes(got)).version, 4, "version of the id")
        check(not got.startswith("-"), f"{got} would look like an option")
        check(got not in seen, "an id came again")
        seen.add(got)
        equal(ask(server, "DeleteTopics", 5, {"topicNames": ["named"], "timeoutMs": 30000})["responses"][0].get("errorCode", 0), 0, "delete")


@test
def a_created_topic_is_there_at_once_and_a_deleted_one_is_not(server):
    if server.kind == "apache":
        raise tap.Skip("Apache's cache may be behind its answer")
    for i in range(20):
        create(server, f"once{i}", partitions=1)
        got = ask(server, "Metadata", 12, {"topics": [{"name": f"once{i}"}], "allowAutoTopicCreation": False}, "other")["topics"][0]
        equal(got.get("errorCode", 0), 0, "Metadata after CreateTopics")
        ask(server, "DeleteTopics", 5, {"topicNames": [f"once{i}"], "timeoutMs": 30000})
        got = ask(server, "Metadata", 12, {"topics": [{"name": f"once{i}"}], "allowAutoTopicCreation": False}, "other")["topics"][0]
        equal(got.get("errorCode", 0), 3, "Metadata after DeleteTopics")


@test
def what_was_acknowledged_is_found_at_once(server):
    """acks=1 is answered before a flush, of which no client need know who then fetches, asks for an offset or deletes."""
    create(server, "found", partitions=1)
    eventually(lambda: offset(server, "found").get("errorCode", 0) == 0)
    for i in range(100):
        time_ms = 1000000000000 + i
        fields = requests.produce_base(9, "found", making.batch([(b"k", b"v")], time_ms=time_ms), 1)
        equal(ask(server, "Produce", 9, fields)["responses"][0]["partitionResponses"][0].get("baseOffset", 0), i, "offset")
        if i % 5 == 0:
            equal(offset(server, "found")["offset"], i + 1, "latest offset")
        elif i % 5 == 1:
            equal(offset(server, "found", time_ms)["offset"], i, "offset by time")
        elif i % 5 == 3:
            got = ask(server, "Fetch", 12, fetch("found", i, 0, min_bytes=i % 2))["responses"][0]["partitions"][0]
            check(got["records"], "a fetch that does not wait gave no records")
        elif i % 5 == 2:
            equal(offset(server, "found", -3)["offset"], i, "offset of the largest time")
        else:
            part = {"partitionIndex": 0, "offset": i + 1}
            got = ask(server, "DeleteRecords", 2, {"topics": [{"name": "found", "partitions": [part]}], "timeoutMs": 30000})
            got = got["topics"][0]["partitions"][0]
            equal((got.get("errorCode", 0), got["lowWatermark"]), (0, i + 1), "deleted up to")


@test
def a_waiting_fetch_ends_when_records_come(server):
    create(server, "waited", partitions=1)
    eventually(lambda: offset(server, "waited").get("errorCode", 0) == 0)
    conn = send(server, "Fetch", 12, fetch("waited", 0, 60000), "waits")
    append(server, "waited", 3)
    got = conn.receive(CODEC, {"api": "Fetch", "v": 12})["responses"][0]["partitions"][0]
    check(got["records"], "no records")
    equal(got["highWatermark"], 3, "high watermark")


@test
def a_fetch_of_nothing_waits_as_long_as_it_says(server):
    start = time.monotonic()
    got = ask(server, "Fetch", 12, fetch("waited", 3, 300))
    check(time.monotonic() - start >= 0.29, "it came too early")
    equal(got["responses"][0]["partitions"][0]["records"], "", "records (empty, not null)")


@test
def an_incremental_fetch_of_nothing_waits_too(server):
    session = ask(server, "Fetch", 12, fetch("waited", 3, 0, sessionEpoch=0))["sessionId"]
    start = time.monotonic()
    got = ask(server, "Fetch", 12, fetch("waited", 3, 300, sessionId=session, sessionEpoch=1, topics=[]))
    check(time.monotonic() - start >= 0.29, "it came too early")
    equal(got.get("responses", []), [], "partitions")


@test
def a_fetch_from_within_a_batch_gets_the_batch(server):
    create(server, "within", partitions=1)
    eventually(lambda: offset(server, "within").get("errorCode", 0) == 0)
    append(server, "within", 5)
    for at in range(5):
        check(ask(server, "Fetch", 12, fetch("within", at, 0))["responses"][0]["partitions"][0]["records"], f"nothing at offset {at}")


@test
def every_offset_holds_a_record_of_a_client(server):
    """Nothing of the server's own takes offsets: the lag of a reader at the end is 0."""
    create(server, "dense", partitions=1)
    eventually(lambda: offset(server, "dense").get("errorCode", 0) == 0)
    for i in range(10):
        equal(append(server, "dense").get("baseOffset", 0), i, "offset")
    server.stop()
    server.start()
    eventually(lambda: append(server, "dense", conn="new").get("errorCode", 0) == 0)
    check(offset(server, "dense", conn="new").get("offset", 0) >= 11, "the end after a restart")
    equal(offset(server, "dense", -2, "new").get("offset", 0), 0, "the beginning")


@test
def leader_epochs_never_go_back(server):
    def epoch(conn):
        return offset(server, "dense", conn=conn).get("leaderEpoch", 0)

    last = epoch("before")
    for i, end in enumerate((server.stop, server.kill9)):
        end()
        server.start()
        conn = f"after{i}"
        eventually(lambda: offset(server, "dense", conn=conn).get("errorCode", 0) == 0)
        check(epoch(conn) >= last, "a leader epoch went back")
        last = epoch(conn)


@test
def offsets_are_never_unknown_while_their_coordinator_starts(server):
    """Until they are read again the answer is that they are being loaded, not that there are none."""
    asked = {"groupId": "g", "topics": [{"name": "dense", "partitionIndexes": [0]}]}

    def fetched(conn):
        try:
            return ask(server, "OffsetFetch", 7, asked, conn)
        except OSError:
            return None

    eventually(lambda: ask(server, "FindCoordinator", 3, {"key": "g"}, "commits").get("errorCode", 0) == 0)
    eventually(lambda: ask(server, "OffsetCommit", 8, requests.commit(8, "g", "dense"), "commits")["topics"][0]["partitions"][0].get("errorCode", 0) == 0)
    for i, end in enumerate((server.stop, server.kill9)):
        end()
        server.start()
        for number in range(1000):
            got = fetched(f"asks{i} {number}")
            code = got.get("errorCode", 0) if isinstance(got, dict) else 15
            check(code in (0, 14, 15), f"error {code}")
            if code == 0:
                break
        equal(got["topics"][0]["partitions"][0].get("committedOffset", 0), 5, "the first offset that is told")


@test
def topics_that_live_are_never_unknown_while_a_node_starts(server):
    create(server, *[f"live{i}" for i in range(50)], partitions=2, conn="live")
    wrong, stop = [], threading.Event()

    def look():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                got = ask(server, "Metadata", 12, {"topics": [{"name": "live7"}, {"name": "live49"}], "allowAutoTopicCreation": False}, f"look{number}")
            except OSError:
                continue
            if isinstance(got, dict):
                wrong.extend(t for t in got["topics"] if t.get("errorCode", 0) == 3)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for end in (server.stop, server.kill9):
            end()
            server.start()
    finally:
        stop.set()
        thread.join()
    equal(wrong, [], "topics that were not known")


if __name__ == "__main__":
    tap.main(setup=broker.started, teardown=broker.finished)
