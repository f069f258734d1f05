"""A short run of the fuzzer, and every input that it ever found something by."""
from __future__ import absolute_import

import binascii
import logging
import os
import random
import sys

import pytest

from kiel import exc
from tests.fuzz import coverage, mutate, run, targets

CASES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cases", "hostile.txt")

#: seconds of fuzzing: where coverage can be followed it learns more by staying longer
SECONDS = float(os.environ.get("KIEL_FUZZ_SECONDS") or (10 if hasattr(sys, "monitoring") else 2))

ALL = targets.all_targets()


def cases():
    """The lines of the file: ``target hex  # what it did``."""
    with open(CASES) as source:
        lines = [line.split() for line in source if line.strip() and not line.startswith("#")]
    return [(line[0].replace("_", " "), line[1]) for line in lines]


@pytest.mark.parametrize("name,text", cases())
def test_what_was_found(name, text):
    target = ALL.get(name) or dict((key.replace("_", " "), ALL[key]) for key in ALL)[name]
    if target.name.startswith("decompress") and not target.seeds(random.Random(1)):
        pytest.skip("no such codec here")
    try:
        target.run(binascii.unhexlify(text))
    except exc.KielError as error:
        assert str(error)


@pytest.fixture(autouse=True)
def silent():
    """What is logged of nonsense is nonsense."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_seeds_are_read(capsys):
    fuzzer = run.Fuzzer(1)
    for name, target in fuzzer.targets.items():
        for data in fuzzer.kept[name]:
            if name.startswith("scram") or name in ("frame", "plain"):
                continue
            target.run(data)


def test_nothing_but_kiels_errors(capsys):
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(1 << 30))
    fuzzer = run.Fuzzer(seed)
    fuzzer.run(SECONDS, report=None)
    told = capsys.readouterr()[0]
    assert not fuzzer.found, "KIEL_SEED=%d\n%s" % (seed, told)
    # the seeds are all that a machine busy with other things may come to
    assert fuzzer.inputs >= len(ALL) and fuzzer.errors, told


def test_findings_are_told(capsys):
    """The fuzzer itself: what is no error of kiel's, slow, or large is found."""
    hoard = []

    def bad(data):
        if data[:1] == b"a":
            raise KeyError("not kiel's")
        if data[:1] == b"b":
            while True:
                pass
        if data[:1] == b"c":
            hoard.append(bytearray(b"x" * (64 << 20)))
        raise exc.ProtocolError("as it should be")

    fuzzer = run.Fuzzer(1, ["frame"])
    fuzzer.targets = {"bad": targets.Target("bad", bad, lambda rnd: [])}
    fuzzer.kept = {"bad": [b"d", b"a", b"b", b"c"]}
    fuzzer.groups = [["bad"]]
    fuzzer._forget_peak()
    fuzzer.run(0, report=None)
    kinds = [what for _, _, what in fuzzer.found.values()]
    assert fuzzer.errors == 2 and len(kinds) >= 2
    assert any(kind.startswith("KeyError") for kind in kinds) and any("of CPU" in kind for kind in kinds)


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="needs sys.monitoring")
def test_coverage_grows_with_new_places_only():
    watched = coverage.Coverage()
    target = ALL["metadata 1"]
    good = target.seeds(random.Random(3))[-1]
    with watched:
        target.run(good)
        first = watched.places
        target.run(good)
        again = watched.places
        try:
            target.run(good[:5])
        except exc.KielError:
            pass
    assert first > 0 and again == first


def test_mutations_come_from_the_seed():
    seeds = [b"hello world", b"\0\0\0\1"]
    made = [[mutate.mutate(random.Random(9), seeds[0], seeds) for _ in range(3)] for _ in range(2)]
    assert made[0] == made[1]
    rnd = random.Random(5)
    assert len(set(mutate.mutate(rnd, seeds[0], seeds) for _ in range(200))) > 100
