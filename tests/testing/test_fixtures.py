"""The fixtures as a user loads them, in a pytest of its own."""
from __future__ import absolute_import

import os
import subprocess
import sys

import kiel

CONFTEST = 'pytest_plugins = ["kiel.testing.fixtures"]\n'
TESTS = """
names = []


def test_one(kafka, topic):
    assert kafka.version == "0.8.2.2"
    kafka.create_topic(topic)
    names.append((topic, kafka.bootstrap))


def test_two(kafka, topic, zookeeper):
    assert topic not in kafka.metadata()[1]
    assert names[0][0] != topic and names[0][1] == kafka.bootstrap
    assert zookeeper.ask("ruok") == "imok"
"""


#: what needs no Java, and what does
WITHOUT_JAVA = """
def test_fake(fake_kafka):
    fake_kafka.append(fake_kafka.topic(), {"id": 1})


def test_real(kafka):
    pass


def test_zookeeper(zookeeper):
    pass
"""


def run_tests(tmpdir, tests, *arguments, **env):
    """(exit code, what was printed) of a user's tests."""
    tmpdir.join("conftest.py").write(CONFTEST)
    tmpdir.join("test_mine.py").write(tests)
    env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(os.path.abspath(kiel.__file__))), **env)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"] + list(arguments) + [str(tmpdir)],
        env=env, cwd=str(tmpdir), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = process.communicate()[0].decode("utf-8")
    return process.returncode, out


def test_fixtures_share_a_cluster_and_not_a_topic(tmpdir):
    code, out = run_tests(tmpdir, TESTS, "--kafka-version", "0.8.2.2")
    assert code == 0 and "2 passed" in out, out


def test_without_java_tests_are_skipped_where_that_is_wanted(tmpdir):
    bare = dict(PATH=str(tmpdir), JAVA_HOME="", KIEL_STRICT="")
    code, out = run_tests(tmpdir, WITHOUT_JAVA, "--skip-without-java", **bare)
    assert code == 0 and "1 passed, 2 skipped" in out and "apt-get install openjdk" in out, out
    code, out = run_tests(tmpdir, WITHOUT_JAVA, **bare)
    assert code != 0 and "1 passed" in out and "skipped" not in out and "apt-get install openjdk" in out, out
    code, out = run_tests(tmpdir, WITHOUT_JAVA, "--skip-without-java", **dict(bare, KIEL_STRICT="1"))
    assert code != 0 and "skipped" not in out and "KIEL_STRICT" not in out, out
