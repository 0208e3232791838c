"""Apache Kafka as a peer: its command-line tools and a node, from Maven jars.

The jars are collected once into build/cache/apache (or taken from $KAFKA_PEER_CACHE or
~/.cache/kafka-peer where they are complete). Without a JDK, tests that need them skip.
"""
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess

from tap import Skip

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VERSION = os.environ.get("KAFKA_PEER_VERSION", "4.3.1")
CLUSTER_ID = "TW9sZGF1VGVzdENsdXN0ZQ"
LOG4J = """status=error
appender.console.type=Console
appender.console.name=console
appender.console.target=SYSTEM_ERR
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level={level}
rootLogger.appenderRef.console.ref=console
"""
TOOLS = {
    "api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "client-compatibility": "org.apache.kafka.tools.ClientCompatibilityTest",
    "cluster": "org.apache.kafka.tools.ClusterTool",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "replica-verification": "org.apache.kafka.tools.ReplicaVerificationTool",
    "storage": "kafka.tools.StorageTool",
    "streams-application-reset": "org.apache.kafka.tools.StreamsResetter",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}
# Flags of Apache's own start script, so that a comparison is a fair one.
NODE_FLAGS = ["-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
              "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent",
              "-Djava.awt.headless=true"]


def jars():
    """The class path; collects the jars at the first call. Raises Skip where that cannot be."""
    for cache in filter(None, [os.environ.get("KAFKA_PEER_CACHE"),
                               os.path.expanduser("~/.cache/kafka-peer")]):
        if os.path.exists(os.path.join(cache, VERSION, ".complete")):
            return os.path.join(cache, VERSION, "*")
    if not shutil.which("java"):
        raise Skip("no JDK (script/setup --test installs one)")
    if not shutil.which("mvn"):
        raise Skip("no mvn (script/setup --test installs it)")
    pom = os.path.join(ROOT, "tests/interop/apache/pom.xml")
    with open(pom, "rb") as f:
        target = os.path.join(ROOT, "build/cache/apache", f"{VERSION}-{hashlib.sha256(f.read()).hexdigest()[:8]}")
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(target, ".complete")):
            subprocess.run(["mvn", "-q", "-B", "-Dstyle.color=never", "-f", pom,
                            f"-Dkafka.version={VERSION}", "dependency:copy-dependencies",
                            f"-DoutputDirectory={target}"], check=True, stdin=subprocess.DEVNULL)
            open(os.path.join(target, ".complete"), "w").close()
    return os.path.join(target, "*")


def java(flags, level="error"):
    cache = os.path.join(ROOT, "build/cache")
    os.makedirs(cache, exist_ok=True)
    config = os.path.join(cache, f"log4j2-{level}.properties")
    if not os.path.exists(config):
        temporary = f"{config}.{os.getpid()}"
        with open(temporary, "w") as f:
            f.write(LOG4J.format(level=level))
        os.rename(temporary, config)
    return ["java", *flags, f"-Dlog4j2.configurationFile={config}", "-cp", jars()]


def program(*sources, flags=("-Xmx384M",)):
    """Compiles Java sources against the jars, once; the beginning of a command, which a class's name goes on."""
    digest = hashlib.sha256()
    for path in sources:
        with open(path, "rb") as f:
            digest.update(f.read())
    classes = os.path.join(ROOT, "build/cache/java", digest.hexdigest()[:16])
    if not os.path.exists(classes):
        if not shutil.which("javac"):
            raise Skip("no javac (script/setup --test installs it)")
        temporary = f"{classes}.{os.getpid()}"
        subprocess.run(["javac", "-nowarn", "-Xlint:none", "-cp", jars(), "-d", temporary, *sources], check=True,
                       stdin=subprocess.DEVNULL)
        try:
            os.rename(temporary, classes)
        except OSError:
            shutil.rmtree(temporary)  # another was faster
    out = java([*flags, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"])
    return [*out[:-1], f"{out[-1]}:{classes}"]


def command(tool, *args):
    return java(["-Xmx384M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]) + [TOOLS[tool], *map(str, args)]


def run(tool, *args, stdin=None, timeout_s=90, ok=True):
    """Runs a tool to its end and gives its standard output; with ok=None also accepts a failure."""
    done = subprocess.run(command(tool, *args), input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=timeout_s,
                          **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
    out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    if ok is True and done.returncode != 0:
        raise AssertionError(f"{tool} {args}: exit code {done.returncode}\n{out[-2000:]}\n{err[-2000:]}")
    return out if ok is True else (done.returncode, out + err)


def node_command(directory, log_dir, port, controller_port, props):
    """Writes the properties of a combined node, formats the directory when new, gives the command."""
    values = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": log_dir,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        **props,
    }
    path = os.path.join(directory, "node.properties")
    with open(path, "w") as f:
        f.writelines(f"{key}={value}\n" for key, value in values.items())
    if not glob.glob(os.path.join(log_dir, "meta.properties")):
        run("storage", "format", "--cluster-id", CLUSTER_ID, "--config", path)
    return java(NODE_FLAGS, "info") + ["kafka.Kafka", path]
