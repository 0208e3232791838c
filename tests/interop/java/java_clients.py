#!/usr/bin/env python3
"""Apache's Java clients: every scenario of the matrix. The version is that of the program's name.

usage: run_..._VERSION [SCENARIO]...
"""
import glob
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "../matrix"))
import matrix
import env


def command_of(version):
    env.need("javac", "java", "mvn")
    sources = [os.path.join(HERE, name) for name in ("Json.java", "Peer.java")]
    jars = env.once("java-clients-" + version, lambda directory: env.run(
        "mvn", "-q", "-B", "-Dstyle.color=never", "-f", os.path.join(HERE, "pom.xml"), "-Dkafka.version=" + version,
        "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory=" + directory, timeout_s=300))
    classes = env.once(env.hashed("java-peer-" + version, *sources), lambda directory: env.run(
        "javac", "-nowarn", "-cp", os.path.join(jars, "*"), "-d", directory, *sources, timeout_s=120))
    return ["java", "-Xmx384M", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp",
            os.pathsep.join([classes, *sorted(glob.glob(os.path.join(jars, "*.jar")))]), "Peer"]


if __name__ == "__main__":
    asked = os.path.basename(sys.argv[0]).rsplit("_", 1)[1]
    sys.exit(matrix.run("java-" + asked.rsplit(".", 1)[0], lambda: command_of(asked)))
