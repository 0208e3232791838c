"""What programs that compare compaction with Apache Kafka's share."""
import glob
import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../../lib"), os.path.join(HERE, "../matrix")]
import apache  # noqa: E402
import broker  # noqa: E402
import env  # noqa: E402
import raw  # noqa: E402
from tap import check, equal, eventually  # noqa: E402

PROPS = {"offsets.topic.num.partitions": "3", "log.cleaner.enable": "false"}
CLEANING = {**PROPS, "log.cleaner.enable": "true", "log.cleaner.backoff.ms": "200",
            "log.initial.task.delay.ms": "100", "log.retention.check.interval.ms": "1000"}


def setup():
    apache.jars()
    env.need("kcat")


def produce(server, lines, *options, topic="c"):
    env.run("kcat", "-b", server.address, "-q", "-P", "-t", topic, "-p", "0", "-K", ":", "-Z",
            "-X", "batch.num.messages=7", "-X", "linger.ms=20", *options, input="\n".join(lines).encode())


def records(server, topic="c", isolation="read_committed"):
    """offset:time:key:value of every record."""
    return env.run("kcat", "-b", server.address, "-q", "-C", "-t", topic, "-p", "0", "-o", "beginning", "-e", "-Z",
                   "-f", "%o:%T:%k:%s\n", "-X", "check.crcs=true", "-X", "isolation.level=" + isolation).decode().splitlines()


def lines_of(rng, count, keys):
    """Values of about 500 bytes; some are tombstones."""
    return [f"k{rng.randrange(keys)}:" + ("" if rng.random() < 0.1 else f"{i}-" + "v" * 500) for i in range(count)]


def segment_base(server, topic, offset=1 << 62):
    """Where the segment begins that has the offset; else the active one."""
    bases = [int(os.path.basename(name)[:20]) for name in glob.glob(os.path.join(server.log_dir, topic + "-0", "*.log"))]
    return max(base for base in bases if base <= offset)


def cleaned_to(server, topic):
    path = os.path.join(server.log_dir, "cleaner-offset-checkpoint")
    lines = open(path).read().split("\n") if os.path.exists(path) else []
    return max([int(line.split()[2]) for line in lines if line.startswith(topic + " 0 ")], default=0)


def wait_cleaned(server, topic="c", bound=None):
    """Until it is cleaned to the segment that has the offset, or to the active one."""
    bound = segment_base(server, topic) if bound is None else segment_base(server, topic, bound)
    deadline = time.monotonic() + 120
    while cleaned_to(server, topic) < bound:
        check(time.monotonic() < deadline, f"{topic}: cleaned to {cleaned_to(server, topic)} of {bound}: {server.log_tail()}")
        time.sleep(0.1)
    equal(cleaned_to(server, topic), bound, f"{topic}: cleaned to")
    return bound


def newest(lines):
    found = {}
    for line in lines:
        _, _, key, value = line.split(":", 3)
        found[key] = value
    return found


def copied(server, kind):
    """A node of that kind, with its cleaner at work, on a copy of the directory."""
    directory = tempfile.mkdtemp(prefix="moldau-test-", dir=os.path.dirname(server.log_dir))
    log_dir = os.path.join(directory, "data")
    shutil.copytree(server.log_dir, log_dir)
    return broker.Server(kind=kind, props=CLEANING, log_dir=log_dir).start()


def dump_complaints(directory):
    """What kafka-dump-log finds wrong in the log and index files of a directory."""
    files = sorted(name for suffix in ("log", "index", "timeindex") for name in glob.glob(os.path.join(directory, "*." + suffix)))
    said = apache.run("dump-log", "--deep-iteration", "--files", ",".join(files))
    check("baseOffset: " in said, said[-500:])
    bad = re.compile(r"isvalid: false|Mismatches|mismatch|not found|Exception|Non-consecutive|out of order", re.I)
    # Holes are what compaction leaves; the tool calls them so and means no harm.
    return [line for line in said.splitlines() if bad.search(line) and "Non-consecutive" not in line][:10]


HORIZON = 64   # the bit of a batch whose first time is the one from which its tombstones may go


def shown_batches(server, topic):
    """All but those without records, of which a broker may keep more."""
    return [(b.base_offset, b.last_offset, b.count, b.attributes, b.base_timestamp if not b.attributes & HORIZON else "horizon",
             b.max_timestamp, b.producer_id, b.producer_epoch, b.sequence) for b in raw.batches(server.address, topic) if b.count > 0]


def seen(server, topic):
    """What clients can tell of a topic: batches, records, and the offsets of about a hundred times."""
    eventually(lambda: raw.led(server.address, topic, 1), what=f"{topic} is led")
    out = {"batches": shown_batches(server, topic)}
    for isolation in ("read_committed", "read_uncommitted"):
        out[isolation] = records(server, topic, isolation)
    times = sorted({int(line.split(":")[1]) + more for line in out["read_uncommitted"] for more in (0, 1)})
    times = [-2, -3, 0, *times[::1 + len(times) // 100], times[-1]]
    out["offsets"] = [(time_ms, raw.list_offset(server.address, topic, time_ms, isolation)) for time_ms in times for isolation in (0, 1)]
    # The epoch is the leader's, which begins one when it likes.
    out["latest"] = [raw.list_offset(server.address, topic, -1, isolation)[:3] for isolation in (0, 1)]
    return out


NONE = (0, -1, -1, -1)


def same(got, want):
    """got is ours. Kafka finds nothing for a time where it meets a segment that compaction emptied; there the records tell."""
    rows = [tuple(map(int, line.split(":")[:2])) for line in got["read_uncommitted"]]
    for what, others in want.items():
        for one, other in zip(got[what], others):
            if what == "offsets" and other[1] == NONE != one[1]:
                first = next((offset, time_ms) for offset, time_ms in rows if time_ms >= one[0])
                equal((one[1][2], one[1][1]), first, f"the offset of time {one[0]}")
                continue
            equal(one, other, what)
        equal(len(got[what]), len(others), f"{what}, how many")
