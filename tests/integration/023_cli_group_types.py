#!/usr/bin/env python3
"""Groups of the newer types on Apache Kafka, whose own consumers are their members, as our commands show them."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import apache
import broker
import tap
from cli import FAILED, js, run, says
from tap import check, equal, eventually, test


class Members:
    """Apache Kafka with a member in a group of the consumer protocol and one in a share group."""

    def __init__(self):
        apache.jars()
        apache.TOOLS["console-share-consumer"] = "org.apache.kafka.tools.consumer.ConsoleShareConsumer"
        self.server = broker.Server(kind="apache").start()
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


if __name__ == "__main__":
    sys.exit(tap.main(Members, Members.close))
