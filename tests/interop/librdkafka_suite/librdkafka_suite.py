"""librdkafka's own test programs: fetched, built once, run one test number at a time."""
import os
import re
import shutil
import stat
import subprocess

import apache
import env

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "@confluentinc/kafka-javascript@1.10.1"  # carries librdkafka 2.15.1 with its tests
SUMMARY = re.compile(r"\|\s*(\d{4}_\w+)\s*\|\s*(\w+)\s*\|")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
TIMEOUT_S = 900


def build():
    """The directory of the built test programs."""
    def make(directory):
        env.run("npm", "pack", "--silent", PACKAGE, cwd=directory, timeout_s=300)
        archive = next(name for name in os.listdir(directory) if name.endswith(".tgz"))
        env.run("tar", "xzf", archive, "package/deps/librdkafka", cwd=directory)
        source = os.path.join(directory, "package/deps/librdkafka")
        env.run("./configure", "--disable-gssapi", "--disable-curl", cwd=source, timeout_s=300)
        for part, target in (("src", "all"), ("src-cpp", "all"), ("tests", "build")):
            env.run("make", "-j2", "-C", part, target, cwd=source, timeout_s=1800)
    env.need("npm", "make", "cc", "c++")
    return os.path.join(env.once("librdkafka_suite", make), "package/deps/librdkafka/tests")


def tools(directory):
    """A directory with the two scripts of Apache Kafka's bin/ that the tests call."""
    os.makedirs(os.path.join(directory, "bin"), exist_ok=True)
    for script, tool in (("kafka-topics.sh", "topics"), ("kafka-configs.sh", "configs")):
        path = os.path.join(directory, "bin", script)
        words = " ".join("'" + word + "'" for word in apache.command(tool))
        with open(path, "w") as f:
            f.write(f'#!/bin/sh\nexec {words} "$@"\n')
        os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    return directory


def prepare():
    return build()


def properties(name):
    """Tests of one number run together; "NUMBER_name:part" is a part, "@scenario" another broker."""
    name, _, scenario = name.partition("@")
    number, part = name[:4], name.partition(":")[2]
    auto = "false" if scenario == "noautocreate" else "true"
    # The suite counts on the default delay: members that start together are in the first generation together.
    return scenario, {"num.partitions": 4, "auto.create.topics.enable": auto, "group.initial.rebalance.delay.ms": 3000}, (number, part)


def run_one(tests, server, names, directory):
    name, _, scenario = names[0].partition("@")
    number, part = name[:4], name.partition(":")[2]
    own = os.path.join(directory, re.sub(r"\W", "_", names[0]))
    shutil.rmtree(own, ignore_errors=True)
    os.makedirs(own)
    conf = os.path.join(own, "test.conf")
    with open(conf, "w") as f:
        f.write(f"bootstrap.servers={server.address}\ntest.topic.random=true\ntest.timeout.multiplier=2\n")
    variables = {"TESTS": number, "RDKAFKA_TEST_CONF": conf, "BROKERS": server.address, "BROKER_ADDRESS_1": server.address,
                 "TEST_KAFKA_VERSION": "4.3.1", "TEST_SCENARIO": scenario or "default", "KAFKA_PATH": tools(own),
                 "LD_LIBRARY_PATH": "../src:../src-cpp"}
    if part:
        variables["SUBTESTS"] = part
    base = {key: value for key, value in os.environ.items() if key not in ("CI", "SUBTESTS", "TEST_MODE")}
    output = os.path.join(own, "output")
    with open(output, "wb") as out:
        try:
            subprocess.run(["./test-runner", "-p1", "-L"], cwd=tests, env={**base, **variables}, stdout=out, stderr=out,
                           stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            out.write(f"not ended within {TIMEOUT_S} s\n".encode())
    with open(output, errors="replace") as f:
        text = COLOUR.sub("", f.read())
    states = dict(SUMMARY.findall(text))
    # A test whose parts were all filtered out passes too.
    ran = not part or re.search(r"\[ .*" + re.escape(part) + r".*: PASS \(", text) is not None
    return {n: (ran and states.get(n.partition("@")[0].partition(":")[0]) == "PASSED", text) for n in names}
