#!/usr/bin/env python3
"""confluent-kafka (librdkafka): every scenario of the matrix. The version is that of the program's name.

usage: run_..._confluent_VERSION [SCENARIO]...
"""
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../matrix"))
import matrix
import env
import raw
import scenarios
import tap

# Old versions come as wheels for old interpreters only.
VERSIONS = {"2.16": ("2.16.1", None), "2.0": ("2.0.2", None), "1.9": ("1.9.2", "3.10"), "1.8": ("1.8.2", "3.9"), "1.6": ("1.6.1", "3.9")}
VERSION = os.path.basename(sys.argv[0]).rsplit("_", 1)[1]


def command():
    package, interpreter = VERSIONS[VERSION]
    if interpreter:
        version, interpreter = interpreter, env.python_of(interpreter)
        if not interpreter:
            raise tap.Skip(f"no Python {version}, for which confluent-kafka {package} is made")
    name = "venv-confluent" + ("" if VERSION == "2.16" else "-" + VERSION)
    return [env.venv_python(name, "confluent-kafka==" + package, interpreter=interpreter), os.path.join(HERE, "confluent_peer.py")]


@tap.test
def statistics_tell_the_first_and_the_next_offset(context):
    if VERSION == "1.6":
        raise tap.Skip("it asks ListOffsets version 0, which is not served")
    topic = scenarios.topic_of(context.server, "statistics")
    context.peer.produce(topic, scenarios.lines(20))
    raw.delete_records(context.server.address, topic, 0, 5)
    tap.equal(context.peer.call("statistics", topic=topic, low=5), {"lo_offset": 5, "hi_offset": 20, "ls_offset": 20}, "statistics")


if __name__ == "__main__":
    sys.exit(matrix.run("confluent-" + VERSION, command))
