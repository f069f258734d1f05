"""``kiel bench``: how much a cluster takes and gives, from here."""
from __future__ import absolute_import, print_function

import random
import string
import time

from tornado import gen

from kiel import clients
from kiel.commands.consume import PIECE, WAIT
from kiel.commands.progress import Progress
from kiel.commands.showing import DONE, FAILED, INTERRUPTED, CommandError, NotThere, complain, say, write_json
from kiel.events import first, ignore

#: messages that are handed to the producer at a time, and whose time is taken together
BLOCK = 500

#: bytes of different values that are made beforehand
VALUES = 4 * 1024 * 1024

#: times of a second in which a block follows another one at a given rate, where it is slow enough for that
BEATS = 50


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    bench = kinds.add_parser("bench", help="how fast messages can be written and read from here")
    commands = bench.add_subparsers(dest="command", metavar="COMMAND")
    produce = commands.add_parser(
        "produce", parents=[shared], help="write messages of random letters, and report the throughput",
        description="Writes messages of random letters into a topic, where they stay, and reports the throughput.")
    produce.add_argument("topic")
    produce.add_argument("-c", "--count", type=int, default=100000, metavar="N",
                         help="number of messages (default %(default)d)")
    produce.add_argument("--size", type=int, default=100, metavar="BYTES",
                         help="size of each value (default %(default)d)")
    produce.add_argument("--rate", type=float, metavar="N", help="messages a second (default: as many as possible)")
    produce.add_argument("-z", "--compression", choices=("none", "gzip", "snappy", "lz4", "zstd"))
    produce.add_argument("--acks", type=int, choices=(-1, 0, 1),
                         help="who has to acknowledge; -1: all in-sync replicas (default), 1: the leader, 0: nobody")
    produce.add_argument("--linger", type=float, default=5, metavar="MS",
                         help="milliseconds that a batch waits for more messages (default %(default)g)")
    consume = commands.add_parser(
        "consume", parents=[shared], help="read a topic, and report the throughput",
        description="Reads a topic from its beginning, and reports the throughput.")
    consume.add_argument("topic")
    consume.add_argument("-c", "--count", type=int, metavar="N",
                         help="stop after this many messages, or a few more that arrive with them")
    produce.set_defaults(run=_produce, connects=True)
    consume.set_defaults(run=_consume, connects=True)
    bench.set_defaults(needs="bench produce or bench consume")


def _check(args):
    """Refuse numbers that make no sense."""
    for name in "count", "size", "rate":
        value = getattr(args, name, None)
        if value is not None and value <= 0:
            raise CommandError("--%s has to be greater than 0" % name)


def _there(client, topic):
    """Raise where a topic is not there."""
    if topic not in client.cluster.topics:
        raise client.cluster.topic_errors.get(topic) or NotThere("topic %s is not there" % topic)


def _rates(messages, size, seconds):
    """Return what is told of any run."""
    seconds = max(seconds, 1e-6)
    return dict(messages=messages, bytes=size, seconds=round(seconds, 3), messages_per_second=round(messages / seconds),
                megabytes_per_second=round(size / seconds / 1e6, 2))


def _say_rates(out, row):
    say(out, "%(messages)d messages, %(bytes)d bytes in %(seconds).2f s: %(messages_per_second)d messages/s, "
        "%(megabytes_per_second).2f MB/s" % row)


# -- producing --

@gen.coroutine
def _produce(made, args, out):
    """bench produce"""
    _check(args)
    producer = clients.Producer(
        args.brokers, serializer=bytes, batch_size=100000, linger=args.linger / 1000.0,
        compression={"none": None}.get(args.compression, args.compression), allow_auto_create_topics=False,
        required_acks=-1 if args.acks is None else args.acks, delivery_timeout=max(1, args.timeout), **made)
    load = Load(producer, args)
    try:
        yield producer.connect()
        _there(producer, args.topic)
        code = yield load.run()
    finally:
        yield producer.close()
    row = dict(load.told(), topic=args.topic, failed=load.failed)
    if args.json:
        write_json(out, row)
    else:
        _say_rates(out, row)
        say(out, "A block of %d is acknowledged after %s" % (load.block, ", ".join(
            "%g ms (%s)" % (row["latency_ms"][name], name) for name in QUANTILES)))
    if load.error is not None:
        complain("%d messages were not written: %s" % (load.failed, load.error))
        code = FAILED
    raise gen.Return(code)


#: name -> which part of the times is not above it
QUANTILES = {"median": 0.5, "99%": 0.99, "most": 1}


class Load(object):
    """
    Writes messages, and takes the time.

    :param producer: the connected `kiel.clients.Producer`
    :param args: the options
    """

    def __init__(self, producer, args):
        self.producer = producer
        self.args = args
        self.block = min(args.count, BLOCK if args.rate is None else max(1, min(BLOCK, int(args.rate / BEATS))))
        self.written = self.failed = 0
        #: the first error of a message
        self.error = None
        self.seconds = 0
        #: seconds from the moment in which a block was handed over until all of it was acknowledged
        self.latencies = []

    @gen.coroutine
    def run(self):
        """Write; return the exit code."""
        values, blocks, left = _values(self.args.size), [], self.args.count
        began, code = time.time(), DONE
        progress = Progress(left, "msg")
        while left and self.error is None:
            number = min(self.block, left)
            left -= number
            at = random.randrange(len(values))
            chosen = [values[(at + each) % len(values)] for each in range(number)]
            handed = time.time()
            taken = ignore(self.producer.produce_many(self.args.topic, chosen))
            yield first(taken, self.args.stopped)
            if not taken.done():
                code = INTERRUPTED
                break
            blocks.append(ignore(self._settled(handed, taken.result())))
            progress.add(number)
            yield self._pause(began, self.args.count - left)
            if self.args.stopped.done():
                code = INTERRUPTED
                break
        yield self.producer.flush()
        yield blocks
        progress.close()
        self.seconds = time.time() - began
        raise gen.Return(code)

    def _pause(self, began, handed):
        """Return a Future that is done when the next block is due."""
        if self.args.rate is None:
            return gen.maybe_future(None)
        return first(gen.sleep(max(0, began + handed / self.args.rate - time.time())), self.args.stopped)

    @gen.coroutine
    def _settled(self, handed, deliveries):
        """Wait for a block, and count what became of it."""
        yield deliveries.finished()
        written, error = deliveries.tally()
        self.latencies.append(time.time() - handed)
        self.written += written
        self.failed += len(deliveries) - written
        self.error = self.error or error

    def told(self):
        """Return the numbers."""
        times = sorted(self.latencies) or [0]
        quantiles = dict((name, round(1000 * times[min(len(times) - 1, int(part * len(times)))], 2))
                         for name, part in QUANTILES.items())
        return dict(_rates(self.written, self.written * self.args.size, self.seconds), latency_ms=quantiles)


def _values(size):
    """Return values of random letters, which compression does not make too much of."""
    letters = random.Random(size)
    text = "".join(letters.choice(string.ascii_uppercase) for _ in range(min(size * 1000, VALUES) + size))
    text = text.encode("ascii")
    return [text[at:at + size] for at in range(0, len(text) - size + 1, size)][:1000]


# -- consuming --

@gen.coroutine
def _consume(made, args, out):
    """bench consume"""
    _check(args)
    consumer = clients.SingleConsumer(
        args.brokers, deserializer=bytes, max_wait_time=WAIT, max_bytes=PIECE, allow_auto_create_topics=False, **made)
    try:
        yield consumer.connect()
        _there(consumer, args.topic)
        code, row = yield _read(consumer, args)
    finally:
        yield consumer.close()
    row["topic"] = args.topic
    if args.json:
        write_json(out, row)
    else:
        _say_rates(out, row)
        if row["first_ms"] is not None:
            say(out, "The first came after %g ms" % row["first_ms"])
    raise gen.Return(code)


@gen.coroutine
def _read(consumer, args):
    """Read what there is; return the exit code and the numbers."""
    topic = args.topic
    low, high = yield [consumer.beginning_offsets(topic), consumer.end_offsets(topic)]
    total = sum(high[each] - low[each] for each in high)
    wanted = total if args.count is None else min(total, args.count)
    for partition in low:
        consumer.seek(topic, partition, low[partition])
    progress, code, messages, size, first_ms = Progress(wanted, "msg"), DONE, 0, 0, None
    began = time.time()
    while messages < wanted and _is_behind(consumer, topic, high):
        coming = ignore(consumer.consume(topic))
        yield first(coming, args.stopped)
        if not coming.done():
            code = INTERRUPTED
            break
        found = coming.result() or ()
        if found and first_ms is None:
            first_ms = round(1000 * (time.time() - began), 2)
        messages += len(found)
        size += sum(map(len, filter(None, found)))
        progress.add(len(found))
    seconds = time.time() - began
    progress.close()
    raise gen.Return((code, dict(_rates(messages, size, seconds), first_ms=first_ms)))


def _is_behind(consumer, topic, high):
    return any((consumer.position(topic, each) or 0) < high[each] for each in high)
