#!/usr/bin/env python3
"""Start, idle and stop of the real process; bad frames do not end it."""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import tap
from sanitize import stretched
from tap import check, equal, test


@test
def an_empty_directory_becomes_a_node_that_answers(server):
    print(f"# Metadata answered after {server.ready_ms:.0f} ms, {server.rss_mib():.1f} MiB resident")
    check(broker.metadata_ready(server.address), "no Metadata")


@test
def bad_frames_close_their_connection_and_nothing_else(server):
    for bad in (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", struct.pack(">i", 4) + b"abcd", b"GET / HTTP/1.1\r\n\r\n",
                struct.pack(">ihhih", 10, 9999, 0, 1, -1)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
            sock.sendall(bad)
            try:
                equal(sock.recv(1), b"", "answer to nonsense")
            except ConnectionResetError:
                pass
    check(broker.metadata_ready(server.address), "no Metadata afterwards")


@test
def an_unknown_version_of_api_versions_is_answered_with_version_0(server):
    body = broker.request(server.address, 18, 99)
    equal(struct.unpack_from(">h", body)[0], 35, "error code")


@test
def a_second_node_on_the_same_directory_is_refused(server):
    second = broker.Server(log_dir=server.log_dir)
    try:
        second.start(timeout_s=60)
    except RuntimeError as e:
        check("ended with" in str(e), str(e))
        return
    finally:
        second.close()
    raise AssertionError("it started")


@test
def it_stops_cleanly_and_starts_again(server):
    equal(server.stop(), 0, "exit code")
    server.start()
    server.kill9()
    server.start()


@test
def a_stop_at_any_moment_of_the_start_is_an_orderly_one(server):
    server.kill9()  # so that the next start has something to recover
    for delay_ms in range(0, 60, 3):
        with open(server.out, "ab") as out:
            process = subprocess.Popen(server._moldau_command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        time.sleep(delay_ms / 1000)
        process.send_signal(signal.SIGTERM)
        # Before it listens to signals the kernel ends it.
        check(process.wait(stretched(20)) in (0, -signal.SIGTERM), f"stopped {delay_ms} ms after its start: {process.returncode}\n{server.log_tail(12)}")
    server.start()


if __name__ == "__main__":
    sys.exit(tap.main(broker.started, broker.finished))
