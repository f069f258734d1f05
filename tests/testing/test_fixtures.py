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


def test_fixtures_share_a_cluster_and_not_a_topic(tmpdir):
    tmpdir.join("conftest.py").write(CONFTEST)
    tmpdir.join("test_mine.py").write(TESTS)
    env = dict(os.environ, PYTHONPATH=os.path.dirname(os.path.dirname(os.path.abspath(kiel.__file__))))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--kafka-version", "0.8.2.2", str(tmpdir)],
        env=env, cwd=str(tmpdir), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = process.communicate()[0].decode("utf-8")
    assert process.returncode == 0 and "2 passed" in out, out
