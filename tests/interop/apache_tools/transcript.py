"""Transcripts of Apache's tools: how they are read, run and written. README.md has the form."""
import base64
import difflib
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../lib"))
import apache  # noqa: E402
import env  # noqa: E402

CASES = os.path.join(HERE, "cases")
LOG4J = """status=error
appender.console.type=Console
appender.console.name=console
appender.console.target=SYSTEM_ERR
appender.console.follow=true
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%p %m%n%throwable{none}
rootLogger.level=error
rootLogger.appenderRef.console.ref=console
"""
ID = r"[A-Za-z0-9_-]{22}"
# What belongs to one run only. Widths stay, so that tables keep their shape.
VOLATILE = [
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "00000000-0000-0000-0000-000000000000"),
    (re.compile(rf"((?:TopicId|Cluster ID|ClusterId|DirectoryId|directory|topicId|topic_id|cluster[- ]id)['\"]?[:=]\s*['\"]?){ID}"),
     r"\g<1>" + "I" * 22),
    (re.compile(r"((?:[cC]reateTime|LogAppendTime|[tT]imestamp|baseTimestamp)\W{1,3})1[789]\d{11}\b"),
     r"\g<1>" + "1" * 13),
    (re.compile(r"^\s+(at .*|\.\.\. \d+ more)\n", re.M), ""),
    (re.compile(r"(Call\(callName=.*? attempt\(s\)|Timed out waiting for a node assignment\. Call: [\w()=]+)"), "<timed out>"),
    (re.compile(r'(avg_throughput":)[\d.]+'), r"\1R"),
    (re.compile(r"\b(adminclient-|console-consumer-)\d+"), r"\1N"),
    (re.compile(r"(Epoch: )\d+"), r"\1E"),
    (re.compile(r"(crc: )\d+"), r"\1C"),
    (re.compile(r"[ \t]+$", re.M), ""),
]
# Lists that the tools print from sets, in another order each time.
SET = re.compile(r"((?:one of these options|following scenarios|following arguments is required|Valid \w+ are): )(.*)")
NUMBER = re.compile(r"-?\d+(\.\d+)?(E-?\d+)?|NaN")
STAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[:.,]\d+")


class Case:
    """One command with what it gets, what Apache's answer to it is, and ours where that differs on purpose."""

    def __init__(self, line, number):
        self.line, self.number = line, number
        self.before, self.after = [], []  # comments and files above it; rules and input
        self.stdin, self.rules = "", []
        self.theirs, self.ours, self.reason = [], [], None

    def expected(self, kind):
        return self.ours if kind == "moldau" and self.reason else self.theirs


def read(name):
    """(settings of the server, cases, lines after the last)"""
    settings, cases, pending = {}, [], []
    with open(os.path.join(CASES, name + ".txt")) as f:
        for number, line in enumerate(f.read().split("\n")[:-1], 1):
            case = cases[-1] if cases and not pending else None
            if line.startswith("$ "):
                cases.append(Case(line[2:], number))
                cases[-1].before, pending = pending, []
            elif line.startswith("server "):
                pending.append(line)
                key, value = line[7:].split("=", 1)
                settings[key] = value
            elif not line or line.startswith("#") or line.startswith("file ") or case is None:
                pending.append(line)
            elif (line + " ").startswith("< "):
                case.stdin += line[2:] + "\n"
                case.after.append(line)
            elif line.startswith("% "):
                case.rules += line[2:].split()
                case.after.append(line)
            elif line.startswith("? "):
                case.reason = line[2:]
            elif line.startswith("?"):
                case.ours.append(line[1:])
            elif line[0] in "|!=":
                case.theirs.append(line)
            else:
                raise ValueError(f"{name}.txt:{number}: {line}")
    return settings, cases, pending


def write(name, cases, tail):
    lines = []
    for case in cases:
        lines += case.before + ["$ " + case.line] + case.after + case.theirs
        if case.reason:
            lines += ["? " + case.reason] + ["?" + line for line in case.ours]
    with open(os.path.join(CASES, name + ".txt"), "w") as f:
        f.write("\n".join(lines + tail) + "\n")


def names(chosen):
    return chosen or sorted(n[:-4] for n in os.listdir(CASES) if n.endswith(".txt"))


class Tools:
    """The process in which the tools run."""

    def __init__(self):
        directory = os.path.join(env.CACHE, "apache_tools")
        os.makedirs(directory, exist_ok=True)
        config, policy = os.path.join(directory, "log4j2.properties"), os.path.join(directory, "java.policy")
        with open(config, "w") as f:
            f.write(LOG4J)
        with open(policy, "w") as f:
            f.write("grant { permission java.security.AllPermission; };\n")
        java = apache.program(os.path.join(HERE, "Driver.java"), flags=(
            "-Xmx512M", "-Djava.security.manager=allow", "--add-opens=java.base/java.lang=ALL-UNNAMED",
            f"-Djava.security.policy=={policy}", "-Duser.timezone=UTC"))
        java.insert(-2, f"-Dlog4j2.configurationFile={config}")  # the last one counts
        self.proc = subprocess.Popen(
            [*java, "Driver"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def close(self):
        self.proc.stdin.close()
        try:
            self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()

    def call(self, tool, args, stdin):
        """(exit code, output, what it said on standard error)"""
        words = [apache.TOOLS.get(tool, "Driver." + tool), stdin, *args]
        line = " ".join("=" + base64.b64encode(w.encode()).decode() for w in words)
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()
        answer = self.proc.stdout.readline().decode().split()
        if len(answer) != 3:
            raise RuntimeError(f"the tools' process ended at: {tool} {args}")
        out, err = (base64.b64decode(w[1:]).decode("utf-8", "replace") for w in answer[1:])
        return int(answer[0]), out, err


def fill(text, server):
    return (text.replace("{b}", "--bootstrap-server " + server.address).replace("{address}", server.address)
            .replace("{dir}", server.dir).replace("{log}", server.log_dir))


def make_files(case, server):
    """Lines "file NAME" followed by its lines, each behind "< "."""
    out = None
    for line in case.before:
        if line.startswith("file "):
            if out:
                out.close()
            out = open(os.path.join(server.dir, line[5:]), "w")
        elif (line + " ").startswith("< ") and out:
            out.write(fill(line[2:], server) + "\n")
    if out:
        out.close()


def without_usage(lines):
    """Only that a tool told how it is used; the text itself is long, and no broker's."""
    out, inside = [], False
    for line in lines:
        if re.match(r"(usage: |Option +Description|The tool to )", line):
            inside = True
            out.append("<usage>")
        elif not inside or " error: " in line:
            out.append(line)
    return out


def mask(text, server, rules):
    for secret, name in [(server.log_dir, "{log}"), (server.dir, "{dir}"), (server.address, "{address}"),
                         (str(server.port), "{port}"), (str(server.controller_port or "no port"), "{controller}")]:
        text = text.replace(secret, name)
    for pattern, by in VOLATILE:
        text = pattern.sub(by, text)
    if "numbers" in rules:
        text = NUMBER.sub("N", STAMP.sub("T", text))
    if "spaces" in rules:
        text = re.sub(r"[ \t]+", " ", re.sub(r"-{4,}", "----", text))
    text = SET.sub(lambda m: m[1] + ", ".join(sorted(re.sub(r"[][]", "", m[2]).split(", "))), text)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    lines = without_usage(lines)
    if "once" in rules:
        lines = list(dict.fromkeys(lines))
    for rule in rules:
        if rule.startswith("first="):
            lines = lines[:int(rule[6:])]
        if rule.startswith("grep="):
            lines = [line for line in lines if re.search(rule[5:].replace("\\_", " "), line)]
    return sorted(lines) if "unordered" in rules else lines


def ask(tools, server, case):
    """What the command gave, as the lines of a transcript."""
    make_files(case, server)
    if case.line == "stop":
        code = server.stop()
        return [f"= {code if server.kind == 'moldau' else 0}"]
    words = shlex.split(fill(case.line, server))
    code, out, err = tools.call(words[0], words[1:], fill(case.stdin, server))
    lines = ["| " + line for line in mask(out, server, case.rules)]
    if "quiet" not in case.rules:
        lines += ["! " + line for line in mask(err, server, case.rules)]
    return [line.rstrip() for line in lines] + [f"= {code}"]


def difference(want, got):
    return "\n".join(difflib.unified_diff(want, got, "Apache Kafka, or the known difference", "now", lineterm="", n=2))
