#!/usr/bin/env python3
"""/metrics of the real process: its format, its agreement with spec/metrics.json, and that known amounts move
the counters by exactly these amounts."""
import json
import os
import re
import struct
import sys
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import env
import tap
from tap import check, equal, eventually, test

env.in_venv("venv-metrics", "prometheus-client==0.26.0")
from prometheus_client.parser import text_string_to_metric_families

SPEC = {m["name"]: m for m in json.load(open(os.path.join(broker.ROOT, "spec/metrics.json")))}
LINE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (-?\d+(?:\.\d+)?(?:e[-+]\d+)?)$')
TOPIC = "kafka_server_brokertopicmetrics_"
PRODUCE, FETCH, OFFSET_COMMIT, FIND_COORDINATOR, CREATE_TOPICS, DELETE_TOPICS, METADATA = 0, 1, 8, 10, 19, 20, 3


# ---- the protocol, by hand: only so is it known what the broker was asked ----

def crc32c(data, table=[]):
    if not table:
        for n in range(256):
            for _ in range(8):
                n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
            table.append(n)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(n):
    n, out = (n << 1) ^ (n >> 63), b""
    while n > 0x7F:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def batch(*values):
    records = b""
    for at, value in enumerate(values):
        body = b"\0" + varint(0) + varint(at) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    now = int(time.time() * 1000)
    tail = struct.pack(">hiqqqhii", 0, len(values) - 1, now, now, -1, -1, -1, len(values)) + records
    return struct.pack(">qiibI", 0, len(tail) + 9, -1, 2, crc32c(tail)) + tail


def string(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack(">h", len(s)) + s


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def create_topic(server, name, partitions):
    body = array([string(name) + struct.pack(">ih", partitions, 1) + array([]) + array([])]) + struct.pack(">ib", 10000, 0)
    answer = broker.request(server.address, CREATE_TOPICS, 2, body, timeout_s=20)
    equal(struct.unpack_from(">h", answer, 8 + 2 + len(name))[0], 0, "error of CreateTopics")


def delete_topic(server, name):
    broker.request(server.address, DELETE_TOPICS, 1, array([string(name)]) + struct.pack(">i", 10000), timeout_s=20)


def produce(server, topic, parts, acks=-1):
    """parts: {partition: bytes}; gives {partition: error}."""
    body = string("")[:0] + struct.pack(">hhi", -1, acks, 10000)
    body += array([string(topic) + array([struct.pack(">ii", p, len(r)) + r for p, r in parts.items()])])
    answer = broker.request(server.address, PRODUCE, 3, body, timeout_s=20)
    at = 4 + 2 + len(topic)
    count = struct.unpack_from(">i", answer, at)[0]
    return {p: e for p, e in (struct.unpack_from(">ih", answer, at + 4 + i * 22) for i in range(count))}


def fetch(server, topic, partition, offset, max_wait_ms=0, min_bytes=0):
    body = struct.pack(">iiiib", -1, max_wait_ms, min_bytes, 1 << 24, 0)
    body += array([string(topic) + array([struct.pack(">iqi", partition, offset, 1 << 24)])])
    answer = broker.request(server.address, FETCH, 4, body, timeout_s=20)
    at = 4 + 4 + 2 + len(topic) + 4
    index, error, _, _, aborted = struct.unpack_from(">ihqqi", answer, at)
    return error, struct.unpack_from(">i", answer, at + 26 + max(aborted, 0) * 16)[0]


def find_coordinator(server, group):
    return struct.unpack_from(">h", broker.request(server.address, FIND_COORDINATOR, 0, string(group)))[0]


def commit(server, group, topic, offsets):
    """As one who is no member of the group; gives the errors."""
    name = group if isinstance(group, bytes) else group.encode()
    body = string(name) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1)
    body += array([string(topic) + array([struct.pack(">iq", p, o) + string("") for p, o in offsets.items()])])

    def attempt():
        if find_coordinator(server, name) != 0:
            return None
        answer = broker.request(server.address, OFFSET_COMMIT, 2, body, timeout_s=20)
        errors = {struct.unpack_from(">ih", answer, 4 + 2 + len(topic) + 4 + i * 6)[1] for i in range(len(offsets))}
        return None if errors & {14, 15, 16} else errors
    return eventually(attempt, what="a coordinator")


# ---- scraping ----

def get(server, path="/metrics"):
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=20) as answer:
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def scrape(server, path="/metrics"):
    """{(name of the sample, labels): value}"""
    series = {}
    for family in text_string_to_metric_families(get(server, path)[2]):
        for s in family.samples:
            series[s.name, frozenset(s.labels.items())] = s.value
    return series


def value(series, name, **labels):
    return series.get((name, frozenset(labels.items())))


def total(series, name, **labels):
    return sum(v for (n, l), v in series.items() if n == name and frozenset(labels.items()) <= l)


def moved(before, after, name, **labels):
    return (value(after, name, **labels) or 0) - (value(before, name, **labels) or 0)


def start(props=None, **options):
    http = f"127.0.0.1:{broker.free_port()}"
    server = broker.Server(kind="moldau", props={"http.listener": http, "offsets.topic.num.partitions": 4, **(props or {})}, **options)
    server.http = http
    return server.start()


# ---- tests ----

def check_format(text):
    """Everything of the text format, and that it says what the list says."""
    check(text.endswith("\n"), "the last line does not end")
    family, families, series = None, [], set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family, _, rest = line[7:].partition(" ")
            equal(rest, SPEC[family]["help"], f"help of {family}")
            check(family not in families, f"{family} stands in two pieces")
            families.append(family)
            typed = False
        elif line.startswith("# TYPE "):
            equal(line[7:], f"{family} {SPEC[family]['type']}", "type")
            check(not typed, f"{family} has two types")
            typed = True
        else:
            match = LINE.match(line)
            check(match, f"not a sample: {line}")
            check(typed, f"a sample before its type: {line}")
            check_sample(family, match, line)
            check((match[1], match[2]) not in series, f"twice: {line}")
            series.add((match[1], match[2]))
    return families


def check_sample(family, match, line):
    spec, own = SPEC[family], set()
    suffixes = {"histogram": {"_bucket": {"le"}, "_sum": set(), "_count": set()},
                "summary": {"": {"quantile"}, "_sum": set(), "_count": set()}}.get(spec["type"], {"": set()})
    suffix = match[1][len(family):]
    check(match[1].startswith(family) and suffix in suffixes, f"a stranger in {family}: {line}")
    own = suffixes[suffix]
    labels = [l for l, _ in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or "")]
    wanted = [l.rstrip("?") for l in spec["labels"]]
    required = [l for l in spec["labels"] if not l.endswith("?")]
    check(set(labels) - own in (set(wanted), set(required)), f"labels: {line}")
    check(spec["type"] != "counter" or not match[3].startswith("-"), f"a counter below 0: {line}")


@test
def the_format_is_right_and_the_list_is_complete(server):
    create_topic(server, "format", 2)
    equal(produce(server, "format", {0: batch(b"a"), 1: batch(b"b")}), {0: 0, 1: 0}, "errors")
    commit(server, "format-group", "format", {0: 1})
    status, kind, text = get(server)
    equal(kind, "text/plain; version=0.0.4; charset=utf-8", "content type")
    families = check_format(text)
    equal(sorted(families), sorted(SPEC), "metrics")
    for family in text_string_to_metric_families(text):  # the library's own opinion
        listed = family.name + "_total" if family.type == "counter" else family.name
        equal(family.type, SPEC[listed]["type"], f"type of {listed}")
    without = [name for name in SPEC if not re.search(rf"^{name}(_bucket)?[ {{]", text, re.M)]
    equal(without, [], "metrics without any sample")


@test
def known_amounts_move_the_counters_by_exactly_these(server):
    create_topic(server, "exact", 3)
    before = scrape(server)
    one, two = batch(b"x" * 100), batch(b"y" * 10, b"z" * 1000, b"")
    for _ in range(5):
        equal(produce(server, "exact", {0: one, 2: two}), {0: 0, 2: 0}, "errors")
    after = scrape(server)
    for labels in ({}, {"topic": "exact"}):
        equal(moved(before, after, TOPIC + "messagesin_total", **labels), 20, "messages in")
        equal(moved(before, after, TOPIC + "bytesin_total", **labels), 5 * (len(one) + len(two)), "bytes in")
        equal(moved(before, after, TOPIC + "totalproducerequests_total", **labels), 10, "produce requests")
        equal(moved(before, after, TOPIC + "failedproducerequests_total", **labels), 0, "failed produce requests")
    equal(moved(before, after, "kafka_network_requestmetrics_requests_total", request="Produce", version="3"), 5, "requests")
    equal(moved(before, after, "kafka_network_requestmetrics_errors_total", request="Produce", error="NONE"), 10, "errors NONE")
    equal(moved(before, after, "kafka_log_log_size", topic="exact", partition="0"), 5 * len(one), "size")
    equal(value(after, "kafka_log_log_logendoffset", topic="exact", partition="2"), 15, "log end")
    equal(value(after, "kafka_log_log_logendoffset", topic="exact", partition="1"), 0, "log end of what got nothing")
    equal(value(after, "moldau_partition_high_watermark", topic="exact", partition="2"), 15, "high watermark")
    equal(value(after, "kafka_topic_partition_current_offset", topic="exact", partition="0"), 5, "exporter's offset")
    check(moved(before, after, "kafka_log_logflushstats_logflushrateandtimems_count") >= 1, "no flush counted")

    error, size = fetch(server, "exact", 2, 0)
    equal((error, size), (0, 5 * len(two)), "fetched")
    fetched = scrape(server)
    for labels in ({}, {"topic": "exact"}):
        equal(moved(after, fetched, TOPIC + "bytesout_total", **labels), 5 * len(two), "bytes out")
        equal(moved(after, fetched, TOPIC + "totalfetchrequests_total", **labels), 1, "fetch requests")
    equal(moved(after, fetched, "kafka_network_requestmetrics_requests_total", request="Fetch", version="4"), 1, "fetches")
    equal(moved(after, fetched, "kafka_network_requestmetrics_requests_total", request="FetchConsumer", version="4"), 1, "consumer's")
    check(moved(after, fetched, "moldau_response_bytes_total", request="Fetch") > size, "response bytes")


@test
def a_fetch_that_waits_counts_once(server):
    create_topic(server, "waits", 1)
    before, record = scrape(server), batch(b"w")
    answers = []
    reader = threading.Thread(target=lambda: answers.append(fetch(server, "waits", 0, 0, 15000, 2 * len(record))))
    reader.start()
    parked = lambda: value(scrape(server), "moldau_requests_parked", request="Fetch")
    eventually(lambda: parked() == 1, what="a parked fetch")
    equal(value(scrape(server), "kafka_server_delayedoperationpurgatory_purgatorysize", delayedOperation="Fetch"), 1, "purgatory")
    for _ in range(2):  # the first is not enough: it is read, waits again, and is read again
        produce(server, "waits", {0: record})
        time.sleep(0.1)
    reader.join(20)
    equal(answers, [(0, 2 * len(record))], "answer")
    after = scrape(server)
    equal(parked(), 0, "parked afterwards")
    equal(moved(before, after, TOPIC + "totalfetchrequests_total", topic="waits"), 1, "fetch requests")
    equal(moved(before, after, TOPIC + "bytesout_total", topic="waits"), 2 * len(record), "bytes out")
    check(moved(before, after, "moldau_request_remote_seconds_sum", request="Fetch") >= 0.05, "it waited, and nobody saw")


@test
def refusals_are_counted_by_their_kind(server):
    create_topic(server, "refused", 1)
    before = scrape(server)
    good = batch(b"r")
    broken = good[:-1] + bytes([good[-1] ^ 1])
    equal(produce(server, "refused", {0: broken}), {0: 2}, "a wrong checksum")
    equal(produce(server, "refused", {0: batch(b"l" * 1100000)}), {0: 10}, "a batch too large")
    equal(produce(server, "nowhere", {7: good}), {7: 3}, "an unknown topic")
    after = scrape(server)
    errors = {e: moved(before, after, "kafka_network_requestmetrics_errors_total", request="Produce", error=e)
              for e in ("CORRUPT_MESSAGE", "MESSAGE_TOO_LARGE", "UNKNOWN_TOPIC_OR_PARTITION", "NONE")}
    equal(errors, {"CORRUPT_MESSAGE": 1, "MESSAGE_TOO_LARGE": 1, "UNKNOWN_TOPIC_OR_PARTITION": 1, "NONE": 0}, "errors")
    equal(moved(before, after, TOPIC + "invalidmessagecrcrecords_total"), 1, "wrong checksums")
    check(moved(before, after, TOPIC + "bytesrejected_total", topic="refused") > 1100000, "bytes rejected")
    equal(moved(before, after, TOPIC + "totalproducerequests_total", topic="refused"), 2, "produce requests")
    equal(moved(before, after, TOPIC + "messagesin_total", topic="refused"), 0, "messages in")
    equal(moved(before, after, TOPIC + "failedproducerequests_total"), 0, "these are no failures of the broker")


@test
def commits_and_lag_are_told(server):
    create_topic(server, "lag", 3)
    for partition, count in ((0, 4), (1, 6)):
        produce(server, "lag", {partition: batch(*[b"v"] * count)})
    before = scrape(server)
    equal(commit(server, "lag-group", "lag", {0: 1, 1: 6, 2: 0}), {0}, "errors")
    after = scrape(server)
    equal(moved(before, after, "moldau_group_offset_commits_total"), 3, "commits")
    equal(moved(before, after, "kafka_coordinator_group_groupmetadatamanager_numoffsets"), 3, "offsets")
    lag = {p: value(after, "kafka_consumergroup_lag", consumergroup="lag-group", topic="lag", partition=p) for p in "012"}
    equal(lag, {"0": 3, "1": 0, "2": 0}, "lag")
    equal(value(after, "kafka_consumergroup_current_offset", consumergroup="lag-group", topic="lag", partition="1"), 6, "offset")
    equal(value(after, "kafka_consumergroup_lag_sum", consumergroup="lag-group", topic="lag"), 3, "sum of lag")
    equal(value(after, "kafka_consumergroup_current_offset_sum", consumergroup="lag-group", topic="lag"), 7, "sum of offsets")
    equal(value(after, "kafka_consumergroup_members", consumergroup="lag-group"), 0, "members")


@test
def odd_names_are_escaped_or_left_out(server):
    create_topic(server, "odd", 1)
    odd = 'say "hi"\\\n{x="1"} \u00e9\u20ac'
    equal(commit(server, odd, "odd", {0: 0}), {0}, "errors")
    before = scrape(server)
    equal(value(before, "kafka_consumergroup_members", consumergroup=odd), 0, "members of the odd group")
    equal(commit(server, b"\xff\xfe", "odd", {0: 0}), {0}, "errors of a group whose name is no text")
    text = get(server)[2]
    check_format(text)
    after = scrape(server)
    equal(moved(before, after, "moldau_metrics_group_offsets_left_out"), 1, "left out")
    equal(moved(before, after, "kafka_coordinator_group_groupmetadatamanager_numgroups"), 1, "groups")


@test
def connections_are_counted_by_listener(server):
    name = "kafka_server_socket_server_metrics_connection_"
    before = scrape(server)
    for _ in range(4):
        check(broker.metadata_ready(server.address), "no Metadata")
    after = scrape(server)
    equal(total(after, name + "creation_total", listener="PLAINTEXT") - total(before, name + "creation_total"), 4, "created")
    eventually(lambda: total(scrape(server), name + "close_total") - total(before, name + "close_total") == 4, what="closed")
    equal(moved(before, after, "kafka_network_requestmetrics_requests_total", request="Metadata", version="1"), 4, "Metadata")
    eventually(lambda: moved(before, scrape(server), "moldau_request_duration_seconds_count", request="Metadata") == 4, what="times")


@test
def totals_outlive_a_topic(server):
    create_topic(server, "gone", 2)
    produce(server, "gone", {0: batch(b"1"), 1: batch(b"2", b"3")})
    before = scrape(server)
    equal(value(before, TOPIC + "messagesin_total", topic="gone"), 3, "messages in")
    delete_topic(server, "gone")
    after = eventually(lambda: (lambda s: s if value(s, TOPIC + "messagesin_total", topic="gone") is None else None)(scrape(server)),
                       what="the topic's series gone")
    equal(moved(before, after, TOPIC + "messagesin_total"), 0, "messages in over all")
    equal(moved(before, after, TOPIC + "bytesin_total"), 0, "bytes in over all")
    equal(moved(before, after, "kafka_controller_kafkacontroller_globaltopiccount"), -1, "topics")
    equal(moved(before, after, "kafka_server_replicamanager_partitioncount"), -2, "replicas")


@test
def dialects_and_the_aggregated_view_are_subsets(server):
    everything, aggregated = scrape(server), scrape(server, "/metrics/aggregated")
    check(any("partition" in dict(l) for _, l in everything), "no partition anywhere")
    check(not any("partition" in dict(l) for _, l in aggregated), "a partition in the aggregated view")
    check({n for n, _ in aggregated} < {n for n, _ in everything}, "more in the aggregated view")
    for text, dialects in (("jmx", {"jmx"}), ("strimzi", {"jmx"}), ("exporter", {"exporter"}), ("native,exporter", {"native", "exporter"})):
        families = check_format(get(server, f"/metrics?dialect={text}")[2])
        equal({SPEC[f]["dialect"] for f in families}, dialects | {"process"}, f"dialects of {text}")
        equal(sorted(families), sorted(n for n, m in SPEC.items() if m["dialect"] in dialects | {"process"}), text)
    try:
        get(server, "/metrics?dialect=nonsense")
        check(False, "a dialect that does not exist was served")
    except urllib.error.HTTPError as e:
        equal(e.code, 400, "status")


@test
def the_selectors_of_dashboards_match(server):
    """What Strimzi's and kafka_exporter's dashboards and the alert rules in the wild ask for."""
    series = scrape(server)
    for selector in """kafka_server_replicamanager_underreplicatedpartitions kafka_server_replicamanager_underminisrpartitioncount
            kafka_server_replicamanager_offlinereplicacount kafka_server_replicamanager_leadercount
            kafka_server_replicamanager_partitioncount kafka_server_replicamanager_isrshrinks_total
            kafka_server_replicamanager_isrexpands_total kafka_controller_kafkacontroller_activecontrollercount
            kafka_controller_kafkacontroller_offlinepartitionscount kafka_controller_kafkacontroller_preferredreplicaimbalancecount
            kafka_controller_kafkacontroller_fencedbrokercount kafka_controller_kafkacontroller_activebrokercount
            kafka_controller_controllerstats_uncleanleaderelections_total kafka_network_socketserver_networkprocessoravgidle_percent
            kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent kafka_network_requestchannel_requestqueuesize
            kafka_network_requestchannel_responsequeuesize kafka_log_logmanager_offlinelogdirectorycount
            kafka_server_kafkaserver_brokerstate kafka_server_raftmetrics_current_leader kafka_server_raftmetrics_current_epoch
            kafka_server_raftmetrics_high_watermark kafka_server_raftmetrics_log_end_offset kafka_brokers process_open_fds
            process_cpu_seconds_total process_resident_memory_bytes process_start_time_seconds""".split():
        check(value(series, selector) is not None, f"no {selector}")
    for name, labels in (("kafka_network_requestmetrics_totaltimems", {"request": "Produce", "quantile": "0.99"}),
                         ("kafka_network_requestmetrics_totaltimems", {"request": "FetchConsumer", "quantile": "0.999"}),
                         ("kafka_server_delayedoperationpurgatory_purgatorysize", {"delayedOperation": "Produce"}),
                         ("kafka_server_raftmetrics_current_state", {"current_state": "leader"}),
                         ("kafka_server_socket_server_metrics_connection_count", {"listener": "PLAINTEXT"}),
                         ("kafka_server_socket_server_metrics_connection_creation_rate", {}),
                         ("kafka_cluster_partition_underminisr", {"topic": "exact", "partition": "0"}),
                         ("kafka_topic_partitions", {"topic": "exact"}), ("kafka_broker_info", {"id": "1"}),
                         ("kafka_log_log_size", {"topic": "exact"}), (TOPIC + "bytesin_total", {"topic": "exact"})):
        check(any(n == name and labels.items() <= dict(l).items() for n, l in series), f"no {name}{labels}")
    equal(value(series, "kafka_controller_kafkacontroller_activecontrollercount"), 1, "active controllers")
    for name in ("networkprocessoravgidle_percent", "requesthandleravgidle_percent"):
        share = next(v for (n, _), v in series.items() if n.endswith(name))
        check(0.2 <= share <= 1, f"{name} of a node at rest: {share}")


@test
def many_scrapes_at_once_under_load_stay_whole(server):
    create_topic(server, "busy", 4)
    stop, failures, scrapes = time.monotonic() + 3, [], [0]
    counters = [TOPIC + "messagesin_total", TOPIC + "bytesin_total", "moldau_net_received_bytes_total", "moldau_reactor_idle_seconds_total"]

    def load():
        while time.monotonic() < stop:
            produce(server, "busy", {p: batch(b"b" * 50) for p in range(4)}, acks=1)

    def watch():
        last = {}
        try:
            while time.monotonic() < stop:
                series = scrape(server)
                now = {k: v for k, v in series.items() if k[0] in counters}
                back = [k for k in last if k in now and now[k] < last[k]]
                check(not back, f"went back: {back}")
                last, scrapes[0] = now, scrapes[0] + 1
        except Exception as e:
            failures.append(e)

    threads = [threading.Thread(target=f) for f in (load, load, watch, watch, watch)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    check(not failures, failures)
    check_format(get(server)[2])
    print(f"# {scrapes[0]} scrapes")


@test
def health_and_readiness_are_told(server):
    equal(get(server, "/healthz"), (200, "text/plain; charset=utf-8", "ok\n"), "health")
    equal(get(server, "/readyz"), (200, "text/plain; charset=utf-8", "ready\n"), "readiness")


@test
def the_metadata_and_its_snapshots_are_told(server):
    small = start({"metadata.log.max.record.bytes.between.snapshots": 200})
    try:
        before = scrape(small)
        create_topic(small, "snapshot", 20)
        after = eventually(lambda: (lambda s: s if value(s, "moldau_metadata_snapshots_total") > value(before, "moldau_metadata_snapshots_total")
                                    else None)(scrape(small)), what="a snapshot")
        check(value(after, "kafka_server_snapshotemitter_latestsnapshotgeneratedbytes") > 100, "its size")
        check(0 <= value(after, "kafka_server_snapshotemitter_latestsnapshotgeneratedagems") < 20000, "its age")
        raft = "kafka_server_raftmetrics_"
        check(moved(before, after, raft + "high_watermark") >= 21, "21 records at least")
        equal(value(after, raft + "high_watermark"), value(after, raft + "log_end_offset"), "committed")
        equal(value(after, "kafka_controller_kafkacontroller_lastappliedrecordoffset"), value(after, raft + "high_watermark") - 1, "applied")
        equal(value(after, "moldau_metadata_lag_records"), 0, "lag")
        check(moved(before, after, "moldau_metadata_commit_seconds_count") >= 1, "no commit was timed")
        for name in ("append_records_rate", "commit_latency_avg", "commit_latency_max"):
            check(value(after, raft + name) > 0, name)
    finally:
        small.close()


@test
def series_are_bounded_and_totals_are_not(server):
    small = start({"metrics.partitions.max": 3, "metrics.topics.max": 2, "metrics.group.offsets.max": 2})
    try:
        for name in "abc":
            create_topic(small, f"bounded-{name}", 2)
            produce(small, f"bounded-{name}", {0: batch(b"1"), 1: batch(b"2")})
        for group in "wxyz":
            commit(small, f"group-{group}", "bounded-a", {0: 1})
        text = get(small)[2]
        check_format(text)
        series = scrape(small)
        rows = lambda name, label: sorted({dict(l)[label] for n, l in series if n == name and label in dict(l)})
        parts = [l for n, l in series if n == "kafka_log_log_size"]
        equal(len(parts), 3, "partitions with series")
        equal(len(rows(TOPIC + "messagesin_total", "topic")), 2, "topics with series")
        equal(len(rows("kafka_consumergroup_members", "consumergroup")), 2, "groups with series")
        equal(len(rows("kafka_consumergroup_current_offset", "consumergroup")), 2, "groups with offsets")
        equal(len(rows("kafka_topic_partitions", "topic")), 2, "topics of the exporter")
        replicas = 6 + 4  # and those of __consumer_offsets
        equal(value(series, "kafka_server_replicamanager_partitioncount"), replicas, "replicas")
        equal(value(series, "moldau_metrics_partitions_left_out"), replicas - 3, "partitions left out")
        equal(value(series, "moldau_metrics_topics_left_out"), 2, "topics left out")
        equal(value(series, "moldau_metrics_group_offsets_left_out"), 2, "offsets left out")
        equal(value(series, "kafka_coordinator_group_groupmetadatamanager_numoffsets"), 4, "offsets over all")
        check(value(series, TOPIC + "messagesin_total") >= 6, "messages over all")
    finally:
        small.close()


@test
def counters_begin_anew_after_a_restart_and_gauges_do_not(server):
    before = scrape(server)
    server.restart()
    after = scrape(server)
    equal(value(after, TOPIC + "messagesin_total", topic="exact"), 0, "messages in")
    for name, labels in (("kafka_log_log_logendoffset", {"topic": "exact", "partition": "2"}),
                         ("kafka_controller_kafkacontroller_globaltopiccount", {}),
                         ("kafka_server_replicamanager_leadercount", {})):
        equal(value(after, name, **labels), value(before, name, **labels), name)
    eventually(lambda: value(scrape(server), "kafka_consumergroup_lag_sum", consumergroup="lag-group", topic="lag") == 3, what="lag")
    equal(value(scrape(server), "moldau_coordinator_shards", state="active"), 4, "active coordinators")


if __name__ == "__main__":
    sys.exit(tap.main(start, broker.finished))
