"""The table of releases and the rules for others, without a broker."""
from __future__ import absolute_import

import os
import subprocess
import sys

import pytest

from kiel.testing import errors, java, maven, releases, security, settings, topics


def test_short_version_is_the_newest_of_its_line():
    assert releases.find("4.0").version == "4.0.2"
    assert releases.find("0.10").version == "0.10.2.2"
    assert releases.find("4.4.0").modes == ("kraft",)


def test_unknown_release_takes_the_needs_of_the_one_before():
    row = releases.find("2.6.3")
    assert (row.version, row.scala, row.zookeeper) == ("2.6.3", "2.13", "3.5.7")
    assert releases.find("0.8.2.1").scala == "2.10"


@pytest.mark.parametrize("version", ["2.7", "x.y", "9"])
def test_version_nobody_knows_is_refused(version):
    with pytest.raises(errors.HarnessError) as caught:
        releases.find(version)
    assert "4.4.0" in str(caught.value)


def test_supported_releases_are_in_the_table():
    assert set(releases.SUPPORTED) <= set(row.version for row in releases.RELEASES)


def test_settings_follow_release_and_mode():
    values = dict.fromkeys("id data replicas host port listeners advertised zookeeper voters roles".split(), "x")
    old = settings.broker_settings("0.8.2.2", "zk", values)
    new = settings.broker_settings("4.4.0", "kraft", values)
    assert "listeners" not in old and old["host.name"] == "x"
    assert "host.name" not in new and "zookeeper.connect" not in new and new["process.roles"] == "x"


def test_what_a_release_does_not_have_is_refused():
    with pytest.raises(errors.HarnessError) as caught:
        security.check("0.10.0.1", "zk", False, ("SCRAM-SHA-256",))
    assert "0.10.2" in str(caught.value)
    with pytest.raises(errors.HarnessError):
        security.check("0.8.2.2", "zk", True, ())
    security.check("0.10.2.2", "zk", True, ("PLAIN", "SCRAM-SHA-512"))


def test_replicas_go_round():
    assert topics.spread([0, 1, 2], 4, 2) == {0: [0, 1], 1: [1, 2], 2: [2, 0], 3: [0, 1]}
    assert topics.spread([0, 1, 2], 3, 1, first=2) == {2: [2]}
    with pytest.raises(errors.TopicError):
        topics.spread([0], 1, 2)


def test_cache_directory(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("KIEL_CACHE", raising=False)
    assert maven.cache_directory() == "/somewhere/kiel"
    monkeypatch.setenv("KIEL_CACHE", "/else/where")
    assert maven.cache_directory() == "/else/where"


def test_missing_maven_and_java_say_what_to_install(monkeypatch, tmpdir):
    monkeypatch.setenv("PATH", str(tmpdir))
    monkeypatch.setenv("KIEL_CACHE", str(tmpdir.join("cache")))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(errors.MissingToolError) as caught:
        maven.jars("org.example:thing:1")
    assert "apt-get install maven" in str(caught.value)
    with pytest.raises(errors.MissingToolError) as caught:
        java.java("Kafka 4.4.0", 17)
    assert "Kafka 4.4.0 needs" in str(caught.value) and "openjdk-17-jre-headless" in str(caught.value)
    tmpdir.join("java").write("#!/bin/sh\necho 'openjdk version \"1.8.0_302\"' >&2\n")
    tmpdir.join("java").chmod(0o755)
    monkeypatch.setattr(java, "_versions", {})
    with pytest.raises(errors.MissingToolError) as caught:
        java.java("Kafka 4.4.0", 17)
    assert "Java 17 or later" in str(caught.value) and "is Java 8" in str(caught.value)
    assert java.java("Kafka 0.9") == str(tmpdir.join("java"))


FAKE_MAVEN = """#!%s
import os, sys, time
listing = [word for word in sys.argv if word.startswith("-Dmdep.outputFile=")][0].split("=", 1)[1]
repository = [word for word in sys.argv if word.startswith("-Dmaven.repo.local=")][0].split("=", 1)[1]
with open(os.environ["KIEL_CALLS"], "a") as calls:
    calls.write("call\\n")
time.sleep(0.5)
if not os.path.isdir(repository):
    os.makedirs(repository)
jar = os.path.join(repository, "thing-1.jar")
open(jar, "w").close()
with open(listing, "w") as target:
    target.write(jar)
"""


def test_two_processes_fetch_once_and_then_nobody_needs_maven(tmpdir):
    bin_directory, calls = tmpdir.mkdir("bin"), tmpdir.join("calls")
    bin_directory.join("mvn").write(FAKE_MAVEN % sys.executable)
    bin_directory.join("mvn").chmod(0o755)
    env = dict(os.environ, KIEL_CACHE=str(tmpdir.join("cache")), KIEL_CALLS=str(calls),
               PATH=str(bin_directory) + os.pathsep + os.environ["PATH"])
    command = [sys.executable, "-c", "from kiel import testing; print(testing.jars('org.example:thing:1'))"]

    def start():
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    both = [start(), start()]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert b"thing-1.jar" in outputs[0][0] and outputs[0][0] == outputs[1][0]
    assert calls.read() == "call\n"
    bin_directory.join("mvn").remove()
    last = start()
    assert last.communicate()[0] == outputs[0][0]


def test_failed_fetch_shows_what_maven_said(tmpdir, monkeypatch):
    tmpdir.join("mvn").write("#!/bin/sh\necho '[ERROR] no such thing'\nexit 1\n")
    tmpdir.join("mvn").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmpdir) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("KIEL_CACHE", str(tmpdir.join("cache")))
    with pytest.raises(errors.FetchError) as caught:
        maven.jars("org.example:thing:1")
    assert "no such thing" in str(caught.value)


def test_kiel_itself_does_not_import_the_harness():
    code = "import sys, kiel.clients; sys.exit(any(name.startswith('kiel.testing') for name in sys.modules))"
    assert subprocess.call([sys.executable, "-c", code]) == 0
