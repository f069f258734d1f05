"""
What is fuzzed: everything that reads a broker's bytes, as functions of one argument, with bytes to begin from.

A target gives anything, or raises `kiel.exc.KielError`; all else is a bug.
"""
from __future__ import absolute_import

import collections
import random

from kiel import compression, exc, speedups
from kiel.clients.consuming import isolation
from kiel.cluster import Cluster
from kiel.protocol import (
    consumer_protocol, messages, records_decode, records_encode, registry, request, response, wire
)
from kiel.protocol.columns import Columns
from kiel.protocol.headers import Headers
from kiel.protocol.part import Part
from kiel.protocol.primitives import Array, Boolean, Bytes, Float64, String, Uuid, Varlong
from kiel.protocol.wire import complete
from kiel.sasl import Plain, Scram
from tests import twins
from tests.protocol import random_messages

#: most bytes that decompression may give here, so that a fuzzer does not spend its time on zeros
LIMIT = 1 << 20

#: ``seeds(rnd)`` gives a list of inputs that are as they should be
Target = collections.namedtuple("Target", "name run seeds")

assert registry.MODULES  # the import fills the tables of classes


# -- responses --

def value_of(kind, rnd, depth=0):
    """A random value of a field's type."""
    if issubclass(kind, Part):
        return part_of(kind, rnd, depth + 1)
    if issubclass(kind, Array):
        count = rnd.choice((0, 1, 1, 2, 3, 20 if depth < 2 else 2))
        return [value_of(kind.item_class, rnd, depth + 1) for _ in range(count)]
    if issubclass(kind, Boolean):
        return rnd.random() < 0.5
    if issubclass(kind, Float64):
        return rnd.random()
    if issubclass(kind, Uuid):
        return random_messages.some_bytes(rnd, 16)
    if issubclass(kind, String):
        return rnd.choice((u"", u"a", u"topic-%d" % rnd.randrange(9), u"t\u00f6pic", u"x" * 130))
    if issubclass(kind, Bytes):
        return random_messages.some_bytes(rnd, rnd.choice((0, 1, 5, 130)))
    if issubclass(kind, Varlong):
        return rnd.randrange(-300, 300)
    if getattr(kind, "fmt", None):
        bits = {"b": 7, "h": 15, "i": 31, "q": 63, "H": 16}[kind.fmt]
        return rnd.choice((0, 1, 2, rnd.randrange(100), (1 << bits) - 1, 0 if kind.fmt == "H" else -1))
    return batch_of(rnd)


def part_of(cls, rnd, depth=0):
    """An instance of a part with random fields, all of them: which a version can tell is sorted out by `fit`."""
    return cls(**dict((field.name, value_of(field.kind, rnd, depth)) for field in cls.fields))


def fit(part, version):
    """The part with what that version has no field for taken out, all the way down."""
    for field in part.fields:
        value = getattr(part, field.name)
        here = [line for line in part.fields if line.name == field.name
                and line.versions[0] <= version <= line.versions[1]]
        if not here:
            part.__dict__.pop(field.name, None)
            if field.is_array and field.default is not None:
                setattr(part, field.name, [])
        elif isinstance(value, Part):
            fit(value, version)
        elif field.is_array:
            for item in value or ():
                if isinstance(item, Part):
                    fit(item, version)
    return part


def response_target(cls, version):
    """The target of one response class in one version, read and matched with its request as a connection does it."""
    asked = request.classes.get(cls.api)

    def run(data):
        answer = cls.deserialize(data, version)
        if asked is not None:
            complete(answer, asked())
        if cls.api == "metadata":
            cluster = Cluster("nobody:1")
            cluster.process_topics(answer.topics)
            assert list(cls.deserialize_walked(data, version, 0, "topics").topics) == answer.topics
        if cls.api == "api_versions":
            wire.Wire().learn(answer.api_keys)
        if cls.api == "fetch":
            for topic in answer.topics or ():
                for partition in topic.partitions or ():
                    found = read_batches(partition.message_set.data)
                    same_in_place(partition.message_set, found)
                    for batch in isolation.without_aborted(found, partition.aborted_transactions or ()):
                        try:
                            batch.values()
                        except exc.KielError:
                            pass
        repr(answer)

    def seeds(rnd):
        made = [cls()]
        made += [fit(part_of(cls, rnd), version) for _ in range(4)]
        out = []
        for answer in made:
            try:
                out.append(answer.serialize(version))
            except (ValueError, exc.KielError):  # a value that does not go with the version
                pass
        return out or [b"\0" * 20]

    return Target("%s %d" % (cls.api, version), run, seeds)


# -- records --

#: batches that the fields of random answers hold: making one takes longer than all the rest
_batches = []


def batch_of(rnd):
    """A batch of random messages as a field's value."""
    if not _batches:
        few = random.Random(1)
        _batches.extend(encoded(few, 2, 0, 12) for _ in range(12))
    return messages.MessageSet.raw(rnd.choice(_batches))


def encoded(rnd, magic, codec, most=20):
    """The bytes of a batch of random messages."""
    found = random_messages.messages(rnd, most, headers=magic == 2)
    ids = {}
    if magic == 2 and rnd.random() < 0.5:  # small numbers, which the aborted transactions of an answer may name too
        ids = {"producer_id": rnd.randrange(3), "producer_epoch": 0, "base_sequence": 0, "transactional": True}
    return messages.encode_batch(found, magic, codec, 1500000000000, **ids)


def read_batches(data):
    """Reads all batches in all ways; one that is corrupt does not keep the others from being read."""
    found = messages.batches(data)
    messages.needed(data)
    for batch in found:
        assert batch.next_offset > batch.base_offset or batch.magic > 2 or batch.magic < 2, batch.next_offset
        for ask in (
            lambda: batch.values(0, False), lambda: twins.seen(batch.records(0, False)), lambda: batch.records(3, True),
            batch.control, batch.check, lambda: batch.values(3, False),
        ):
            try:
                ask()
            except exc.KielError:
                pass
    return found


def same_in_place(message_set, copied):
    """Reads the batches of a set where they stand in their frame: nothing of what stands around it may count."""
    placed = message_set.batches()
    assert message_set.size == len(message_set.data or b"")
    assert [type(batch) for batch in placed] == [type(batch) for batch in copied]
    for here, there in zip(placed, copied):
        for ask in (lambda batch: batch.values(0, False), lambda batch: twins.seen(batch.records(0, False)),
                    lambda batch: batch.check()):
            ours, theirs = twins.outcome(ask, here), twins.outcome(ask, there)
            assert ours == theirs, "in its frame %r, by itself %r" % (ours, theirs)


def set_in_place(data):
    """A set that begins and ends somewhere in bytes that could go on as such."""
    edge = len(data) // 8
    start, end = edge - edge % 2, len(data) - edge
    same_in_place(messages.MessageSet.within(data, start, end), messages.batches(data[start:end]))
    for end in (len(data), max(len(data) - 1, start)):
        same_in_place(messages.MessageSet.within(data, 0, end), messages.batches(data[:end]))


def unchecked(data):
    """The records of batches whose checksums nobody looks at: what the reading loops make of them."""
    for batch in messages.batches(data):
        batch.values(0, False)
        for record in batch.records(0, False):
            tuple(record[4])


def by_both(data):
    """The same by the loops in C and by those in Python, which have to agree; where there is no C, by the latter."""
    twins.batch(data)


def section_by_both(data):
    """The records of a batch without its header, which would say how many there are."""
    for count in (1, 2, 3, 10, 70):
        twins.section(data, 0, len(data), count, 1 << 40, 1500000000000, None)


def encoded_by_both(data):
    """Messages made of bytes are written by both, whatever they are, and read again."""
    found = Columns()
    parts = iter(data.split(b"\0"))
    for part in parts:
        key, value = part[:len(part) % 9] or None, part[len(part) % 9:] or None
        pairs = [(key or b"", value)] * (len(part) % 4) if key and len(part) % 3 else ()
        found.add(value, 1500000000000 + len(part) * (-1) ** len(part), (key, pairs) if key or pairs else None)
    made = twins.both(lambda: b"".join(records_encode.section(found, len(found))))
    first = found.stamps[0]
    expected = [
        (at, stamp, key, value, tuple((name.decode("utf-8", "replace"), content) for name, content in pairs or ()))
        for at, (key, value, pairs, stamp) in enumerate(found)
    ]
    read = records_decode.records(made, 0, len(made), len(found), 0, first, None)
    assert read == expected, (read, expected)


def taken_by_both(data):
    """Messages of which some are of a kind that there should not be are taken by both, or by neither."""
    if speedups.native is None:
        return
    given = []
    for part in data.split(b"\0"):
        size, text = len(part), part.decode("latin-1")
        key = (None, part[:7], text[:7], 5)[size % 4 if size % 13 else 3]
        name = str(text[:2].encode("ascii", "replace"))
        kinds = (text[:3], part[3:]), (name, part), (text, None), part
        pairs = [kinds[at % (3 if size % 11 else 4)] for at in range(size % 5)]
        value = (part[7:], text[7:], part)[size % 3]
        given.append((key, value, (pairs, tuple(pairs), None, part)[size % 3 if size % 17 else 3]))
    twins.taken(given)


def record_targets():
    """Batches of every magic and codec."""
    codecs = [0] + [flag for flag, codec in sorted(compression.codecs.items()) if codec.available]

    def seeds_of(magic, codec):
        def seeds(rnd):
            out = [encoded(rnd, magic, codec, most) for most in (1, 3, 10, 70)]
            return out + [out[0] + out[1]]
        return seeds

    for magic in (0, 1, 2):
        for codec in codecs:
            if magic == 2 or codec != 4:
                yield Target("batches magic %d codec %d" % (magic, codec), read_batches, seeds_of(magic, codec))
        yield Target("records magic %d" % magic, unchecked, seeds_of(magic, 0))
    for codec in codecs:
        yield Target("native batches codec %d" % codec, by_both, seeds_of(2, codec))
    yield Target("native records", section_by_both, lambda rnd: [
        encoded(rnd, 2, 0, most)[61:] for most in (1, 2, 3, 10, 70)])
    yield Target("native headers", lambda data: twins.looked_at(Headers((data,))), lambda rnd: [
        b"\0", b"\2\2a\2b", b"\4\2a\1\0\0", b"\2\nabcde" + b"\x80\1" + b"x" * 64])
    yield Target("native encode", encoded_by_both, lambda rnd: [
        random_messages.some_bytes(rnd, size) for size in (1, 30, 300, 3000)])
    yield Target("native take", taken_by_both, lambda rnd: [
        random_messages.some_bytes(rnd, size) for size in (1, 30, 300, 3000)] + [b"k\0key value" * 40])

    yield Target("sets in place", set_in_place, lambda rnd: [
        encoded(rnd, magic, 0, most) for magic in (0, 1, 2) for most in (1, 10, 70)] + [
        encoded(rnd, 2, 0, 3) + encoded(rnd, 2, 0, 30) for _ in range(4)])

    def whole(data):
        made = messages.MessageSet.raw(data)
        return made.messages

    yield Target("message set", whole, seeds_of(1, 0))
    yield Target("message", lambda data: messages.Message.decode(data),
                 lambda rnd: [encoded(rnd, magic, 0, 1)[12:] for magic in (0, 1)])


def codec_targets():
    """What comes out of each codec."""
    def one(flag):
        def run(data):
            out = compression.decompress(flag, data, LIMIT)
            assert len(out) <= LIMIT

        def seeds(rnd):
            texts = [b"", b"x", b"x" * 3000, random_messages.some_bytes(rnd, 500), b"abc" * 30000]
            return [compression.compress(flag, text) for text in texts]
        return Target("decompress %s" % compression.codecs[flag].name, run, seeds)

    for flag, codec in sorted(compression.codecs.items()):
        if codec.available:
            yield one(flag)


# -- what is inside of other messages --

class QuickScram(Scram):
    """Without the slow hash, whose time is bounded elsewhere."""

    def salted_password(self, password, salt, iterations):
        return b"x" * 32


def scram(data):
    """A broker's two words in a SCRAM login, split at the first zero byte."""
    session = QuickScram("alice", "secret").session()
    session._nonce = b"nonce"
    session.step(None)
    first, _, second = data.partition(b"\0")
    session.step(first)
    session.step(second)


def plain(data):
    """A broker's word in a PLAIN login."""
    session = Plain("alice", "secret").session()
    session.step(None)
    session.step(data)


def frame(data):
    """A frame's size and the frame, as a connection that waits for one answer takes them."""
    if len(data) < 8:
        return
    talk = wire.Wire({"heartbeat": (0, 4)})
    asked = request.classes["heartbeat"](group_id="g", generation_id=1, member_id="m")
    asked.correlation_id = 1
    talk.send(asked)
    talk.frame_size(data[:4])
    talk.receive(data[4:])


def inner_targets():
    """Subscriptions, assignments, logins, frames."""
    for cls in (consumer_protocol.Subscription, consumer_protocol.Assignment):
        def seeds(rnd, cls=cls):
            return [fit(part_of(cls, rnd), version).encode(version)
                    for version in range(4) for _ in range(3)]
        yield Target(cls.__name__.lower(), cls.unpack, seeds)
    yield Target("scram", scram, lambda rnd: [
        b"r=nonceabc,s=c2FsdA==,i=4096\0v=c2FsdA==", b"e=other-error\0", b"r=nonceabc,s=c2FsdA==,i=4096\0e=no"])
    yield Target("plain", plain, lambda rnd: [b"", b"no"])
    yield Target("frame", frame, lambda rnd: [b"\0\0\0\x0b\0\0\0\1\0\0\0\0\0\0\0"])


def all_targets():
    """Every target there is, in a fixed order: a dict of name -> `Target`."""
    found = []
    for api in sorted(response.classes):
        cls = response.classes[api]
        low, high = cls.version_range
        found += [response_target(cls, version) for version in range(low, high + 1)]
    found += list(record_targets()) + list(codec_targets()) + list(inner_targets())
    return collections.OrderedDict((target.name, target) for target in found)
