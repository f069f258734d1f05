"""What the benchmarks share: a task of a peer in a process of its own, and what is made of its results."""
from __future__ import absolute_import, print_function

import argparse
import json
import os
import subprocess
import sys

import kiel.testing

#: the release that is measured against, unless the command line says otherwise
KAFKA = "4.4.0"

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(peer, task, kafka, topic, count, size, check=False, python=sys.executable, **more):
    """Runs one task of one peer in a process of its own, on one core; gives its result."""
    options = dict(more, bootstrap=kafka.bootstrap, topic=topic, count=count, size=size, check=check)
    process = subprocess.Popen(
        [python, "-m", "benchmarks.peers.%s_peer" % peer, task, json.dumps(options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT), cwd=ROOT,
        preexec_fn=one_core
    )
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError("%s, %s: %s" % (peer, task, err.decode("utf-8", "replace")[-2000:]))
    return json.loads(out.decode("ascii").splitlines()[-1])


def one_core():
    """Keeps this process, and what it starts, to the last of its cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def median(numbers):
    """The middle one."""
    ordered = sorted(numbers)
    return ordered[len(ordered) // 2]


def speed(result, clock="wall"):
    """Messages a second, by the clock or by the processor's time ("cpu")."""
    return result["count"] / result[clock]


def packages(results):
    """The optional packages that were loaded when those results were made."""
    return named(set(name for result in results for name in result["packages"]))


def named(found):
    """Packages, as the table and the page say them."""
    return "with " + (", ".join(sorted(found)) or "none")


def say(line):
    """Tells what was done, beside the table."""
    print("  " + line, file=sys.stderr)


def parser(what):
    """A command line with what all of them take."""
    made = argparse.ArgumentParser(description=what)
    made.add_argument("--kafka", default=KAFKA, help="the broker's release (default %(default)s)")
    made.add_argument("--rounds", type=int, default=5, help="timed runs of each (default %(default)s)")
    made.add_argument("--size", type=int, default=100, help="bytes of a value (default %(default)s)")
    return made


def broker(release):
    """A broker that forgets nothing, and whose groups come to terms soon."""
    return kiel.testing.Kafka(release, settings={
        "log.retention.bytes": "-1", "log.retention.ms": "-1",
        "group.consumer.min.heartbeat.interval.ms": "500", "group.consumer.heartbeat.interval.ms": "500",
    })
