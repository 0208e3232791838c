"""Runs the scenarios with one client: run(NAME, command) is the whole of a run_test beside a client's program."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../../lib")]
import broker  # noqa: E402
import clients  # noqa: E402
import scenarios  # noqa: E402
import tap  # noqa: E402
from peer import Failed, Lacks, Peer  # noqa: E402

MAIN = {"auto.create.topics.enable": "false", "offsets.topic.num.partitions": "3", "group.min.session.timeout.ms": "1000"}
AUTO = {"auto.create.topics.enable": "true", "connections.max.idle.ms": "2000", "producer.id.expiration.ms": "1000",
        "producer.id.expiration.check.interval.ms": "500"}


class Context:
    def __init__(self, name, command):
        self.client = clients.CLIENTS[name]
        self.server = broker.Server(props=MAIN).start()
        self.second = broker.Server(props=AUTO).start()
        log = os.path.join(self.server.dir, "client.log")
        self.peer = Peer(command, self.server.address, log)
        self.peer.auto = Peer(command, self.second.address, log)
        self.idle_lacks = None
        try:
            scenarios.begin_idleness(self.peer)
        except (Lacks, Failed) as e:
            self.idle_lacks = e

    def log_tail(self):
        return self.server.log_tail() + "\n" + self.peer.log_tail()

    def close(self):
        self.peer.close(5)
        self.peer.auto.close(5)
        broker.finished(self.second)
        broker.finished(self.server)


def as_test(scenario):
    def run(context):
        reason, wrong = context.client.lacks.get(scenario.__name__), context.client.wrong.get(scenario.__name__)
        if scenario is scenarios.idempotent_producer_after_idleness and context.idle_lacks:
            if not reason:
                raise context.idle_lacks
            raise tap.Skip("not in the client: " + reason)
        try:
            scenario(context.peer, context.server)
        except Lacks as e:
            context.peer.close()   # what it held open goes with it
            if not reason:
                raise AssertionError(f"the client lacks it, which clients.py does not say: {e}") from e
            raise tap.Skip("not in the client: " + reason) from e
        except Exception as e:
            context.peer.close()
            if not wrong:
                raise
            raise tap.Skip("the client is wrong, with Apache Kafka too: " + wrong) from e
        tap.check(not wrong, f"works, although clients.py says: {wrong}")
        tap.check(not reason, f"works, although clients.py says: {reason}")
    run.__name__ = scenario.__name__
    return run


def the_library_has_the_version_that_the_matrix_names(context):
    answer = context.peer.call("hello")
    tap.equal((answer["client"], answer.get("library", "")), (context.client.title, context.client.library), "versions")


def run(name, command, setup=None):
    """command() gives the client's program, as a list; it may raise tap.Skip. setup(context) adds to the context."""
    tap.test(the_library_has_the_version_that_the_matrix_names)
    for scenario in scenarios.SCENARIOS:
        tap.test(as_test(scenario))

    def begin():
        context = Context(name, command())
        if setup:
            setup(context)
        return context
    return tap.main(begin, Context.close)
