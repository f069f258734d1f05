#!/usr/bin/env python3
"""
Runs kiel against every supported Kafka release, and writes what works into README.rst as a table.

    make matrix
    python tools/matrix.py --only 0.8.2.2 --only 3.9.1-zk      # a part of it: prints, and writes nothing
    python tools/matrix.py --python /path/to/python2.7 --python /path/to/python3.13

Starts one broker after the other (`kiel.testing`) and runs `matrix_cells.py` on it under Python 2.7 and the newest
supported Python of this machine, by default those of tox's environments. Exits with 1 when a cell fails.
"""
from __future__ import absolute_import, print_function

import argparse
import collections
import datetime
import io
import json
import os
import subprocess
import sys
import textwrap
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tools")]

import matrix_cells  # noqa: E402
import test_all  # noqa: E402
from kiel import testing  # noqa: E402

README = os.path.join(ROOT, "README.rst")
BEGIN = ".. matrix: begin (written by `make matrix` from a real run; not by hand)\n"
END = ".. matrix: end\n"

#: the rows: release and mode of `kiel.testing.Kafka`
RELEASES = (
    "0.8.2.2", "0.9.0.1", "0.10.2.2", "0.11.0.3", "1.1.1", "2.4.1", "2.8.2", "3.9.1-zk", "3.9.1-kraft", "4.0.2",
    "4.3.1", "4.4.0",
)

#: why a cell has less than others, by the name that `matrix_cells` gives
FOOTNOTES = collections.OrderedDict((
    ("stamps", "Messages have no time stamps before Kafka 0.10, and no headers before 0.11; one with headers fails with"
               " ``UnsupportedVersionError``."),
    ("headers", "Messages have no headers before Kafka 0.11; one with headers fails with ``UnsupportedVersionError``."),
    ("segments", "Brokers before 0.10.1 know the times of log segments, not of messages: reading begins at the time"
                 " asked for or somewhat earlier, never later."),
    ("zstd", "Kafka has zstd from 2.1 on; before, a message fails with ``UnsupportedVersionError``."),
    ("beside", "The cluster has no ZooKeeper (KRaft): the group meets in one beside it."),
))

#: what the columns are
LEGEND = (
    "*produce*: with and without keys, acknowledged by none, the leader, all replicas. *consume*: from the beginning,"
    " the end, an offset. *records*: messages with keys, time stamps, headers. *by time*: offsets of times, reading"
    " from them. Each codec: written, kept so by the broker, and read. *ZooKeeper group*: two members share, and a"
    " third goes on where they left off."
)

#: footnotes of what is not there at all
IMPOSSIBLE = ("zstd",)

#: seconds for all cells on one broker
PATIENCE = 300


def say(text):
    """Tells how far it is."""
    print(text, flush=True)


# --- running ---------------------------------------------------------------------------------

def pythons(given):
    """Paths of the two Pythons, each with kiel's requirements and all codecs."""
    given = given or [path for path in os.environ.get("KIEL_MATRIX_PYTHONS", "").split(os.pathsep) if path]
    if given:
        return given
    found = test_all.interpreters()
    wanted = [version for version in test_all.SUPPORTED if version in found]
    if "2.7" not in wanted or wanted[-1] == "2.7":
        sys.exit("Python 2.7 and a Python 3 are needed; found on PATH and with pyenv: %s" % ", ".join(wanted))
    envs = ["py%s-integration" % version.replace(".", "") for version in ("2.7", wanted[-1])]
    paths = [os.path.join(ROOT, ".tox", env, "bin", "python") for env in envs]
    if not all(os.path.exists(path) for path in paths):
        say("-- making the environments %s (once, a minute or so)" % " and ".join(envs))
        subprocess.check_call(
            [test_all.tox(found), "run", "-q", "--notest", "-e", ",".join(envs), "--discover"]
            + [path for path, _ in found.values()], cwd=ROOT, env=dict(test_all.build_settings(), **os.environ)
        )
    return paths


#: prints the codecs that a Python lacks the packages of
LACKING = (
    "from kiel.compression import codecs\n"
    "print(' '.join(codec.name for codec in codecs.values() if not codec.available))"
)


def lacking(python):
    """The names of the codecs that one Python can't show, as a list."""
    out = subprocess.check_output(
        [python, "-c", LACKING], cwd=ROOT, env=dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1"))
    return out.decode().split()


def run_cells(python, release, bootstrap, zookeeper, prefix):
    """Runs the cells under one Python; gives {"python": ..., "tornado": ..., cell: its outcome}."""
    given = {"release": release, "bootstrap": bootstrap, "zookeeper": zookeeper, "prefix": prefix}
    environ = dict(os.environ, PYTHONPATH=ROOT, PYTHONDONTWRITEBYTECODE="1")
    process = subprocess.Popen(
        [python, os.path.join(ROOT, "tools", "matrix_cells.py"), json.dumps(given)], cwd=ROOT, env=environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    watch = threading.Timer(PATIENCE, process.kill)
    watch.start()
    try:
        out, err = [part.decode("utf-8", "replace") for part in process.communicate()]
    finally:
        watch.cancel()
    found = {}
    for line in out.splitlines():
        line = json.loads(line)
        if "cell" in line:
            found[line["cell"]] = line
        else:
            found.update(line)
    for name, _ in matrix_cells.CELLS:
        found.setdefault(name, {"cell": name, "works": False, "why": "it did not run:\n" + err})
    found["log"] = err
    return found


def run_release(name, paths):
    """Starts one release and runs the cells on it under each Python; gives their outcomes, one for each Python."""
    with testing.Kafka(name) as kafka:
        beside = None
        if not kafka.zk_hosts:
            beside = testing.ZooKeeper().start()
        try:
            outcomes = []
            for number, python in enumerate(paths):
                prefix = "matrix%d" % number
                for topic, partitions in matrix_cells.TOPICS.items():
                    broker = matrix_cells.Broker(kafka.version, kafka.bootstrap, [], prefix)
                    small = topic == "times" and not broker.knows_times
                    kafka.create_topic(
                        broker.topic(topic), partitions, config=matrix_cells.SMALL_SEGMENTS if small else None
                    )
                outcome = run_cells(
                    python, kafka.version, kafka.bootstrap, kafka.zk_hosts or [beside.hosts], prefix
                )
                if beside is not None and outcome["ZooKeeper group"]["works"]:
                    outcome["ZooKeeper group"]["why"] = "beside"
                outcomes.append(outcome)
            return outcomes
        finally:
            if beside is not None:
                beside.stop()


# --- the table -------------------------------------------------------------------------------

def word(outcome):
    """What one outcome is in the table."""
    if not outcome["works"]:
        return "FAILS"
    why = outcome["why"]
    mark = " [#%s]_" % why if why else ""
    return ("no" if why in IMPOSSIBLE else "ok") + mark


def cell(outcomes):
    """What all Pythons' outcomes of a cell are in the table: one word where they agree."""
    words = [word(outcome) for outcome in outcomes]
    return words[0] if len(set(words)) == 1 else " / ".join(words)


def title(name):
    """The release's name in the table: "3.9.1 ZooKeeper" for "3.9.1-zk"."""
    version, _, mode = name.partition("-")
    return version + {"zk": " ZooKeeper", "kraft": " KRaft"}.get(mode, "")


def simple_table(rows):
    """Rows of texts, the first with the headings, as a simple table of reStructuredText."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return [rule, lines[0], rule] + lines[1:] + [rule]


def wrapped(text, indent=""):
    """A paragraph as lines of the README's width."""
    return textwrap.wrap(text, 118, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def table(results, date):
    """
    The text that goes into the README.

    :param results: {release: its outcomes, one for each Python}, in the order of the rows
    :param date: of the run, "2026-01-31"
    """
    names = [name for name, _ in matrix_cells.CELLS]
    rows = [["Kafka"] + names]
    for release, outcomes in results.items():
        rows.append([title(release)] + [cell([outcome[name] for outcome in outcomes]) for name in names])
    ran = list(results.values())[0]
    on = " and ".join("Python %s (Tornado %s)" % (outcome["python"], outcome["tornado"]) for outcome in ran)
    used = set(outcome[name]["why"] for outcomes in results.values() for outcome in outcomes for name in names)
    lines = wrapped("Run on %s, each cell on both %s; *ok*: it works on both." % (date, on)) + [""]
    lines += simple_table(rows)
    lines += [""] + wrapped(LEGEND) + [""]
    for name, note in FOOTNOTES.items():
        if name in used:
            lines += wrapped(".. [#%s] %s" % (name, note), "   ")
    return "\n".join(lines) + "\n"


def replaced(text, new):
    """The README's text with the part between the markers replaced."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("README.rst lacks the markers of the matrix")
    return before + begin + "\n" + new + "\n" + end + after


def main():
    """Runs all, tells of failures, writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="RELEASE",
                        help="such as 2.8.2 or 3.9.1-zk; nothing is written")
    parser.add_argument("--python", action="append", metavar="PATH", help="instead of tox's environments")
    args = parser.parse_args()
    paths = pythons(args.python)
    for path in paths:
        missing = lacking(path)
        if missing:
            sys.exit(
                "%s lacks packages for %s. Python 2.7 builds python-snappy; on Debian and Ubuntu: "
                "apt-get install gcc libsnappy-dev; then rm -r .tox/py27-integration, and again: make matrix"
                % (path, ", ".join(missing)))
    results = collections.OrderedDict()
    failures = 0
    begun = time.time()
    releases = args.only or RELEASES
    for number, release in enumerate(releases):
        say("-- Kafka %s (%d of %d, after %d s)" % (title(release), number + 1, len(releases), time.time() - begun))
        results[release] = run_release(release, paths)
        for outcome in results[release]:
            say("   Python %-8s %s" % (outcome.get("python", "?"), ", ".join(
                "%s %s %.1fs" % (name, word(outcome[name]).split(" ")[0], outcome[name].get("seconds", 0))
                for name, _ in matrix_cells.CELLS)))
            for name, _ in matrix_cells.CELLS:
                if not outcome[name]["works"]:
                    failures += 1
                    say("   %s FAILS: %s" % (name, outcome[name]["why"]))
            if outcome["log"]:
                say("   it said: " + outcome["log"].strip()[-2000:])
    text = table(results, datetime.date.today().isoformat())
    say("\n" + text)
    if not args.only:
        with io.open(README, encoding="utf-8") as source:
            whole = replaced(source.read(), text)
        with io.open(README, "w", encoding="utf-8") as target:
            target.write(whole)
    say("%d cells fail, after %d s" % (failures, time.time() - begun) if failures else "all cells work")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
