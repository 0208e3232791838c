#!/usr/bin/env python3
"""A broker inside a process (include/moldau/broker.h): the header, the scenarios of server_probe, what a thousand
starts leave, the example programs, and a client of another kind (librdkafka) on it."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import env
import sanitize
import tap
from tap import Skip, check, equal, test

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(broker.binary()))))
HEADER = os.path.join(broker.ROOT, "include/moldau/broker.h")
PROBE = os.path.join(BUILD, "tests/integration/server_probe")
ASAN = os.path.join(broker.ROOT, "build/asan/tests/integration/server_probe")


def in_directory(use):
    directory = tempfile.mkdtemp(prefix="moldau-embedded-")
    try:
        return use(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@test
def the_header_compiles_alone_as_c_and_cpp():
    tried = 0
    for compiler, language, standard in (("gcc", "c", "c11"), ("clang", "c", "c17"), ("g++", "c++", "c++17"), ("clang++", "c++", "c++20")):
        if not shutil.which(compiler):
            continue
        env.run(compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only",
                "-I", os.path.join(broker.ROOT, "include"), HEADER)
        tried += 1
    check(tried > 0, "no compiler")


def scenario(name):
    def scenario_test():
        in_directory(lambda directory: env.run(PROBE, name, directory))
    scenario_test.__name__ = name
    test(scenario_test)


with open(os.path.join(broker.ROOT, "tests/integration/server_probe.c")) as source:
    for found in re.findall(r"^    SCENARIO\((\w+)\),$", source.read(), re.M):
        scenario(found)


@test
def a_thousand_starts_leave_nothing():
    count = 200 if sanitize.KIND else 1000
    out = env.run(PROBE, "cycles", str(count)).decode()
    print("# " + out.strip())
    match = re.match(r"start_ms (\S+) stop_ms (\S+) rss_kib (\d+) (\d+) fds (\d+) (\d+) threads (\d+)$", out)
    check(match, out)
    rss_early, rss_late, fds_early, fds_late, threads = map(int, match.groups()[2:])
    # A sanitizer keeps back what was freed.
    check(sanitize.KIND or rss_late <= rss_early + 2048, f"resident memory grew from {rss_early} to {rss_late} KiB in 750 starts")
    equal(fds_late, fds_early, "descriptors")
    equal(threads, 2 if sanitize.KIND == "thread" else 1, "threads")  # with one of that sanitizer


@test
def the_address_sanitizer_finds_no_leak_in_a_hundred_starts():
    if sanitize.KIND == "thread":
        raise Skip("it is another sanitizer's")
    if not os.path.exists(ASAN):
        raise Skip("no build/asan (script/build asan makes it)")
    environment = sanitize.merged(os.environ, {"ASAN_OPTIONS": "detect_leaks=1:exitcode=9", "UBSAN_OPTIONS": "halt_on_error=1"}, ASAN)
    print("# " + env.run(ASAN, "cycles", "100", env=environment).decode().strip())
    for name in ("many_run_side_by_side", "a_restart_keeps_what_is_on_disk", "a_directory_or_port_that_is_taken_is_refused",
                 "settings_are_checked_when_they_are_set", "a_full_memory_refuses_writes"):
        in_directory(lambda directory: env.run(ASAN, name, directory, env=environment))


@test
def the_example_test_passes():
    equal(env.run(os.path.join(BUILD, "examples/embedded_test")), b"100 orders came back\n", "output")


@test
def the_python_module_serves_confluent_kafka():
    if sanitize.KIND == "thread":
        raise Skip("the interpreter does not run with that sanitizer's library loaded before its own")
    python = env.venv_python("venv-confluent", "confluent-kafka==2.16.1")
    program = """
import moldau_broker, confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewTopic
with moldau_broker.Broker(num_partitions=3) as one, moldau_broker.Broker({"auto.create.topics.enable": "false"}) as two:
    assert one.port != two.port and one.address.endswith(f":{one.port}")
    producer = ck.Producer({"bootstrap.servers": one.address})
    for i in range(1000):
        producer.produce("orders", key=str(i % 7), value=f"order {i}")
    assert producer.flush(20) == 0
    consumer = ck.Consumer({"bootstrap.servers": one.address, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    got = set()
    while len(got) < 1000:
        for message in consumer.consume(500, 20):
            assert message.error() is None, message.error()
            got.add(message.value())
    consumer.close()
    assert len(AdminClient({"bootstrap.servers": one.address}).list_topics("orders", 10).topics["orders"].partitions) == 3
    assert "orders" not in AdminClient({"bootstrap.servers": two.address}).list_topics(timeout=10).topics
broker = moldau_broker.Broker()
try:
    moldau_broker.Broker(num_partitons=3)
except moldau_broker.BrokerError as e:
    assert e.code == 1 and "num.partitions" in str(e), e
else:
    raise AssertionError("a wrong setting was taken")
broker.close()
print("done")
"""
    library = os.path.join(BUILD, "src/node/libmoldau.so.0")
    environment = {**os.environ, "PYTHONPATH": os.path.join(broker.ROOT, "examples"), "MOLDAU_LIBRARY": library,
                   **sanitize.preloaded(library)}
    equal(env.run(python, "-c", program, env=environment), b"done\n", "output")


@test
def a_server_in_memory_writes_no_file():
    def use(directory):
        server = broker.Server(directory=directory, log_dir=os.path.join(directory, "data"))
        command = server._moldau_command() + ["--memory", "64"]
        server._moldau_command = lambda: command
        server.start()
        try:
            address = server.address
            env.run(broker.binary(), "produce", "t", "-b", address, input=b"one\n")
            out = env.run(broker.binary(), "consume", "t", "-b", address, "--offset", "start", "--exit", "-f", "%s\\n")
            equal(out, b"one\n", "record")
            equal(sorted(os.listdir(directory)), ["server.out"], "files")
        finally:
            equal(server.stop(), 0, "exit code")
    in_directory(use)


if __name__ == "__main__":
    sys.exit(tap.main())
