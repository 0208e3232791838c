"""Cases of client quotas: what may be set for whom, what is kept, what a filter finds, and what is throttled."""
from making import Maker, step

FILES = {}
ALTER, DESCRIBE = "AlterClientQuotas", "DescribeClientQuotas"
EXACT, DEFAULT, ANY = 0, 1, 2
LONG = "x" * 250
TEXTS = {"empty": "", "unknown": "unknown", "slash": "a/b", "space": "a b", "non-ascii": "tü", "long": LONG}
KEYS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate")
NUMBERS = {"zero": 0.0, "minus zero": -0.0, "minus one": -1.0, "a half": 1.5, "nearly": 2.0000001, "not nearly": 2.00001, "below": 1.9999999,
           "tiny": 1e-9, "int": 2147483647.0, "above int": 2147483648.0, "below int": -2147483649.0, "2^53": 9007199254740993.0, "2^63": 9.223372036854775e18,
           "above long": 1e19, "huge": 1e308, "NaN": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
FEW = ("zero", "minus one", "a half", "NaN")
OF = {"user": [("user", "u%")], "client": [("client-id", "c%")], "both": [("user", "u%"), ("client-id", "c%")], "ip": [("ip", "10.1.2.3")],
      "user and any client": [("user", "u%"), ("client-id", None)], "any user and client": [("user", None), ("client-id", "c%")]}


def file(function):
    FILES[function.__name__] = function
    return function


def entity(*parts):
    return [{"entityType": kind, "entityName": name} for kind, name in parts]


def entry(of, *ops):
    """Ops are (key, value); a value of None takes away."""
    return {"entity": entity(*of), "ops": [{"key": k, "value": 0.0 if v is None else v, "remove": v is None} for k, v in ops]}


def alter(v, *entries, dry=False):
    return step(ALTER, v, {"entries": list(entries), "validateOnly": dry})


def describe(v, *components, strict=False):
    """Components are (type, match type, name)."""
    return step(DESCRIBE, v, {"components": [{"entityType": kind, "matchType": how, "match": name} for kind, how, name in components], "strict": strict})


def look(v, *of):
    return describe(v, *[(kind, DEFAULT if name is None else EXACT, name) for kind, name in of], strict=True)


@file
def alter_client_quotas(codec, name):
    m = Maker(codec, name)
    for v in m.versions(ALTER):
        base = {"entries": [{"entity": entity(("user", "u%")), "ops": [{"key": "consumer_byte_rate", "value": 1000000.0, "remove": False}]}], "validateOnly": False}
        m.edges(ALTER, v, base, texts=TEXTS, after=[look(v, ("user", "u%"))], more={
            "entries.0.entity.0.entityType": {"client": "client-id", "case": "User", "ip": "ip"}, "entries.0.ops.0.key": {k: k for k in KEYS}})
        for label, of in OF.items():
            for key in KEYS:
                for word, number in NUMBERS.items():
                    if word in FEW or (v and label in ("user", "client", "ip")):
                        m.case(f"v{v} {label} {key} {word}", alter(v, entry(of, (key, number))), look(v, *of), alter(v, entry(of, (key, None))))
        for label, of in {"none": [], "user twice": [("user", "a"), ("user", "b")], "user and ip": [("user", "u"), ("ip", "10.1.1.1")],
                          "client and ip": [("client-id", "c"), ("ip", "10.1.1.1")], "all": [("user", "u"), ("client-id", "c"), ("ip", "10.1.1.1")],
                          "unknown": [("group", "g")], "unknown first": [("group", "g"), ("user", "")], "unknown last": [("user", ""), ("group", "g")],
                          "client first": [("client-id", "c%"), ("user", "u%")], "empty client": [("user", "u"), ("client-id", "")],
                          "default user": [("user", None)], "default client": [("client-id", None)], "defaults": [("user", None), ("client-id", None)],
                          "named default": [("user", "<default>")], "escaped": [("user", "a%40b")], "empty ip": [("ip", "")]}.items():
            m.case(f"v{v} entity {label}", alter(v, entry(of, ("producer_byte_rate", 1e9))), look(v, *of), alter(v, entry(of, ("producer_byte_rate", None))))
        for label, ip in {"v4": "127.0.0.9", "v6": "::5", "v6 long": "2001:db8::1", "host": "localhost", "short": "10.1", "number": "16909060", "no host": "no.such.host.invalid",
                          "default": None, "brackets": "[::1]", "range": "10.1.1.0/24", "too large": "256.1.1.1", "space": "10.1.1.1 ", "mapped": "::ffff:1.2.3.4"}.items():
            m.case(f"v{v} ip {label}", alter(v, entry([("ip", ip)], ("connection_creation_rate", 1e6))), look(v, ("ip", ip)),
                   alter(v, entry([("ip", ip)], ("connection_creation_rate", None))), look(v, ("ip", ip)))
        u = [("user", "u%")]
        m.case(f"v{v} again and again", alter(v, entry(u, ("producer_byte_rate", 5.0))), alter(v, entry(u, ("producer_byte_rate", 5.0))),
               alter(v, entry(u, ("producer_byte_rate", 6.0), ("consumer_byte_rate", 7.0))), look(v, *u), alter(v, entry(u, ("producer_byte_rate", None))), look(v, *u),
               alter(v, entry(u, ("producer_byte_rate", None))), alter(v, entry(u, ("consumer_byte_rate", None))), look(v, *u))
        m.case(f"v{v} takes away what is not there", alter(v, entry(u, ("producer_byte_rate", None), ("nope", None), ("connection_creation_rate", None))), look(v, *u))
        m.case(f"v{v} a key twice", alter(v, entry(u, ("producer_byte_rate", 1.0), ("producer_byte_rate", 2.0), ("consumer_byte_rate", 3.0))), look(v, *u))
        m.case(f"v{v} a key twice, taken away", alter(v, entry(u, ("producer_byte_rate", 1.0), ("producer_byte_rate", None))), look(v, *u))
        m.case(f"v{v} an entity twice", alter(v, entry(u, ("producer_byte_rate", 1.0)), entry(u, ("consumer_byte_rate", 2.0))), look(v, *u))
        m.case(f"v{v} no ops", alter(v, entry(u)), look(v, *u))
        m.case(f"v{v} one wrong key", alter(v, entry(u, ("producer_byte_rate", 1.0), ("nope", 2.0))), look(v, *u))
        m.case(f"v{v} one wrong value", alter(v, entry(u, ("consumer_byte_rate", 1.0), ("producer_byte_rate", 2.5))), look(v, *u))
        m.case(f"v{v} one wrong entity", alter(v, entry(u, ("consumer_byte_rate", 1.0)), entry([("user", "w%")], ("nope", 1.0)), entry([], ("producer_byte_rate", 1.0)),
                                               entry([("ip", "10.9.%.1")], ("connection_creation_rate", 3.0))), look(v, *u), look(v, ("ip", "10.9.%.1")))
        m.case(f"v{v} not kept", alter(v, entry(u, ("consumer_byte_rate", 1.0)), dry=True), look(v, *u), alter(v, entry(u, ("nope", 1.0)), dry=True))
        m.case(f"v{v} both orders", alter(v, entry([("user", "u%"), ("client-id", "c%")], ("producer_byte_rate", 1.0)),
                                          entry([("client-id", "c%"), ("user", "u%")], ("consumer_byte_rate", 2.0))), look(v, ("user", "u%"), ("client-id", "c%")))
        m.case(f"v{v} names", alter(v, *[entry([("user", n), ("client-id", n)], ("request_percentage", 12.5)) for n in (
            "a b", "a/b", "tü", "a=b,c=d", "CN=x,OU=y", LONG, "*", " ", "<default>", "a%25", "\"", "\n")]), describe(v, ("user", ANY, None), ("client-id", ANY, None)),
            alter(v, *[entry([("user", n), ("client-id", n)], ("request_percentage", None)) for n in (
                "a b", "a/b", "tü", "a=b,c=d", "CN=x,OU=y", LONG, "*", " ", "<default>", "a%25", "\"", "\n")]))
    return m.write()


@file
def describe_client_quotas(codec, name):
    m = Maker(codec, name)
    m.case("setup", alter(1, entry([("user", "u")], ("producer_byte_rate", 1.0), ("consumer_byte_rate", 2.0), ("request_percentage", 0.5), ("controller_mutation_rate", 1.25)),
                          entry([("user", "v")], ("producer_byte_rate", 3.0)), entry([("user", None)], ("producer_byte_rate", 1e15)),
                          entry([("client-id", "c")], ("consumer_byte_rate", 4.0)), entry([("client-id", None)], ("consumer_byte_rate", 1e15)),
                          entry([("user", "u"), ("client-id", "c")], ("producer_byte_rate", 5.0)), entry([("user", "u"), ("client-id", None)], ("producer_byte_rate", 6.0)),
                          entry([("user", None), ("client-id", "c")], ("producer_byte_rate", 7.0)), entry([("user", None), ("client-id", None)], ("producer_byte_rate", 1e15)),
                          entry([("ip", "10.0.0.1")], ("connection_creation_rate", 8.0)), entry([("ip", None)], ("connection_creation_rate", 1e6))))
    ways = [None, (EXACT, "u"), (EXACT, "c"), (DEFAULT, None), (ANY, None), (EXACT, "nobody")]
    for v in m.versions(DESCRIBE):
        base = {"components": [{"entityType": "user", "matchType": 0, "match": "u"}], "strict": False}
        m.edges(DESCRIBE, v, base, texts=TEXTS, more={"components.0.entityType": {"client": "client-id", "ip": "ip", "case": "USER"}})
        for strict in (False, True):
            end = ", strict" if strict else ""
            for user in ways:
                for client in ways:
                    parts = [(kind, *how) for kind, how in (("user", user), ("client-id", client)) if how]
                    m.case(f"v{v} {parts}{end}", describe(v, *parts, strict=strict))
            for how in ((EXACT, "10.0.0.1"), (EXACT, "10.0.0.2"), (DEFAULT, None), (ANY, None)):
                m.case(f"v{v} ip {how}{end}", describe(v, ("ip", *how), strict=strict))
            for how in (EXACT, DEFAULT, ANY, 3, -1):
                for match in (None, "", "u"):
                    m.case(f"v{v} match type {how} of {match!r}{end}", describe(v, ("user", how, match), strict=strict))
            m.case(f"v{v} ip and user{end}", describe(v, ("ip", ANY, None), ("user", ANY, None), strict=strict))
            m.case(f"v{v} client and ip{end}", describe(v, ("client-id", DEFAULT, None), ("ip", EXACT, "10.0.0.1"), strict=strict))
            m.case(f"v{v} a type twice{end}", describe(v, ("user", EXACT, "u"), ("user", ANY, None), strict=strict))
            m.case(f"v{v} unknown beside wrong{end}", describe(v, ("group", EXACT, None), ("user", 9, None), strict=strict))
            m.case(f"v{v} wrong beside unknown{end}", describe(v, ("user", 9, None), ("group", EXACT, None), strict=strict))
    return m.write()


@file
def quota_records(codec, name):
    """What changes of quotas leave in the metadata log."""
    m = Maker(codec, name)
    m.case("begin", step("CreateTopics", 4, {"topics": [{"name": "t", "numPartitions": 1, "replicationFactor": 1, "assignments": [], "configs": []}], "timeoutMs": 30000}))
    u, both = [("user", "u")], [("user", "u"), ("client-id", None)]
    m.case("quotas", alter(1, entry(u, ("producer_byte_rate", 1.0))), alter(1, entry(u, ("producer_byte_rate", 1.0))), alter(1, entry(u, ("producer_byte_rate", 2.0))),
           alter(1, entry(u, ("producer_byte_rate", None))), alter(1, entry(u, ("producer_byte_rate", None))), alter(1, entry(both, ("request_percentage", 0.5))),
           alter(1, entry(both[::-1], ("request_percentage", None))), alter(1, entry([("ip", None)], ("connection_creation_rate", 1e6))),
           alter(1, entry([("client-id", "c")], ("consumer_byte_rate", 3.0)), dry=True), alter(1, entry([("client-id", "c")], ("consumer_byte_rate", 3.0), ("nope", 1.0))))
    m.log()
    return m.write()


@file
def describe_user_scram_credentials(codec, name):
    """Where nobody has any: tools that list users ask for these beside their quotas."""
    m = Maker(codec, name)
    api = "DescribeUserScramCredentials"
    m.edges(api, 0, {"users": [{"name": "u"}]}, texts=TEXTS)
    m.case("several", step(api, 0, {"users": [{"name": n} for n in ("a", "b", "a", "", "b")]}))
    m.case("all", step(api, 0, {"users": None}))
    return m.write()
