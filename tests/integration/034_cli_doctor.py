#!/usr/bin/env python3
"""moldau profile and moldau config doctor: profiles that load, findings over kernels made up for the test, and the manual
pages."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import broker
import env
import tap
from tap import Skip, check, equal, test

GOOD = {
    "proc/self/limits": "Limit  Soft Limit  Hard Limit  Units\nMax processes             1  2  processes\n"
                        "Max open files            1024                 1000000              files     \n",
    "proc/sys/fs/file-max": "9223372036854775807\n",
    "proc/sys/net/core/somaxconn": "4096\n",
    "proc/sys/vm/max_map_count": "65530\n",
    "proc/sys/vm/overcommit_memory": "0\n",
    "proc/sys/vm/swappiness": "60\n",
    "proc/swaps": "Filename Type Size Used Priority\n",
    "proc/meminfo": "MemTotal:  8000000 kB\nMemAvailable:    4000000 kB\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "proc/self/mountinfo": "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
                           "30 22 8:17 / /data rw,noatime shared:2 - xfs /dev/sdb1 rw,attr2\n",
    "sys/dev/block/8:17/queue/write_cache": "write back\n",
    "sys/dev/block/8:17/queue/rotational": "0\n",
}


def doctor(files=None, settings="log.dirs=/data/moldau\n", code=0):
    """The findings on a machine that is good but for these files (None: there is no such file)."""
    with tempfile.TemporaryDirectory(prefix="moldau-doctor-") as root:
        for name, text in {**GOOD, **(files or {})}.items():
            if text is not None:
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), "w") as out:
                    out.write(text)
        config = os.path.join(root, "server.properties")
        with open(config, "w") as out:
            out.write(settings)
        done = subprocess.run([broker.binary(), "config", "doctor", config, "--root", root, "-o", "json"], stdout=subprocess.PIPE,
                              env={k: v for k, v in os.environ.items() if not k.startswith("MOLDAU")}, check=False)
        equal(done.returncode, code, f"exit code, after {done.stdout.decode()}")
        return {row["check"]: row for row in json.loads(done.stdout)}


def finding(check_name, verdict, files=None, said="", **options):
    row = doctor(files, code=4 if verdict == "fail" else 0, **options)[check_name]
    equal(row["verdict"], verdict, str(row))
    check(said in row["found"], row)
    check((row["advice"] is None) == (verdict in ("ok", "unknown")), row)


@test
def a_good_machine_has_no_warning():
    rows = doctor()
    equal({name: row["verdict"] for name, row in rows.items() if row["verdict"] not in ("ok", "unknown")}, {}, "findings")
    for name in ("settings", "open files", "file system of /data/moldau", "mount of /data/moldau", "disk of /data/moldau"):
        equal(rows[name]["verdict"], "ok", name)


@test
def limits_are_judged():
    files = "Max open files            1024                 {}              files\n"
    finding("open files", "fail", {"proc/self/limits": files.format(1024)}, "1024")
    finding("open files", "warn", {"proc/self/limits": files.format(20000)}, "20000")
    finding("open files", "ok", {"proc/self/limits": files.format("unlimited")}, "unlimited")
    finding("open files", "unknown", {"proc/self/limits": None})
    finding("listen backlog", "warn", {"proc/sys/net/core/somaxconn": "128\n"}, "128")
    finding("memory maps", "warn", {"proc/sys/vm/max_map_count": "100\n"})
    finding("overcommit", "warn", {"proc/sys/vm/overcommit_memory": "2\n"})
    finding("all open files", "warn", {"proc/sys/fs/file-max": "1000\n"})


@test
def memory_and_clocks_are_judged():
    finding("swapping", "warn", {"proc/swaps": "Filename\n/dev/sda2 partition 1 0 -2\n"}, "60")
    finding("swapping", "ok", {"proc/swaps": "Filename\n/dev/sda2 partition 1 0 -2\n", "proc/sys/vm/swappiness": "1\n"})
    finding("free memory", "warn", {"proc/meminfo": "MemAvailable:    4000 kB\n"})
    finding("transparent huge pages", "warn", {"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n"})
    finding("clock source", "warn", {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"}, "hpet")


@test
def directories_are_judged_by_the_mount_that_holds_them():
    mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:17 / /data {} - {} x {}\n31 22 8:18 / /dat rw - nfs x rw\n"
    for verdict, options, kind, more, what in (
            ("ok", "rw", "ext4", "rw", "mount"), ("fail", "ro", "ext4", "rw", "mount"), ("fail", "rw", "ext4", "rw,nobarrier", "mount"),
            ("warn", "rw", "ext4", "rw,data=writeback", "mount"), ("fail", "rw", "nfs4", "rw", "file system"),
            ("fail", "rw", "fuse.sshfs", "rw", "file system"), ("warn", "rw", "tmpfs", "rw", "file system"),
            ("warn", "rw", "overlay", "rw", "file system"), ("warn", "rw", "vfat", "rw", "file system")):
        finding(f"{what} of /data/moldau", verdict, {"proc/self/mountinfo": mounts.format(options, kind, more)})
    finding("disk of /data/moldau", "warn", {"sys/dev/block/8:17/queue/rotational": "1\n"}, "rotating")
    finding("disk of /data/moldau", "ok", {"sys/dev/block/8:17/queue/rotational": "1\n",
                                           "sys/dev/block/8:17/uevent": "MAJOR=254\nDEVNAME=vda1\n"}, "virtual")


@test
def settings_are_judged():
    finding("settings", "fail", said="num.partitions", settings="log.dirs=/data/moldau\nnum.partitions=many\n")
    finding("settings", "warn", said="num.partitions", settings="log.dirs=/data/moldau\nnum.partitons=3\n")
    done = subprocess.run([broker.binary(), "config", "doctor", "/no/such/file"], stdout=subprocess.PIPE, check=False)
    equal(done.returncode, 4, "exit code")
    check(b"/no/such/file" in done.stdout, done.stdout)


@test
def this_machine_is_looked_at_without_trouble():
    done = subprocess.run([broker.binary(), "config", "doctor", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(done.returncode in (0, 4), done)
    rows = {row["check"]: row["verdict"] for row in json.loads(done.stdout)}
    check(rows["open files"] != "unknown" and len(rows) > 10, rows)


@test
def every_profile_starts_a_server():
    for name in ("dev", "production"):
        with tempfile.TemporaryDirectory(prefix="moldau-profile-") as directory:
            path = os.path.join(directory, "server.properties")
            env.run(broker.binary(), "profile", name, "--write", path)
            equal(subprocess.run([broker.binary(), "profile", name, "-w", path], stderr=subprocess.DEVNULL, check=False).returncode, 1,
                  "exit code over a file that is there")
            env.run(broker.binary(), "profile", name, "-w", path, "--force")
            equal(open(path).read(), env.run(broker.binary(), "profile", name).decode(), "file")
            rows = json.loads(env.run(broker.binary(), "profile", name, "-o", "json"))
            check(len(rows) > 8 and all(row["reason"] for row in rows), rows)
            server = broker.Server(directory=directory)
            command = server._moldau_command() + ["--config", path, "--set", "http.listener="]
            server._moldau_command = lambda: command
            server.start()
            equal(server.stop(), 0, "exit code")
            out = open(server.out).read()
            check("unknown key" not in out and "warning" not in out, out)
    equal(subprocess.run([broker.binary(), "profile", "prod"], stderr=subprocess.DEVNULL, check=False).returncode, 2, "exit code")


@test
def manual_pages_are_whole():
    if not shutil.which("man"):
        raise Skip("no man")
    with tempfile.TemporaryDirectory(prefix="moldau-man-") as directory:
        env.run(sys.executable, os.path.join(broker.ROOT, "gen/cli.py"), "man", directory, env={**os.environ, "MOLDAU": broker.binary()})
        pages = sorted(os.listdir(directory))
        check("moldau.1" in pages and "moldau-config.1" in pages and len(pages) > 8, pages)
        for page in pages:
            done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", os.path.join(directory, page)],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                  env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}, check=False)
            equal((done.returncode, done.stderr), (0, b""), page)
            if shutil.which("mandoc"):
                env.run("mandoc", "-Tlint", "-Werror", os.path.join(directory, page))
        text = open(os.path.join(directory, "moldau-config.1")).read()
        check("moldau config doctor" in text and "moldau config set" in text, text)


if __name__ == "__main__":
    sys.exit(tap.main())
