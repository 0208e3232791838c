"""Cases of the requests about topics, configuration and the cluster."""
from making import LIMITS, TEXTS, UNKNOWN_ID, Maker, step

FILES = {}
BROKER, TOPIC, LOGGER, METRICS, GROUP = 4, 2, 8, 16, 32


def file(function):
    FILES[function.__name__] = function
    return function


def topic(name, partitions=1, configs=(), **more):
    return {"name": name, "numPartitions": partitions, "replicationFactor": 1, "assignments": [],
            "configs": [{"name": k, "value": v} for k, v in configs], **more}


def create(*topics, v=4):
    """v=7 for `$id:`; before 5 the answer is short."""
    return step("CreateTopics", v, {"topics": list(topics), "timeoutMs": 30000})


def manual(*replicas):
    return [{"partitionIndex": i, "brokerIds": r} for i, r in enumerate(replicas)]


@file
def create_topics(codec, name):
    m = Maker(codec, name)
    m.case("setup", create(topic("there"), topic("col.lide")))
    names = {**TEXTS, "there": "there", "collides": "col_lide", "transaction": "__transaction_state", "share": "__share_group_state"}
    times = [f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))]
    for v in m.versions("CreateTopics"):
        base = {"topics": [topic("t%", 2, [("retention.ms", "1000")])], "timeoutMs": 30000, "validateOnly": False}
        values = {"not a number": "x", "negative": "-5", "minus one": "-1", "spaces": " 7 ", "too much": "9223372036854775808"}
        keys = {"empty": "", "unknown": "nope", "policy": "cleanup.policy", "codec": "compression.type", "bytes": "segment.bytes",
                "remote": "remote.storage.enable", "isr": "min.insync.replicas", "broker key": "log.retention.ms",
                "format": "message.format.version", "case": "Retention.Ms"}
        m.edges("CreateTopics", v, base, texts={}, skip=times, more={
            "topics.0.name": names, "topics.0.configs.0.name": keys, "topics.0.configs.0.value": {**values, "empty": ""},
            "topics.0.numPartitions": {"10001": 10001}})
        manually = {"topics": [{"name": "m%", "numPartitions": -1, "replicationFactor": -1, "assignments": manual([1], [1]),
                                "configs": []}], "timeoutMs": 30000, "validateOnly": False}
        m.edges("CreateTopics", v, manually, texts={}, skip=times + ["topics.0.name", "validateOnly", "timeoutMs", "topics.0.configs"],
                more={"topics.0.assignments.0.brokerIds": {"unknown": [9], "two": [1, 2], "negative": [-1], "minus max": [-(1 << 31)]},
                      "topics.0.assignments": {"gap": [*manual([1]), {"partitionIndex": 2, "brokerIds": [1]}],
                                               "from one": [{"partitionIndex": 1, "brokerIds": [1]}],
                                               "disorder": manual([1], [1])[::-1], "lengths": manual([1], [1, 2]),
                                               "same": [*manual([1]), *manual([1])]}})
        m.case(f"v{v} several", step("CreateTopics", v, {"topics": [
            topic("a%"), topic("a%"), topic("b%"), topic(""), topic("there"), topic("b.%"), topic("b_%"), topic("c%", -1)], "timeoutMs": 30000}))
        m.case(f"v{v} several not kept", step("CreateTopics", v, {"topics": [
            topic("a%", 3), topic("b%", 0), topic("c%", -1)], "timeoutMs": 30000, "validateOnly": True}))
        m.case(f"v{v} configs", step("CreateTopics", v, {"topics": [
            topic("a%", 1, [("cleanup.policy", "compact,delete"), ("segment.bytes", "2000000"), ("retention.ms", "1"), ("retention.ms", "2")]),
            topic("b%", 1, [("cleanup.policy", "compact"), ("cleanup.policy", "x")]),
            topic("c%", 1, [("cleanup.policy", "compact,,delete")]), topic("d%", 1, [("cleanup.policy", "")]),
            topic("e%", 1, [("compression.type", "gzip"), ("compression.gzip.level", "99")]),
            topic("f%", 1, [("min.insync.replicas", "0")]), topic("g%", 1, [("unclean.leader.election.enable", "yes")]),
            topic("h%", 1, [("min.cleanable.dirty.ratio", "1.5")]), topic("i%", 1, [("segment.bytes", "1")]),
            topic("j%", 1, [("max.message.bytes", "-1")]), topic("k%", 1, [("message.timestamp.type", "Create")]),
            topic("l%", 1, [("follower.replication.throttled.replicas", "x")]), topic("n%", 1, [("max.compaction.lag.ms", "0")]),
            topic("o%", 1, [("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
            topic("p%", 1, [("local.retention.ms", "100000000000")]), topic("q%", 1, [("remote.storage.enable", "true")])],
            "timeoutMs": 30000, "validateOnly": v % 2 == 0}))
    return m.write()


@file
def delete_topics(codec, name):
    m = Maker(codec, name)
    names = {"unknown": "unknown", "empty": "", "slash": "a/b", "250": "x" * 250, "metadata": "__cluster_metadata"}
    times = [f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))]
    for v in m.versions("DeleteTopics"):
        if v < 6:
            base = {"topicNames": ["t%"], "timeoutMs": 30000}
            m.edges("DeleteTopics", v, base, before=[create(topic("t%"), topic("u%"))], skip=times, more={
                "topicNames": {**{k: [n] for k, n in names.items()}, "two": ["t%", "u%"], "mixed": ["t%", "unknown", "t%"],
                               "unknown twice": ["unknown", "unknown"]}})
        else:
            base = {"topics": [{"name": "t%"}], "timeoutMs": 30000}
            m.edges("DeleteTopics", v, base, texts=names, before=[create(topic("t%"), topic("u%"))], skip=times)
            base = {"topics": [{"name": None, "topicId": "$id:t%"}], "timeoutMs": 30000}
            m.edges("DeleteTopics", v, base, texts=names, before=[create(topic("t%"), topic("u%"), v=7)], skip=times + ["timeoutMs"],
                    more={"topics": {"both": [{"name": "t%", "topicId": "$id:t%"}], "id and name": [
                        {"name": "t%"}, {"name": None, "topicId": "$id:t%"}], "mixed": [
                        {"name": "t%"}, {"name": "unknown"}, {"name": None, "topicId": UNKNOWN_ID}, {"name": "u%"}],
                        "unknown id twice": [{"name": None, "topicId": UNKNOWN_ID}] * 2,
                        "unknown name twice": [{"name": "unknown"}] * 2}})
        m.case(f"v{v} and again", create(topic("t%")),
               step("DeleteTopics", v, {"topicNames": ["t%"], "timeoutMs": 30000} if v < 6 else {"topics": [{"name": "t%"}], "timeoutMs": 30000}),
               step("DeleteTopics", v, {"topicNames": ["t%"], "timeoutMs": 30000} if v < 6 else {"topics": [{"name": "t%"}], "timeoutMs": 30000}),
               step("Metadata", 12, {"topics": [{"name": "t%"}], "allowAutoTopicCreation": False}))
    return m.write()


@file
def delete_topics_disabled(codec, name):
    m = Maker(codec, name, delete_topic_enable="false")
    for v in m.versions("DeleteTopics"):
        for label, n in (("there", "t%"), ("unknown", "unknown")):
            m.case(f"v{v} {label}", create(topic("t%")), step("DeleteTopics", v, {"topicNames": [n], "timeoutMs": 30000} if v < 6 else
                   {"topics": [{"name": n}], "timeoutMs": 30000}))
    return m.write()


@file
def create_partitions(codec, name):
    m = Maker(codec, name)
    m.case("setup", create(topic("s", 2)))
    texts = {k: TEXTS[k] for k in ("empty", "unknown", "slash", "250", "metadata")}
    times = [f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))]
    for v in m.versions("CreatePartitions"):
        base = {"topics": [{"name": "t%", "count": 3, "assignments": None}], "timeoutMs": 30000, "validateOnly": False}
        m.edges("CreatePartitions", v, base, texts=texts, before=[create(topic("t%"))], skip=times + ["topics.0.count=" + str((1 << 31) - 1)], more={
            "topics.0.count": {"1": 1},
            "topics.0.assignments": {"fits": [{"brokerIds": [1]}] * 2, "one": [{"brokerIds": [1]}], "three": [{"brokerIds": [1]}] * 3,
                                     "unknown": [{"brokerIds": [1]}, {"brokerIds": [7]}], "two": [{"brokerIds": [1, 2]}] * 2,
                                     "empty": [{"brokerIds": []}] * 2, "same": [{"brokerIds": [1, 1]}] * 2,
                                     "negative": [{"brokerIds": [-1]}] * 2, "null": None}})
        m.case(f"v{v} several", create(topic("a%"), topic("b%", 4)), step("CreatePartitions", v, {"topics": [
            {"name": "a%", "count": 2, "assignments": None}, {"name": "b%", "count": 3, "assignments": None}, {"name": "s", "count": 2, "assignments": None},
            {"name": "unknown", "count": 2, "assignments": None}], "timeoutMs": 30000}),
            step("Metadata", 12, {"topics": [{"name": "a%"}, {"name": "b%"}]}))
        m.case(f"v{v} twice", step("CreatePartitions", v, {"topics": [{"name": "unknown", "count": 2, "assignments": None}] * 2 + [
            {"name": "s", "count": 1, "assignments": None}] * 3, "timeoutMs": 30000}))
        m.case(f"v{v} checked only", create(topic("a%")), step("CreatePartitions", v, {"topics": [
            {"name": "a%", "count": 2, "assignments": None}], "timeoutMs": 30000, "validateOnly": True}), step("Metadata", 12, {"topics": [{"name": "a%"}]}))
    return m.write()


CHANGES = {   # label: (type, name, key, value)
    "topic": (TOPIC, "t%", "retention.ms", "5000"), "topic, list": (TOPIC, "t%", "cleanup.policy", "compact"),
    "broker": (BROKER, "1", "log.cleaner.threads", "2"), "all brokers": (BROKER, "", "log.retention.ms", "70000000"),
    "group": (GROUP, "g%", "consumer.session.timeout.ms", "50000"), "metrics": (METRICS, "m%", "interval.ms", "10000"),
    "logger": (LOGGER, "1", "root", "INFO"),
}
VALUES = [   # (type, name, key, value): each as it is set
    (TOPIC, "t%", "cleanup.policy", "x"), (TOPIC, "t%", "cleanup.policy", ""), (TOPIC, "t%", "cleanup.policy", "delete,compact"),
    (TOPIC, "t%", "retention.ms", "x"), (TOPIC, "t%", "retention.ms", ""), (TOPIC, "t%", "retention.ms", "-2"), (TOPIC, "t%", "retention.ms", "1.5"),
    (TOPIC, "t%", "segment.bytes", "13"), (TOPIC, "t%", "segment.bytes", "2147483648"), (TOPIC, "t%", "min.cleanable.dirty.ratio", "2"),
    (TOPIC, "t%", "min.cleanable.dirty.ratio", "x"), (TOPIC, "t%", "preallocate", "x"), (TOPIC, "t%", "preallocate", "TRUE"),
    (TOPIC, "t%", "compression.type", "LZ4"), (TOPIC, "t%", "compression.zstd.level", "40"), (TOPIC, "t%", "min.insync.replicas", "0"),
    (TOPIC, "t%", "min.insync.replicas", "2"), (TOPIC, "t%", "message.timestamp.type", "x"), (TOPIC, "t%", "max.message.bytes", "-1"),
    (TOPIC, "t%", "leader.replication.throttled.replicas", "*"), (TOPIC, "t%", "leader.replication.throttled.replicas", "0:1,1:1"),
    (TOPIC, "t%", "leader.replication.throttled.replicas", "x"), (TOPIC, "t%", "nope", "1"), (TOPIC, "t%", "", "1"),
    (TOPIC, "t%", "remote.storage.enable", "true"), (TOPIC, "t%", "local.retention.ms", "-2"), (TOPIC, "t%", "local.retention.bytes", "99999999999"),
    (TOPIC, "t%", "delete.retention.ms", "-1"), (TOPIC, "t%", "flush.messages", "0"), (TOPIC, "t%", "index.interval.bytes", "-1"),
    (TOPIC, "unknown", "retention.ms", "1"), (TOPIC, "", "retention.ms", "1"), (TOPIC, "a/b", "retention.ms", "1"), (TOPIC, "x" * 250, "retention.ms", "1"),
    (TOPIC, "__cluster_metadata", "retention.ms", "1"),
    (BROKER, "1", "nope", "1"), (BROKER, "1", "node.id", "1"), (BROKER, "1", "log.dirs", "/x"), (BROKER, "1", "num.network.threads", "4"),
    (BROKER, "1", "num.io.threads", "0"), (BROKER, "1", "num.io.threads", "x"),
    (BROKER, "1", "num.partitions", "4"),
    (BROKER, "1", "log.retention.ms", "-2"), (BROKER, "1", "log.segment.bytes", "1"), (BROKER, "1", "max.connections", "-1"),
    (BROKER, "1", "leader.replication.throttled.rate", "1000"), (BROKER, "1", "leader.replication.throttled.rate", "-1"),
    (BROKER, "1", "auto.create.topics.enable", "false"), (BROKER, "1", "compression.type", "x"), (BROKER, "1", "message.max.bytes", "1000000"),
    (BROKER, "1", "unclean.leader.election.enable", "true"), (BROKER, "1", "min.insync.replicas", "2"), (BROKER, "1", "metric.reporters", ""),
    (BROKER, "1", "log.message.timestamp.type", "x"), (BROKER, "1", "log.cleanup.policy", "x"), (BROKER, "1", "ssl.keystore.password", "x"),
    (BROKER, "1", "", "x"), (BROKER, "", "nope", "1"), (BROKER, "", "node.id", "1"), (BROKER, "", "log.cleaner.threads", "2"),
    (BROKER, "", "log.retention.ms", "x"), (BROKER, "", "ssl.keystore.location", "x"), (BROKER, "", "max.connections.per.ip", "5"),
    (BROKER, "", "min.insync.replicas", "1"), (BROKER, "", "num.replica.fetchers", "2"),
    (BROKER, "2", "log.cleaner.threads", "2"), (BROKER, "x", "log.cleaner.threads", "2"), (BROKER, "-1", "log.cleaner.threads", "2"),
    (BROKER, "99999999999", "log.cleaner.threads", "2"), (BROKER, " 1", "log.cleaner.threads", "2"), (BROKER, "01", "log.cleaner.threads", "2"),
    (BROKER, "2147483647", "log.cleaner.threads", "2"),
    (GROUP, "", "consumer.session.timeout.ms", "50000"), (GROUP, "g%", "nope", "1"), (GROUP, "g%", "consumer.session.timeout.ms", "x"),
    (GROUP, "g%", "consumer.session.timeout.ms", "1"), (GROUP, "g%", "consumer.heartbeat.interval.ms", "1"), (GROUP, "g%", "share.auto.offset.reset", "x"),
    (GROUP, "g%", "share.auto.offset.reset", "earliest"), (GROUP, "g%", "share.record.lock.duration.ms", "1"), (GROUP, "g%", "streams.num.standby.replicas", "9"),
    (GROUP, "g%", "consumer.heartbeat.interval.ms", "60000"), (GROUP, "g%", "share.session.timeout.ms", "3000"),
    (GROUP, "g%", "consumer.session.timeout.ms", "60001"), (GROUP, "g%", "share.heartbeat.interval.ms", "5000"), (GROUP, "g%", "share.isolation.level", "x"),
    (GROUP, "g%", "share.isolation.level", "read_committed"), (GROUP, "g%", "streams.session.timeout.ms", "45000"), (GROUP, "g%", "share.auto.offset.reset", "by_duration:PT1H"),
    (GROUP, "g%", "share.auto.offset.reset", "by_duration:x"), (TOPIC, "unknown", "nope", "1"), (TOPIC, "unknown", "retention.ms", "x"), (TOPIC, "t%", "cleanup.policy", "compact,compact"),
    (TOPIC, "t%", "cleanup.policy", "compact,,delete"), (TOPIC, "t%", "min.compaction.lag.ms", "-1"), (TOPIC, "t%", "max.compaction.lag.ms", "0"),
    (TOPIC, "t%", "segment.ms", "0"), (TOPIC, "t%", "segment.jitter.ms", "-1"), (TOPIC, "t%", "retention.bytes", "-2"), (TOPIC, "t%", "segment.index.bytes", "3"),
    (TOPIC, "t%", "unclean.leader.election.enable", "True"), (TOPIC, "t%", "message.timestamp.before.max.ms", "-1"), (TOPIC, "t%", "file.delete.delay.ms", "x"),
    (TOPIC, "t%", "remote.log.copy.disable", "true"), (TOPIC, "t%", "remote.log.delete.on.disable", "true"), (TOPIC, "t%", "local.retention.ms", "-3"),
    (TOPIC, "t%", "local.retention.bytes", "-1"), (TOPIC, "t%", "local.retention.ms", "99999999999"), (TOPIC, "t%", "compression.gzip.level", "0"), (TOPIC, "t%", "compression.lz4.level", "18"),
    (METRICS, "", "interval.ms", "10000"), (METRICS, "m%", "nope", "1"), (METRICS, "m%", "interval.ms", "1"), (METRICS, "m%", "interval.ms", "x"),
    (METRICS, "m%", "metrics", ""), (METRICS, "m%", "metrics", "a,b"), (METRICS, "m%", "match", "x"), (METRICS, "m%", "match", "client_id=a.*"),
    (METRICS, "m%", "match", "client_id=[a"), (METRICS, "m%", "match", "nope=1"), (METRICS, "m%", "interval.ms", "3600001"),
    (LOGGER, "1", "nope", "INFO"), (LOGGER, "1", "root", "nope"), (LOGGER, "2", "root", "INFO"), (LOGGER, "", "root", "INFO"), (LOGGER, "x", "root", "INFO"),
    (0, "t%", "retention.ms", "1"), (1, "t%", "retention.ms", "1"), (3, "1", "x", "1"), (77, "x", "y", "1"), (-1, "x", "y", "1"), (64, "x", "y", "1"),
]


def resource(kind, name, *configs):
    return {"resourceType": kind, "resourceName": name, "configs": list(configs)}


def described(kind, name, *keys):
    return step("DescribeConfigs", 4, {"resources": [{"resourceType": kind, "resourceName": name, "configurationKeys": list(keys)}],
                                       "includeSynonyms": True})


def back(kind, name, key):
    """Undoes a change of the broker, so that cases stay strangers to each other."""
    if kind != BROKER:
        return []
    return [step("IncrementalAlterConfigs", 1, {"resources": [resource(kind, name, {"name": key, "configOperation": 1, "value": None})]})]


@file
def incremental_alter_configs(codec, name):
    m = Maker(codec, name)
    api = "IncrementalAlterConfigs"
    for v in m.versions(api):
        before = [create(topic("t%"))]
        for label, (kind, n, key, value) in CHANGES.items():
            base = {"resources": [resource(kind, n, {"name": key, "configOperation": 0, "value": value})], "validateOnly": False}
            few = {"empty": "", "unknown": "unknown", "250": "x" * 250}
            m.edges(api, v, base, before=before if kind == TOPIC else [], after=[described(kind, n, key), *back(kind, n, key)], texts={},
                    skip=["resources.0.resourceType"] if label != "topic" else [],
                    more={"resources.0.configs.0.name": few, "resources.0.resourceName": few, "resources.0.resourceType": {"77": 77}})
        for kind, n, key, value in VALUES:
            m.case(f"v{v} {kind} {n[:20]} {key}={value}", *(before if n == "t%" else []), step(api, v, {"resources": [
                resource(kind, n, {"name": key, "configOperation": 0, "value": value})]}), *back(kind, n, key))
        m.case(f"v{v} lists", *before, *[step(api, v, {"resources": [resource(TOPIC, "t%", {
            "name": key, "configOperation": op, "value": value})]}) for key, op, value in [
                ("cleanup.policy", 2, "compact"), ("cleanup.policy", 2, "compact"), ("cleanup.policy", 2, "compact,compact"), ("cleanup.policy", 3, "delete"),
                ("cleanup.policy", 3, "delete"), ("cleanup.policy", 3, "compact"), ("cleanup.policy", 2, "x"), ("cleanup.policy", 2, ""),
                ("cleanup.policy", 3, "x"), ("retention.ms", 2, "1"), ("retention.ms", 3, "1"), ("nope", 2, "1"), ("nope", 3, "1"), ("nope", 1, None),
                ("cleanup.policy", 2, None), ("retention.ms", 1, "7"), ("retention.ms", 1, None), ("", 1, None), ("cleanup.policy", 4, "x"), ("cleanup.policy", -1, "x")]],
            described(TOPIC, "t%", "cleanup.policy"))
        m.case(f"v{v} several", *before, step(api, v, {"resources": [
            resource(TOPIC, "t%", {"name": "retention.ms", "configOperation": 0, "value": "9"}, {"name": "nope", "configOperation": 0, "value": "1"}),
            resource(TOPIC, "unknown"), resource(TOPIC, "unknown"), resource(GROUP, "g%"), resource(TOPIC, ""), resource(BROKER, "1"), resource(BROKER, "2"),
            resource(77, "t%")]}), described(TOPIC, "t%", "retention.ms"))
        m.case(f"v{v} lags at odds", *before, *[step(api, v, {"resources": [resource(TOPIC, "t%", {"name": key, "configOperation": 0, "value": value})]})
               for key, value in (("max.compaction.lag.ms", "5"), ("min.compaction.lag.ms", "6"), ("retention.ms", "8"), ("local.retention.ms", "9"),
                                  ("retention.bytes", "8"), ("local.retention.bytes", "9"))])
        m.case(f"v{v} group intervals at odds", *[step(api, v, {"resources": [resource(GROUP, "g%", {"name": key, "configOperation": 0, "value": value})]})
               for key, value in (("consumer.heartbeat.interval.ms", "15000"), ("consumer.session.timeout.ms", "45000"), ("share.session.timeout.ms", "45000"),
                                  ("share.heartbeat.interval.ms", "15000"))])
        m.case(f"v{v} min.insync.replicas", *before, *[step(api, v, {"resources": [resource(kind, n, {"name": "min.insync.replicas", "configOperation": op, "value": value})]})
               for kind, n, op, value in ((BROKER, "", 1, None), (BROKER, "", 0, "2"), (BROKER, "", 0, "1"), (BROKER, "1", 0, "2"), (BROKER, "1", 1, None),
                                          (TOPIC, "t%", 0, "2"), (TOPIC, "t%", 1, None), (BROKER, "", 0, "0"))])
        m.case(f"v{v} a key twice", *before, step(api, v, {"resources": [resource(TOPIC, "t%", *[
            {"name": "retention.ms", "configOperation": 0, "value": x} for x in "12"])]}), described(TOPIC, "t%", "retention.ms"))
        m.case(f"v{v} a key set and deleted", *before, step(api, v, {"resources": [resource(TOPIC, "t%", {
            "name": "retention.ms", "configOperation": 0, "value": "1"}, {"name": "retention.ms", "configOperation": 1, "value": None})]}))
        m.case(f"v{v} several broker keys", step(api, v, {"resources": [resource(BROKER, "1", *[{"name": k, "configOperation": 0, "value": "1"} for k in (
            "node.id", "process.roles", "log.cleaner.threads")])]}))
        m.case(f"v{v} logger", *[step(api, v, {"resources": [resource(LOGGER, "1", {"name": n, "configOperation": op, "value": value})]})
               for n, op, value in [("root", 1, None), ("root", 2, "INFO"), ("root", 3, "INFO"), ("root", 0, "FATAL"), ("root", 0, "TRACE"), ("root", 0, "OFF"),
                                    ("root", 0, None), ("root", 0, "info"), ("root", 9, "INFO"), ("root", 0, "INFO")]])
    return m.write()


@file
def alter_configs(codec, name):
    m = Maker(codec, name)
    api = "AlterConfigs"
    for v in m.versions(api):
        before = [create(topic("t%", 1, [("segment.bytes", "2000000")]))]
        for label, (kind, n, key, value) in CHANGES.items():
            base = {"resources": [resource(kind, n, {"name": key, "value": value})], "validateOnly": False}
            few = {"empty": "", "unknown": "unknown", "250": "x" * 250}
            m.edges(api, v, base, before=before if kind == TOPIC else [], after=[described(kind, n, key), *back(kind, n, key)], texts={},
                    skip=(["resources.0.resourceType"] if label != "topic" else []) + ["resources=twice"],
                    more={"resources.0.configs.0.name": few, "resources.0.resourceName": few, "resources.0.resourceType": {"77": 77}})
        for kind, n, key, value in VALUES:
            m.case(f"v{v} {kind} {n[:20]} {key}={value}", *(before if n == "t%" else []), step(api, v, {"resources": [
                resource(kind, n, {"name": key, "value": value})]}), *back(kind, n, key))
        m.case(f"v{v} replaces", *before, step(api, v, {"resources": [resource(TOPIC, "t%", {"name": "retention.ms", "value": "1"})]}),
               described(TOPIC, "t%", "retention.ms", "segment.bytes"), step(api, v, {"resources": [resource(TOPIC, "t%")]}),
               described(TOPIC, "t%", "retention.ms", "segment.bytes"))
        m.case(f"v{v} several", *before, step(api, v, {"resources": [
            resource(TOPIC, "t%", {"name": "retention.ms", "value": "9"}, {"name": "nope", "value": "1"}),
            resource(TOPIC, "unknown"), resource(GROUP, "g%"), resource(TOPIC, ""), resource(BROKER, "1"), resource(BROKER, "2"),
            resource(77, "t%")]}), described(TOPIC, "t%", "retention.ms"))
        m.case(f"v{v} a key twice", *before, step(api, v, {"resources": [resource(TOPIC, "t%", *[
            {"name": "retention.ms", "value": x} for x in "12"])]}), described(TOPIC, "t%", "retention.ms"))
    return m.write()


@file
def describe_configs(codec, name):
    m = Maker(codec, name)
    api = "DescribeConfigs"
    m.case("setup", create(topic("t", 1, [("retention.ms", "1000"), ("cleanup.policy", "compact")]), topic("plain")),
           step("IncrementalAlterConfigs", 1, {"resources": [
               resource(BROKER, "1", {"name": "log.cleaner.threads", "configOperation": 0, "value": "2"}),
               resource(BROKER, "", {"name": "log.retention.ms", "configOperation": 0, "value": "70000000"},
                        {"name": "max.connections", "configOperation": 0, "value": "1000"}),
               resource(GROUP, "g", {"name": "consumer.session.timeout.ms", "configOperation": 0, "value": "50000"}),
               resource(METRICS, "m", {"name": "interval.ms", "configOperation": 0, "value": "10000"})]}))
    kinds = {"topic": (TOPIC, "t"), "plain topic": (TOPIC, "plain"), "broker": (BROKER, "1"), "all brokers": (BROKER, ""), "group": (GROUP, "g"),
             "metrics": (METRICS, "m"), "no group": (GROUP, "none"), "no metrics": (METRICS, "none"), "no topic": (TOPIC, "none"), "broker 2": (BROKER, "2"),
             "broker x": (BROKER, "x"), "broker -1": (BROKER, "-1"), "empty topic": (TOPIC, ""), "bad topic": (TOPIC, "a/b"), "long topic": (TOPIC, "x" * 250),
             "empty group": (GROUP, ""), "empty metrics": (METRICS, ""), "type 0": (0, "x"), "type 1": (1, "x"), "type 77": (77, "x"), "type -1": (-1, "x"),
             "logger 2": (LOGGER, "2"), "logger none": (LOGGER, ""), "logger x": (LOGGER, "x"), "offsets": (TOPIC, "__consumer_offsets"),
             "metadata": (TOPIC, "__cluster_metadata")}
    keys = {"all": None, "none": [], "unknown": ["nope"], "some": ["retention.ms", "cleanup.policy", "log.cleaner.threads", "log.retention.ms", "interval.ms",
            "consumer.session.timeout.ms", "node.id", "max.connections", "num.partitions"], "twice": ["retention.ms", "retention.ms"], "empty": [""]}
    for v in m.versions(api):
        for label, (kind, n) in kinds.items():
            for which, wanted in keys.items():
                for synonyms in (False, True):
                    if synonyms and which not in ("all", "some") or label == "broker" and which == "all" and v != 4:
                        continue
                    f = {"resources": [{"resourceType": kind, "resourceName": n, "configurationKeys": wanted}], "includeSynonyms": synonyms}
                    m.case(f"v{v} {label}, {which}{', synonyms' * synonyms}", step(api, v, f))
        m.edges(api, v, {"resources": [{"resourceType": TOPIC, "resourceName": "t", "configurationKeys": ["retention.ms"]}], "includeSynonyms": True,
                         "includeDocumentation": False}, texts={"empty": ""}, skip=["includeDocumentation"])
        m.case(f"v{v} several", step(api, v, {"resources": [{"resourceType": k, "resourceName": n, "configurationKeys": ["retention.ms", "node.id"]}
               for k, n in kinds.values() if k in (TOPIC, BROKER, LOGGER, METRICS, GROUP)]}))
        m.case(f"v{v} a resource three times", step(api, v, {"resources": [{"resourceType": TOPIC, "resourceName": "t", "configurationKeys": ["retention.ms"]},
               {"resourceType": TOPIC, "resourceName": "t", "configurationKeys": ["nope"]}, {"resourceType": TOPIC, "resourceName": "t", "configurationKeys": ["cleanup.policy"]}]}))
    return m.write()


@file
def elect_leaders(codec, name):
    m = Maker(codec, name)
    api = "ElectLeaders"
    m.case("setup", create(topic("t", 3), topic("u")))
    texts = {k: TEXTS[k] for k in ("empty", "unknown", "slash", "250", "metadata")}
    for v in m.versions(api):
        base = {"electionType": 0, "topicPartitions": [{"topic": "t", "partitions": [0]}], "timeoutMs": 30000}
        m.edges(api, v, base, texts=texts, skip=[f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))], more={
            "topicPartitions.0.partitions": {"unknown": [9], "negative": [-1], "max": [(1 << 31) - 1], "all": [0, 1, 2], "mixed": [2, 7, 0]}})
        for kind in ((0, 1, 2, -1) if v else (0,)):
            m.case(f"v{v} type {kind}, all", step(api, v, {"electionType": kind, "topicPartitions": None, "timeoutMs": 30000}))
            m.case(f"v{v} type {kind}, some", step(api, v, {"electionType": kind, "topicPartitions": [
                {"topic": "t", "partitions": [0, 9]}, {"topic": "none", "partitions": [0]}, {"topic": "u", "partitions": []}], "timeoutMs": 30000}))
            m.case(f"v{v} type {kind}, a topic twice", step(api, v, {"electionType": kind, "topicPartitions": [
                {"topic": "t", "partitions": [0, 1]}, {"topic": "t", "partitions": [1, 2]}], "timeoutMs": 30000}))
    return m.write()


@file
def alter_partition_reassignments(codec, name):
    m = Maker(codec, name)
    api = "AlterPartitionReassignments"
    m.case("setup", create(topic("t", 3), topic("u")))
    texts = {k: TEXTS[k] for k in ("empty", "unknown", "slash", "250", "metadata")}
    for v in m.versions(api):
        base = {"topics": [{"name": "t", "partitions": [{"partitionIndex": 0, "replicas": [1]}]}], "timeoutMs": 30000, "allowReplicationFactorChange": True}
        m.edges(api, v, base, texts=texts, skip=[f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))], more={
            "topics.0.partitions.0.replicas": {"unknown": [2], "two": [1, 2], "negative": [-1], "reversed": [2, 1], "min": [-(1 << 31)]}})
        base["allowReplicationFactorChange"] = False
        if v:
            m.edges(api, v, base, texts={}, skip=["timeoutMs"], more={
                "topics.0.partitions.0.replicas": {"unknown": [2], "two": [1, 2], "same": [1, 1]}})
        m.case(f"v{v} several", step(api, v, {"timeoutMs": 30000, "topics": [
            {"name": "t", "partitions": [{"partitionIndex": 0, "replicas": [1]}, {"partitionIndex": 1, "replicas": None}, {"partitionIndex": 2, "replicas": [7]},
                                         {"partitionIndex": 9, "replicas": None}]},
            {"name": "none", "partitions": [{"partitionIndex": 0, "replicas": None}, {"partitionIndex": 1, "replicas": [1]}]}, {"name": "u", "partitions": []}]}),
            step("ListPartitionReassignments", 0, {"topics": None, "timeoutMs": 30000}),
            step("Metadata", 12, {"topics": [{"name": "t"}]}))
        m.case(f"v{v} a topic twice", step(api, v, {"timeoutMs": 30000, "topics": [
            {"name": "t", "partitions": [{"partitionIndex": 0, "replicas": [1]}]}, {"name": "t", "partitions": [{"partitionIndex": 0, "replicas": None}]}]}))
        m.case(f"v{v} a partition twice", step(api, v, {"timeoutMs": 30000, "topics": [
            {"name": "t", "partitions": [{"partitionIndex": 0, "replicas": [1]}, {"partitionIndex": 0, "replicas": None}]}]}))
    return m.write()


@file
def list_partition_reassignments(codec, name):
    m = Maker(codec, name)
    m.case("setup", create(topic("t", 3), topic("u")))
    m.edges("ListPartitionReassignments", 0, {"timeoutMs": 30000, "topics": [{"name": "t", "partitionIndexes": [0]}]}, skip=[
        f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))], more={"topics.0.partitionIndexes": {"unknown": [0, 9], "negative": [-1]}})
    m.case("all", step("ListPartitionReassignments", 0, {"topics": None, "timeoutMs": 30000}))
    return m.write()


@file
def update_features(codec, name):
    m = Maker(codec, name)
    api = "UpdateFeatures"
    for v in m.versions(api):
        update = {"feature": "metadata.version", "maxVersionLevel": 30, "upgradeType": 1, "allowDowngrade": False}
        base = {"timeoutMs": 30000, "featureUpdates": [update], "validateOnly": True}
        skip = ["validateOnly"] + [f"timeoutMs={n}" for n in (-1, 0, 2, -2, -(1 << 31))]
        m.edges(api, v, base, texts={"empty": "", "unknown": "unknown"}, skip=skip)
        for n, level in (("kraft.version", 2), ("eligible.leader.replicas.version", 1),
                         ("eligible.leader.replicas.version", 0), ("eligible.leader.replicas.version", 2), ("metadata.version", 31), ("metadata.version", 29),
                         ("metadata.version", 6), ("metadata.version", 7), ("metadata.version", 1), ("unknown", 1), ("unknown", 0), ("", 1)):
            for kind in ((1, 2, 3, 0, 4) if v else (0,)):
                for down in (() if v else (False, True)) or (None,):
                    one = {"feature": n, "maxVersionLevel": level}
                    one.update({"upgradeType": kind} if v else {"allowDowngrade": down})
                    m.case(f"v{v} {n}={level}, {kind if v else down}", step(api, v, {
                        "timeoutMs": 30000, "featureUpdates": [one], **({"validateOnly": True} if v else {})}))
        two = [{"feature": "metadata.version", "maxVersionLevel": 30}, {"feature": "unknown", "maxVersionLevel": 3}]
        m.case(f"v{v} two", step(api, v, {"timeoutMs": 30000, "featureUpdates": two}))
        m.case(f"v{v} two, turned", step(api, v, {"timeoutMs": 30000, "featureUpdates": two[::-1]}))
    return m.write()


@file
def describe_quorum(codec, name):
    m = Maker(codec, name)
    api = "DescribeQuorum"
    m.case("setup", create(topic("t", 3)))
    texts = {"empty": "", "unknown": "unknown", "user's": "t", "slash": "a/b"}
    for v in m.versions(api):
        base = {"topics": [{"topicName": "__cluster_metadata", "partitions": [{"partitionIndex": 0}]}]}
        m.edges(api, v, base, texts=texts)
        m.case(f"v{v} two topics", step(api, v, {"topics": base["topics"] + [{"topicName": "t", "partitions": [{"partitionIndex": 0}]}]}))
        m.case(f"v{v} two partitions", step(api, v, {"topics": [{"topicName": "__cluster_metadata", "partitions": [{"partitionIndex": 0}, {"partitionIndex": 1}]}]}))
        m.case(f"v{v} another topic, partitions", step(api, v, {"topics": [{"topicName": "t", "partitions": [{"partitionIndex": 0}, {"partitionIndex": 5}]}]}))
    return m.write()


@file
def describe_cluster(codec, name):
    m = Maker(codec, name)
    for v in m.versions("DescribeCluster"):
        m.edges("DescribeCluster", v, {"includeClusterAuthorizedOperations": False, "endpointType": 1, "includeFencedBrokers": False})
    return m.write()


@file
def list_config_resources(codec, name):
    m = Maker(codec, name)
    api = "ListConfigResources"
    m.case("setup", create(topic("t")), step("IncrementalAlterConfigs", 1, {"resources": [
        resource(GROUP, "g", {"name": "consumer.session.timeout.ms", "configOperation": 0, "value": "50000"}),
        resource(METRICS, "m", {"name": "interval.ms", "configOperation": 0, "value": "10000"})]}))
    for v in m.versions(api):
        m.edges(api, v, {"resourceTypes": [2]}, more={"resourceTypes": {**{str(n): [n] for n in (0, 1, 3, 4, 8, 16, 32, 64, 77, -1, 127)}, "all": [2, 4, 8, 16, 32],
                "some": [16, 32], "one bad": [2, 77]}} if v else {})
    return m.write()


@file
def api_versions(codec, name):
    m = Maker(codec, name)
    for v in range(0, 5):
        m.edges("ApiVersions", v, {"clientSoftwareName": "parity", "clientSoftwareVersion": "1.0"}, texts={
            "empty": "", "space": "a b", "dash": "-a", "end": "a-", "dotted": "a.b-c", "non-ascii": "ä", "one": "a", "long": "a" * 300})
    m.case("a version too high", step("ApiVersions", 6, raw="", answer_v=0))
    m.case("a version much too high", step("ApiVersions", 99, raw="00", answer_v=0))
    return m.write()


@file
def metadata(codec, name):
    m = Maker(codec, name, auto_create_topics_enable="false")
    m.case("setup", create(topic("t", 3), topic("u"), v=7))
    for v in m.versions("Metadata"):
        base = {"topics": [{"name": "t"}], "allowAutoTopicCreation": True, "includeClusterAuthorizedOperations": False, "includeTopicAuthorizedOperations": False}
        m.edges("Metadata", v, base)
        m.case(f"v{v} many", step("Metadata", v, {"topics": [{"name": n} for n in ("t", "u", "none", "t", "", "a/b")]}))
        if v >= 10:
            base = {"topics": [{"name": None, "topicId": "$id:t"}], "allowAutoTopicCreation": False, "includeTopicAuthorizedOperations": True}
            m.edges("Metadata", v, base, texts={"empty": "", "t": "t", "unknown": "unknown"})
            m.case(f"v{v} ids", step("Metadata", v, {"topics": [{"name": None, "topicId": i} for i in ("$id:t", UNKNOWN_ID, "$id:u", "$id:t")]}))
            m.case(f"v{v} id and name", step("Metadata", v, {"topics": [{"name": "t", "topicId": "$id:t"}, {"name": "u"}]}))
    return m.write()


@file
def describe_topic_partitions(codec, name):
    m = Maker(codec, name)
    m.case("setup", create(topic("t", 5), topic("u", 2), topic("v")))
    api = "DescribeTopicPartitions"
    base = {"topics": [{"name": "t"}], "responsePartitionLimit": 2000, "cursor": {"topicName": "t", "partitionIndex": 1}}
    m.edges(api, 0, base)
    for names in (["t", "u", "v"], ["v", "t", "u"], ["t", "none"], ["none"], [], ["t", "t"], ["", "a/b"]):
        for limit in (1, 3, 6, 8, 2000):
            m.case(f"{names} by {limit}", step(api, 0, {"topics": [{"name": n} for n in names], "responsePartitionLimit": limit, "cursor": None}))
    for cursor in (("t", 4), ("t", 5), ("t", -1), ("u", 0), ("none", 0), ("", 0), ("zzz", 0)):
        m.case(f"from {cursor}", step(api, 0, {"topics": [{"name": n} for n in "tuv"], "responsePartitionLimit": 3, "cursor": {
            "topicName": cursor[0], "partitionIndex": cursor[1]}}))
        m.case(f"all from {cursor}", step(api, 0, {"topics": [], "responsePartitionLimit": 3, "cursor": {"topicName": cursor[0], "partitionIndex": cursor[1]}}))
    return m.write()


@file
def unregister_broker(codec, name):
    m = Maker(codec, name)
    m.edges("UnregisterBroker", 0, {"brokerId": 2})
    return m.write()


@file
def metadata_auto_create(codec, name):
    m = Maker(codec, name, offsets_topic_num_partitions=1)
    done = {"path": "topics.0.errorCode", "is": 0}
    for v in m.versions("Metadata"):
        for label, n in (("new", "n%"), ("illegal", "a/b"), ("empty", ""), ("too long", "x" * 250), ("metadata", "__cluster_metadata")):
            first = step("Metadata", v, {"topics": [{"name": n}], "allowAutoTopicCreation": True})
            m.case(f"v{v} {label}", first, *([step("Metadata", v, first["f"], until=done), described(TOPIC, n, "retention.ms")] if label == "new" else []))
        m.case(f"v{v} two of one metric name", step("Metadata", v, {"topics": [{"name": "c.%"}], "allowAutoTopicCreation": True}, until=done),
               step("Metadata", v, {"topics": [{"name": "c_%"}], "allowAutoTopicCreation": True}), step("Metadata", v, {"topics": [{"name": "c_%"}],
                                                                                                                     "allowAutoTopicCreation": True}))
        if v >= 4:
            m.case(f"v{v} not wished", step("Metadata", v, {"topics": [{"name": "w%"}], "allowAutoTopicCreation": False}),
                   step("Metadata", v, {"topics": [{"name": "w%"}], "allowAutoTopicCreation": False}))
        m.case(f"v{v} several", step("Metadata", v, {"topics": [{"name": k} for k in ("s%", "a/b", "r%", "")], "allowAutoTopicCreation": True}))
    m.case("the offsets topic", step("Metadata", 12, {"topics": [{"name": "__consumer_offsets"}], "allowAutoTopicCreation": True}))
    return m.write()


@file
def metadata_records(codec, name):
    """What changes leave in the metadata log, each once."""
    m = Maker(codec, name)

    def alter(*resources):
        return step("IncrementalAlterConfigs", 1, {"resources": [resource(kind, n, *[
            {"name": k, "configOperation": op, "value": v} for k, op, v in configs]) for kind, n, *configs in resources]})

    m.case("topics", create(topic("t", 2, [("retention.ms", "1000"), ("cleanup.policy", "compact"), ("retention.ms", "2000")]), topic("u")),
           create({"name": "m", "numPartitions": -1, "replicationFactor": -1, "assignments": manual([1], [1]), "configs": []}),
           step("CreatePartitions", 3, {"topics": [{"name": "u", "count": 3, "assignments": None}, {"name": "m", "count": 3, "assignments": [{"brokerIds": [1]}]}],
                                        "timeoutMs": 30000}), create(topic("gone")), step("DeleteTopics", 5, {"topicNames": ["gone"], "timeoutMs": 30000}))
    m.case("configs", alter((TOPIC, "t", ("retention.ms", 1, None), ("segment.ms", 0, "100000"), ("cleanup.policy", 2, "delete"))),
           alter((TOPIC, "t", ("segment.ms", 0, "100000"), ("nope", 1, None))), alter((TOPIC, "t", ("cleanup.policy", 3, "compact"))),
           alter((BROKER, "1", ("log.cleaner.threads", 0, "2")), (BROKER, "", ("log.retention.ms", 0, "70000000"))),
           alter((BROKER, "1", ("log.cleaner.threads", 0, "2"))), alter((BROKER, "1", ("log.cleaner.threads", 1, None))),
           alter((BROKER, "1", ("log.cleaner.threads", 1, None))),
           alter((GROUP, "g", ("consumer.session.timeout.ms", 0, "50000")), (METRICS, "m", ("interval.ms", 0, "10000"))),
           step("AlterConfigs", 2, {"resources": [resource(TOPIC, "t", {"name": "flush.ms", "value": "5"})]}),
           step("AlterConfigs", 2, {"resources": [resource(TOPIC, "t")]}))
    m.case("in-sync sets", alter((TOPIC, "t", ("min.insync.replicas", 0, "2"))), alter((TOPIC, "t", ("min.insync.replicas", 0, "2"))),
           alter((TOPIC, "t", ("min.insync.replicas", 1, None))), alter((BROKER, "", ("min.insync.replicas", 0, "2"))))
    m.case("nothing", step("ElectLeaders", 2, {"electionType": 0, "topicPartitions": None, "timeoutMs": 30000}),
           step("AlterPartitionReassignments", 1, {"topics": [{"name": "t", "partitions": [{"partitionIndex": 0, "replicas": [1]}]}], "timeoutMs": 30000}),
           step("UpdateFeatures", 1, {"timeoutMs": 30000, "featureUpdates": [{"feature": "metadata.version", "maxVersionLevel": 30, "upgradeType": 1}]}),
           step("CreateTopics", 4, {"topics": [topic("dry")], "timeoutMs": 30000, "validateOnly": True}))
    m.case("features", *[step("UpdateFeatures", 1, {"timeoutMs": 30000, "featureUpdates": [
        {"feature": "eligible.leader.replicas.version", "maxVersionLevel": level, "upgradeType": kind}]}) for level, kind in ((0, 2), (1, 1))])
    m.case("producer ids", step("InitProducerId", 4, {"transactionalId": None, "transactionTimeoutMs": 1000}, until={"path": "errorCode", "is": 0}))
    m.log()
    return m.write()
