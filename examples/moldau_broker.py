"""A Kafka broker inside a Python process, for tests, by libmoldau.

    with Broker(num_partitions=3) as broker:
        producer = confluent_kafka.Producer({"bootstrap.servers": broker.address})

Without log_dirs everything is in memory and gone at the end. Settings are those of Kafka's
server.properties with _ for . , or a dict for names that have one. MOLDAU_LIBRARY names the library
when the linker does not find it.
"""
import ctypes
import os

_VOID = ctypes.c_void_p


def _load():
    library = ctypes.CDLL(os.environ.get("MOLDAU_LIBRARY", "libmoldau.so.0"))
    signatures = {
        "moldau_server_new": (ctypes.c_int, [ctypes.POINTER(_VOID)]),
        "moldau_server_free": (None, [ctypes.POINTER(_VOID)]),
        "moldau_server_set": (ctypes.c_int, [_VOID, ctypes.c_char_p, ctypes.c_char_p]),
        "moldau_server_start": (ctypes.c_int, [_VOID]),
        "moldau_server_stop": (ctypes.c_int, [_VOID, ctypes.c_int64]),
        "moldau_server_address": (ctypes.c_char_p, [_VOID]),
        "moldau_server_port": (ctypes.c_uint16, [_VOID]),
        "moldau_server_error": (ctypes.c_char_p, [_VOID]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class BrokerError(RuntimeError):
    """What a call of the library said; code is its enum moldau_err."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Broker:
    def __init__(self, settings=None, **more):
        self._library = _load()
        self._server = _VOID()
        self._check(self._library.moldau_server_new(ctypes.byref(self._server)))
        names = {**(settings or {}), **{name.replace("_", "."): value for name, value in more.items()}}
        try:
            for name, value in names.items():
                self._check(self._library.moldau_server_set(self._server, name.encode(), str(value).encode()))
        except BrokerError:
            self.close()
            raise

    def _check(self, code):
        if code != 0:
            text = self._library.moldau_server_error(self._server) if self._server else b"out of memory"
            raise BrokerError(code, text.decode())

    def start(self):
        self._check(self._library.moldau_server_start(self._server))
        return self

    def stop(self, drain_ms=1000):
        """What it stored stays for the next start."""
        self._check(self._library.moldau_server_stop(self._server, drain_ms))

    def close(self):
        self._library.moldau_server_free(ctypes.byref(self._server))

    @property
    def address(self):
        return self._library.moldau_server_address(self._server).decode()

    @property
    def port(self):
        return self._library.moldau_server_port(self._server)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()
