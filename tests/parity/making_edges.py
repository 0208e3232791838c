"""Cases of edges that the other files leave out, most of them because they change what is asked next."""
from making import Maker, step
from making_admin import TOPIC, create as create_topics, resource, topic
from making_data import COORDINATOR, ONE_PARTITION, create, join, leader, produce_base, records

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
