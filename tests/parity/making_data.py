"""Cases of the requests about records, offsets and groups."""
from making import TEXTS, UNKNOWN_ID, Maker, batch, step

FILES = {}
NAMES = {k: TEXTS[k] for k in ("empty", "unknown", "slash", "250", "metadata")}
MAX32 = (1 << 31) - 1


def file(function):
    FILES[function.__name__] = function
    return function


def create(*names, partitions=2, configs=(), v=7):
    return step("CreateTopics", v, {"topics": [{"name": n, "numPartitions": partitions, "replicationFactor": 1, "assignments": [],
                                                "configs": [{"name": k, "value": v} for k, v in configs]} for n in names], "timeoutMs": 30000})


def leader(*names):
    """Waits until partition 0 of each has a leader."""
    return [step("ListOffsets", 7, {"replicaId": -1, "topics": [{"name": n, "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]},
                 until={"path": "topics.0.partitions.0.errorCode", "is": 0}) for n in names]


def produce(topic, *batches, partition=0, v=9):
    return [step("Produce", v, {"acks": -1, "timeoutMs": 5000, "topicData": [{"name": topic, "partitionData": [{"index": partition, "records": b}]}]},
                 until={"path": "responses.0.partitionResponses.0.errorCode", "is": 0}) for b in batches]


def records(n, start=0, **options):
    return batch([(b"k%d" % i, b"v%d" % i) for i in range(start, start + n)], step_ms=10, **options)


@file
def list_offsets(codec, name):
    m = Maker(codec, name)
    api = "ListOffsets"
    m.case("setup", create("t"), *leader("t"), *produce("t", records(3, time_ms=1000), records(2, time_ms=5000), records(1, time_ms=2000)))
    for v in m.versions(api):
        base = {"replicaId": -1, "isolationLevel": 0, "topics": [{"name": "t", "partitions": [
            {"partitionIndex": 0, "currentLeaderEpoch": -1, "timestamp": -1}]}], "timeoutMs": 5000}
        m.edges(api, v, base, texts=NAMES, skip=[f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))], more={
            "topics.0.partitions.0.timestamp": {str(n): n for n in (-3, -4, -5, -6, -7, 1000, 1005, 1010, 1999, 2000, 5010, 5011, 6000)},
            "topics.0.partitions.0.partitionIndex": {"1": 1}})
        m.case(f"v{v} a partition twice", step(api, v, {"replicaId": -1, "topics": [{"name": "t", "partitions": [
            {"partitionIndex": 0, "timestamp": -1}, {"partitionIndex": 1, "timestamp": -1}, {"partitionIndex": 0, "timestamp": -2}]}]}))
        m.case(f"v{v} a topic twice", step(api, v, {"replicaId": -1, "topics": [{"name": "t", "partitions": [{"partitionIndex": 0, "timestamp": n}]} for n in (-1, -2)]}))
        m.case(f"v{v} several", step(api, v, {"replicaId": -1, "topics": [{"name": n, "partitions": [{"partitionIndex": i, "timestamp": -2} for i in (0, 1, 7)]}
               for n in ("t", "none")]}))
    return m.write()


@file
def offset_for_leader_epoch(codec, name):
    m = Maker(codec, name)
    m.case("setup", create("t"), *leader("t"), *produce("t", records(3)))
    for v in m.versions("OffsetForLeaderEpoch"):
        base = {"replicaId": -1, "topics": [{"topic": "t", "partitions": [{"partition": 0, "currentLeaderEpoch": -1, "leaderEpoch": 0}]}]}
        m.edges("OffsetForLeaderEpoch", v, base, texts=NAMES, skip=["replicaId=2", "replicaId=0", f"replicaId={MAX32}"])
        m.case(f"v{v} several", step("OffsetForLeaderEpoch", v, {"replicaId": -2, "topics": [{"topic": n, "partitions": [
            {"partition": i, "leaderEpoch": 0} for i in (0, 1, 9)]} for n in ("t", "none")]}))
    return m.write()


@file
def delete_records(codec, name):
    m = Maker(codec, name, log_retention_ms=-1)
    for v in m.versions("DeleteRecords"):
        base = {"topics": [{"name": "t%", "partitions": [{"partitionIndex": 0, "offset": 2}]}], "timeoutMs": 5000}
        m.edges("DeleteRecords", v, base, texts=NAMES, before=[create("t%"), *leader("t%"), *produce("t%", records(3), records(2))],
                skip=[f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))], more={"topics.0.partitions.0.offset": {str(n): n for n in (3, 4, 5, 6)}},
                after=[step("ListOffsets", 5, {"replicaId": -1, "topics": [{"name": "t%", "partitions": [{"partitionIndex": 0, "timestamp": -2}]}]})])
        m.case(f"v{v} compacted", create("t%", configs=[("cleanup.policy", "compact")]), *leader("t%"), *produce("t%", records(3)), step("DeleteRecords", v, {
            "topics": [{"name": "t%", "partitions": [{"partitionIndex": 0, "offset": 2}]}], "timeoutMs": 5000}))
        m.case(f"v{v} several", create("t%"), *leader("t%"), *produce("t%", records(3)), step("DeleteRecords", v, {"topics": [
            {"name": n, "partitions": [{"partitionIndex": i, "offset": 1} for i in (0, 1, 5)]} for n in ("t%", "none")], "timeoutMs": 5000}))
        m.case(f"v{v} backwards", create("t%"), *leader("t%"), *produce("t%", records(3)), *[step("DeleteRecords", v, {"topics": [
            {"name": "t%", "partitions": [{"partitionIndex": 0, "offset": n}]}], "timeoutMs": 5000}) for n in (2, 1)])
    return m.write()


@file
def init_producer_id(codec, name):
    m = Maker(codec, name)
    api = "InitProducerId"
    m.case("setup", step(api, 0, {"transactionalId": None, "transactionTimeoutMs": 60000}, until={"path": "errorCode", "is": 0}))
    for v in m.versions(api, 5):
        base = {"transactionalId": None, "transactionTimeoutMs": 60000, "producerId": -1, "producerEpoch": -1}
        m.edges(api, v, base, texts={"empty": ""})
        if v >= 3:
            for pid, epoch in ((0, 0), (5, -1), (-1, 5), (0, 32767), (1 << 40, 0)):
                m.case(f"v{v} {pid}/{epoch}", step(api, v, {"transactionalId": None, "transactionTimeoutMs": 60000, "producerId": pid, "producerEpoch": epoch}))
    return m.write()


@file
def describe_producers(codec, name):
    m = Maker(codec, name)
    m.case("setup", create("t", "u"), *leader("t", "u"), *produce("t", records(3, pid=7, epoch=0, sequence=0), records(2, pid=7, epoch=0, sequence=3),
                                                                    records(1, pid=9, epoch=2, sequence=0), records(1)))
    base = {"topics": [{"name": "t", "partitionIndexes": [0]}]}
    m.edges("DescribeProducers", 0, base, texts=NAMES, more={"topics.0.partitionIndexes": {"empty one": [1], "unknown": [9], "negative": [-1], "all": [0, 1]}})
    m.case("several", step("DescribeProducers", 0, {"topics": [{"name": n, "partitionIndexes": [0, 1, 4]} for n in ("t", "u", "none")]}))
    return m.write()


@file
def describe_log_dirs(codec, name):
    m = Maker(codec, name)
    m.case("setup", create("t", "u"), *leader("t", "u"), *produce("t", records(3)))
    for v in m.versions("DescribeLogDirs"):
        base = {"topics": [{"topic": "t", "partitions": [0]}]}
        m.edges("DescribeLogDirs", v, base, texts=NAMES, more={"topics.0.partitions": {"unknown": [9], "negative": [-1], "both": [0, 1]}})
        m.case(f"v{v} several", step("DescribeLogDirs", v, {"topics": [{"topic": n, "partitions": [0, 1, 5]} for n in ("t", "u", "none")]}))
    return m.write()


@file
def alter_replica_log_dirs(codec, name):
    m = Maker(codec, name)
    m.case("setup", create("t"), *leader("t"))
    for v in m.versions("AlterReplicaLogDirs"):
        base = {"dirs": [{"path": "/nowhere", "topics": [{"name": "t", "partitions": [0]}]}]}
        m.edges("AlterReplicaLogDirs", v, base, texts=NAMES, more={"dirs.0.topics.0.partitions": {"unknown": [9], "negative": [-1]}})
    return m.write()


COORDINATOR = step("FindCoordinator", 3, {"key": "g", "keyType": 0}, until={"path": "errorCode", "is": 0})
ONE_PARTITION = {"offsets_topic_num_partitions": 1}


@file
def find_coordinator(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", COORDINATOR)
    for v in m.versions("FindCoordinator"):
        base = {"key": "g", "keyType": 0} if v < 4 else {"keyType": 0, "coordinatorKeys": ["g"]}
        m.edges("FindCoordinator", v, base, texts={"empty": "", "250": "x" * 250, "slash": "a/b"}, skip=["keyType=1"], more={
            "coordinatorKeys": {"two": ["g", "h"], "same": ["g", "g"], "empty": [""]}} if v >= 4 else {})
    return m.write()


def commit(v, group, topic="t", partition=0, offset=5, metadata="", generation=-1, member="", **more):
    where = {"name": topic} if v < 10 else {"topicId": "$id:" + topic}
    return {"groupId": group, "generationIdOrMemberEpoch": generation, "memberId": member, "groupInstanceId": None, "retentionTimeMs": -1, "topics": [{
        **where, "partitions": [{"partitionIndex": partition, "committedOffset": offset, "committedLeaderEpoch": -1, "committedMetadata": metadata}]}], **more}


GROUPS = {"empty": "", "unknown": "nobody", "250": "x" * 250, "slash": "a/b"}


@file
def offset_commit(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, step("OffsetCommit", 8, commit(8, "g"), until={"path": "topics.0.partitions.0.errorCode", "is": 0}))
    for v in m.versions("OffsetCommit"):
        m.edges("OffsetCommit", v, commit(v, "g%"), texts=GROUPS, skip=["topics.0.partitions.0.committedMetadata=250", "topics.0.topicId=reserved"], more={
            "topics.0.partitions.0.committedMetadata": {"4096": "x" * 4096, "4097": "x" * 4097}})
        m.case(f"v{v} two", step("OffsetCommit", v, {**commit(v, "g%"), "topics": commit(v, "g")["topics"] + commit(v, "g", partition=9)["topics"]}))
    return m.write()


@file
def offset_fetch(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t", "u"), COORDINATOR, *[step("OffsetCommit", 8, commit(8, g, t, p, o, "note"), until={
        "path": "topics.0.partitions.0.errorCode", "is": 0}) for g, t, p, o in (("g", "t", 0, 5), ("g", "t", 1, 6), ("g", "u", 0, 7), ("h", "u", 1, 8))])
    for v in m.versions("OffsetFetch"):
        where = {"name": "t"} if v < 10 else {"topicId": "$id:t"}
        topics = [{**where, "partitionIndexes": [0]}]
        if v < 8:
            base = {"groupId": "g", "topics": topics, "requireStable": False}
            more = {"topics.0.partitionIndexes": {"unknown": [0, 9], "both": [0, 1], "negative": [-1]}}
        else:
            base = {"groups": [{"groupId": "g", "memberId": None, "memberEpoch": -1, "topics": topics}], "requireStable": False}
            more = {"groups.0.topics.0.partitionIndexes": {"unknown": [0, 9], "both": [0, 1], "negative": [-1]},
                    "groups.0.memberId": {"stranger": "who"}, "groups.0.memberEpoch": {"5": 5}}
        m.edges("OffsetFetch", v, base, texts=GROUPS, more=more)
        if v >= 8:
            m.case(f"v{v} groups", step("OffsetFetch", v, {"groups": [{"groupId": g, "topics": None} for g in ("g", "h", "none", "")]}))
    return m.write()


@file
def offset_delete(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t", "u"), COORDINATOR)
    before = [step("OffsetCommit", 8, commit(8, "g%"), until={"path": "topics.0.partitions.0.errorCode", "is": 0})]
    base = {"groupId": "g%", "topics": [{"name": "t", "partitions": [{"partitionIndex": 0}]}]}
    m.edges("OffsetDelete", 0, base, texts=GROUPS, before=before, after=[step("OffsetFetch", 7, {"groupId": "g%", "topics": None})])
    return m.write()


def join(group, member="", instance=None, protocols=("range", "roundrobin"), kind="consumer", session=6000, rebalance=8000):
    metadata = "0000000000010001" + b"t".hex() + "ffffffff"
    return {"groupId": group, "sessionTimeoutMs": session, "rebalanceTimeoutMs": rebalance, "memberId": member, "groupInstanceId": instance,
            "protocolType": kind, "protocols": [{"name": p, "metadata": metadata} for p in protocols], "reason": None}


def joined(v, group, **more):
    """A member, leader of a group of one; $member."""
    first = [step("JoinGroup", v, join(group, **more), save={"member": "memberId"})]
    return first if v < 4 else first + [step("JoinGroup", v, join(group, "$member", **more), save={"member": "memberId"})]


@file
def classic_groups(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, step("OffsetCommit", 8, commit(8, "plain"), until={"path": "topics.0.partitions.0.errorCode", "is": 0}))
    texts = {"empty": "", "250": "x" * 246 + "%", "slash": "a/b%"}
    for v in m.versions("JoinGroup"):
        leave = step("LeaveGroup", 0, {"groupId": "g%", "memberId": "$member"})
        m.edges("JoinGroup", v, join("g%"), texts=texts, skip=["protocols.0.metadata"])   # each a group of its own: members expire
        m.case(f"v{v} another kind", *joined(v, "g%"), step("JoinGroup", v, join("g%", "stranger", kind="connect")), leave)
        m.case(f"v{v} of no protocol in common", *joined(v, "g%"), step("JoinGroup", v, join("g%", "stranger", protocols=["sticky"])), leave)
        if v >= 5:
            m.case(f"v{v} static", step("JoinGroup", v, join("g%", instance="i"), save={"member": "memberId"}),
                   step("JoinGroup", v, join("g%", "other", instance="i")), step("LeaveGroup", 3, {"groupId": "g%", "members": [{"memberId": "", "groupInstanceId": "i"}]}))
    for v in m.versions("SyncGroup"):
        j = min(v, 5)
        base = {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": None, "protocolType": "consumer", "protocolName": "range",
                "assignments": [{"memberId": "$member", "assignment": "010203"}]}
        m.edges("SyncGroup", v, base, texts=GROUPS, before=joined(j, "g%"), after=[step("DescribeGroups", 4, {"groups": ["g%"]}), step(
            "LeaveGroup", 0, {"groupId": "g%", "memberId": "$member"})])
    for v in m.versions("Heartbeat"):
        base = {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": None}
        m.edges("Heartbeat", v, base, texts=GROUPS, before=joined(5, "g%"), after=[step("LeaveGroup", 0, {"groupId": "g%", "memberId": "$member"})])
    for v in m.versions("LeaveGroup"):
        base = {"groupId": "g%", "memberId": "$member"} if v < 3 else {"groupId": "g%", "members": [{"memberId": "$member", "groupInstanceId": None, "reason": None}]}
        m.edges("LeaveGroup", v, base, texts=GROUPS, before=joined(5, "g%"), after=[step("DescribeGroups", 4, {"groups": ["g%"]})])
    for v in m.versions("DescribeGroups"):
        base = {"groups": ["plain"], "includeAuthorizedOperations": False}
        m.edges("DescribeGroups", v, base, more={"groups": {"unknown": ["nobody"], "empty": [""], "mixed": ["plain", "nobody", "plain"]}})
    for v in m.versions("DeleteGroups"):
        for label, groups in (("unknown", ["nobody"]), ("empty", [""]), ("none", []), ("ordinary", ["p%"]), ("twice", ["p%", "p%"]), ("mixed", ["p%", "nobody"]), ("null", None)):
            m.case(f"v{v} delete {label}", step("OffsetCommit", 8, commit(8, "p%")), step("DeleteGroups", v, {"groupsNames": groups}), step(
                "OffsetFetch", 7, {"groupId": "p%", "topics": None}))
        m.case(f"v{v} delete one with members", *joined(5, "g%"), step("DeleteGroups", v, {"groupsNames": ["g%"]}), step("LeaveGroup", 0, {"groupId": "g%", "memberId": "$member"}))
    return m.write()


@file
def list_groups(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, *[step("OffsetCommit", 8, commit(8, g), until={"path": "topics.0.partitions.0.errorCode", "is": 0}) for g in ("a", "b")],
           *joined(5, "c", session=300000, rebalance=300000))
    for v in m.versions("ListGroups"):
        lists = {label: [label] for label in ("Empty", "Stable", "CompletingRebalance", "empty", "Dead", "nope", "")}
        kinds = {label: [label] for label in ("classic", "Classic", "consumer", "share", "nope", "")}
        m.edges("ListGroups", v, {"statesFilter": ["Empty"], "typesFilter": ["classic"]}, more={"statesFilter": {**lists, "two": ["Empty", "CompletingRebalance"]},
                                                                                              "typesFilter": {**kinds, "two": ["classic", "consumer"]}})
    return m.write()


def produce_base(v, topic, held, acks=-1):
    where = {"name": topic} if v < 13 else {"topicId": "$id:" + topic}
    return {"transactionalId": None, "acks": acks, "timeoutMs": 5000, "topicData": [{**where, "partitionData": [{"index": 0, "records": held}]}]}


BATCHES = {
    "two records": records(2), "empty": "", "crc": batch(crc=1), "magic 0": batch(magic=0), "magic 1": batch(magic=1), "magic 3": batch(magic=3),
    "two batches": records(1) + records(1), "cut": records(3)[:-6], "cut header": records(1)[:40], "no records": batch([]), "count less": batch([(b"k", b"v")] * 3, count=2),
    "count more": batch([(b"k", b"v")] * 2, count=3), "count negative": batch(count=-1), "delta": batch([(b"k", b"v")] * 2, last_delta=5),
    "control": batch(attributes=0x20), "transactional": batch(attributes=0x10, pid=3, epoch=0, sequence=0), "codec 5": batch(attributes=5), "codec 7": batch(attributes=7),
    "gzip of nothing": batch(attributes=1), "null key": batch([(None, b"v")]), "null value": batch([(b"k", None)]), "no timestamp": batch(time_ms=-1),
    "far future": batch(time_ms=1 << 52), "append time": batch(attributes=8), "idempotent": batch(pid=100, epoch=0, sequence=0), "sequence 5": batch(pid=101, epoch=0, sequence=5),
    "no sequence": batch(pid=102, epoch=0, sequence=-1), "no epoch": batch(pid=103, epoch=-1, sequence=0), "base offset 7": batch(base_offset=7), "leader epoch 9": batch(leader_epoch=9),
    "large": batch([(b"k", b"x" * 200)] * 2),
}


@file
def produce_requests(codec, name):
    m = Maker(codec, name, log_retention_ms=-1)   # the records are of 1970
    m.case("setup", create("t", "small"), create("compact", configs=[("cleanup.policy", "compact")]), create("tiny", configs=[("max.message.bytes", "100")]), *leader(
        "t", "small", "compact", "tiny"))
    api = "Produce"
    for v in range(3, 14):
        m.edges(api, v, produce_base(v, "t", records(1)), texts=NAMES, skip=["transactionalId", "acks=0", "topicData=twice", "topicData.0.partitionData=twice", "topicData.0.partitionData.0.records=empty",
                "timeoutMs=-1", "timeoutMs=0", "timeoutMs=2", "timeoutMs=-2", f"timeoutMs={-(1 << 31)}"], more={"topicData.0.partitionData.0.records": BATCHES, "acks": {"1": 1}})
        for topic in ("compact", "tiny"):
            for label in ("null key", "null value", "two records", "large"):
                m.case(f"v{v} {topic}, {label}", step(api, v, produce_base(v, topic, BATCHES[label])))
        sequences = [(200 + v, 0, 0, 2), (200 + v, 0, 0, 2), (200 + v, 0, 2, 1), (200 + v, 0, 4, 1), (200 + v, 1, 0, 1), (200 + v, 0, 3, 1), (200 + v, 1, 2, 1)]
        m.case(f"v{v} sequences", *[step(api, v, produce_base(v, "t", records(n, pid=pid, epoch=epoch, sequence=sequence))) for pid, epoch, sequence, n in sequences])
        m.case(f"v{v} several", step(api, v, {"acks": 1, "timeoutMs": 5000, "topicData": [{**({"name": n} if v < 13 else {"topicId": "$id:" + n}), "partitionData": [
            {"index": i, "records": records(1)} for i in (0, 1, 7)]} for n in ("t", "none")]}))
        m.case(f"v{v} acks 0", step(api, v, produce_base(v, "small", records(1), 0), quiet=True), step("ListOffsets", 5, {
            "replicaId": -1, "topics": [{"name": "small", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]},
            until={"path": "topics.0.partitions.0.offset", "is": v - 2}))   # seen once it is flushed
        m.case(f"v{v} a partition twice", create("d%"), *leader("d%"), step(api, v, {"acks": -1, "timeoutMs": 5000, "topicData": produce_base(
            v, "d%", records(1))["topicData"] + produce_base(v, "d%", records(2))["topicData"]}), step("ListOffsets", 5, {
                "replicaId": -1, "topics": [{"name": "d%", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]}))
        m.case(f"v{v} acks 0 to nobody", step(api, v, produce_base(v, "none", records(1), 0), quiet=True, conn="q"), step(
            "FindCoordinator", 0, {"key": ""}, conn="q"))
    return m.write()


def fetch_base(v, topic="t", partition=0, offset=0, **more):
    where = {"topic": topic} if v < 13 else {"topicId": "$id:" + topic}
    return {"replicaId": -1, "maxWaitMs": 50, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": 0, "sessionId": 0, "sessionEpoch": -1, "topics": [{**where, "partitions": [{
        "partition": partition, "currentLeaderEpoch": -1, "fetchOffset": offset, "lastFetchedEpoch": -1, "logStartOffset": -1, "partitionMaxBytes": 1 << 20}]}],
        "forgottenTopicsData": [], "rackId": "", **more}


@file
def fetch_requests(codec, name):
    m = Maker(codec, name, log_retention_ms=-1)
    m.case("setup", create("t", "u"), *leader("t", "u"), *produce("t", records(3, time_ms=1000), records(2, time_ms=2000), records(4, time_ms=3000, pid=4, epoch=0, sequence=0)),
           *produce("u", records(2)))
    api = "Fetch"
    skip = ["maxWaitMs", "replicaId=0", "replicaId=2", f"replicaId={MAX32}", "topics.0.partitions.0.partition=-1"]
    for v in range(4, 19):
        m.edges(api, v, fetch_base(v), texts=NAMES, skip=skip, more={
            "topics.0.partitions.0.fetchOffset": {str(n): n for n in (1, 3, 4, 5, 8, 9, 10)}, "maxBytes": {"100": 100, "1": 1}, "minBytes": {"big": 1 << 20},
            "topics.0.partitions.0.partitionMaxBytes": {"1": 1, "150": 150}, "topics.0.partitions.0.lastFetchedEpoch": {"1": 1},
            "topics.0.partitions.0.currentLeaderEpoch": {"1": 1}, "topics.0.partitions.0.partition": {"empty": 1}})
        topics = [one for t, p in (("t", 0), ("t", 1), ("u", 0)) for one in fetch_base(v, t, p)["topics"]]
        m.case(f"v{v} several", step(api, v, {**fetch_base(v), "topics": topics}))
        m.case(f"v{v} several, little", step(api, v, {**fetch_base(v), "topics": topics, "maxBytes": 120}))
        m.case(f"v{v} unknown beside known", step(api, v, {**fetch_base(v), "topics": topics + [
            {**({"topic": "none"} if v < 13 else {"topicId": UNKNOWN_ID}), "partitions": [{"partition": 0, "fetchOffset": 0, "partitionMaxBytes": 1000}]}]}))
        if v >= 7:
            m.case(f"v{v} session", step(api, v, {**fetch_base(v), "sessionEpoch": 0, "topics": topics}, save={"session": "sessionId"}),
                   step(api, v, {**fetch_base(v), "sessionId": "$session", "sessionEpoch": 1, "topics": []}),
                   step(api, v, {**fetch_base(v), "sessionId": "$session", "sessionEpoch": 5, "topics": []}),
                   step(api, v, {**fetch_base(v), "sessionId": "$session", "sessionEpoch": 2, "topics": fetch_base(v, "u", 0, 1)["topics"]}),
                   step(api, v, {**fetch_base(v), "sessionId": "$session", "sessionEpoch": -1, "topics": []}),
                   step(api, v, {**fetch_base(v), "sessionId": "$session", "sessionEpoch": 3, "topics": []}))
    return m.write()


SERVED = (   # by both, with what an empty request needs to be answered at once
    ("Produce", {"acks": 1}), ("Fetch", {}), ("ListOffsets", {}), ("Metadata", {}), ("OffsetCommit", {}), ("OffsetFetch", {}), ("FindCoordinator", {"key": "g"}),
    ("JoinGroup", {}), ("Heartbeat", {}), ("LeaveGroup", {}), ("SyncGroup", {}), ("DescribeGroups", {}), ("ListGroups", {}), ("CreateTopics", {}), ("DeleteTopics", {}),
    ("DeleteRecords", {}), ("OffsetForLeaderEpoch", {}), ("DescribeConfigs", {}), ("AlterConfigs", {}), ("AlterReplicaLogDirs", {}), ("DescribeLogDirs", {}),
    ("CreatePartitions", {}), ("DeleteGroups", {}), ("ElectLeaders", {}), ("IncrementalAlterConfigs", {}), ("AlterPartitionReassignments", {}),
    ("ListPartitionReassignments", {}), ("OffsetDelete", {}), ("DescribeQuorum", {}), ("UpdateFeatures", {}), ("DescribeCluster", {"endpointType": 1}),
    ("DescribeProducers", {}), ("ListConfigResources", {}), ("DescribeTopicPartitions", {}), ("DescribeClientQuotas", {}), ("AlterClientQuotas", {}))
HIGHEST = {"DeleteGroups": 2}   # Kafka 4.3's, where spec/messages is 4.4's


@file
def malformed(codec, name):
    """Requests whose bytes are too few, too many, or hold tags that nobody knows."""
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR)
    for api, fields in SERVED:
        request = codec.apis[api][1]
        for v in m.versions(api, HIGHEST.get(api)):
            known = {f.json_name for f in request.top.fields if f.has(v)}
            body = codec.encode(request, v, {k: x for k, x in fields.items() if k in known}).hex()
            bodies = {"empty": "", "a byte less": body[:-2], "a byte more": body + "00", "many bytes more": body + "ff" * 40}
            if request.is_flexible(v):
                bodies.update({"an unknown tag": body[:-2] + "01" + "63" + "02" + "abcd", "a tag twice": body[:-2] + "02" + "6301ab" + "6301ab",
                               "tags without end": body[:-2] + "ffffffff07", "a tag too long": body[:-2] + "01" + "63" + "7f" + "ab"})
            for label, raw in bodies.items():
                if len(raw) or len(body):
                    m.case(f"{api} v{v} {label}", step(api, v, raw=raw))
            m.case(f"{api} v{v} lives on", step(api, v, raw=body), step(api, v, raw=body))
    return m.write()
