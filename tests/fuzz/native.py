"""
Fuzzes the loops in C with address and undefined-behaviour sanitizers: ``python -m tests.fuzz.native --seconds 600``.

``kiel/speedups.c`` is built once more, into a directory of its own, by the compiler of ``CC`` (gcc). Each input goes
through the loops in C and through those in Python, which have to agree; what the sanitizers find ends the process. Also
reads all that is in ``tests/cases/hostile.txt``.
"""
from __future__ import absolute_import, print_function

import argparse
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

FLAGS = ["-g", "-O1", "-shared", "-fPIC", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all"]

#: words of the targets' names; the plain ones read batches by whatever loops there are
TARGETS = ("native", "records magic 2", "batches magic 2")


def build(directory):
    """Builds the extension with sanitizers; returns the library that has to be loaded before Python."""
    compiler = os.environ.get("CC") or "gcc"
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    subprocess.check_call([compiler] + FLAGS + [
        "-I", sysconfig.get_paths()["include"], os.path.join(ROOT, "kiel", "speedups.c"),
        "-o", os.path.join(directory, "_speedups" + suffix)])
    return subprocess.check_output([compiler, "-print-file-name=libasan.so"]).decode("ascii").strip()


def start(given):
    """Builds, and starts this module again under the sanitizers; returns its exit code."""
    directory = tempfile.mkdtemp(prefix="kiel-")
    try:
        library = build(directory)
        environ = dict(
            os.environ, LD_PRELOAD=library, PYTHONMALLOC="malloc", KIEL_SANITIZED=directory, KIEL_EXTENSION="1",
            ASAN_OPTIONS="detect_leaks=0:abort_on_error=0", UBSAN_OPTIONS="print_stacktrace=1")
        command = [sys.executable, "-m", "tests.fuzz.native"]
        command += ["--seconds", str(given.seconds), "--seed", str(given.seed)]
        return subprocess.call(command, env=environ, cwd=ROOT)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def fuzz(given, directory):
    """Does the work, under the sanitizers; returns the exit code."""
    import kiel
    kiel.__path__.insert(0, directory)
    from kiel import speedups
    from tests.fuzz import run, test_fuzz
    assert os.path.dirname(speedups.native.__file__) == directory, speedups.native.__file__
    run.logging.disable(run.logging.CRITICAL)
    # what the sanitizers keep would count
    run.ALLOWANCE = 1 << 40
    print("seed %d, Python %s, %s with sanitizers" % (given.seed, sys.version.split()[0], speedups.describe()))
    fuzzer = run.Fuzzer(given.seed, TARGETS)
    hostile = 0
    for name, text in test_fuzz.cases():
        for target in fuzzer.targets.values():
            fuzzer.check(target.name, run.binascii.unhexlify(text))
            hostile += 1
    print("%d hostile inputs of before" % hostile)
    fuzzer.run(given.seconds)
    return 1 if fuzzer.found else 0


def main():
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    given = parser.parse_args()
    directory = os.environ.get("KIEL_SANITIZED")
    sys.exit(fuzz(given, directory) if directory else start(given))


if __name__ == "__main__":
    main()
