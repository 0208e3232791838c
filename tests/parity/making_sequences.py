"""Cases of what depends on what came before: groups in every state, fetch sessions, idempotent producers, deletes in use."""
from making import UNKNOWN_ID, Maker, step
from making_data import COORDINATOR, ONE_PARTITION, commit, create, fetch_base, join, joined, leader, produce, produce_base, records

FILES = {}
MAX32 = (1 << 31) - 1


def file(function):
    FILES[function.__name__] = function
    return function


# ---- groups ----

def leaving(v=0, group="g%", member="$member"):
    return step("LeaveGroup", v, {"groupId": group, "memberId": member} if v < 3 else {"groupId": group, "members": [{"memberId": member, "groupInstanceId": None}]})


def synced(group="g%", generation=1, member="$member", v=3, **more):
    return step("SyncGroup", v, {"groupId": group, "generationId": generation, "memberId": member, "groupInstanceId": None, "protocolType": None, "protocolName": None,
                                 "assignments": [{"memberId": member, "assignment": "0102"}], **more})


def states():
    """{state: steps that bring group g% there}; $member is its member, in generation 1."""
    stable = [*joined(5, "g%"), synced()]
    return {
        "unknown": [], "offsets only": [step("OffsetCommit", 8, commit(8, "g%"))], "emptied": [*stable, leaving()], "emptied with offsets": [
            *stable, step("OffsetCommit", 8, commit(8, "g%", generation=1, member="$member")), leaving()],
        "deleted": [*stable, leaving(), step("DeleteGroups", 2, {"groupsNames": ["g%"]})], "pending": [step("JoinGroup", 4, join("g%"), save={"member": "memberId"})],
        "completing": joined(5, "g%"), "stable": stable,
        # another joins: the first must come back, until then nothing is settled
        "preparing": [*stable, step("JoinGroup", 3, join("g%"), quiet=True, conn="second"), step("DescribeGroups", 4, {"groups": ["g%"]}, until={
            "path": "groups.0.groupState", "is": "PreparingRebalance"})],
    }


MEMBERS = {"its member": "$member", "a stranger": "who", "no member": ""}
GENERATIONS = {"its generation": 1, "the next": 2, "the one before": 0, "none": -1, "the largest": MAX32}


def asked_of_groups():
    """(label, step) of everything that a client can ask of a group."""
    for m, member in MEMBERS.items():
        for g, generation in GENERATIONS.items():
            yield f"Heartbeat of {m}, {g}", step("Heartbeat", 4, {"groupId": "g%", "generationId": generation, "memberId": member, "groupInstanceId": None})
            yield f"OffsetCommit of {m}, {g}", step("OffsetCommit", 8, commit(8, "g%", generation=generation, member=member))
            yield f"SyncGroup of {m}, {g}", synced(generation=generation, member=member, v=5)
        yield f"LeaveGroup of {m}", leaving(4, member=member)
    yield "Heartbeat of an unknown instance", step("Heartbeat", 4, {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": "who"})
    yield "OffsetCommit of an unknown instance", step("OffsetCommit", 8, commit(8, "g%", generation=1, member="$member", groupInstanceId="who"))
    yield "SyncGroup of an unknown instance", synced(v=5, groupInstanceId="who")
    yield "SyncGroup of another kind", synced(v=5, protocolType="connect", protocolName="range")
    yield "SyncGroup of another protocol", synced(v=5, protocolType="consumer", protocolName="sticky")
    yield "SyncGroup without assignments", synced(v=5, assignments=[])
    yield "JoinGroup of a stranger", step("JoinGroup", 5, join("g%", "who"))
    yield "JoinGroup of another kind", step("JoinGroup", 5, join("g%", "$member", kind="connect"))
    yield "JoinGroup of no kind", step("JoinGroup", 5, join("g%", "$member", kind=""))
    yield "JoinGroup of no protocols", step("JoinGroup", 5, join("g%", "$member", protocols=()))
    yield "LeaveGroup of an unknown instance", step("LeaveGroup", 4, {"groupId": "g%", "members": [{"memberId": "", "groupInstanceId": "who"}]})
    yield "LeaveGroup of nobody", step("LeaveGroup", 4, {"groupId": "g%", "members": []})
    yield "DeleteGroups", step("DeleteGroups", 2, {"groupsNames": ["g%"]})
    yield "OffsetDelete", step("OffsetDelete", 0, {"groupId": "g%", "topics": [{"name": "t", "partitions": [{"partitionIndex": 0}]}]})
    yield "OffsetFetch", step("OffsetFetch", 7, {"groupId": "g%", "topics": [{"name": "t", "partitionIndexes": [0, 1]}], "requireStable": True})
    yield "OffsetFetch of members", step("OffsetFetch", 9, {"groups": [{"groupId": "g%", "memberId": "who", "memberEpoch": 1, "topics": None}]})


@file
def group_states(codec, name):
    """Each request, with every wrong member and generation, in each state of a group."""
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, step("OffsetCommit", 8, commit(8, "plain"), until={"path": "topics.0.partitions.0.errorCode", "is": 0}))
    for state, before in states().items():
        has_member = state in ("completing", "stable", "preparing")
        for label, asked in asked_of_groups():
            if state in ("unknown", "offsets only") and "its member" in label:
                continue
            ends = [leaving()] if has_member else []
            m.case(f"{state}: {label}", *before, asked, step("DescribeGroups", 4, {"groups": ["g%"]}), step("OffsetFetch", 7, {
                "groupId": "g%", "topics": [{"name": "t", "partitionIndexes": [0]}]}), *ends)
    return m.write()


@file
def group_static(codec, name):
    """Static members: replaced, fenced, leaving, in each version that knows them."""
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, step("OffsetCommit", 8, commit(8, "plain"), until={"path": "topics.0.partitions.0.errorCode", "is": 0}))

    def first(v):
        return [step("JoinGroup", v, join("g%", instance="i"), save={"member": "memberId"}), synced(groupInstanceId="i")]

    def gone(v=3, instance="i", member=""):
        return step("LeaveGroup", v, {"groupId": "g%", "members": [{"memberId": member, "groupInstanceId": instance}]})

    for v in range(5, 10):
        again = step("JoinGroup", v, join("g%", instance="i"), save={"member2": "memberId"})
        m.case(f"v{v} comes back", *first(v), again, step("DescribeGroups", 4, {"groups": ["g%"]}), gone())
        m.case(f"v{v} comes back with other protocols", *first(v), step("JoinGroup", v, join("g%", instance="i", protocols=("roundrobin", "range"))), gone())
        m.case(f"v{v} comes back with its member id", *first(v), step("JoinGroup", v, join("g%", "$member", instance="i")), gone())
        m.case(f"v{v} with the member id of nobody", *first(v), step("JoinGroup", v, join("g%", "who", instance="i")), gone())
        m.case(f"v{v} an instance of nobody with a member id", *first(v), step("JoinGroup", v, join("g%", "$member", instance="j")), gone())
        m.case(f"v{v} what the replaced one asks", *first(v), again, *[step("Heartbeat", h, {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": "i"})
               for h in (3, 4)], *[step("SyncGroup", s, {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": "i", "protocolType": None,
                                                         "protocolName": None, "assignments": []}) for s in (3, 4, 5)],
               *[step("OffsetCommit", c, commit(c, "g%", generation=1, member="$member", groupInstanceId="i")) for c in (7, 8, 9)],
               step("JoinGroup", v, join("g%", "$member", instance="i")), gone(member="$member"), gone(member="$member", v=4), gone(), gone())
        m.case(f"v{v} what the new one asks", *first(v), again, step("Heartbeat", 4, {"groupId": "g%", "generationId": 1, "memberId": "$member2", "groupInstanceId": "i"}),
               step("OffsetCommit", 8, commit(8, "g%", generation=1, member="$member2", groupInstanceId="i")),
               step("Heartbeat", 4, {"groupId": "g%", "generationId": 1, "memberId": "$member2", "groupInstanceId": None}), gone(member="$member2"))
        m.case(f"v{v} no instance said", *first(v), step("Heartbeat", 4, {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": None}),
               step("SyncGroup", 5, {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": None, "protocolType": None, "protocolName": None,
                                     "assignments": []}), leaving(3))
    for v in (3, 4, 5):
        m.case(f"leave v{v} several", *first(5), step("LeaveGroup", v, {"groupId": "g%", "members": [
            {"memberId": "", "groupInstanceId": "j"}, {"memberId": "who", "groupInstanceId": "i"}, {"memberId": "who", "groupInstanceId": None},
            {"memberId": "", "groupInstanceId": None}, {"memberId": "$member", "groupInstanceId": "j"}, {"memberId": "$member", "groupInstanceId": "i"},
            {"memberId": "$member", "groupInstanceId": "i"}]}), step("DescribeGroups", 4, {"groups": ["g%"]}))
        m.case(f"leave v{v} of an empty instance", *first(5), gone(v, ""), gone(v))
    return m.write()


@file
def group_rebalances(codec, name):
    """Two members: who must come back, who gets what, who is thrown out."""
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, step("OffsetCommit", 8, commit(8, "plain"), until={"path": "topics.0.partitions.0.errorCode", "is": 0}))
    preparing = step("DescribeGroups", 4, {"groups": ["g%"]}, until={"path": "groups.0.groupState", "is": "PreparingRebalance"})
    described = step("DescribeGroups", 4, {"groups": ["g%"]})
    for v in range(0, 10):
        # the second's first join waits, or is sent back with an id (4 and later)
        enter = [step("JoinGroup", v, join("g%"), quiet=True, conn="second")] if v < 4 else [
            step("JoinGroup", v, join("g%"), conn="second", save={"second": "memberId"}), step("JoinGroup", v, join("g%", "$second"), quiet=True, conn="second")]
        came = {"conn": "second", "save": {"second": "memberId"}}
        both = [*joined(v, "g%"), synced(), *enter, preparing, step("JoinGroup", v, join("g%", "$member")), came]
        leave = [leaving(), leaving(member="$second")]
        if v < 4:
            both[-1] = {"conn": "second"}   # its id is Kafka's secret: it leaves by its session
            leave = [leaving()]
        beat = step("Heartbeat", 3, {"groupId": "g%", "generationId": 1, "memberId": "$member", "groupInstanceId": None})
        m.case(f"v{v} the first is told", *joined(v, "g%"), synced(), *enter, preparing, beat, step("OffsetCommit", 8, commit(8, "g%", generation=1, member="$member")), synced(), leaving())
        if v >= 4:
            m.case(f"v{v} both", *both, step("Heartbeat", 3, {"groupId": "g%", "generationId": 2, "memberId": "$second", "groupInstanceId": None}), beat,
                   step("OffsetCommit", 8, commit(8, "g%", generation=2, member="$second")), step("SyncGroup", 3, {
                       "groupId": "g%", "generationId": 2, "memberId": "$member", "assignments": [{"memberId": "$member", "assignment": "01"}, {
                           "memberId": "$second", "assignment": "02"}]}), step("SyncGroup", 3, {"groupId": "g%", "generationId": 2, "memberId": "$second", "assignments": []}),
                   step("SyncGroup", 3, {"groupId": "g%", "generationId": 1, "memberId": "$second", "assignments": []}), described, *leave)
            m.case(f"v{v} the follower comes again", *both, step("SyncGroup", 3, {"groupId": "g%", "generationId": 2, "memberId": "$member", "assignments": []}),
                   step("JoinGroup", v, join("g%", "$second")), described, *leave)
            m.case(f"v{v} the last one missing leaves", *joined(v, "g%"), synced(), *enter, preparing, leaving(), {"conn": "second"}, described, leaving(member="$second"))
            m.case(f"v{v} the one that waits leaves", *joined(v, "g%"), synced(), *enter, preparing, leaving(member="$second"), described, leaving())
            m.case(f"v{v} the leader comes again", *joined(v, "g%"), synced(), step("JoinGroup", v, join("g%", "$member")), described, leaving())
            m.case(f"v{v} the leader comes again before it synced", *joined(v, "g%"), step("JoinGroup", v, join("g%", "$member")), described, leaving())
            m.case(f"v{v} other protocols", *joined(v, "g%"), synced(), step("JoinGroup", v, join("g%", "$member", protocols=("sticky",))), described, leaving())
    return m.write()


# ---- fetch sessions ----

@file
def fetch_sessions(codec, name):
    m = Maker(codec, name, log_retention_ms=-1)
    m.case("setup", create("t", "u"), *leader("t", "u"), *produce("t", records(3)), *produce("u", records(2)))
    for v in range(7, 19):
        def fetch(session, epoch, topics=(), forget=(), **more):
            return step("Fetch", v, {**fetch_base(v), "maxWaitMs": 0, "sessionId": session, "sessionEpoch": epoch, "topics": list(topics), "forgottenTopicsData": list(forget), **more})

        def opened(*topics):
            return {**fetch(0, 0, topics), "save": {"session": "sessionId"}}

        def of(topic, partition=0, offset=0):
            return fetch_base(v, topic, partition, offset)["topics"][0]

        def forgotten(topic, *partitions):
            return {**({"topic": topic} if v < 13 else {"topicId": "$id:" + topic}), "partitions": list(partitions)}

        s = "$session"
        t, u = of("t"), of("u")
        m.case(f"v{v} unknown session", fetch(7, 1, [t]), fetch(7, 0, [t]), fetch(7, -1, [t]), fetch(7, MAX32, [t]), fetch(-1, 1, [t]), fetch(MAX32, 1, []))
        m.case(f"v{v} epochs", opened(t, u), fetch(s, 2), fetch(s, 1), fetch(s, 1), fetch(s, 0), fetch(s, -2), fetch(s, MAX32), fetch(s, 2), fetch(s, -1), fetch(s, 3))
        m.case(f"v{v} a session of nothing", opened(), fetch(s, 1, [t]), fetch(s, 2))
        m.case(f"v{v} epoch 1 without a session", fetch(0, 1, [t]), fetch(0, 2), fetch(0, MAX32), fetch(0, -2))
        m.case(f"v{v} forgets", opened(t, u), fetch(s, 1, forget=[forgotten("t", 0)]), fetch(s, 2), fetch(s, 3, forget=[forgotten("t", 0), forgotten("t", 0)]), fetch(s, 4, [t]),
               fetch(s, 5, forget=[forgotten("t", 0, 0, 1, 9)]), fetch(s, 6, forget=[forgotten("t")]), fetch(s, 7, forget=[forgotten("none", 0)]), fetch(s, 8, [u], [forgotten("u", 0)]),
               fetch(s, 9, forget=[forgotten("u", 0)]), fetch(s, 10))
        odd = [("empty", ""), ("slash", "a/b"), ("long", "x" * 250), ("null", None)] if v < 13 else [("zero", "AAAAAAAAAAAAAAAAAAAAAA"), ("unknown", UNKNOWN_ID)]
        for label, value in odd:
            m.case(f"v{v} forgets {label}", opened(t), fetch(s, 1, forget=[{("topic" if v < 13 else "topicId"): value, "partitions": [0]}]), fetch(s, 2))
        m.case(f"v{v} forgets null partitions", opened(t), fetch(s, 1, forget=[{**forgotten("t"), "partitions": None}]))
        m.case(f"v{v} a partition with an error", opened(t, of("t", 9), of("none")), fetch(s, 1), fetch(s, 2))
        m.case(f"v{v} an offset out of range", opened(of("t", 0, 99)), fetch(s, 1), fetch(s, 2, [of("t", 0, 3)]), fetch(s, 3))
        m.case(f"v{v} what changed only", opened(of("t", 0, 3), of("u", 0, 2)), fetch(s, 1), *produce("u", records(1)), fetch(s, 2), fetch(s, 3, [of("u", 0, 3)]), fetch(s, 4))
        m.case(f"v{v} a partition twice", opened(t, t), fetch(s, 1))
        m.case(f"v{v} sessions of two connections", opened(t), {**fetch(s, 1), "conn": "other"}, fetch(s, 1))
        m.case(f"v{v} of a follower", {**fetch(0, 0, [t], **({"replicaId": 7} if v < 15 else {"replicaState": {"replicaId": 7, "replicaEpoch": 1}}))})
        for label, state in (("0", (0, -1)), ("7", (7, 0)), ("its own", (1, 5)), ("-2", (-2, -1)), ("-1, epoch 5", (-1, 5)), ("largest", (MAX32, (1 << 63) - 1)), ("-7", (-7, -7))):
            more = {"replicaId": state[0]} if v < 15 else {"replicaState": {"replicaId": state[0], "replicaEpoch": state[1]}}
            m.case(f"v{v} replica {label}", fetch(0, -1, [t], **more))
        if v >= 13:
            m.case(f"v{v} topic ids", opened(t, {**t, "topicId": UNKNOWN_ID}, {**t, "topicId": "AAAAAAAAAAAAAAAAAAAAAA"}), fetch(s, 1), fetch(s, 2))
            other = {**fetch_base(12, "t"), "maxWaitMs": 0, "sessionId": s, "sessionEpoch": 1}
            m.case(f"v{v} names after ids", opened(t), step("Fetch", 12, other), step("Fetch", 12, {**other, "topics": []}), fetch(s, 1))
        if v == 12:
            later = {**fetch_base(13, "t"), "maxWaitMs": 0, "sessionId": s, "sessionEpoch": 1}
            m.case(f"v{v} ids after names", opened(t), step("Fetch", 13, later), step("Fetch", 13, {**later, "topics": []}), fetch(s, 1))
        gone = [create("d%"), *leader("d%"), *produce("d%", records(1))]
        delete = step("DeleteTopics", 5, {"topicNames": ["d%"], "timeoutMs": 30000})
        m.case(f"v{v} deleted in use", *gone, opened(of("d%"), t), delete, fetch(s, 1), fetch(s, 2))
        m.case(f"v{v} deleted and made again in use", *gone, opened(of("d%"), t), delete, create("d%"), *leader("d%"), fetch(s, 1), fetch(s, 2))
    for v in range(4, 19):
        base = {**fetch_base(v), "topics": [{**fetch_base(v)["topics"][0]}]}
        for wait in (0, -1, 1, -MAX32 - 1):
            m.case(f"v{v} waits {wait} for more than there is", step("Fetch", v, {**base, "maxWaitMs": wait, "minBytes": 1 << 20}))
        m.case(f"v{v} waits long for nothing", step("Fetch", v, {**base, "maxWaitMs": MAX32, "minBytes": 0}))
        m.case(f"v{v} waits long for what is there", step("Fetch", v, {**base, "maxWaitMs": MAX32, "minBytes": 1}))
        for label, cluster in (("null", None), ("empty", ""), ("another", "AAAAAAAAAAAAAAAAAAAAAg"), ("long", "x" * 300)) if v >= 12 else ():
            m.case(f"v{v} cluster {label}", step("Fetch", v, {**base, "clusterId": cluster}))
        if v >= 17:
            for label, directory in (("unknown", UNKNOWN_ID), ("reserved", "AAAAAAAAAAAAAAAAAAAAAQ")):
                one = base["topics"][0]
                m.case(f"v{v} replica directory {label}", step("Fetch", v, {**base, "topics": [{**one, "partitions": [{**one["partitions"][0], "replicaDirectoryId": directory}]}]}))
        if v >= 18:
            for mark in (0, 2, -1, MAX32, (1 << 63) - 2, -2):
                one = base["topics"][0]
                m.case(f"v{v} high watermark {mark}", step("Fetch", v, {**base, "topics": [{**one, "partitions": [{**one["partitions"][0], "highWatermark": mark}]}]}))
    return m.write()


# ---- producers ----

@file
def producer_sequences(codec, name):
    """Idempotent producers: in order, again, out of order, across epochs, wraps and deletes."""
    m = Maker(codec, name, log_retention_ms=-1)
    m.case("setup", create("t"), *leader("t"))
    series = {   # (producer, epoch, sequence, records) each
        "in order": [(1, 0, 0, 2), (1, 0, 2, 1), (1, 0, 3, 3)], "again": [(1, 0, 0, 2), (1, 0, 0, 2), (1, 0, 2, 1), (1, 0, 0, 2), (1, 0, 2, 1)],
        "again, five back": [*[(1, 0, i, 1) for i in range(6)], *[(1, 0, i, 1) for i in (5, 4, 3, 2, 1, 0)], (1, 0, 6, 1)],
        "again, with other bounds": [(1, 0, 0, 3), (1, 0, 0, 2), (1, 0, 1, 2), (1, 0, 0, 4), (1, 0, 3, 1)], "a gap": [(1, 0, 0, 1), (1, 0, 2, 1), (1, 0, 1, 1), (1, 0, 2, 1)],
        "starts anywhere": [(1, 0, 7, 2), (1, 0, 9, 1), (1, 0, 7, 2)], "a new epoch at 0": [(1, 0, 0, 2), (1, 1, 0, 1), (1, 1, 1, 1), (1, 0, 2, 1)],
        "a new epoch not at 0": [(1, 0, 0, 2), (1, 1, 2, 1), (1, 1, 0, 1)], "an old epoch": [(1, 5, 0, 1), (1, 4, 0, 1), (1, 4, 1, 1), (1, 0, 0, 1), (1, 5, 1, 1)],
        "an old batch of an old epoch": [(1, 0, 0, 1), (1, 1, 0, 1), (1, 0, 0, 1)], "epochs skip": [(1, 0, 0, 1), (1, 7, 0, 1), (1, 32767, 0, 1)],
        "wraps": [(1, 0, MAX32 - 1, 1), (1, 0, MAX32, 1), (1, 0, 0, 1), (1, 0, MAX32, 1), (1, 0, 1, 1)], "wraps within": [(1, 0, MAX32 - 1, 3), (1, 0, 1, 1), (1, 0, MAX32 - 1, 3)],
        "wraps not to 1": [(1, 0, MAX32, 1), (1, 0, 1, 1)], "two producers": [(1, 0, 0, 1), (2, 0, 0, 1), (1, 0, 1, 1), (2, 0, 2, 1), (2, 0, 1, 1)],
        "none between": [(1, 0, 0, 1), (-1, -1, -1, 2), (1, 0, 1, 1)], "producer 0": [(0, 0, 0, 1), (0, 0, 0, 1)], "without an epoch": [(1, -1, 0, 1)],
        "without a sequence": [(1, 0, -1, 1)], "a sequence without a producer": [(-1, 0, 3, 1)], "large producer": [((1 << 63) - 1, 32767, MAX32, 1), ((1 << 63) - 1, 32767, 0, 1)]}
    for v in range(3, 14):
        for label, sent in series.items():
            m.case(f"v{v} {label}", create("s%", partitions=1, v=7), *leader("s%"), *[step("Produce", v, produce_base(v, "s%", records(n, pid=p, epoch=e, sequence=s))) for p, e, s, n in sent],
                   step("DescribeProducers", 0, {"topics": [{"name": "s%", "partitionIndexes": [0]}]}))
        m.case(f"v{v} after records were deleted", create("s%", partitions=1, v=7), *leader("s%"), step("Produce", v, produce_base(v, "s%", records(2, pid=1, epoch=0, sequence=0))),
               step("DeleteRecords", 2, {"topics": [{"name": "s%", "partitions": [{"partitionIndex": 0, "offset": -1}]}], "timeoutMs": 5000}),
               *[step("Produce", v, produce_base(v, "s%", records(1, pid=1, epoch=0, sequence=s))) for s in (2, 2, 9)])
        m.case(f"v{v} after the topic was made again", create("s%", partitions=1, v=7), *leader("s%"), step("Produce", v, produce_base(v, "s%", records(2, pid=1, epoch=0, sequence=0))),
               step("DeleteTopics", 5, {"topicNames": ["s%"], "timeoutMs": 30000}), create("s%", partitions=1, v=7), *leader("s%"),
               *[step("Produce", v, produce_base(v, "s%", records(1, pid=1, epoch=0, sequence=s))) for s in (2, 0)])
        two = produce_base(v, "t", records(1, pid=90 + v, epoch=0, sequence=0))
        two["topicData"][0]["partitionData"].append({"index": 1, "records": records(1, pid=90 + v, epoch=0, sequence=5)})
        m.case(f"v{v} two partitions, each its own", step("Produce", v, two), step("Produce", v, two))
        for label, i in (("an empty one", ""), ("one", "x"), ("a long one", "x" * 300)):
            m.case(f"v{v} transactional id: {label}", step("Produce", v, {**produce_base(v, "t", records(1)), "transactionalId": i}))
    return m.write()


@file
def deletes_in_use(codec, name):
    """Topics that are deleted, made again or grown while they are used."""
    m = Maker(codec, name, **ONE_PARTITION, log_retention_ms=-1)
    m.case("setup", create("t"), COORDINATOR, step("OffsetCommit", 8, commit(8, "plain"), until={"path": "topics.0.partitions.0.errorCode", "is": 0}))
    delete = step("DeleteTopics", 5, {"topicNames": ["d%"], "timeoutMs": 30000})
    asked = {
        "ListOffsets": lambda v: step("ListOffsets", v, {"replicaId": -1, "topics": [{"name": "d%", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}]}),
        "OffsetForLeaderEpoch": lambda v: step("OffsetForLeaderEpoch", v, {"replicaId": -1, "topics": [{"topic": "d%", "partitions": [{"partition": 0, "leaderEpoch": 0}]}]}),
        "Produce": lambda v: step("Produce", v, produce_base(v, "d%", records(1))), "Fetch": lambda v: step("Fetch", v, {**fetch_base(v, "d%"), "maxWaitMs": 0}),
        "OffsetCommit": lambda v: step("OffsetCommit", v, commit(v, "g%", "d%")),
        "Metadata": lambda v: step("Metadata", v, {"topics": [{"name": "d%"}], "allowAutoTopicCreation": False}),
        "DescribeConfigs": lambda v: step("DescribeConfigs", v, {"resources": [{"resourceType": 2, "resourceName": "d%", "configurationKeys": ["retention.ms"]}]}),
        "DeleteRecords": lambda v: step("DeleteRecords", v, {"topics": [{"name": "d%", "partitions": [{"partitionIndex": 0, "offset": 0}]}], "timeoutMs": 5000}),
        "DescribeProducers": lambda v: step("DescribeProducers", v, {"topics": [{"name": "d%", "partitionIndexes": [0]}]}),
        "CreatePartitions": lambda v: step("CreatePartitions", v, {"topics": [{"name": "d%", "count": 2, "assignments": None}], "timeoutMs": 30000}),
        "DescribeTopicPartitions": lambda v: step("DescribeTopicPartitions", v, {"topics": [{"name": "d%"}], "responsePartitionLimit": 10, "cursor": None}),
        "ElectLeaders": lambda v: step("ElectLeaders", v, {"electionType": 0, "topicPartitions": [{"topic": "d%", "partitions": [0]}], "timeoutMs": 30000})}
    tops = {"Produce": range(3, 14), "Metadata": range(4, 14)}
    for api, make in asked.items():
        for v in tops.get(api, m.versions(api)):
            ready = [create("d%", partitions=1, v=7 if v == 13 else 4), *leader("d%"), *produce("d%", records(3))]
            if api != "Metadata":   # a request that counts here on another partition count would be a second change
                m.case(f"{api} v{v} before and after", *ready, make(v), delete, make(v))
            else:
                m.case(f"{api} v{v} after", *ready, delete, make(v))
            if api not in ("Metadata", "CreatePartitions"):
                m.case(f"{api} v{v} made again", *ready, delete, create("d%", partitions=1, v=7 if v == 13 else 4), *leader("d%"), make(v))
    for v in m.versions("OffsetFetch"):
        where = {"name": "d%", "partitionIndexes": [0]} if v < 10 else {"topicId": "$id:d%", "partitionIndexes": [0]}
        f = {"groupId": "g%", "topics": [where]} if v < 8 else {"groups": [{"groupId": "g%", "topics": [where]}]}
        every = {"groupId": "g%", "topics": None} if 2 <= v < 8 else {"groups": [{"groupId": "g%", "topics": None}]} if v >= 8 else f
        m.case(f"OffsetFetch v{v} of a deleted topic", create("d%"), *leader("d%"), step("OffsetCommit", 8, commit(8, "g%", "d%")), step("OffsetFetch", v, f), delete,
               step("OffsetFetch", 7, {"groupId": "g%", "topics": None}, until={"path": "topics.0", "is": 0}), step("OffsetFetch", v, f), step("OffsetFetch", v, every))
    for v in (4, 12, 13, 18):
        m.case(f"Fetch v{v} that waits", create("d%", partitions=1), *leader("d%"), *produce("d%", records(1)), step("Fetch", v, {
            **fetch_base(v, "d%", 0, 1), "maxWaitMs": 7000}, quiet=True, conn="waits"), {"sleep": 0.3}, delete, {"conn": "waits"})
    m.case("a group's topic", create("d%"), *leader("d%"), *joined(5, "g%"), delete, step("Heartbeat", 4, {"groupId": "g%", "generationId": 1, "memberId": "$member"}),
           step("OffsetCommit", 8, commit(8, "g%", "d%", generation=1, member="$member")), step("LeaveGroup", 0, {"groupId": "g%", "memberId": "$member"}))
    return m.write()
