"""Random messages of many forms, from a seed that is printed: pytest shows it when a test fails."""
from __future__ import absolute_import, print_function

import os
import random


def seeded():
    """A generator whose seed is printed; ``KIEL_SEED`` sets it."""
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(1 << 30))
    print("KIEL_SEED=%d" % seed)
    return random.Random(seed)


def some_bytes(rnd, size):
    """Bytes that compress a little."""
    return bytes(bytearray(rnd.getrandbits(8) & rnd.choice((3, 255)) for _ in range(size)))


def sizes(rnd):
    """A way to make sizes: constant, nearly so, small, or around the edges of varints."""
    fixed = rnd.choice((0, 1, 8, 63, 64, 100, 8191, 8192))
    return rnd.choice((
        lambda: fixed,
        lambda: fixed if rnd.random() < .97 else fixed + 1,
        lambda: rnd.randrange(40),
        lambda: rnd.choice((0, 1, 62, 63, 64, 65, 127, 128, 300)),
    ))


def messages(rnd, most=300, headers=True, stamps=True):
    """A list of ``(key, value, headers, timestamp)``, by chance of one form or of many."""
    count = rnd.choice((1, 2, 3, 10, 65, most, rnd.randint(1, most)))
    key_size, value_size = sizes(rnd), sizes(rnd)
    no_key, no_value = rnd.choice((0, 1, .1)), rnd.choice((0, 0, .1, 1))
    some_headers = headers and rnd.choice((0, 0, .02, .5))
    now = 1500000000000
    step = rnd.choice((0, 0, 1, 40, 5000, -3)) if stamps else 0
    filler = some_bytes(rnd, 9000)
    out = []
    for at in range(count):
        size = min(key_size(), 300)
        begin = rnd.randrange(500)
        key = None if rnd.random() < no_key else filler[begin:begin + size]
        begin = rnd.randrange(500)
        value = None if rnd.random() < no_value else filler[begin:begin + value_size()]
        pairs = []
        if rnd.random() < some_headers:
            for _ in range(rnd.randint(1, 3)):
                content = rnd.choice((None, b"", b"\0", b"1\0", some_bytes(rnd, 70)))
                pairs.append((rnd.choice((b"", b"trace", b"\xc3\xa4" * 40)), content))
        out.append((key, value, pairs, now))
        now += rnd.choice((0, step))
    return out


def expected(found, magic=2, base=0):
    """What `records` gives for such messages, with offsets from ``base`` on."""
    return [
        (base + at, stamp if magic else -1, key, value, tuple((n.decode("utf-8"), c) for n, c in pairs))
        for at, (key, value, pairs, stamp) in enumerate(found)
    ]
