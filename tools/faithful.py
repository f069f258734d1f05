#!/usr/bin/env python3
"""
Runs tests/faithful/uses on PyPI's kiel 0.9.3 and on this kiel, and prints what came of each side by side.

0.9.3 gets a virtualenv of Python 2.7 with Tornado 4.5 in .cache; --old names one that is there already. Both are put to
one Kafka 2.4.1 with the message format of 0.9.0.

    python tools/faithful.py [--old PYTHON] [--here PYTHON] [NAME ...]
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.path.join(ROOT, ".cache", "kiel-0.9.3")
sys.path.insert(0, ROOT)

from kiel.testing import Kafka  # noqa: E402
from tests.faithful import checking, service, uses  # noqa: E402
from tests.faithful.pending import PENDING  # noqa: E402

#: the last kazoo that runs on Python 2.7 with it
REQUIREMENTS = ("kiel==0.9.3", "tornado>=4.5,<5", "kazoo<2.9", "six")


def make_old():
    """The Python of a virtualenv with kiel 0.9.3, made if it is not there."""
    python = os.path.join(CACHE, "bin", "python")
    if not os.path.exists(python):
        python27 = shutil.which("python2.7")
        if python27 is None:
            sys.exit("no python2.7 on PATH: kiel 0.9.3 runs on nothing newer")
        print("-- making %s (once)" % CACHE, flush=True)
        made = subprocess.call([sys.executable, "-m", "virtualenv", "-q", "-p", python27, CACHE])
        if made:
            sys.exit("virtualenv could not make it; it takes a virtualenv that knows Python 2.7: virtualenv<20.22")
        subprocess.check_call(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"] + list(REQUIREMENTS))
    return python


def run(python, place, environment, names):
    """What came of each use on that Python: name -> None or the error's text."""
    found = {}
    process = subprocess.Popen(
        [python, "-m", "uses"] + names, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        universal_newlines=True)
    for line in process.stdout:
        result = json.loads(line)
        found[result["name"]] = result["error"]
    process.wait()
    return found


def play_all(kafka, old, here):
    """The application of 2016 in two processes, on each pair of the two kiels: lines about what came of it."""
    lines = []
    for first, second in (old, old), (old, here), (here, old), (here, here):
        names = ["0.9.3" if one is old else "here" for one in (first, second)]
        label = "the application of 2016, %s then %s" % tuple(names)
        print("-- " + label, flush=True)
        try:
            result = "%d events, each once" % service.play(kafka.bootstrap, [kafka.zookeeper.hosts], first, second)
        except Exception as error:
            result = "FAILS: %s" % error
        lines.append("%s: %s" % (label, result))
    return lines


def mark(found, name):
    """A word for a use's result."""
    if name not in found:
        return "(none)"
    return "ok" if found[name] is None else "FAILS"


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--old", help="a Python that has kiel 0.9.3")
    parser.add_argument("--here", default=sys.executable, help="a Python that has what this kiel needs")
    parser.add_argument("--verbose", action="store_true", help="print the errors too")
    parser.add_argument("names", nargs="*", metavar="NAME")
    args = parser.parse_args()
    old = args.old or make_old()
    names = args.names or sorted(uses.load())
    place = tempfile.mkdtemp("faithful")
    try:
        # nothing of this repository but the uses is to be found from there
        shutil.copytree(os.path.join(ROOT, "tests", "faithful", "uses"), os.path.join(place, "uses"))
        with Kafka("2.4.1", mode="zk", settings=checking.SETTINGS) as kafka:
            environment = dict(
                os.environ, FAITHFUL_BROKERS=kafka.bootstrap[0], FAITHFUL_ZOOKEEPER=kafka.zookeeper.hosts,
                PYTHONDONTWRITEBYTECODE="1")
            environment.pop("PYTHONPATH", None)
            print("-- %d uses on kiel 0.9.3" % len(names), flush=True)
            before = run(old, place, environment, names)
            lost = [name for name in names if mark(before, name) != "ok"]
            if lost:  # its start of a group in ZooKeeper is a race with its own threads, which it loses now and then
                print("-- again on kiel 0.9.3: %s" % ", ".join(lost), flush=True)
                before.update(run(old, place, environment, lost))
            print("-- and on this kiel", flush=True)
            now = run(args.here, place, dict(environment, PYTHONPATH=ROOT), names)
            plays = [] if args.names else play_all(kafka, (old, True), (args.here, False))
    finally:
        shutil.rmtree(place)
    print("%-66s %-8s %s" % ("", "0.9.3", "here"))
    for name in names:
        pending = "  (pending)" if name in PENDING else ""
        print("%-66s %-8s %s%s" % (name, mark(before, name), mark(now, name), pending))
        for found in (before, now) if args.verbose else ():
            if found.get(name):
                print("    " + found[name].strip().replace("\n", "\n    "))
    fine = [sum(mark(found, name) == "ok" for name in names) for found in (before, now)]
    print("%-66s %-8s %s" % ("of %d" % len(names), fine[0], fine[1]))
    for line in plays:
        print(line)
    unexpected = [line for line in plays if "FAILS" in line]
    unexpected += [
        name for name in names if (mark(now, name) == "ok") == (name in PENDING) or mark(before, name) != "ok"
    ]
    if unexpected:
        sys.exit("not as expected: " + ", ".join(unexpected))


if __name__ == "__main__":
    main()
