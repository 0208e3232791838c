#!/usr/bin/env python3
"""Listeners as clients see them: several, IPv6, advertised addresses, limits; a stop that drains."""
import os
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import cli
import tap
from tap import Skip, check, equal, test

INTERNAL, EXTERNAL = broker.free_port(), broker.free_port()


def metadata(host, port):
    """(host, port) of the one broker that Metadata v1 names, asked at that address."""
    body = struct.pack(">hhih", 3, 1, 7, -1) + struct.pack(">i", 0)
    with socket.create_connection((host, port), timeout=30) as sock:
        sock.sendall(struct.pack(">i", len(body)) + body)
        answer = broker.read_frame(sock)[4:]
    count, _, length = struct.unpack_from(">iih", answer)
    equal(count, 1, "brokers")
    name = answer[10:10 + length].decode()
    return name, struct.unpack_from(">i", answer, 10 + length)[0]


def started():
    if not socket.has_ipv6:
        raise Skip("no IPv6")
    return broker.Server(port=INTERNAL, props={
        "listeners": f"PLAINTEXT://127.0.0.1:{INTERNAL},EXTERNAL://[::1]:{EXTERNAL}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{INTERNAL},EXTERNAL://broker.example.org:19092",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,EXTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "max.connections.per.ip": 20}).start()


@test
def each_listener_names_its_own_address(server):
    equal(metadata("127.0.0.1", INTERNAL), ("127.0.0.1", INTERNAL), "internal")
    equal(metadata("::1", EXTERNAL), ("broker.example.org", 19092), "external")


def served_connection():
    """A connection on which ApiVersions was answered; None when it was refused."""
    sock = socket.create_connection(("127.0.0.1", INTERNAL), timeout=30)
    try:
        sock.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
        broker.read_frame(sock)
        return sock
    except OSError:
        sock.close()
        return None


@test
def connections_above_the_limit_are_closed_and_the_rest_served(server):
    # Connections of before may still count for a moment.
    held = [tap.eventually(served_connection, 30, f"connection {n} of 20") for n in range(1, 21)]
    with socket.create_connection(("127.0.0.1", INTERNAL), timeout=30) as extra:
        extra.settimeout(30)
        try:
            equal(extra.recv(1), b"", "a connection too many")
        except ConnectionResetError:
            pass
    for sock in held:
        sock.close()
    tap.eventually(lambda: broker.metadata_ready(server.address), 30, "Metadata after the crowd left")


@test
def requests_on_their_way_are_answered_before_a_stop(server):
    """A fetch that waits is answered at once when the node is told to stop."""
    topic = b"waits"
    cli.run(server, "topic", "create", "waits")
    fetch = struct.pack(">iiiib", -1, 120000, 1, 1 << 20, 0) + struct.pack(">ih", 1, len(topic)) + topic + struct.pack(
        ">iiqi", 1, 0, 0, 1 << 20)
    answers = []
    with socket.create_connection(("127.0.0.1", INTERNAL), timeout=30) as sock:
        frame = struct.pack(">hhih", 1, 4, 9, -1) + fetch
        sock.sendall(struct.pack(">i", len(frame)) + frame)
        reader = threading.Thread(target=lambda: answers.append(broker.read_frame(sock)))
        reader.start()
        time.sleep(0.5)
        equal(answers, [], "answers while there is nothing to fetch")
        server.proc.send_signal(signal.SIGTERM)
        reader.join(60)
    equal(len(answers), 1, "answers")
    equal(struct.unpack_from(">i", answers[0])[0], 9, "correlation id")
    equal(server.proc.wait(60), 0, "exit code")
    server.proc = None
    check(os.path.exists(os.path.join(server.log_dir, ".kafka_cleanshutdown")), "no clean-shutdown marker")
    server.start()


@test
def a_start_tells_whether_the_stop_was_clean(server):
    cli.run(server, "bench", "produce", "waits", "-w", "0", "--requests", "20")
    server.kill9()
    server.start()
    check("log loaded logs=1 clean_stop=false recovered=1" in server.log_tail(8), server.log_tail(8))
    server.restart()
    check("log loaded logs=1 clean_stop=true recovered=0" in server.log_tail(8), server.log_tail(8))


@test
def addresses_that_cannot_be_bound_are_explained(server):
    second = broker.Server(props={"listeners": f"PLAINTEXT://127.0.0.1:{INTERNAL}"})
    try:
        second.start(timeout_s=60)
    except RuntimeError as e:
        check(str(INTERNAL) in str(e), str(e))
        return
    finally:
        second.close()
    raise AssertionError("two nodes on one port")


if __name__ == "__main__":
    sys.exit(tap.main(started, broker.finished))
