#!/usr/bin/env python3
"""Commands that must ask every broker, or the right one, on three brokers of Apache Kafka; then with one of them gone."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import apache
import broker
import tap
from cli import NOT_FOUND, UNHEALTHY, js, run, says
from tap import check, equal, eventually, test

GROUPS = [f"g{i}" for i in range(9)]


class Cluster:
    """Node 1 is controller and broker, nodes 2 and 3 are brokers."""

    def __init__(self):
        apache.jars()
        apache.NODE_FLAGS = ["-Xmx384M", "-Xms128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        props = {"offsets.topic.num.partitions": 9, "replica.lag.time.max.ms": 3000, "broker.session.timeout.ms": 3000,
                 "broker.heartbeat.interval.ms": 500}
        self.nodes = [broker.Server(kind="apache", props=props)]
        self.nodes[0].start()
        for node_id in (2, 3):
            port = broker.free_port()
            node = broker.Server(kind="apache", port=port, props={
                **props, "node.id": node_id, "process.roles": "broker", "listeners": f"PLAINTEXT://127.0.0.1:{port}",
                "controller.quorum.voters": f"1@127.0.0.1:{self.nodes[0].controller_port}"})
            self.nodes.append(node)
            node.start()
        self.address = self.nodes[0].address
        eventually(lambda: [b["broker"] for b in js(self, "cluster", "info")["brokers"]] == [1, 2, 3], timeout_s=60, what="three brokers")

    def log_tail(self):
        return "\n".join(node.log_tail(10) for node in self.nodes)

    def close(self):
        for node in reversed(self.nodes):
            node.kill9()
            node.close()


@test
def topics_are_filled_described_and_trimmed_on_every_leader(cluster):
    made = js(cluster, "topic", "create", "spread", "-p", 6, "-r", 2)
    equal((made[0]["partitions"], made[0]["replicas"]), (6, 2), "created")
    eventually(lambda: {p["leader"] for p in js(cluster, "topic", "describe", "spread")["partitions"]} == {1, 2, 3}, what="leaders")
    for part in range(6):
        run(cluster, "produce", "spread", "-p", part, stdin=b"x\n" * (part + 1))
    told = js(cluster, "topic", "describe", "spread")
    equal([p["end_offset"] for p in told["partitions"]], [1, 2, 3, 4, 5, 6], "ends, of every leader")
    check(all(p["size_bytes"] > 60 for p in told["partitions"]), told)
    rows = js(cluster, "topic", "trim", "spread", "--before", 2)
    equal([r["start_offset"] for r in rows], [1, 2, 2, 2, 2, 2], "trimmed")
    equal({r["broker"] for r in js(cluster, "cluster", "logdirs")}, {1, 2, 3}, "log directories")
    logs = [r for r in js(cluster, "cluster", "logdirs", "--logs") if r["topic"] == "spread"]
    equal(len(logs), 12, "replicas")
    here = js(cluster, "cluster", "partitions", "spread", "--broker", 2)
    check(here and all(2 in p["replicas"] for p in here), here)


@test
def groups_are_found_on_every_coordinator(cluster):
    for group in GROUPS:
        run(cluster, "group", "seek", group, "spread", "--to", "start")
    rows = [r for r in js(cluster, "group", "list") if r["group"] in GROUPS]
    equal(sorted(r["group"] for r in rows), GROUPS, "groups")
    equal({r["coordinator"] for r in rows}, {1, 2, 3}, "coordinators")
    told = js(cluster, "group", "describe", *GROUPS)
    ports = {node_id: node.port for node_id, node in enumerate(cluster.nodes, 1)}
    listed = {r["group"]: r["coordinator"] for r in rows}
    for group in told["groups"]:
        equal((group["coordinator"], group["port"]), (listed[group["group"]], ports[group["coordinator"]]), group["group"])
    equal(len(told["offsets"]), 6 * len(GROUPS), "offsets")
    equal({r["status"] for r in js(cluster, "group", "delete-offsets", "g0", "spread")}, {"deleted"}, "offsets of one")
    equal({r["status"] for r in js(cluster, "group", "delete", *GROUPS[1:])}, {"deleted"}, "deleted")


@test
def settings_are_asked_of_their_broker(cluster):
    for node_id in (1, 2, 3):
        js(cluster, "config", "set", "broker", node_id, f"log.cleaner.backoff.ms={9000 + node_id}")
    for node_id in (1, 2, 3):
        eventually(lambda: [r["value"] for r in js(cluster, "config", "describe", "broker", node_id, "log.cleaner.backoff.ms")] == [str(9000 + node_id)],
                   what=f"the setting of broker {node_id}")
        equal([r["value"] for r in js(cluster, "config", "describe", "broker", node_id, "node.id")], [str(node_id)], "node.id")
    says(run(cluster, "config", "describe", "broker", 4, code=NOT_FOUND)[1], "no broker 4")


@test
def partitions_move_and_leaders_are_elected(cluster):
    run(cluster, "topic", "create", "moved", "-p", 1, "-r", 1)
    started = js(cluster, "cluster", "reassign", "moved", "--to", "3,2")
    equal((started[0]["after"], started[0]["status"]), ([3, 2], "started"), "reassignment")
    eventually(lambda: js(cluster, "topic", "describe", "moved")["partitions"][0]["isr"] in ([2, 3], [3, 2]), timeout_s=60, what="the new replicas")
    eventually(lambda: js(cluster, "cluster", "reassign") == [], what="nothing on its way")
    js(cluster, "cluster", "reassign", "moved", "--to", "2,3")
    eventually(lambda: js(cluster, "cluster", "partitions", "moved")[0]["replicas"] == [2, 3], what="the new order")

    def elected():
        wanted = js(cluster, "cluster", "elect", "moved", "--dry-run")
        if wanted:
            equal([(r["partition"], r["before"], r["preferred"], r["status"]) for r in wanted], [(0, 3, 2, "would be elected")], "dry run")
            equal([r["status"] for r in js(cluster, "cluster", "elect", "moved")], ["elected"], "elected")
        return js(cluster, "cluster", "partitions", "moved")[0]["leader"] == 2
    eventually(elected, what="the preferred leader")


@test
def a_broker_that_is_gone_is_told(cluster):
    run(cluster, "topic", "create", "strict", "-p", 3, "-r", 3, "-c", "min.insync.replicas=3")
    healthy = js(cluster, "cluster", "health")
    equal((healthy["healthy"], healthy["broker_count"]), (True, 3), "health")
    cluster.nodes[2].kill9()

    def unhealthy():
        out, _ = run(cluster, "cluster", "health", "-o", "json", code=None)
        return "fenced broker" in out and "below min.insync.replicas" in out and "under-replicated" in out
    eventually(unhealthy, timeout_s=60, what="the loss", every_s=0.5)
    health = js(cluster, "cluster", "health", code=UNHEALTHY)
    check({"problem": "fenced broker", "what": "broker 3", "detail": "it does not answer the controller"} in health["problems"], health["problems"])
    equal(len([p for p in health["problems"] if p["what"].startswith("strict:") and p["problem"] == "below min.insync.replicas"]), 3, "strict")
    equal({p["topic"] for p in js(cluster, "cluster", "partitions", "strict", "--under-replicated")}, {"strict"}, "under-replicated")
    info = js(cluster, "cluster", "info")
    equal([(b["broker"], b["fenced"]) for b in info["brokers"]], [(1, False), (2, False), (3, True)], "brokers")
    js(cluster, "group", "list")
    equal({r["broker"] for r in js(cluster, "cluster", "logdirs")}, {1, 2}, "log directories of those that are left")
    run(cluster, "topic", "create", "lonely", "-p", 1, "-r", 1)
    told = js(cluster, "topic", "describe", "spread", "strict")
    check(all(p["leader"] in (1, 2) for p in told["partitions"]), told)
    says(run(cluster, "config", "describe", "broker", 3, code=NOT_FOUND)[1], "no broker 3")


if __name__ == "__main__":
    sys.exit(tap.main(Cluster, Cluster.close))
