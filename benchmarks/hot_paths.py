"""
The hot loops by themselves: millions of records a second of reading and writing batches, without any network.

``python benchmarks/hot_paths.py`` prints the best of several runs, in processor time, so that what else
runs on the machine matters less. Everything that is measured is checked to be right first.
"""
from __future__ import absolute_import, print_function

import argparse
import os
import platform
import random
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from kiel import compression  # noqa: E402
from kiel.protocol import crc32c, messages, records, records_encode  # noqa: E402

clock = getattr(time, "process_time", None) or time.clock

NOW = 1500000000000


def shapes(count, size):
    """Name -> list of messages ``(key, value, headers, timestamp)``; the seed is fixed."""
    rnd = random.Random(7)
    values = [b"x" * size] * count
    mixed = [b"y" * rnd.randint(size * 6 // 10, size * 14 // 10) for _ in range(count)]
    keys = [b"k" * rnd.randint(3, 20) for _ in range(count)]
    return (
        ("fixed size", [(None, value, (), None) for value in values]),
        ("mixed sizes", [(None, value, (), None) for value in mixed]),
        ("two sizes", [(None, b"z" * (size + rnd.randrange(2)), (), None) for _ in range(count)]),
        ("fixed, time stamps", [(None, v, (), NOW + at // 10) for at, v in enumerate(values)]),
        ("fixed, keys of 8", [(b"%08d" % at, v, (), NOW + at // 10) for at, v in enumerate(values)]),
        ("mixed, mixed keys", [(k, v, (), NOW + at // 10) for at, (k, v) in enumerate(zip(keys, mixed))]),
        ("mixed, a header", [(None, v, [(b"trace", b"123456")], None) for v in mixed]),
    )


def best(seconds, function, *args):
    """The processor time of the quickest of the calls that fit the time."""
    least = None
    stop = time.time() + seconds
    while least is None or time.time() < stop:
        begin = clock()
        function(*args)
        spent = clock() - begin
        least = spent if least is None else min(least, spent)
    # the clock of 2.7 has steps
    return max(least, 1e-6)


def rates(found, magic, codec, seconds, check_crcs=True):
    """(encode, values, records) in millions of records a second."""
    data = messages.encode_batch(found, magic, codec, NOW)
    batch, = messages.batches(data)
    assert batch.values() == [message[1] for message in found]
    assert [record[:4] for record in batch.records()] == [
        (at, (NOW if stamp is None else stamp) if magic else -1, key, value)
        for at, (key, value, _, stamp) in enumerate(found)]
    count = len(found) / 1e6
    return (
        count / best(seconds, messages.encode_batch, found, magic, codec, NOW),
        count / best(seconds, batch.values, 0, check_crcs),
        count / best(seconds, batch.records, 0, check_crcs),
    )


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--count", type=int, default=8000, help="records in a batch (%(default)s)")
    parser.add_argument("--size", type=int, default=100, help="bytes of a value (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure (%(default)s)")
    parser.add_argument("--pure", action="store_true", help="CRC-32C without the crc32c package")
    options = parser.parse_args()
    if options.pure:
        records.crc32c = records_encode.crc32c = crc32c.pure
    package = "pure Python" if records.crc32c is crc32c.pure else "by package"
    print("%s %s, %d records of %d bytes, CRC-32C %s" % (
        platform.python_implementation(), platform.python_version(), options.count, options.size, package))
    print("%-34s %10s %10s %10s   millions a second" % ("", "encode", "values", "records"))

    def line(name, figures):
        print("%-34s %10.2f %10.2f %10.2f" % ((name,) + figures))
        sys.stdout.flush()

    made = shapes(options.count, options.size)
    for name, found in made:
        line("magic 2, " + name, rates(found, 2, 0, options.seconds))
    fixed = made[0][1]
    for magic in (1, 0):
        line("magic %d, fixed size" % magic, rates(fixed, magic, 0, options.seconds))
    for flag, codec in sorted(compression.codecs.items()):
        if codec.available:
            line("magic 2, mixed sizes, " + codec.name, rates(made[1][1], 2, flag, options.seconds))
        else:
            print("magic 2, %s: not installed" % codec.name)
    data = b"\1\2\3\4" * (1 << 18)
    print("CRC-32C of 1 MiB: %.0f MB/s" % (len(data) / best(options.seconds, crc32c.crc32c, data) / 1e6))


if __name__ == "__main__":
    main()
