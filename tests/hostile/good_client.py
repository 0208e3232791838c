#!/usr/bin/env python3
"""A well-behaved client in a process of its own, so that it waits for the node and not for the attacker's interpreter.

usage: good_client.py HOST PORT PID FRAME...     frames (hexadecimal) with their size, each sent when the one before is answered
Says "begun" after its first round and goes round until its input ends; then prints for each round how long it took and how much processor time the busiest
reactor of node PID (0: unknown) used meanwhile, both in milliseconds. The second does not depend on what else the machine does."""
import glob
import os
import select
import socket
import sys
import time

PAUSE_S, WAIT_S = 0.002, 20


def exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionError("the node closed")
        data += more
    return data


def reactors(pid):
    """Their schedstat files: nanoseconds on a processor first."""
    found = []
    for path in glob.glob(f"/proc/{pid}/task/*/comm"):
        with open(path) as f:
            if f.read().startswith("reactor"):
                found.append(open(path[:-len("comm")] + "schedstat", "rb", buffering=0))
    return found


def used_ms(files):
    for f in files:
        f.seek(0)
    return [int(f.read(64).split()[0]) / 1e6 for f in files]


def main():
    frames = [bytes.fromhex(text) for text in sys.argv[4:]]
    files = reactors(sys.argv[3])
    sock = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=WAIT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    while not select.select([0], [], [], PAUSE_S)[0]:
        used, start = used_ms(files), time.monotonic()
        for data in frames:
            sock.sendall(data)
            exactly(sock, int.from_bytes(exactly(sock, 4), "big"))
        took = (time.monotonic() - start) * 1000
        if not times:
            os.write(1, b"begun\n")
        times.append((took, max((after - before for before, after in zip(used, used_ms(files))), default=0)))
    os.write(1, "".join(f"{took:.4f} {used:.4f}\n" for took, used in times).encode())


main()
