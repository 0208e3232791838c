"""The loop of a client's program: requests in, answers out, one JSON object a line (see ../matrix/README.md).

Plain Python of 3.6, as old versions of libraries need old interpreters.
"""
import base64
import json
import os
import sys
import traceback


class Lacks(Exception):
    pass


class Failed(Exception):
    def __init__(self, code, text=""):
        Exception.__init__(self, text)
        self.code = code


def encoded(data):
    return None if data is None else base64.b64encode(bytes(data)).decode()


def decoded(text):
    return None if text is None else base64.b64decode(text)


def record(partition, offset, key, value, headers, timestamp):
    return {"p": partition, "o": offset, "k": encoded(key), "v": encoded(value), "t": timestamp,
            "h": [[name, encoded(data)] for name, data in headers or []]}


def serve(peer, code_of):
    """Calls peer.OP(**arguments) for each request; code_of(exception) gives Kafka's error code or None."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)   # what a library prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        method = getattr(peer, request.pop("op"), None)
        try:
            if method is None:
                raise Lacks("not in the library")
            answer = method(**request) or {}
        except Lacks as e:
            answer = {"lacks": str(e)}
        except Failed as e:
            answer = {"error": e.code, "text": str(e)}
        except Exception as e:
            traceback.print_exc()
            answer = {"error": code_of(e), "text": "%s: %s" % (type(e).__name__, e)}
        out.write(json.dumps(answer) + "\n")
        out.flush()
