"""Cases as data, how one is asked of a server, and what of an answer is left out of a comparison.

A file under cases/ has one JSON object a line. The first may be {"server": {...}}, settings for both
servers. The others are cases:

    {"name": "...", "steps": [{"api": "CreateTopics", "v": 7, "f": {...}}, ...]}

`f` is the request as wire.py takes it; `raw` instead is its body in hexadecimal; `conn` names one of
several connections; `client` a client id; `quiet` sends without waiting for an answer; `until`: {"path",
"is"} asks again until the answer has that there; `disk`: the files of a partition, see segments.py. A string
"$name" in a request stands for what an earlier answer of the file held: "$id:TOPIC" the topic's id,
others by `save`: {"name": "path.0.to.field"}. answers/ has one object a line: a case's name and its
answers, each the decoded fields, or "closed", or "silent".
"""
import json
import os
import re
import socket
import struct
import time

import broker
import metadata_log
import segments
import wire
from sanitize import stretched

HERE = os.path.dirname(os.path.abspath(__file__))
CASES, ANSWERS = os.path.join(HERE, "cases"), os.path.join(HERE, "answers")
ANY_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What a run has of its own, by the name of the field.
VOLATILE = {
    "clusterId": "<cluster>", "logDir": "<dir>", "totalBytes": "<bytes>", "usableBytes": "<bytes>",
    "lastFetchTimestamp": "<time>", "lastCaughtUpTimestamp": "<time>", "logAppendTimeMs": "<time>",
    "topicId": "<id>", "replicaDirectoryId": "<id>", "incarnationId": "<id>", "sessionId": "<session>",
    "finalizedFeaturesEpoch": "<offset>",
}
# The same, but of one api only.
VOLATILE_OF = {
    "metadata log": {"directories": "<id>", "brokerEpoch": "<offset>"},
    "DescribeQuorum": {"highWatermark": "<offset>", "logEndOffset": "<offset>", "leaderEpoch": "<epoch>"},
}
# Their order is that of a hash map in Kafka.
UNORDERED = {
    "CreateTopics", "DeleteTopics", "CreatePartitions", "AlterConfigs", "IncrementalAlterConfigs", "DescribeConfigs",
    "ElectLeaders", "Metadata", "DescribeLogDirs", "ListConfigResources", "ListGroups", "DescribeGroups", "DeleteGroups",
    "OffsetFetch", "OffsetDelete", "ApiVersions", "DescribeProducers", "UpdateFeatures", "DescribeCluster", "OffsetCommit",
    "AlterPartitionReassignments", "AlterReplicaLogDirs", "ListOffsets", "OffsetForLeaderEpoch", "DeleteRecords",
    "LeaveGroup", "Produce", "metadata log", "DescribeAcls", "CreateAcls", "DeleteAcls", "DescribeClientQuotas", "AlterClientQuotas",
    "DescribeUserScramCredentials",
}
ANSWER_S, UNTIL_S = stretched(8), stretched(20)


def load(path):
    """(settings of the servers, cases)."""
    settings, cases, names = {}, [], set()
    with open(path) as f:
        for line in f:
            one = json.loads(line)
            if "server" in one:
                settings = one["server"]
                continue
            assert one["name"] not in names, f"{path}: {one['name']} twice"
            names.add(one["name"])
            cases.append(one)
    return settings, cases


def names(chosen):
    """Names of case files: all, or those chosen."""
    found = sorted(f[:-len(".jsonl")] for f in os.listdir(CASES) if f.endswith(".jsonl"))
    return [n for n in found if not chosen or n in chosen]


def answers(name):
    path = os.path.join(ANSWERS, name + ".jsonl")
    if not os.path.exists(path):
        return {}
    with open(path) as f:
        return {one["name"]: one["answers"] for one in map(json.loads, f)}


def moldau(settings):
    """A Moldau that is configured as tests/lib/apache.py configures Kafka."""
    server = broker.Server("moldau")
    server.controller_port = broker.free_port()
    client, controller = f"PLAINTEXT://{server.address}", f"CONTROLLER://127.0.0.1:{server.controller_port}"
    server.props = {
        "process.roles": "broker,controller", "node.id": 1, "controller.quorum.voters": f"1@127.0.0.1:{server.controller_port}",
        "listeners": f"{client},{controller}", "advertised.listeners": client, "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT", "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1, "share.coordinator.state.topic.min.isr": 1, **settings}
    return server


class Conn:
    def __init__(self, address):
        host, port = address.split(":")
        self.address = (host, int(port))
        self.sock, self.correlation_id = None, 0

    def send(self, codec, step, body):
        if self.sock is None:
            self.sock = socket.create_connection(self.address, timeout=ANSWER_S)
        self.sock.settimeout(stretched(step["wait"]) if "wait" in step else ANSWER_S)
        self.correlation_id += 1
        self.sock.sendall(codec.request_frame(step["api"], step["v"], self.correlation_id, step.get("client", "parity"), body))

    def receive(self, codec, step):
        try:
            frame = self.frame()
        except socket.timeout:
            self.close()
            return "silent"
        except OSError:
            self.close()
            return "closed"
        try:
            correlation_id, answer = codec.answer(step["api"], step.get("answer_v", step["v"]), frame)
        except wire.Wrong as e:
            return f"not an answer: {e}"
        return answer if correlation_id == self.correlation_id else f"the answer to {correlation_id}"

    def frame(self):
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def _exactly(self, size):
        data = bytearray()
        while len(data) < size:
            chunk = self.sock.recv(size - len(data))
            if not chunk:
                raise ConnectionError
            data += chunk
        return bytes(data)

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None


class Asker:
    """Asks one server. settle_s: how long a change may take until every part of the server knows it."""

    def __init__(self, codec, server, settle_s=0.0):
        self.codec, self.server, self.settle_s = codec, server, settle_s
        self.hidden = [(str(server.port), "<port>")]
        if getattr(server, "controller_port", None):
            self.hidden.append((str(server.controller_port), "<controller port>"))
        self.conns, self.known = {}, {}

    def ask(self, case):
        """The answers of a case, masked; of {"log": true}, the records that the file left in the metadata log."""
        if case.get("log"):
            time.sleep(self.settle_s)
            return [self.masked("metadata log", metadata_log.records(self.codec, self.server.log_dir), "")]
        out = []
        for step in case["steps"]:
            out.append(self._step(step, self.known))
        for name in [n for n in self.conns if n != ""]:
            self.conns.pop(name).close()
        return out

    def _step(self, step, known):
        """A step; one with `until` again and again, until its answer is as wanted there."""
        end = time.monotonic() + UNTIL_S
        while True:
            answer = self._step_once(step, known)
            if "until" not in step or isinstance(answer, str) or time.monotonic() > end:
                return answer
            if (at_path(answer, step["until"]["path"]) or 0) == step["until"]["is"]:
                return answer
            time.sleep(0.05)

    def _step_once(self, step, known):
        if "sleep" in step:
            time.sleep(step["sleep"])
            return None
        if "disk" in step:
            return segments.files(self.server.log_dir, step["disk"], step["partition"], step.get("unpack", False))
        if step.get("hang up"):
            self.conns.pop(step["conn"]).close()
            return None
        conn = self.conns.setdefault(step.get("conn", ""), Conn(self.server.address))
        if "api" not in step:   # only the answer of a quiet one
            step, answer = conn.asked, conn.receive(self.codec, conn.asked)
        else:
            conn.asked = step
            if "raw" in step:
                body = bytes.fromhex(step["raw"])
            else:
                body = self.codec.encode(self.codec.apis[step["api"]][1], step["v"], self._filled(step.get("f", {}), known))
            conn.send(self.codec, step, body)
            if step.get("quiet"):
                return None
            answer = conn.receive(self.codec, step)
        if isinstance(answer, dict):
            self._learn(answer, known)
            for name, path in step.get("save", {}).items():
                known[name] = at_path(answer, path) or (0 if path == "sessionId" else "")   # answers leave zeros out
        if self.settle_s and self.codec.apis[step["api"]][0] in (19, 20, 33, 37, 43, 44, 45, 49, 57):
            time.sleep(self.settle_s * (4 if step["api"] == "CreatePartitions" and len(step.get("f", {}).get("topics") or []) != 1 else 1))
        return self.masked(step["api"], answer, json.dumps(step))

    def _filled(self, value, known):
        if isinstance(value, dict):
            return {k: self._filled(v, known) for k, v in value.items()}
        if isinstance(value, list):
            return [self._filled(v, known) for v in value]
        if isinstance(value, str) and value.startswith("$"):
            return known.get(value[1:], wire.ZERO_UUID if value.startswith("$id:") else "")
        return value

    def _learn(self, value, known):
        if isinstance(value, list):
            for one in value:
                self._learn(one, known)
        elif isinstance(value, dict):
            if isinstance(value.get("topicId"), str) and value.get("name"):
                known["id:" + value["name"]] = value["topicId"]
            for one in value.values():
                self._learn(one, known)

    def masked(self, api, value, asked, key=""):
        """The same without what only this run has; an id or a name that was asked for stays."""
        if isinstance(value, dict):
            return {k: self.masked(api, v, asked, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self.masked(api, v, asked, key) for v in value]
        if key in VOLATILE and value is not None and f'"{value}"' not in asked:
            return VOLATILE[key]
        if key in VOLATILE_OF.get(api, ()):
            return VOLATILE_OF[api][key]
        if key == "port" and str(value) in dict(self.hidden):
            return dict(self.hidden)[str(value)]
        if isinstance(value, str):
            return self._masked_text(value)
        return value

    def _masked_text(self, text):
        text = ANY_UUID.sub("<uuid>", text)
        text = re.sub(r"within \[-?\d+, -?\d+\]", "within <times>", text)
        text = text.replace(self.server.log_dir, "<dir>")
        for what, name in self.hidden:
            text = re.sub(rf"(?<!\d){what}(?!\d)", name, text)
        return text


# Kafka builds these answers from a map of partitions; ours have the form of the request.
FORM_OF_REQUEST = {"Produce": ("responses", "partitionResponses"), "OffsetCommit": ("topics", "partitions"), "OffsetDelete": ("topics", "partitions")}


def united(api, answer):
    """The same with each topic once, and without topics that have no partitions."""
    if api not in FORM_OF_REQUEST or not isinstance(answer, dict):
        return answer
    topics, partitions = FORM_OF_REQUEST[api]
    out = {}
    for topic in answer.get(topics, []):
        if topic.get(partitions):
            one = out.setdefault((topic.get("name"), topic.get("topicId")), {**topic, partitions: []})
            one[partitions] = one[partitions] + topic[partitions]
    rest = {k: v for k, v in answer.items() if k != topics}
    return {**rest, topics: list(out.values())} if out else rest


def keyed(items):
    """A list of objects as one object by what names them; None when that is not one to one."""
    if items and all(isinstance(i, dict) and "resourceName" in i for i in items):
        items = [{**i, "name": f"{i.get('resourceType', 0)} {i['resourceName']}"} for i in items]
    for key in ("apiKey", "name", "topic", "topicName", "topicId", "feature", "groupId", "partitionIndex", "partition", "nodeId"):
        if items and all(isinstance(i, dict) for i in items) and any(key in i for i in items):
            found = {f"[{i.get(key, 0)}]": i for i in items}
            return found if len(found) == len(items) else None
    return None


def differing(theirs, ours, ordered, path=""):
    """[(path, theirs, ours)] of the leaves that differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        return [d for k in sorted(set(theirs) | set(ours))
                for d in differing(theirs.get(k), ours.get(k), ordered, f"{path}.{k}" if path else k)]
    if isinstance(theirs, list) and isinstance(ours, list) and theirs != ours:
        a, b = keyed(theirs), keyed(ours)
        if a and b:
            out = differing(a, b, ordered, path)
            return out if out or not ordered else [(path + ".order", list(a), list(b))]
        if not ordered:
            theirs, ours = (sorted(x, key=lambda v: json.dumps(v, sort_keys=True)) for x in (theirs, ours))
        if not ordered and len(theirs) != len(ours):
            ours_left = list(ours)
            only = [x for x in theirs if x not in ours_left or ours_left.remove(x)]
            return [(path, only, ours_left)]
        if len(theirs) == len(ours):
            return [d for i, (x, y) in enumerate(zip(theirs, ours)) for d in differing(x, y, ordered, f"{path}.{i}")]
    return [] if theirs == ours and type(theirs) == type(ours) else [(path, theirs, ours)]


def at_path(value, path):
    for part in path.split("."):
        if isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else {}
        else:
            value = value.get(part, "") if isinstance(value, dict) else ""
    return value
