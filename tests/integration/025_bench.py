#!/usr/bin/env python3
"""moldau bench over a real broker: what it counts is what the topic holds; no load without a topic."""
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import cli
import env
import sanitize
import tap
from tap import check, equal, test


def measured(server, *args):
    return cli.js(server, "bench", *args, "--cpu", server.proc.pid)


def create(server, topic, partitions):
    cli.run(server, "topic", "create", topic, "-p", partitions)


def records_in(server, topic):
    return len(cli.run(server, "consume", topic, "-O", "start", "-e", "-f", "%p\\n")[0].splitlines())


@test
def every_record_counted_is_in_the_topic(server):
    create(server, "counted", 3)
    got = measured(server, "produce", "counted", "-n", "2", "-i", "4", "-r", "10", "-s", "50", "-w", "0", "--requests", "200")
    check(got["requests"] >= 200 and got["records"] == got["requests"] * 10, got)
    equal(got["errors"], 0, "errors")
    # What was still on its way at the end is in the topic too, but does not count.
    stored = records_in(server, "counted")
    check(got["records"] <= stored <= got["records"] + 2 * 4 * 10, f"{stored} stored, {got}")
    latency = got["latency_us"]
    check(0 < latency["p50"] <= latency["p99"] <= latency["max"], latency)


@test
def fetching_goes_round_what_is_there(server):
    got = measured(server, "fetch", "counted", "-n", "3", "-w", "0", "-t", "1")
    check(got["records"] > records_in(server, "counted") and got["cpu_s"] > 0, got)


@test
def fetching_waits_a_moment_for_the_first_record(server):
    create(server, "later", 1)
    start = time.monotonic()
    load = subprocess.Popen([broker.binary(), "bench", "fetch", "later", "-b", server.address, "-n", "1", "-w", "0", "-t", "60", "--requests", "5"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    measured(server, "produce", "later", "-r", "10", "-w", "0", "--requests", "5")
    err = load.communicate(timeout=sanitize.stretched(120))[1]
    check(load.returncode == 0 or ("no records" in err and time.monotonic() - start > 3), err)    # or they came too late


@test
def end_to_end_sees_every_record_at_its_rate(server):
    create(server, "ends", 4)
    got = measured(server, "e2e", "ends", "-R", "500", "-w", "0", "-t", "60", "--requests", "1000")
    check(got["requests"] >= 1000 and got["seconds"] > 1, got)    # a slow machine falls behind, nobody runs ahead
    check(got["latency_us"]["p50"] > 0, got)


@test
def compressed_batches_are_taken(server):
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        got = measured(server, "produce", "counted", "-z", codec, "-r", "100", "-w", "0", "--requests", "5")
        check(got["requests"] >= 5 and got["bytes"] < got["records"] * 1024, got)


@test
def what_cannot_be_measured_is_said(server):
    err = cli.run(server, "bench", "produce", "nowhere", code=cli.FAILED)[1]
    check("moldau topic create" in err, err)
    for args, word in ((("produce", "t", "-a", "0"), "--acks"), (("produce", "t", "--cpu", "0"), "--cpu"),
                       (("produce", "t", "-z", "rar"), "--compression"), (("fetch", "t", "-n", "0"), "--connections")):
        err = cli.run(server, "bench", *args, code=cli.USAGE)[1]
        check(word in err, err)
    create(server, "empty", 1)
    err = cli.run(server, "bench", "fetch", "empty", "-t", "1", code=cli.FAILED)[1]
    check("no records" in err, err)


@test
def produce_and_fetch_take_nothing_from_the_heap(_server):
    """Once warm. A request that allocates counts 1; the tenth leaves room for what the node does beside requests."""
    tap.plain_only("the heap")
    for rows in ("100 B", "4 KiB"):
        out = env.run(sys.executable, os.path.join(env.ROOT, "bench/costs"), "allocations", "--rows", rows, timeout_s=300).decode()
        found = re.findall(r"^\| (.*) \| ([-0-9.]+) \| [-0-9.]+ \|$", out, re.M)
        check(found, out)
        for row, allocations in found:
            print(f"# {row}: {allocations}", flush=True)
            check(float(allocations) < 0.1, f"{row}: {allocations} allocations a request")


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
