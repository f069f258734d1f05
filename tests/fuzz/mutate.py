"""Makes inputs out of inputs: bytes flipped, lengths made huge, pieces cut, doubled, moved, taken from elsewhere."""
from __future__ import absolute_import

import struct

#: what lengths and counts are replaced by
NUMBERS = (0, 1, -1, -2, 2, 7, 16, 127, 128, 255, 256, 1000, 32767, -32768, 65535, 1 << 20, 0x7fffffff, -0x80000000)

#: as varints: 0, -1, very large, too long, never ending
VARINTS = (b"\0", b"\1", b"\2", b"\x7f", b"\x80\1", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x0f",
           b"\xff" * 9 + b"\1", b"\xff" * 12, b"\x80" * 11, b"\x80\0", b"\xff\xff\xff\xff\x07")

#: no input grows beyond this
MOST = 64 * 1024


def mutate(rnd, data, others):
    """Gives another input, made of ``data`` and now and then of one of the ``others``, by one step or several."""
    out = bytearray(data)
    for _ in range(rnd.choice((1, 1, 1, 2, 2, 3, 5, 9))):
        if not out:
            out = bytearray(rnd.choice(others)) or bytearray(b"\0")
        at = rnd.randrange(len(out))
        step = rnd.randrange(13)
        if step < 2:
            out[at] ^= 1 << rnd.randrange(8)
        elif step == 2:
            out[at] = rnd.choice((0, 1, 2, 127, 128, 129, 254, 255, rnd.randrange(256)))
        elif step == 3:
            out[at] = (out[at] + rnd.choice((-1, 1, 2, -2))) & 255
        elif step < 6:
            kind = rnd.choice(("b", ">h", ">i", ">i", ">q", "<i"))
            bits = struct.calcsize(kind) * 8
            number = rnd.choice(NUMBERS) + rnd.choice((0, 0, 0, 1, -1))
            number = (number + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
            packed = struct.pack(kind, number)
            out[at:at + len(packed)] = packed
        elif step == 6:
            new = rnd.choice(VARINTS)
            out[at:at + rnd.choice((0, 1, len(new)))] = new
        elif step == 7:
            del out[at:at + rnd.choice((1, 2, 4, 8, 1 + len(out) // 4))]
        elif step == 8:
            del out[at:]
        elif step == 9:
            end = at + rnd.choice((1, 2, 4, 8, 64))
            out[at:at] = out[at:end] * rnd.choice((1, 1, 2, 100))
        elif step == 10:
            out[at:at] = bytearray(rnd.getrandbits(8) for _ in range(rnd.choice((1, 2, 4, 16))))
        elif step == 11:
            other = bytearray(rnd.choice(others))
            begin = rnd.randrange(len(other) + 1)
            out[at:] = other[begin:]
        else:
            to = rnd.randrange(len(out))
            size = rnd.choice((1, 2, 4, 8, 20))
            out[to:to + size] = out[at:at + size]
    return bytes(out[:MOST])
