"""Cases of edges that the other files leave out, most of them because they change what is asked next."""
from making import Maker, step
from making_admin import TOPIC, create as create_topics, resource, topic
from codecs_of_batches import ZSTD
from making_data import COORDINATOR, ONE_PARTITION, create, fetch_base, join, leader, produce_base, records
from making_records import held, pairs

FILES = {}
NEVER = {"zero": 0, "-1": -1, "min": -(1 << 31)}
LONG = "x" * 300


def file(function):
    FILES[function.__name__] = function
    return function


def described(name):
    return step("Metadata", 12, {"topics": [{"name": name}], "allowAutoTopicCreation": False})


@file
def edges_timeouts(codec, name):
    """A timeout that is over when the request comes."""
    m = Maker(codec, name)
    m.case("setup", create_topics(topic("t", 2)))
    for label, ms in NEVER.items():
        for v in m.versions("CreateTopics"):
            m.case(f"CreateTopics v{v} {label}", step("CreateTopics", v, {"topics": [topic("n%"), topic("t"), topic("a/b")], "timeoutMs": ms}), described("n%"))
            m.case(f"CreateTopics v{v} {label}, not kept", step("CreateTopics", v, {"topics": [topic("n%")], "timeoutMs": ms, "validateOnly": True}))
        for v in m.versions("DeleteTopics"):
            f = {"topicNames": ["d%", "none"]} if v < 6 else {"topics": [{"name": "d%"}, {"name": "none"}]}
            m.case(f"DeleteTopics v{v} {label}", create_topics(topic("d%")), step("DeleteTopics", v, {**f, "timeoutMs": ms}), described("d%"))
        for v in m.versions("CreatePartitions"):
            m.case(f"CreatePartitions v{v} {label}", create_topics(topic("d%")), step("CreatePartitions", v, {"topics": [
                {"name": n, "count": 2, "assignments": None} for n in ("d%", "none")], "timeoutMs": ms}), described("d%"))
        for v in m.versions("ElectLeaders"):
            m.case(f"ElectLeaders v{v} {label}", step("ElectLeaders", v, {"electionType": 0, "topicPartitions": [{"topic": "t", "partitions": [0, 9]}], "timeoutMs": ms}))
            m.case(f"ElectLeaders v{v} {label}, all", step("ElectLeaders", v, {"electionType": 0, "topicPartitions": None, "timeoutMs": ms}))
        for v in m.versions("AlterPartitionReassignments"):
            m.case(f"AlterPartitionReassignments v{v} {label}", step("AlterPartitionReassignments", v, {"topics": [
                {"name": "t", "partitions": [{"partitionIndex": 0, "replicas": [1]}, {"partitionIndex": 1, "replicas": None}]}], "timeoutMs": ms}))
        m.case(f"ListPartitionReassignments {label}", step("ListPartitionReassignments", 0, {"topics": None, "timeoutMs": ms}))
        m.case(f"ListPartitionReassignments {label}, some", step("ListPartitionReassignments", 0, {"topics": [{"name": "t", "partitionIndexes": [0]}], "timeoutMs": ms}))
        for v in m.versions("UpdateFeatures"):
            m.case(f"UpdateFeatures v{v} {label}", step("UpdateFeatures", v, {"featureUpdates": [
                {"feature": "metadata.version", "maxVersionLevel": 30}], "timeoutMs": ms, **({"validateOnly": True} if v else {})}))
        for v in m.versions("DeleteRecords"):
            m.case(f"DeleteRecords v{v} {label}", step("DeleteRecords", v, {"topics": [{"name": n, "partitions": [{"partitionIndex": 0, "offset": 0}]} for n in ("t", "none")],
                                                                           "timeoutMs": ms}))
        for v in (10, 11):
            m.case(f"ListOffsets v{v} {label}", step("ListOffsets", v, {"replicaId": -1, "topics": [{"name": "t", "partitions": [{"partitionIndex": 0, "timestamp": -1}]}], "timeoutMs": ms}))
        for v in range(3, 14):
            for acks in (1, -1):
                m.case(f"Produce v{v} {label}, acks {acks}", create("p%", v=7 if v == 13 else 4), *leader("p%"), step("Produce", v, {
                    **produce_base(v, "p%", records(1), acks), "timeoutMs": ms}))
    return m.write()


@file
def edges_rest(codec, name):
    m = Maker(codec, name, **ONE_PARTITION)
    m.case("setup", create("t"), COORDINATOR, *leader("t"))
    texts = {"slash": "a/b", "space": "a b", "non-ascii": "tü", "long": LONG}
    for v in m.versions("CreateTopics"):
        for label, text in texts.items():
            m.case(f"CreateTopics v{v} key {label}", step("CreateTopics", v, {"topics": [topic("n%", 1, [(text, "1")])], "timeoutMs": 30000}))
        for key in ("retention.ms", "cleanup.policy", "follower.replication.throttled.replicas"):
            m.case(f"CreateTopics v{v} {key} long", step("CreateTopics", v, {"topics": [topic("n%", 1, [(key, LONG)])], "timeoutMs": 30000}))
    for api in ("AlterConfigs", "IncrementalAlterConfigs"):
        for v in m.versions(api):
            for key, value in [(text, "1") for text in texts.values()] + [("retention.ms", LONG), ("cleanup.policy", LONG)]:
                m.case(f"{api} v{v} {key[:20]}={value[:5]}", create("n%", v=4), step(api, v, {"resources": [resource(TOPIC, "n%", {"name": key, "value": value, **(
                    {"configOperation": 0} if api != "AlterConfigs" else {})})]}))
    for v in m.versions("CreatePartitions"):
        m.case(f"CreatePartitions v{v} null brokers", create("n%", v=4), step("CreatePartitions", v, {"topics": [
            {"name": "n%", "count": 3, "assignments": [{"brokerIds": None}]}], "timeoutMs": 30000}))
    for v in m.versions("DescribeQuorum"):
        m.case(f"DescribeQuorum v{v} long", step("DescribeQuorum", v, {"topics": [{"topicName": LONG, "partitions": [{"partitionIndex": 0}]}]}))
    for v in m.versions("UpdateFeatures"):
        for label, text in texts.items():
            m.case(f"UpdateFeatures v{v} {label}", step("UpdateFeatures", v, {"featureUpdates": [{"feature": text, "maxVersionLevel": 1}], "timeoutMs": 30000}))
    for v in m.versions("JoinGroup"):
        for label, held in (("empty", ""), ("another", "0001" + "00000000" + "00000003010203"), ("null", None)):
            one = join("g%", protocols=("range",))
            one["protocols"][0]["metadata"] = held
            m.case(f"JoinGroup v{v} metadata {label}", step("JoinGroup", v, one, save={"member": "memberId"}), *(
                [step("DescribeGroups", 4, {"groups": ["g%"]})] if v < 4 else []),   # a group of pending members only may not be there yet
                   step("LeaveGroup", 0, {"groupId": "g%", "memberId": "$member"}))
    for v in m.versions("OffsetForLeaderEpoch"):
        for label, replica in (("0", 0), ("2", 2), ("largest", (1 << 31) - 1)):
            m.case(f"OffsetForLeaderEpoch v{v} replica {label}", step("OffsetForLeaderEpoch", v, {"replicaId": replica, "topics": [
                {"topic": "t", "partitions": [{"partition": 0, "currentLeaderEpoch": -1, "leaderEpoch": 0}]}]}))
    for v in range(3, 14):
        m.case(f"Produce v{v} empty records", create("n%", v=7 if v == 13 else 4), *leader("n%"), step("Produce", v, produce_base(v, "n%", "")))
    return m.write()


@file
def versions(codec, name):
    """Versions that are no more, or not yet: nothing but ApiVersions can be answered then."""
    m = Maker(codec, name)
    newer = {"ApiVersions", "DeleteGroups"}   # these are of Kafka 4.4 here
    for api in ASKED:
        low, high = codec.apis[api][1].stable
        for v in ([high + 1] if api not in newer else []) + ([low - 1] if low and api != "ApiVersions" else []) + ([0] if low > 1 else []) + [32767, -1]:
            if api != "ApiVersions":
                m.case(f"{api} v{v}", step(api, v, raw="00" * 40, answer_v=high))
    m.case("still served", step("Metadata", 12, {"topics": []}))
    return m.write()


ASKED = ("Produce", "Fetch", "ListOffsets", "Metadata", "OffsetCommit", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat", "LeaveGroup", "SyncGroup", "DescribeGroups",
         "ListGroups", "CreateTopics", "DeleteTopics", "DeleteRecords", "InitProducerId", "OffsetForLeaderEpoch", "DescribeConfigs", "AlterConfigs", "AlterReplicaLogDirs",
         "DescribeLogDirs", "CreatePartitions", "DeleteGroups", "ElectLeaders", "IncrementalAlterConfigs", "AlterPartitionReassignments", "ListPartitionReassignments",
         "OffsetDelete", "DescribeQuorum", "UpdateFeatures", "DescribeCluster", "DescribeProducers", "UnregisterBroker", "ListConfigResources", "DescribeTopicPartitions",
         "DescribeClientQuotas", "AlterClientQuotas")


@file
def produce_rest(codec, name):
    """Too few replicas, and zstd for those who cannot read it."""
    m = Maker(codec, name, log_retention_ms=-1)
    m.case("setup", create("z", configs=[("compression.type", "zstd")]), *leader("z"),
           step("Produce", 9, produce_base(9, "z", held(pairs(2), 2, attributes=ZSTD)), until={"path": "responses.0.partitionResponses.0.errorCode", "is": 0}))
    for v in range(3, 14):
        for acks in (-1, 1):
            m.case(f"v{v} too few replicas, acks {acks}", create("f%", configs=[("min.insync.replicas", "2")], v=7 if v == 13 else 4), *leader("f%"), step(
                "Produce", v, produce_base(v, "f%", records(1), acks)))
    for v in range(4, 19):
        m.case(f"Fetch v{v} of zstd", step("Fetch", v, {**fetch_base(v, "z"), "maxWaitMs": 0}))
    return m.write()
