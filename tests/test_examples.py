"""What the examples say of themselves, without a broker; tests/integration/test_examples.py runs them against one."""
from __future__ import absolute_import

import glob
import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLES = sorted(os.path.basename(path) for path in glob.glob(os.path.join(ROOT, "examples", "*.py"))
                  if not os.path.basename(path).startswith("test_"))
#: the arguments without which each does not start
NEEDED = {
    "maker.py": ["b1:9092,b2:9092", "colors"],
    "counter.py": ["b1:9092", "colors"],
    "transform.py": ["b1:9092", "colors", "shades"],
    "worker.py": ["b1:9092", "colors"],
}


def call(name, *arguments):
    """(exit code, what was printed) of an example."""
    process = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "examples", name)] + list(arguments), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PYTHONPATH=ROOT),
    )
    out, _ = process.communicate(b"")
    return process.returncode, out.decode("utf-8")


def loaded(name):
    """The names that an example defines; its `main` is not run."""
    path = os.path.join(ROOT, "examples", name)
    names = {"__name__": "example"}
    with open(path) as source:
        exec(compile(source.read(), path, "exec"), names)
    return names


def parsed(monkeypatch, name, *arguments):
    """What an example understands of its command line."""
    example = loaded(name)
    monkeypatch.setattr(sys, "argv", [name] + list(arguments))
    return example["arguments"]()


def test_all_are_there():
    assert EXAMPLES == ["copy_topic.py", "counter.py", "demo.py", "early.py", "exactly_once.py", "lag_watcher.py",
                        "last_hour.py", "maker.py", "move_offsets.py", "processes.py", "schemas.py", "service.py",
                        "transform.py", "web.py", "worker.py"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_help(name):
    code, out = call(name, "--help")
    assert code == 0, out
    for option in {"maker.py": ["--compression", "--batch_size", "--status_interval", "--debug"],
                   "counter.py": ["--status_interval", "--debug"],
                   "worker.py": ["--zk_hosts", "--group", "--debug"],
                   "web.py": ["--port"],
                   "copy_topic.py": ["--follow"],
                   "early.py": ["--group"],
                   "exactly_once.py": ["--id", "--group"],
                   "lag_watcher.py": ["--every", "--most"],
                   "last_hour.py": ["--minutes"],
                   "processes.py": ["--processes"],
                   "schemas.py": ["--messages"],
                   "move_offsets.py": ["GROUP"],
                   "transform.py": ["--id", "--debug"],
                   "service.py": ["--brokers", "--zk", "--topic", "--group", "--port"],
                   "demo.py": ["--kafka"]}[name]:
        assert option in out


def test_help_of_the_dashboard():
    code, out = call("dashboard", "--help")
    assert code == 0 and "--brokers" in out and "--rate" in out, out


@pytest.mark.parametrize("name", sorted(NEEDED))
@pytest.mark.parametrize("words,debug", [
    ([], False), (["--debug"], True), (["--debug", "True"], True), (["--debug", "False"], False), (["--debug=1"], True),
    (["--debug", "no"], False),
])
def test_debug_means_what_it_says(monkeypatch, name, words, debug):
    assert parsed(monkeypatch, name, *(NEEDED[name] + words)).debug is debug


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_wrong_debug_is_refused(monkeypatch, name, capsys):
    with pytest.raises(SystemExit):
        parsed(monkeypatch, name, *(NEEDED[name] + ["--debug", "perhaps"]))
    assert "neither true nor false" in capsys.readouterr()[1]


def test_places_of_the_arguments(monkeypatch):
    args = parsed(monkeypatch, "worker.py", *(NEEDED["worker.py"] + ["--zk_hosts", "z1:2181,z2:2181"]))
    assert (args.brokers, args.zk_hosts, args.topic) == ("b1:9092", "z1:2181,z2:2181", "colors")


def test_compressions_are_those_that_the_producer_takes(monkeypatch):
    from kiel import constants
    maker = loaded("maker.py")
    assert maker["CODECS"] == {"gzip": constants.GZIP, "snappy": constants.SNAPPY}
    assert set(maker["CODECS"].values()) <= set(constants.SUPPORTED_COMPRESSION)
    assert parsed(monkeypatch, "maker.py", "b", "t", "--compression", "gzip").compression == "gzip"
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "maker.py", "b", "t", "--compression", "zip")


def test_maker_makes_keys_and_picks_partitions():
    maker = loaded("maker.py")
    assert len(set(maker["COLORS"])) == 8
    assert maker["key_maker"]({"counter": 7, "color": "red"}) == "7"
    assert [maker["partitioner"](str(key), [0, 1, 2]) for key in range(5)] == [0, 1, 2, 0, 1]


def test_the_examples_own_tests():
    """Those that need no real broker; tests/integration/test_examples.py runs all."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "kiel.testing.fixtures",
         os.path.join("examples", "test_web.py"), os.path.join("examples", "test_on_fake_kafka.py"),
         "-k", "not test_an_event_arrives"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT))
    out, _ = process.communicate()
    assert process.returncode == 0 and b"7 passed" in out, out.decode("utf-8")
