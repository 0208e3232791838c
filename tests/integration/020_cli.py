#!/usr/bin/env python3
"""Every command of the command line over a real broker process: what it prints, its JSON, its exit code.

MOLDAU_TEST_SERVER=apache runs the same against Apache Kafka.
"""
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import tap
from cli import FAILED, NOT_FOUND, OK, USAGE, js, keys, run, says
from sanitize import stretched
from tap import check, equal, eventually, test


def commands(server):
    """The names of all commands, from the overview."""
    out, _ = run(server, "help")
    return [line[2:26].strip() for line in out.splitlines() if line.startswith("  ")]


# ---- the command line itself ----

@test
def every_command_explains_itself(server):
    names = commands(server)
    check(len(names) > 30, names)
    for name in names:
        out, err = run(server, *name.split(), "--help")
        says(out, f"usage: moldau {name}", "--brokers", "exit codes:", "examples:")
        equal(run(server, "help", *name.split())[0], out, f"help {name}")
        equal(err, "", "standard error")
    says(run(server, "topic", "--help")[0], "topic create")
    check("group list" not in run(server, "help", "topic")[0], "help of one family")
    says(run(server, code=USAGE)[1], "usage: moldau COMMAND")
    says(run(server, "group", code=USAGE)[1], "group list")


@test
def the_reference_page_names_every_command_and_option(server):
    page = run(server, "help", "--markdown")[0]
    for name in commands(server):
        says(page, f"### moldau {name}\n")
        for line in run(server, *name.split(), "--help")[0].split("\noptions:\n")[-1].splitlines():
            if line.startswith("  ") and "--" in line:
                says(page, "--" + line.split("--", 1)[1].split()[0])


@test
def misspelled_words_come_with_the_nearest(server):
    for args, nearest in ((["topic", "lst"], "moldau topic list"), (["topc", "list"], "moldau topic list"), (["groups"], "moldau group"),
                          (["prodcue", "x"], "moldau produce"), (["config", "sett", "x"], "moldau config set"),
                          (["topic", "create", "x", "--partitons", "3"], "--partitions"), (["group", "seek", "g", "--dryrun"], "--dry-run"),
                          (["topic", "list", "--ouput", "json"], "--output"), (["topic", "list", "-o", "jsn"], "json"),
                          (["config", "describe", "topics", "x"], "topic"), (["group", "list", "--type", "consumr"], "consumer")):
        out, err = run(server, *args, code=USAGE)
        says(err, "did you mean", nearest, "try: moldau")
        equal(out, "", "standard output")
    says(run(server, "xyzzy", code=USAGE)[1], "no command 'xyzzy'")
    says(run(server, "-b", "x", "topic", "list", code=USAGE)[1], "options come after the command")


@test
def bad_values_say_what_where_and_what_instead(server):
    for args, *parts in (
            (["topic", "list", "-o", "xml"], "--output must be table, json, wide, yaml or name, not 'xml'"),
            (["topic", "list", "--timeout-ms", "soon"], "--timeout-ms must be a number from 1 to 3600000, not 'soon'"),
            (["topic", "list", "--brokers", "host:port"], "--brokers must be HOST:PORT", "host:port"),
            (["topic", "list", "--internal=yes"], "--internal takes no value"),
            (["topic", "create"], "wants TOPIC..."),
            (["topic", "create", "a", "-p", "0"], "--partitions must be a number from 1 to 1000000, not '0'"),
            (["topic", "create", "a", "-p", "99999999999999999999"], "--partitions must be"),
            (["topic", "create", "a", "-p"], "--partitions wants N"),
            (["topic", "create", "a", "-p", "--dry-run"], "--partitions wants N, and '--dry-run' is an option"),
            (["topic", "create", "a", "-r", "1.5"], "--replicas must be"),
            (["topic", "create", "a", "-c", "retention.ms"], "'retention.ms' must be KEY=VALUE"),
            (["topic", "alter", "a"], "wants KEY=VALUE or --unset KEY"),
            (["topic", "alter", "a", "=x"], "'=x' must be KEY=VALUE"),
            (["topic", "add-partitions", "a", "many"], "wants the new number of partitions", "not 'many'"),
            (["topic", "trim", "a"], "wants one of --before OFFSET, --before @TIME and --all"),
            (["topic", "trim", "a", "--before", "-3"], "--before must be an offset or @TIME, not '-3'"),
            (["topic", "trim", "a", "--before", "@yesterday"], "--before @TIME must be", "not 'yesterday'"),
            (["topic", "trim", "a:x", "--all"], "'a:x' must be TOPIC or TOPIC:PARTITIONS"),
            (["topic", "trim", "a:3-1", "--all"], "'a:3-1' must be"), (["topic", "trim", "a:1,", "--all"], "'a:1,' must be"),
            (["topic", "trim", ":1", "--all"], "':1' names no topic"),
            (["topic", "clone", "a"], "wants TOPIC NEW"), (["topic", "clone", "a", "b", "c"], "'c' is one argument too many"),
            (["config", "describe", "topic"], "wants KIND NAME"), (["config", "describe", "broker", "one"], "a broker is a number or 'default'"),
            (["config", "describe", "flag", "x"], "'flag' must be topic, broker, group"), (["config", "set", "topic", "a", "k"], "'k' must be KEY=VALUE"),
            (["config", "unset", "topic", "a", "k=v"], "'k=v' must be a key alone"),
            (["group", "seek", "g"], "wants exactly one of --to WHERE, --shift N and --from-file FILE"),
            (["group", "seek", "g", "--to", "end", "--shift", "1"], "wants exactly one of"),
            (["group", "seek", "g", "--to", "somewhere"], "--to must be start, end, current, an offset or @TIME"),
            (["group", "seek", "g", "--to", "-1"], "--to must be"), (["group", "seek", "g", "--to", "@2026-02-30"], "--to @TIME must be"),
            (["group", "seek", "g", "--shift", "back"], "--shift must be a number of records"),
            (["group", "seek", "g", "t", "--from-file", "f"], "--from-file names the topics; drop 't'"),
            (["group", "offsets", "g", "h", "--export", "f"], "--export takes the offsets of one group"),
            (["group", "list", "--type", "zzz"], "--type must be classic, consumer, share or streams, not 'zzz'"),
            (["produce", "t", "--acks", "2"], "--acks must be"), (["produce", "t", "-z", "rar"], "--compression must be"),
            (["produce", "t", "-H", "novalue"], "--header must be KEY=VALUE"), (["produce", "t", "-f", "%k%s"], "--format wants text between two verbs"),
            (["produce", "t", "-f", "%x"], "--format knows %k"), (["produce", "t", "-f", "%k"], "--format wants %s"),
            (["produce", "t", "-f", "%s", "-J"], "wants at most one of"), (["produce", "t", "-K", ""], "--key-separator must be"), (["cluster", "logdirs", "--broker", "x"], "--broker must be"),
            (["debug", "dump-log"], "wants FILE|DIRECTORY..."), (["cluster", "info", "now"], "'now' is one argument too many")):
        out, err = run(server, *args, code=USAGE)
        says(err, f"moldau {args[0]}", *parts)
        equal(out, "", f"standard output of {args}")


@test
def a_broker_that_is_away_is_said_with_its_address(server):
    away = f"127.0.0.1:{broker.free_port()}"
    for args in (["topic", "list"], ["topic", "describe", "t"], ["topic", "stats"], ["topic", "create", "t"], ["topic", "clone", "t", "u"],
                 ["topic", "alter", "t", "k=v"], ["topic", "add-partitions", "t", "3"], ["topic", "trim", "t", "--all"], ["topic", "purge", "t"],
                 ["topic", "delete", "t"], ["produce", "t"], ["consume", "t", "-e"], ["group", "list"], ["group", "describe", "g"], ["group", "lag", "g"],
                 ["group", "members", "g"], ["group", "offsets", "g"], ["group", "seek", "g", "--to", "end"], ["group", "delete", "g"],
                 ["group", "delete-offsets", "g", "t"], ["config", "describe", "topic", "t"], ["config", "set", "topic", "t", "k=v"],
                 ["config", "unset", "broker", "1", "k"], ["cluster", "info"], ["cluster", "health"], ["cluster", "quorum"], ["cluster", "features"],
                 ["cluster", "partitions"], ["cluster", "logdirs"], ["cluster", "elect"], ["cluster", "reassign"], ["cluster", "txn"]):
        _, err = run(away, *args, stdin=b"x\n", code=FAILED)
        says(err, f"moldau {args[0]}", away, "refused")
    says(run(away, "topic", "list", code=FAILED)[1], "--brokers HOST:PORT")
    out, _ = run(away, "topic", "list", "--brokers", server.address)
    says(out, "TOPIC")


@test
def the_cluster_is_named_by_option_environment_or_file(server):
    nobody = f"127.0.0.1:{broker.free_port()}"
    path = os.path.join(server.dir, "client.properties")

    def written(text):
        with open(path, "w") as f:
            f.write(text)
    written(f"# a client's\n\n bootstrap.servers = {server.address} \nacks=all\nsecurity.protocol=PLAINTEXT\r\nrequest.timeout.ms=9000\n")
    for args, env in ((["--command-config", path], {"MOLDAU_BROKERS": ""}), (["-X", f"bootstrap.servers={server.address}"], {"MOLDAU_BROKERS": nobody}),
                      (["-X", f"metadata.broker.list={server.address}", "-X", "client.id=me"], {}), (["-b", server.address, "-X", f"brokers={nobody}"], {}),
                      (["--command-config", path], {"MOLDAU_BROKERS": server.address})):
        if env.get("MOLDAU_BROKERS") == "":
            env = {"MOLDAU_BROKERS": None}
        run(nobody, "topic", "list", *args, env=env)
    says(run(nobody, "topic", "list", "--command-config", path, code=FAILED)[1], nobody)
    for text, code, part in (("bootstrap.servers\n", USAGE, "client.properties:1: must be KEY=VALUE, not 'bootstrap.servers'"),
                             ("\nrequest.timeout.ms=soon\n", USAGE, "client.properties:2: request.timeout.ms must be a number"),
                             ("security.protocol=SASL_SSL\n", FAILED, "security.protocol=SASL_SSL: only PLAINTEXT")):
        written(text)
        says(run(server, "topic", "list", "--command-config", path, code=code)[1], part)
    says(run(server, "topic", "list", "--command-config", "/no/file", code=NOT_FOUND)[1], "/no/file: no such file")
    for text, part in (("bootstrap.server=x", "did you mean bootstrap.servers"), ("linger.ms=5", "no key 'linger.ms'; knows"), ("x", "-X must be KEY=VALUE"),
                       ("request.timeout.ms=0", "must be a number from 1")):
        says(run(server, "topic", "list", "-X", text, code=USAGE)[1], part)


def listener(answer):
    """A port where something listens that is no broker: it sends `answer` to whoever speaks, or keeps silent with None."""
    sock, kept = socket.socket(), []
    sock.bind(("127.0.0.1", 0))
    sock.listen(8)

    def serve():
        while True:
            peer, _ = sock.accept()
            kept.append(peer)
            if answer is not None:
                peer.recv(100)
                peer.sendall(answer)
                if not answer:
                    peer.close()
    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{sock.getsockname()[1]}"


@test
def what_is_no_broker_is_given_up_and_said(server):
    for answer, words in ((None, "timed out"), (b"", "may want TLS or SASL"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "be no broker at all"),
                          (b"\x7f\xff\xff\xff", "corrupt data"), (b"\xff\xff\xff\xff", "corrupt data"), (b"\0\0\0\4\0\0\0\1", "corrupt data")):
        address = listener(answer)
        for args in (["topic", "list"], ["group", "describe", "g"], ["cluster", "info"], ["produce", "t"]):
            start = time.monotonic()
            _, err = run(address, *args, "--timeout-ms", 300, stdin=b"x\n", code=FAILED)
            says(err, f"no answer from {address}", words)
            check(time.monotonic() - start < stretched(20), f"{args} took {time.monotonic() - start:.1f} s")


# ---- topics ----

@test
def a_topic_lives(server):
    made = js(server, "topic", "create", "lives", "lives-too", "-p", 3, "-r", 1, "-c", "retention.ms=7200000")
    keys(made, "topic", "partitions", "replicas", "status", "id")
    equal([(r["topic"], r["partitions"], r["replicas"], r["status"]) for r in made],
          [("lives", 3, 1, "created"), ("lives-too", 3, 1, "created")], "created")
    eventually(lambda: len(js(server, "topic", "list", "lives*")) == 2, what="both topics are listed")
    listed = js(server, "topic", "list", "lives*")
    keys(listed, "topic", "partitions", "replicas", "internal", "id", "under_replicated")
    equal(run(server, "topic", "list", "lives*", "-o", "name")[0], "lives\nlives-too\n", "names")
    equal(run(server, "topic", "list", "liv?s", "-o", "name")[0], "lives\n", "a pattern")
    run(server, "produce", "lives", "-p", 1, stdin=b"a\nb\nc\n")
    told = js(server, "topic", "describe", "lives")
    equal(list(told), ["topics", "partitions", "configs"], "sections")
    keys(told["topics"], "topic", "id", "partitions", "replicas", "records", "size_bytes", "internal", "under_replicated", "leaderless")
    keys(told["partitions"], "topic", "partition", "leader", "epoch", "replicas", "isr", "offline", "start_offset", "end_offset", "size_bytes")
    keys(told["configs"], "topic", "key", "value", "source")
    equal(told["topics"][0]["records"], 3, "records")
    equal([p["end_offset"] for p in told["partitions"]], [0, 3, 0], "ends")
    equal([p["isr"] for p in told["partitions"]], [[1]] * 3, "in-sync replicas")
    check(told["partitions"][1]["size_bytes"] > 60, told)
    check({"topic": "lives", "key": "retention.ms", "value": "7200000", "source": "topic"} in told["configs"], told["configs"])
    keys(js(server, "topic", "stats", "lives"), "topic", "partitions", "records", "size_bytes", "bytes_per_record", "largest_partition",
         "smallest_partition")
    grown = js(server, "topic", "add-partitions", "lives", 5)
    equal(grown, [{"topic": "lives", "before": 3, "partitions": 5, "status": "added"}], "added")
    changed = js(server, "topic", "alter", "lives", "segment.bytes=1048576", "--unset", "retention.ms")
    equal([(c["key"], c["value"], c["status"]) for c in changed],
          [("segment.bytes", "1048576", "set"), ("retention.ms", None, "unset")], "changed")
    eventually(lambda: [c["key"] for c in js(server, "topic", "describe", "lives")["configs"] if c["source"] == "topic"] == ["segment.bytes"],
               what="the new settings")
    cloned = js(server, "topic", "clone", "lives", "lives-again")
    equal((cloned[0]["partitions"], cloned[0]["status"]), (5, "created"), "cloned")
    own = eventually(lambda: [c for c in js(server, "topic", "describe", "lives-again", code=OK)["configs"] if c["source"] == "topic"],
                     what="the clone's settings")
    equal(own[0]["value"], "1048576", "the clone's segment.bytes")
    gone = js(server, "topic", "delete", "lives-again", "lives-too")
    equal(gone, [{"topic": "lives-again", "status": "deleted"}, {"topic": "lives-too", "status": "deleted"}], "deleted")


@test
def topics_that_are_there_or_not_are_told_apart(server):
    out, err = run(server, "topic", "create", "lives", code=FAILED)
    says(err, "TOPIC_ALREADY_EXISTS", "try: moldau topic describe")
    says(out, "failed")
    says(run(server, "topic", "create", "no/good", code=FAILED)[1], "INVALID_TOPIC_EXCEPTION", "try: ")
    says(run(server, "topic", "create", "wide", "-r", 3, code=FAILED)[1], "INVALID_REPLICATION_FACTOR", "moldau cluster info")
    says(run(server, "topic", "create", "odd", "-c", "retention.msec=1", code=FAILED)[1], "INVALID_CONFIG")
    says(run(server, "topic", "alter", "lives", "retention.mss=1", code=FAILED)[1], "INVALID_CONFIG", "try: retention.ms instead of retention.mss")
    says(run(server, "topic", "alter", "lives", "retention.ms=soon", code=FAILED)[1], "INVALID_CONFIG")
    says(run(server, "topic", "add-partitions", "lives", 2, code=FAILED)[1], "INVALID_PARTITIONS")
    for args in (["describe", "livse"], ["stats", "livse"], ["clone", "livse", "x"], ["add-partitions", "livse", 3], ["purge", "livse"],
                 ["trim", "livse", "--all"], ["delete", "livse"], ["delete", "livse", "--dry-run"]):
        says(run(server, "topic", *args, code=NOT_FOUND)[1], "no topic 'livse'", "did you mean lives", "try: moldau topic list")
    says(run(server, "topic", "alter", "livse", "retention.ms=1", code=NOT_FOUND)[1], "UNKNOWN_TOPIC_OR_PARTITION")
    says(run(server, "topic", "purge", "lives:4,9", code=NOT_FOUND)[1], "lives has 5 partitions, so no partition 9")
    equal(js(server, "topic", "list", "livse"), [], "an empty list")
    check("livse" not in run(server, "topic", "list", "-i", "-o", "name")[0], "asking made the topic")


@test
def dry_runs_change_nothing(server):
    run(server, "produce", "lives", "-p", 0, stdin=b"1\n2\n")
    before = js(server, "topic", "describe", "lives")
    for args, status in ((["topic", "create", "dry"], "would be created"), (["topic", "clone", "lives", "dry"], "would be created"),
                         (["topic", "alter", "lives", "retention.ms=5"], "would be set"), (["topic", "add-partitions", "lives", "9"], "would be added"),
                         (["topic", "trim", "lives:0", "--before", "1"], "would be trimmed"), (["topic", "purge", "lives:0"], "would be trimmed"),
                         (["topic", "delete", "lives"], "would be deleted"), (["config", "set", "topic", "lives", "retention.ms=5"], "would be set"),
                         (["config", "unset", "topic", "lives", "segment.bytes"], "would be unset")):
        equal(js(server, *args, "--dry-run")[0]["status"], status, f"status of {args}")
    equal(js(server, "topic", "describe", "lives"), before, "the topic afterwards")
    check("dry" not in run(server, "topic", "list", "-o", "name")[0].split(), "dry was made")


@test
def records_are_trimmed_by_offset_time_and_range(server):
    run(server, "topic", "create", "trimmed", "-p", 3)
    for part in range(3):
        run(server, "produce", "trimmed", "-p", part, stdin=b"old\n" * 4)
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    run(server, "produce", "trimmed", "-p", 2, stdin=b"new\n" * 4)
    rows = js(server, "topic", "trim", "trimmed:0", "--before", 3)
    keys(rows, "topic", "partition", "before", "start_offset", "end_offset", "deleted", "status")
    equal(list(rows[0].values()), ["trimmed", 0, 0, 3, 4, 3, "trimmed"], "one partition")
    rows = js(server, "topic", "trim", "trimmed", "--before", f"@{middle}")
    equal([(r["partition"], r["start_offset"], r["deleted"]) for r in rows], [(0, 4, 1), (1, 4, 4), (2, 4, 4)], "by time")
    equal(js(server, "topic", "trim", "trimmed", "-p", 2, "--before", 2)[0]["status"], "nothing to trim", "what is gone already")
    equal(js(server, "topic", "trim", "trimmed:2", "--before", "1k")[0]["start_offset"], 8, "to the end, not beyond")
    run(server, "produce", "trimmed", "-p", 1, stdin=b"x\n")
    equal([r["deleted"] for r in js(server, "topic", "purge", "trimmed:1-2,0")], [0, 1, 0], "purged")
    eventually(lambda: [p["start_offset"] for p in js(server, "topic", "describe", "trimmed")["partitions"]] == [4, 5, 8], what="starts")


# ---- produce ----

@test
def lines_become_records(server):
    run(server, "topic", "create", "lines", "-p", 1)
    _, err = run(server, "produce", "lines", "-K", ":", "-H", "a=1", "-z", "zstd", stdin="k1:ä\nk2:\nplain\n".encode())
    says(err, "3 records stored")
    _, err = run(server, "produce", "lines", "-q", "-Z", "-k", "fixed", "-a", "all", stdin=b"last\n\n")
    equal(err, "", "quiet")
    rows = [json.loads(line) for line in run(server, "consume", "lines", "-O", "start", "-e", "-o", "json")[0].splitlines()]
    equal([(r["key"], r["payload"]) for r in rows], [("k1", "ä"), ("k2", ""), (None, "plain"), ("fixed", "last"), ("fixed", None)], "records")
    equal(rows[0]["headers"], ["a", "1"], "headers")
    stored = js(server, "produce", "lines", stdin=b"1\n2\n")
    keys(stored, "topic", "partition", "records", "first_offset", "last_offset")
    equal(list(stored[0].values()), ["lines", 0, 2, 5, 6], "what was stored")
    each = js(server, "produce", "lines", "-v", stdin=b"3\n4\n")
    equal([(r["partition"], r["offset"]) for r in each], [(0, 7), (0, 8)], "each record")
    equal(run(server, "produce", "lines", "-v", stdin=b"5\n")[0], "partition 0 offset 9\n", "verbose")
    again = run(server, "topic", "produce", "lines", stdin=b"6\n")[1]
    says(again, "1 record stored")
    says(run(server, "produce", "no-such-topic-here", "-p", 77, stdin=b"x\n", code=NOT_FOUND)[1], "no-such-topic-here")
    says(run(server, "produce", "lines", "-p", 77, stdin=b"x\n", code=NOT_FOUND)[1], "partition")
    says(run(server, "produce", "lines", "-F", "/no/such/file", code=FAILED)[1], "/no/such/file", "No such file")
    run(server, "produce", "lines", "-f", r"[%T] %k\t%h|%s", "-q", stdin=b"[1000] key\ta=1,b=|value: x\n")
    row = json.loads(run(server, "consume", "lines", "-O", "11", "-e", "-o", "json")[0])
    equal([row[k] for k in ("ts", "key", "headers", "payload")], [1000, "key", ["a", "1", "b", ""], "value: x"], "by format")
    run(server, "produce", "lines", "--json", "-q", stdin=json.dumps(row).encode() + b"\n" + b'{"payload": null, "key": "\\u0000"}\n')
    copies = [json.loads(line) for line in run(server, "consume", "lines", "-O", "12", "-e", "-o", "json")[0].splitlines()]
    equal({**copies[0], "offset": 11}, row, "by JSON")
    equal((copies[1]["key"], copies[1]["payload"]), ("\0", None), "by JSON")
    for args, line, part in ((["-f", "%k:%s"], b"no colon", "line 1 is not of the format: 'no colon'"), (["-f", "%p,%s"], b"x,1", "line 1 no number: 'x'"),
                             (["-J"], b"{]", "line 1 "), (["-J"], b'{"payload": 3}', "line 1 wants \"key\"")):
        says(run(server, "produce", "lines", *args, stdin=line + b"\n", code=FAILED)[1], part, "0 records stored")
    start = time.monotonic()
    run(server, "produce", "lines", "--rate", 20, stdin=b"x\n" * 5)
    check(time.monotonic() - start > 0.19, "five records at twenty a second took no time")
    equal(js(server, "produce", "lines", "--dry-run", stdin=b"a\nb\n")[0]["records"], 2, "dry run")
    equal(js(server, "topic", "describe", "lines")["partitions"][0]["end_offset"], 19, "after the dry run")


# ---- settings ----

@test
def settings_of_topics_brokers_and_groups_are_set_shown_and_unset(server):
    for kind, name, key, value, source in (("topic", "lives", "max.message.bytes", "2000000", "topic"),
                                           ("broker", "default", "log.cleaner.threads", "2", "all brokers"),
                                           ("broker", "1", "log.cleaner.io.buffer.load.factor", "0.8", "broker"),
                                           ("group", "settings", "consumer.session.timeout.ms", "50000", "group")):
        done = js(server, "config", "set", kind, name, f"{key}={value}")
        equal(done, [{"kind": kind, "name": name, "key": key, "value": value, "status": "set"}], "set")

        def shown():
            rows = js(server, "config", "describe", kind, name)
            if rows:
                keys(rows, "name", "value", "source", "read_only", "type", "sensitive", "synonyms", "documentation")
            return {r["name"]: (r["value"], r["source"]) for r in rows}.get(key)
        equal(eventually(shown, what=key), (value, source), key)
        one = js(server, "config", "describe", kind, name, key)
        equal([r["name"] for r in one], [key], "one key")
        js(server, "config", "unset", kind, name, key)
        eventually(lambda: shown() is None, what=f"{key} at its default")
    check(len(js(server, "config", "describe", "broker", 1, "--all")) > 100, "all settings of a broker")
    check(len(js(server, "config", "describe", "topic", "lives", "-a")) > 20, "all settings of a topic")
    says(run(server, "config", "describe", "topic", "nowhere", code=NOT_FOUND)[1], "nowhere")
    says(run(server, "config", "describe", "topic", "lives", "no.such.key", code=NOT_FOUND)[1], "no key 'no.such.key'", "--all")
    says(run(server, "config", "describe", "broker", 77, code=NOT_FOUND)[1], "no broker 77", "moldau cluster info")
    says(run(server, "config", "set", "topic", "lives", "retenton.ms=1", code=FAILED)[1], "retention.ms instead of retenton.ms")
    both = run(server, "config", "set", "topic", "lives", "max.message.bytes=99999", "retention.ms=soon", code=FAILED)[1]
    says(both, "INVALID_CONFIG")
    check("max.message.bytes" not in {r["name"] for r in js(server, "config", "describe", "topic", "lives")}, "half of a bad change was made")


# ---- groups ----

def seek(server, *args, **options):
    rows = js(server, "group", "seek", *args, **options)
    return [(r["partition"], r["before"], r["after"]) for r in rows]


@test
def a_group_is_moved_every_way(server):
    run(server, "topic", "create", "moves", "-p", 2)
    run(server, "produce", "moves", "-p", 0, stdin=b"x\n" * 5)
    time.sleep(0.05)
    middle = int(time.time() * 1000)
    time.sleep(0.05)
    run(server, "produce", "moves", "-p", 0, stdin=b"y\n" * 5)
    run(server, "produce", "moves", "-p", 1, stdin=b"z\n" * 4)
    says(run(server, "group", "seek", "mover", "--to", "end", code=NOT_FOUND)[1], "no group 'mover'", "moldau group list")
    rows = js(server, "group", "seek", "mover", "moves", "--to", "start")
    keys(rows, "group", "topic", "partition", "before", "after", "lag", "status", "start", "end")
    equal([r["status"] for r in rows], ["moved", "moved"], "status")
    equal(seek(server, "mover", "--to", "latest"), [(0, 0, 10), (1, 0, 4)], "latest")
    equal(seek(server, "mover", "moves:0", "--to", "earliest"), [(0, 10, 0)], "one partition")
    equal(seek(server, "mover", "--to", 3), [(0, 0, 3), (1, 4, 3)], "an offset")
    equal(seek(server, "mover", "--shift", 2, "--dry-run"), [(0, 3, 5), (1, 3, 4)], "a shift that is only shown, cut at the end")
    equal(seek(server, "mover", "--shift", "+1"), [(0, 3, 4), (1, 3, 4)], "a shift")
    equal(seek(server, "mover", "--shift", -3), [(0, 4, 1), (1, 4, 1)], "a shift back")
    equal(seek(server, "mover", "--to", "current"), [(0, 1, 1), (1, 1, 1)], "current")
    equal(seek(server, "mover", "--to", f"@{middle}"), [(0, 1, 5), (1, 1, 0)], "a time")
    equal(seek(server, "mover", "--to", "@-1h"), [(0, 5, 0), (1, 0, 0)], "an hour ago")
    equal(seek(server, "mover", "--to", "@now"), [(0, 0, 10), (1, 0, 4)], "now")
    equal(seek(server, "mover", "--to", "@2001-02-03T04:05:06Z"), [(0, 10, 0), (1, 4, 0)], "long ago")
    _, err = run(server, "group", "seek", "mover", "--to", 7)
    says(err, "warning: moves:1 holds 0 to 4, so it goes to 4, not to 7")
    path = os.path.join(server.dir, "moves.csv")
    run(server, "group", "offsets", "mover", "--export", path)
    equal(open(path).read(), "moves,0,7\nmoves,1,4\n", "exported")
    run(server, "group", "seek", "mover", "--to", "start")
    equal(seek(server, "mover", "--from-file", path), [(0, 0, 7), (1, 0, 4)], "from a file")
    equal(run(server, "group", "seek", "mover", "--to", 2, "--export", "-", "--dry-run")[0], "moves,0,2\nmoves,1,2\n", "exported plan")
    rows = js(server, "group", "offsets", "mover")
    keys(rows, "group", "topic", "partition", "committed", "leader_epoch", "metadata")
    equal([r["committed"] for r in rows], [7, 4], "after the dry run")


@test
def a_seek_that_cannot_be_done_whole_moves_nothing(server):
    before = js(server, "group", "offsets", "mover")
    path = os.path.join(server.dir, "bad.csv")
    for text, code, part in (("moves,0,1\nnowhere,0,1\n", NOT_FOUND, "no topic 'nowhere'"), ("moves,0,1\nmoves,9,1\n", NOT_FOUND, "no partition 9"),
                             ("moves,0,1\nmoves,zero,1\n", USAGE, "bad.csv:2: must be topic,partition,offset"),
                             ("moves,0,1\nmoves,0,2\n", USAGE, "bad.csv:2: 'moves,0,2' stands in an earlier line"),
                             ("# nothing\n\n", USAGE, "holds no line"), ("other,moves,0,1\n", USAGE, "bad.csv:1: is for group 'other'"),
                             ("moves,0\n", USAGE, "bad.csv:1: must be"), ("moves,0,-1\n", USAGE, "bad.csv:1: must be")):
        with open(path, "w") as f:
            f.write(text)
        says(run(server, "group", "seek", "mover", "--from-file", path, code=code)[1], part)
    says(run(server, "group", "seek", "mover", "--from-file", "/no/file", code=NOT_FOUND)[1], "/no/file: no such file")
    says(run(server, "group", "seek", "mover", "moves:0", "moves:7", "--to", "start", code=NOT_FOUND)[1], "no partition 7")
    says(run(server, "group", "seek", "mover", "moves", "movse", "--to", "start", code=NOT_FOUND)[1], "no topic 'movse'; did you mean moves?")
    equal(js(server, "group", "offsets", "mover"), before, "offsets afterwards")


@test
def a_group_with_members_is_described_and_not_moved(server):
    run(server, "group", "seek", "busy", "moves", "--to", 1)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}
    member = subprocess.Popen([broker.binary(), "consume", "moves", "-g", "busy", "-b", server.address], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean)
    try:
        def joined():
            told = js(server, "group", "describe", "busy")
            return told if told["groups"][0]["state"] == "Stable" and told["members"] else None
        told = eventually(joined, what="a stable group")
        equal(list(told), ["groups", "members", "offsets"], "sections")
        keys(told["groups"], "group", "type", "state", "protocol", "assignor", "members", "coordinator", "host", "port", "epoch", "assignment_epoch")
        keys(told["members"], "group", "member", "client", "host", "partitions", "instance", "rack", "epoch", "protocol", "topics")
        keys(told["offsets"], "group", "topic", "partition", "committed", "end", "lag", "member", "client", "host", "leader_epoch", "metadata")
        group = told["groups"][0]
        equal((group["type"], group["state"], group["members"], group["coordinator"], group["port"]), ("classic", "Stable", 1, 1, server.port), "group")
        check(group["assignor"], group)
        equal(sorted(told["members"][0]["partitions"]), ["moves:0", "moves:1"], "assignment")
        equal(told["members"][0]["topics"], ["moves"], "subscription")
        equal([o["end"] for o in told["offsets"]], [10, 4], "ends")
        equal({o["member"] for o in told["offsets"]}, {told["members"][0]["member"]}, "who reads")
        says(run(server, "group", "members", "busy")[0], "moves:0,moves:1")
        rows = js(server, "group", "list")
        keys(rows, "group", "state", "type", "protocol", "coordinator")
        check({"group": "busy", "state": "Stable", "type": "classic", "protocol": "consumer", "coordinator": 1} in rows, rows)
        equal([r["group"] for r in js(server, "group", "list", "--state", "stable", "--type", "classic")], ["busy"], "filtered")
        check("mover" in run(server, "group", "list", "-s", "Empty", "-o", "name")[0].split(), "empty groups")
        for args in (["seek", "busy", "--to", "start"], ["delete", "busy"], ["delete", "busy", "--dry-run"]):
            says(run(server, "group", *args, code=FAILED)[1], "is Stable with 1 member", "stop its consumers first")
        says(run(server, "group", "delete-offsets", "busy", "moves:0", code=FAILED)[1], "GROUP_SUBSCRIBED_TO_TOPIC")
    finally:
        member.send_signal(signal.SIGINT)
        member.communicate(timeout=stretched(20))
    eventually(lambda: js(server, "group", "describe", "busy")["groups"][0]["members"] == 0, timeout_s=60, what="no members")


@test
def offsets_and_groups_are_deleted(server):
    run(server, "group", "seek", "forgets", "moves", "lives", "--to", "start")
    rows = js(server, "group", "delete-offsets", "forgets", "moves:1", "lives", "--dry-run")
    keys(rows, "group", "topic", "partition", "offset", "status")
    equal({r["status"] for r in rows}, {"would be deleted"}, "dry run")
    equal(len(rows), 6, "offsets")
    js(server, "group", "delete-offsets", "forgets", "moves:1", "lives")
    equal([(r["topic"], r["partition"]) for r in js(server, "group", "lag", "forgets")], [("moves", 0)], "what is left")
    says(run(server, "group", "delete-offsets", "forgets", "lives", code=NOT_FOUND)[1], "has no offsets for 'lives'", "moldau group offsets forgets")
    equal(js(server, "group", "delete", "forgets", "--dry-run"), [{"group": "forgets", "status": "would be deleted"}], "dry run")
    out, err = run(server, "group", "delete", "forgets", "never-was", code=NOT_FOUND)
    says(err, "no group 'never-was'", "moldau group list")
    says(out, "deleted", "failed")
    for args in (["describe"], ["lag"], ["members"], ["offsets"], ["delete"]):
        says(run(server, "group", *args, "forgets", code=NOT_FOUND)[1], "no group 'forgets'")
    told = run(server, "group", "describe", "mover", "never-was", code=NOT_FOUND)
    says(told[0], "mover")


# ---- the cluster ----

@test
def the_cluster_is_told(server):
    info = js(server, "cluster", "info")
    keys(info, "cluster", "controller", "broker_count", "fenced_count", "metadata_version", "quorum_leader", "quorum_epoch", "high_watermark",
         "brokers", "features", "quorum")
    keys(info["brokers"], "broker", "host", "port", "rack", "controller", "fenced")
    keys(info["features"], "feature", "finalized", "supported_min", "supported_max", "finalized_min")
    keys(info["quorum"], "node", "role", "log_end", "lag", "directory", "last_fetch", "last_caught_up", "endpoints")
    equal((info["broker_count"], info["fenced_count"], info["controller"], info["quorum_leader"]), (1, 0, 1, 1), "info")
    equal((info["brokers"][0]["broker"], info["brokers"][0]["port"], info["brokers"][0]["controller"]), (1, server.port, True), "broker")
    equal(len(info["cluster"]), 22, "cluster id")
    check(info["metadata_version"] >= 1, info)
    equal(info["quorum"][0]["role"], "leader", "quorum")
    keys(js(server, "cluster", "features"), "feature", "finalized", "supported_min", "supported_max", "finalized_min")
    quorum = js(server, "cluster", "quorum")
    keys(quorum, "leader", "epoch", "high_watermark", "voters", "observers", "max_lag", "replicas")
    equal((quorum["leader"], quorum["voters"], quorum["observers"]), (1, 1, 0), "quorum")
    health = js(server, "cluster", "health")
    keys(health, "problems", "healthy", "broker_count", "topic_count", "partition_count", "problem_count")
    equal((health["problems"], health["healthy"]), ([], True), "health")
    dirs = js(server, "cluster", "logdirs")
    keys(dirs, "broker", "dir", "logs", "size_bytes", "total_bytes", "usable_bytes", "state")
    equal((dirs[0]["dir"], dirs[0]["state"]), (server.log_dir, "online"), "log directory")
    check(dirs[0]["logs"] > 5 and dirs[0]["size_bytes"] > 0 and dirs[0]["total_bytes"] > dirs[0]["usable_bytes"] > 0, dirs)
    logs = js(server, "cluster", "logdirs", "--logs", "--broker", 1)
    keys(logs, "broker", "dir", "topic", "partition", "size_bytes", "lag", "future")
    equal(len(logs), dirs[0]["logs"], "logs")
    says(run(server, "cluster", "logdirs", "--broker", 9, code=NOT_FOUND)[1], "no broker 9")
    parts = js(server, "cluster", "partitions", "moves", "--broker", 1)
    keys(parts, "topic", "partition", "leader", "epoch", "replicas", "isr", "offline")
    equal(len(parts), 2, "partitions")
    equal(js(server, "cluster", "partitions", "--under-replicated", "--leaderless"), [], "trouble")


@test
def leaders_are_elected_and_partitions_reassigned(server):
    run(server, "topic", "create", "placed", "-p", 3)
    equal(js(server, "cluster", "elect"), [], "nothing to elect")
    equal(js(server, "cluster", "elect", "placed:0,2", "--unclean", "--dry-run"), [], "nothing to elect")
    says(run(server, "cluster", "elect", "plaecd", code=NOT_FOUND)[1], "no topic 'plaecd'; did you mean placed?")
    equal(js(server, "cluster", "reassign"), [], "nothing is moving")
    planned = js(server, "cluster", "reassign", "placed:0-1", "--to", 1, "--dry-run")
    keys(planned, "topic", "partition", "before", "after", "status")
    equal([list(r.values()) for r in planned], [["placed", 0, [1], [1], "would be started"], ["placed", 1, [1], [1], "would be started"]], "a plan")
    equal({r["status"] for r in js(server, "cluster", "reassign", "placed", "--to", 1)}, {"started"}, "to where they are")
    says(run(server, "cluster", "reassign", "placed:1", "--to", "1,77", code=FAILED)[1], "INVALID_REPLICA_ASSIGNMENT")
    says(run(server, "cluster", "reassign", "placed:1", "--cancel", code=FAILED)[1], "NO_REASSIGNMENT_IN_PROGRESS")
    path = os.path.join(server.dir, "plan.json")
    plan = {"version": 1, "partitions": [{"topic": "placed", "partition": p, "replicas": [1]} for p in (2, 0)]}
    for text, code, part in ((json.dumps(plan), OK, ""), ("{", USAGE, "plan.json:1: "), ("{}", USAGE, "wants {\"version\": 1"),
                             ('{"partitions": [{"topic": "placed"}]}', USAGE, "partition 0 of the list must be"),
                             ('{"partitions": [{"topic": "placed", "partition": 7, "replicas": [1]}]}', NOT_FOUND, "no partition 7")):
        with open(path, "w") as f:
            f.write(text)
        out, err = run(server, "cluster", "reassign", "--plan", path, "--dry-run", "-o", "json", code=code)
        says(err, part)
    with open(path, "w") as f:
        json.dump(plan, f)
    equal([r["partition"] for r in js(server, "cluster", "reassign", "--plan", path)], [0, 2], "by plan")
    for args, part in ((["placed", "--to", "1,x"], "--to must be the ids of brokers"), (["placed", "--to", ""], "--to must be"),
                       (["placed"], "wants exactly one of"), (["--to", "1"], "wants TOPIC"), (["placed", "--plan", path], "drop 'placed'")):
        says(run(server, "cluster", "reassign", *args, code=USAGE)[1], part)
    says(run(server, "cluster", "reassign", "--plan", "/no/file", code=NOT_FOUND)[1], "no such file")


@test
def shells_are_offered_what_may_come_next(server):
    def offered(*words, address=server):
        return run(address, "generate", "completion", "bash", "--", *words)[0].split()
    equal(offered("gr"), ["group"], "families")
    check({"server", "topic", "produce", "help", "debug"} <= set(offered("")), offered(""))
    equal(offered("group", "de"), ["describe", "delete-offsets", "delete"], "commands")
    equal(offered("group", "seek", "--d"), ["--dry-run"], "options")
    equal(offered("topic", "list", "--ou"), ["--output"], "shared options")
    equal(offered("topic", "list", "-o", "j"), ["json"], "values")
    equal(offered("config", "describe", "to"), ["topic"], "kinds")
    equal(offered("config", "describe", "topic", "move"), ["moves"], "topics by kind")
    equal(offered("topic", "describe", "live"), ["lives"], "topics")
    equal(offered("topic", "describe", "lives", "-o", "json", "move"), ["moves"], "more topics")
    equal(offered("group", "seek", "move"), ["mover"], "groups")
    equal(offered("group", "seek", "mover", "--to", "start", "move"), ["moves"], "topics after the group")
    equal(offered("consume", "moves", "--group", "mov"), ["mover"], "groups of an option")
    nobody = f"127.0.0.1:{broker.free_port()}"
    equal(offered("group", "describe", "-b", server.address, "mov", address=nobody), ["mover"], "the cluster that the words name")
    equal(run(nobody, "generate", "completion", "bash", "--", "topic", "describe", "x", code=FAILED)[0], "", "no cluster")
    for shell in ("bash", "zsh", "fish"):
        says(run(server, "generate", "completion", shell)[0], f"moldau generate completion {'fish' if shell == 'fish' else 'bash'} --")
    says(run(server, "generate", "completion", "bsh", code=USAGE)[1], "did you mean bash")
    script = run(server, "generate", "completion", "bash")[0]
    path = os.path.dirname(os.path.realpath(broker.binary()))
    words = script + f"PATH={path}:$PATH MOLDAU_BROKERS={server.address}; export PATH MOLDAU_BROKERS; COMP_WORDS=(moldau group desc); COMP_CWORD=2; _moldau; " \
        "echo ${COMPREPLY[@]}"
    equal(subprocess.run(["bash", "-c", words], stdout=subprocess.PIPE, timeout=stretched(20)).stdout, b"describe\n", "in a shell")


# ---- formats ----

@test
def every_list_comes_in_every_format(server):
    for args in (["topic", "list"], ["topic", "describe", "moves"], ["topic", "stats", "moves"], ["group", "list"], ["group", "describe", "mover"],
                 ["group", "lag", "mover"], ["config", "describe", "topic", "lives", "--all"], ["cluster", "info"], ["cluster", "quorum"],
                 ["cluster", "features"], ["cluster", "logdirs"], ["cluster", "partitions", "moves"]):
        table, wide = run(server, *args)[0], run(server, *args, "-o", "wide")[0]
        first = table.splitlines()[0]
        check(first == first.upper() or args[0] == "cluster", first)
        check(len(max(wide.splitlines(), key=len)) >= len(max(table.splitlines(), key=len)), f"wide {args}")
        value = js(server, *args)
        check(value, f"json {args}")
        yaml = run(server, *args, "-o", "yaml")[0]
        names = value if isinstance(value, dict) else value[0]
        for name in names:
            says("\n" + yaml.replace("- ", "  "), f"{name}:")
        check(run(server, *args, "-o", "name")[0].strip(), f"name {args}")
    equal(run(server, "group", "lag", "mover", "-o", "name")[0], "mover\nmover\n", "first column")


@test
def colours_and_progress_stay_away_from_pipes(server):
    out, err = run(server, "group", "describe", "mover")
    check("\x1b" not in out + err and "\r" not in out + err, out + err)


@test
def long_work_shows_progress_on_a_terminal(server):
    parent, child = os.openpty()
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}
    done = subprocess.run([broker.binary(), "produce", "lines", "--rate", "20", "-b", server.address], input=b"x\n" * 20, stdout=subprocess.PIPE,
                          stderr=child, env=clean, timeout=stretched(30))
    os.close(child)
    shown = ""
    try:
        while part := os.read(parent, 1 << 16):
            shown += part.decode()
    except OSError:  # nothing is left, and nobody writes any more
        pass
    os.close(parent)
    equal((done.returncode, done.stdout), (OK, b""), "exit code and standard output")
    shown = shown.split("\r")
    check(len(shown) > 4 and all("records stored" in line for line in shown[1:-2] if line.strip()), shown)
    check(shown[-2].startswith("20 records stored"), shown)


@test
def standard_output_that_is_full_fails(server):
    with open("/dev/full", "wb") as full:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}
        done = subprocess.run([broker.binary(), "topic", "list", "-b", server.address], stdout=full, stderr=subprocess.PIPE, env=clean, timeout=stretched(20))
    equal(done.returncode, FAILED, "exit code")
    says(done.stderr.decode(), "standard output")


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
