#!/usr/bin/env python3
"""debug dump-log says of the same files what Apache's kafka-dump-log says, and finds what is damaged."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import apache
import broker
import tap
from sanitize import stretched
from tap import Skip, check, equal, test


def log_files():
    binary = os.path.join(os.path.dirname(broker.binary()), "../../tests/interop/log_files/log_files")
    if not os.path.exists(binary):
        raise Skip("log_files is not built")
    return binary


class Files:
    """A log directory with segments, transactions and epochs, and the data of a node that was stopped."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="moldau-test-")
        subprocess.run([log_files(), "write", self.dir], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log = os.path.join(self.dir, "t-0")
        self.node = os.path.join(self.dir, "node")
        server = broker.Server(kind="moldau", directory=self.dir, log_dir=self.node, props={"offsets.topic.num.partitions": 1}).start()
        moldau("topic", "create", "a", "-b", server.address)
        moldau("produce", "a", "-H", "h=1", "-z", "lz4", "-b", server.address, stdin=b"x\ny\n")
        moldau("group", "seek", "g", "a", "--to", "start", "-b", server.address)
        server.stop()

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


def moldau(*args, stdin=b"", code=0):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}
    done = subprocess.run([broker.binary(), *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean, timeout=stretched(60))
    if done.returncode != code:
        raise AssertionError(f"moldau {args}: exit code {done.returncode}, want {code}\n{done.stdout[-800:]}\n{done.stderr[-800:]}")
    return done.stdout.decode(), done.stderr.decode()


def dump(*paths, records=False, code=0):
    """{base name: (kind, entries)}"""
    out, _ = moldau("debug", "dump-log", "-o", "json", *(["-r"] if records else []), *paths, code=code)
    return {os.path.basename(f["file"]): (f["kind"], f["entries"]) for f in json.loads(out)}


def theirs(*args):
    """Apache's words by file name, its batches and records as dictionaries of text."""
    apache.jars()
    files, lines = {}, None
    for line in apache.run("dump-log", *args).splitlines():
        if line.startswith("Dumping "):
            lines = files.setdefault(os.path.basename(line.split()[1]), [])
        elif lines is not None:
            words = dict(re.findall(r"(\w+): (\S+)", line))
            if words:
                lines.append(words)
    return files


def joined(pattern):
    return ",".join(sorted(glob.glob(pattern)))


@test
def batches_are_what_apache_reads(files):
    ours = dump(*sorted(glob.glob(files.log + "/*.log")), records=True)
    equal(len(ours) > 1, True, "several segments")
    seen = set()
    for name, lines in theirs("--files", joined(files.log + "/*.log"), "--deep-iteration", "--print-data-log").items():
        kind, entries = ours[name]
        equal(kind, "log", "kind")
        batches = [l for l in lines if "baseOffset" in l]
        equal(len(entries), len(batches), f"batches of {name}")
        for got, want in zip(entries, batches):
            for our_name, their_name in (("base_offset", "baseOffset"), ("last_offset", "lastOffset"), ("count", "count"), ("base_sequence", "baseSequence"),
                                         ("last_sequence", "lastSequence"), ("producer_id", "producerId"), ("producer_epoch", "producerEpoch"),
                                         ("leader_epoch", "partitionLeaderEpoch"), ("transactional", "isTransactional"), ("control", "isControl"),
                                         ("position", "position"), ("size", "size"), ("crc", "crc"), ("valid", "isvalid"), ("codec", "compresscodec")):
                equal(str(got[our_name]).lower(), want[their_name].lower(), f"{name} at {got['position']}: {our_name}")
            equal(str(got["max_timestamp"]), want["CreateTime"] if "CreateTime" in want else want["LogAppendTime"], "timestamp")
            seen |= {k for k in ("transactional", "control") if got[k]}
        records = [l for l in lines if "keySize" in l]
        ours_flat = [r for e in entries for r in e["records"]]
        equal([(str(r["offset"]), str(r["key_size"]), str(r["value_size"])) for r in ours_flat],
              [(l["offset"], l["keySize"], l["valueSize"]) for l in records], f"records of {name}")
        ends = [r["control"] for r in ours_flat if "control" in r]
        equal([e.upper() for e in ends], [l["endTxnMarker"] for l in records if "endTxnMarker" in l], "markers")
    equal(seen, {"transactional", "control"}, "kinds of batches in the files")


@test
def indexes_and_snapshots_are_what_apache_reads(files):
    ours = dump(files.log)
    for pattern, kind, fields in (("*.index", "index", (("offset", "offset"), ("position", "position"))),
                                  ("*.timeindex", "timeindex", (("timestamp", "timestamp"), ("offset", "offset"))),
                                  ("*.txnindex", "txnindex", (("producer_id", "producerId"), ("first_offset", "firstOffset"), ("last_offset", "lastOffset"),
                                                              ("last_stable_offset", "lastStableOffset"))),
                                  ("*.snapshot", "producer-snapshot", (("producer_id", "producerId"), ("producer_epoch", "producerEpoch"),
                                                                       ("coordinator_epoch", "coordinatorEpoch"), ("last_timestamp", "lastTimestamp"),
                                                                       ("last_sequence", "lastSequence")))):
        total = 0
        for name, lines in theirs("--files", joined(files.log + "/" + pattern)).items():
            # Apache shows the first entry of an empty index as zeros.
            lines = [l for l in lines if not (kind in ("index", "timeindex") and os.path.getsize(os.path.join(files.log, name)) == 0)]
            equal(ours[name][0], kind, "kind")
            got = [tuple(str(e[a]) for a, _ in fields) for e in ours[name][1]]
            want = [tuple(l[b].rstrip(",") for _, b in fields) for l in lines if fields[0][1] in l]
            equal(got, want, name)
            total += len(got)
        check(total > 0, f"no entry in any {pattern}")


@test
def metadata_and_group_records_are_decoded_as_apache_decodes_them(files):
    for folder, flag, theirs_of in (("__cluster_metadata-0", "--cluster-metadata-decoder", lambda line: json.loads(line)["data"]),
                                    ("__consumer_offsets-0", "--offsets-decoder", None)):
        path = os.path.join(files.node, folder, "0" * 20 + ".log")
        entries = dump(path, records=True)["0" * 20 + ".log"][1]
        ours = [r for e in entries for r in e["records"] if not e["control"]]
        text = apache.run("dump-log", "--files", path, flag)
        payloads = re.findall(r"payload: ?(\{.*\})$", text, re.M)
        equal(len(ours), len(payloads), f"records of {folder}")
        for got, want in zip(ours, payloads):
            data = json.loads(want)
            if theirs_of:
                equal(got["record"], data["data"], f"{folder} at {got['offset']}")
            else:
                equal(got["value"], data.get("data"), f"{folder} at {got['offset']}")
                key = re.search(rf"offset: {got['offset']} .*? key: (\{{.*?\}}) payload", text)
                check(key and json.loads(key[1])["data"] == got["key"], f"key {got['key']}")


@test
def small_files_are_read(files):
    ours = dump(files.node)
    equal({e["key"]: e["value"] for e in ours["meta.properties"][1]}["node.id"], "1", "meta.properties")
    check({"topic": "a", "partition": 0, "offset": 2} in ours["recovery-point-offset-checkpoint"][1], ours["recovery-point-offset-checkpoint"])
    equal(ours["bootstrap.checkpoint"][0], "snapshot", "kind")
    parts = dump(os.path.join(files.node, "a-0"), records=True)
    equal(parts["leader-epoch-checkpoint"][1], [{"epoch": 0, "start_offset": 0}], "epochs")
    equal(parts["partition.metadata"][1][0], {"key": "version", "value": "0"}, "partition.metadata")
    batch = parts["0" * 20 + ".log"][1][0]
    equal(batch["codec"], "lz4", "codec")
    equal([(r["value"], r["headers"]) for r in batch["records"]], [(v, [{"key": "h", "value": "1"}]) for v in "xy"], "records")
    vote = dump(os.path.join(files.node, "__cluster_metadata-0"))["quorum-state"][1][0]["text"]
    equal(json.loads(vote)["leaderId"], 1, "quorum-state")
    text, _ = moldau("debug", "dump-log", os.path.join(files.node, "a-0"))
    check("position=0 size=" in text and "crc=" in text, text)


def damaged(files, source, change):
    """A copy of the directory of a log with one file changed; the exit code is 1 and standard error tells."""
    target = os.path.join(files.dir, "damaged")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(files.log, target)
    path = os.path.join(target, source)
    with open(path, "rb") as f:
        data = bytearray(f.read())
    data = change(data)
    with open(path, "wb") as f:
        f.write(data)
    out, err = moldau("debug", "dump-log", path, code=1)
    json.loads(moldau("debug", "dump-log", path, "-r", "-o", "json", code=1)[0])
    check("Traceback" not in err and path in err, err)
    return err


def flip(data, at):
    data[at] ^= 1
    return data


@test
def damage_is_found_and_said(files):
    first = sorted(os.path.basename(p) for p in glob.glob(files.log + "/*.log"))[0][:20]
    snapshot = os.path.basename(sorted(glob.glob(files.log + "/*.snapshot"))[-1])
    for name, change, words in ((first + ".log", lambda d: flip(d, 70), "the checksum is wrong"),
                                (first + ".log", lambda d: d[:-5], "no batch"),
                                (first + ".log", lambda d: flip(d, 8), "no batch"),
                                (first + ".log", lambda d: flip(d, 16), "position 0"),
                                (first + ".log", lambda d: d + d, "offset 0 after"),
                                (first + ".index", lambda d: flip(d, 7), "no batch at position"),
                                (first + ".index", lambda d: flip(d, 3), "ends with"),
                                (first + ".index", lambda d: d[:-3], "are no entry"),
                                (first + ".timeindex", lambda d: flip(d, 7), "timestamp"),
                                (snapshot, lambda d: flip(d, 20), "the checksum is wrong"),
                                (snapshot, lambda d: d[:-1], "says"),
                                (snapshot, lambda d: d[:4], "no producer snapshot"),
                                ("leader-epoch-checkpoint", lambda d: b"1\n0\n", "does not start with version 0"),
                                ("leader-epoch-checkpoint", lambda d: b"0\n2\n0 0\n", "says 2 lines and holds 1"),
                                ("leader-epoch-checkpoint", lambda d: b"0\n1\nzero 0\n", "line 3 is none")):
        err = damaged(files, name, change)
        check(words in err, f"{name}: {words!r} is not in {err!r}")


@test
def what_is_no_file_of_a_log_is_refused(files):
    for args, code, words in ((["/no/such/dir/0.log"], 3, "no such file"), ([files.dir], 3, "no file of a log stands in it"),
                              (["/etc/passwd"], 2, "knows .log, .index")):
        check(words in moldau("debug", "dump-log", *args, code=code)[1], words)
    empty = os.path.join(files.dir, "0" * 20 + ".log")
    open(empty, "w").close()
    equal(moldau("debug", "dump-log", empty)[0], "", "an empty segment")
    with open(empty, "wb") as f:
        f.write(bytes(4096))
    check("4096 zero bytes" in moldau("debug", "dump-log", empty)[1], "room at the end")


if __name__ == "__main__":
    sys.exit(tap.main(Files, Files.close))
