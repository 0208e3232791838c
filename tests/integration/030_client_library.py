#!/usr/bin/env python3
"""libmoldau: the public header, the symbols, the scenarios of client_probe and the example programs
against a broker (Moldau, or Apache Kafka with MOLDAU_TEST_SERVER=apache), and an installed tree."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import tap
from sanitize import stretched
from tap import Skip, check, equal, test

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(broker.binary()))))
HEADER = os.path.join(broker.ROOT, "include/moldau/client.h")
PROBE = os.path.join(BUILD, "tests/integration/client_probe")


def run(command, timeout_s=90, ok=True, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, timeout=stretched(timeout_s), **options)
    if ok and done.returncode != 0:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def producer(server, topic, count):
    return run([os.path.join(BUILD, "examples/order_producer"), server.address, topic, str(count)])


class Consumer:
    """An order_consumer that writes to files: a full pipe would hold it up."""

    def __init__(self, server, *args):
        self.out, self.err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([os.path.join(BUILD, "examples/order_consumer"), server.address, *map(str, args)],
                                        stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL)

    def text(self, file):
        """From its start; where the consumer writes next is not moved, as seek() would."""
        return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode()

    def lines(self):
        """Whole lines: a killed process may leave half of one."""
        return [line for line in self.text(self.out).splitlines() if line.endswith("}")]

    def finish(self, timeout_s=90):
        try:
            self.process.wait(stretched(timeout_s))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        equal(self.process.returncode, 0, f"exit code, after {self.text(self.err)[-1500:]}")
        return self.lines()


def orders(lines):
    return [int(re.search(r'"order":(\d+)', line).group(1)) for line in lines]


@test
def the_header_compiles_alone_as_c_and_cpp(server):
    tried = 0
    for compiler, language, standard in (("gcc", "c", "c11"), ("clang", "c", "c11"), ("gcc", "c", "c17"),
                                         ("g++", "c++", "c++17"), ("clang++", "c++", "c++17"), ("g++", "c++", "c++20")):
        if not shutil.which(compiler):
            continue
        run([compiler, "-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", HEADER])
        tried += 1
    check(tried > 0, "no compiler")


@test
def the_libraries_export_what_the_headers_declare_and_nothing_else(server):
    text = "".join(open(os.path.join(os.path.dirname(HEADER), name)).read() for name in ("client.h", "broker.h"))
    declared = set(re.findall(r"\b(moldau_\w+)\(", re.sub(r"/\*.*?\*/", "", text, flags=re.S)))
    check(len(declared) > 50, declared)
    library = os.path.join(BUILD, "src/node/libmoldau")
    for command in (["nm", "-D", "--defined-only", library + ".so"], ["nm", "-g", "--defined-only", library + ".a"]):
        exported = {line.split()[-1] for line in run(command).splitlines() if len(line.split()) == 3}
        equal(exported, declared, " ".join(command))


@test
def the_guide_lists_every_option_with_its_default(server):
    source = open(os.path.join(broker.ROOT, "src/client/public_options.c")).read()
    defined = dict(re.findall(r'\[OPTION_\w+\]\s*=\s*(?:TEXT\(|NUMBER\(|CHOICE\(|\{)\s*"([^"]+)",\s*"([^"]*)"', source))
    guide = dict(re.findall(r"^\| `([a-z0-9.]+)` \|\s*`?([^|`]*?)`?\s*\|", open(os.path.join(broker.ROOT, "docs/client.md")).read(), re.M))
    check(len(defined) > 25, defined)
    equal(guide, defined, "options of docs/client.md")


def scenario(name):
    def scenario_test(server):
        address = server.address if name != "nobody_there_is_a_network_error" else f"127.0.0.1:{broker.free_port()}"
        run([PROBE, address, name])
    scenario_test.__name__ = name
    test(scenario_test)


with open(os.path.join(broker.ROOT, "tests/integration/client_probe.c")) as source:
    for found in re.findall(r"^    SCENARIO\((\w+)\),$", source.read(), re.M):
        scenario(found)


@test
def orders_that_were_sent_are_read_once_by_two_consumers(server):
    name = "orders-shared"
    run([PROBE, server.address, "makes_a_topic_of_four_partitions", name])
    consumers = [Consumer(server, name, name) for _ in range(2)]
    out = producer(server, name, 5000)
    check(out.startswith("5000 stored, 0 failed"), out)
    tap.eventually(lambda: committed(server, name) == 5000, 60, "every order committed", 0.3)
    for consumer in consumers:
        consumer.process.terminate()
    both = [order for consumer in consumers for order in orders(consumer.finish())]
    equal(sorted(both), list(range(5000)), "orders")


def committed(server, group):
    """The sum of committed offsets; the consumers commit every hundred orders and at the end of what there is."""
    return sum(map(int, run([PROBE, server.address, "prints_committed_offsets", group]).split()))


@test
def a_consumer_that_was_killed_is_followed_by_one_that_misses_nothing(server):
    name = "orders-killed"
    run([PROBE, server.address, "makes_a_topic_of_four_partitions", name])
    producer(server, name, 20000)
    first = Consumer(server, name, name)
    tap.eventually(lambda: len(first.lines()) >= 250, 60, "250 orders", 0.005)
    first.process.kill()
    first.process.wait()
    read = set(orders(first.lines()))
    left = 20000 - committed(server, name)
    rest = set(orders(Consumer(server, name, name, left).finish())) if left else set()
    print(f"# {len(read)} read by the one that was killed, {left} not committed")
    equal(len(read | rest), 20000, "orders that either of them read")


@test
def the_producer_goes_on_after_a_restart_of_the_broker(server):
    name, count = "orders-restart", 500000
    producer(server, name, 1)  # makes the topic, with one partition
    process = subprocess.Popen([os.path.join(BUILD, "examples/order_producer"), server.address, name, str(count)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    time.sleep(0.3)
    server.kill9()
    server.start()
    out, err = process.communicate(timeout=stretched(120))
    equal(out.strip(), f"{count} stored, 0 failed, highest offset {count}", f"each order once {err}")


@test
def a_member_goes_on_after_a_restart_of_the_broker(server):
    name = "orders-member"
    run([PROBE, server.address, "makes_a_topic_of_four_partitions", name])
    producer(server, name, 1000)
    consumer = Consumer(server, name, name)
    tap.eventually(lambda: committed(server, name) == 1000, 60, "the first half")
    server.kill9()
    server.start()
    producer(server, name, 2000)
    tap.eventually(lambda: committed(server, name) == 3000, 90, "the second half", 0.3)
    consumer.process.terminate()
    equal(sorted(orders(consumer.finish())), sorted([*range(1000), *range(2000)]), "orders")


def installed():
    """A tree as `meson install` leaves it, and what pkg-config says there."""
    if not shutil.which("pkg-config") or not shutil.which("meson"):
        raise Skip("no pkg-config or no meson")
    tree = tempfile.mkdtemp(prefix="moldau-install-")
    run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", tree])
    pc = [os.path.join(d, f) for d, _, files in os.walk(tree) for f in files if f == "moldau.pc"]
    equal(len(pc), 1, "moldau.pc")
    environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": tree, "PKG_CONFIG_PATH": os.path.dirname(pc[0])}
    return tree, lambda *what: run(["pkg-config", *what, "moldau"], env=environment).split()


@test
def an_example_builds_and_runs_on_the_installed_tree(server):
    tree, pkg_config = installed()
    try:
        source = os.path.join(broker.ROOT, "examples/order_producer.c")
        library_dir = pkg_config("--variable=libdir")[0]
        library_dir = library_dir if library_dir.startswith(tree) else tree + library_dir
        symbols = run(["nm", "-D", os.path.join(library_dir, "libmoldau.so")])
        sanitize = [f for f, symbol in (("-fsanitize=address,undefined", "__asan_init"), ("-fsanitize=thread", "__tsan_init"))
                    if symbol in symbols]
        shared, static = os.path.join(tree, "shared"), os.path.join(tree, "static")
        compile = ["gcc", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", *sanitize, source, *pkg_config("--cflags")]
        run([*compile, "-o", shared, *pkg_config("--libs")])
        rest = [f for f in pkg_config("--static", "--libs") if f != "-lmoldau"]
        run([*compile, "-o", static, os.path.join(library_dir, "libmoldau.a"), *rest])
        equal(os.path.basename(os.readlink(os.path.join(library_dir, "libmoldau.so"))), "libmoldau.so.0", "soname link")
        for program, environment in ((shared, {"LD_LIBRARY_PATH": library_dir}), (static, {})):
            out = run([program, server.address, "orders-installed", "100"], env={**os.environ, **environment})
            check(out.startswith("100 stored, 0 failed"), out)
        binary = [os.path.join(d, "moldau") for d, _, files in os.walk(tree) if d.endswith("/bin") and "moldau" in files]
        equal(len(binary), 1, "installed binaries")
        run([binary[0], "help"])
    finally:
        shutil.rmtree(tree, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
