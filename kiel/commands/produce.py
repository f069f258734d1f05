"""``kiel produce``: messages into a topic, from standard input or files."""
from __future__ import absolute_import, print_function

import os
import re
import stat
import sys
import threading

from six.moves import queue
from tornado import concurrent, gen, ioloop

from kiel import clients, exc, partitioners
from kiel.commands import connecting, envelope, formats, line, properties, registered
from kiel.commands.progress import Progress, on_terminal
from kiel.commands.showing import DONE, FAILED, INTERRUPTED, CommandError, complain, say
from kiel.events import first, ignore, settle

#: bytes that are read at a time
BLOCK = 1024 * 1024

#: seconds for which messages wait for others
LINGER = 0.05

#: who has to acknowledge, as it is written -> as Kafka counts it
ACKS = {"all": -1, "-1": -1, "0": 0, "1": 1}

#: blocks whose messages are under way at a time
UNDER_WAY = 16


def add(kinds, shared):
    """Add the parser of this command."""
    command = kinds.add_parser(
        "produce", parents=[shared], help="write messages from standard input or files to a topic",
        description="Writes messages to a topic, one per line, from standard input or files. With --json, or -J, each "
        "line is what `kiel consume --json` writes.")
    command.add_argument("topic")
    command.add_argument("-i", "--file", action="append", default=[],
                         help="read this file instead of standard input; may be given several times")
    command.add_argument("--whole", action="store_true", help="each file is one message")
    command.add_argument("-p", "--partition", type=int,
                         help="write to this partition (default: by the key; without a key, at random)")
    command.add_argument("-D", "--delimiter", default="\\n", metavar="TEXT",
                         help="what separates messages (default: a new line)")
    command.add_argument("-K", "--key-delimiter", metavar="TEXT", help="what separates the key from the value")
    command.add_argument("-k", "--message-key", metavar="KEY", help="the key of all messages")
    command.add_argument("-H", "--header", type=line.pair, action="append", default=[], metavar="NAME=VALUE",
                         help="a header of all messages; may be given several times")
    command.add_argument("-Z", "--null", action="store_true", help="write an empty value as null, a tombstone")
    command.add_argument("-J", "--envelope", action="store_true", help="the same as --json")
    command.add_argument("--keep-partition", action="store_true",
                         help="with --json: write to the partition that each line names")
    command.add_argument("-z", "--compression", choices=("none", "gzip", "snappy", "lz4", "zstd"))
    command.add_argument("--acks", type=int, choices=(-1, 0, 1),
                         help="who has to acknowledge; -1: all in-sync replicas (default), 1: the leader, 0: nobody")
    command.add_argument("--transactional-id", metavar="ID",
                         help="write all messages in one transaction, which an error aborts")
    command.add_argument("--quiet", action="store_true", help="do not report how many messages were written")
    registered.add_option(command)
    registered.add_subject_options(command)
    command.set_defaults(run=run, connects=True)


def _settings(made, args):
    """Return the keyword arguments of the producer."""
    found = dict(dict(acks="all", compression="none", linger=LINGER * 1000), **args.found)
    for name in "compression", "acks", "transactional_id":
        if getattr(args, name) is not None:
            found[name] = getattr(args, name)
    _check_properties(found)
    settings = dict(
        made, serializer=bytes_or_none, batch_size=100000, linger=float(found["linger"]) / 1000,
        compression={"none": None}.get(found["compression"], found["compression"]),
        required_acks=ACKS[str(found["acks"])], delivery_timeout=max(1, args.timeout),
        transactional_id=found.get("transactional_id")
    )
    if "idempotent" in found:
        settings["idempotent"] = properties.truth(found, "idempotent", "false")
    if args.message_key is None and args.key_delimiter is None and not (args.json or args.envelope):
        settings["serializer"] = bytes if not args.null else bytes_or_none
    else:
        settings["partitioner"] = partitioners.murmur2  # where Java's clients put them
    return settings


def _check_properties(found):
    """Refuse values that make no sense."""
    if str(found["acks"]) not in ACKS:
        raise CommandError("acks is one of %s, not %s" % (", ".join(sorted(ACKS)), found["acks"]))
    if not re.match(r"\d+(\.\d*)?$", str(found["linger"])):
        raise CommandError("linger.ms is a number of milliseconds, not %s" % found["linger"])
    if found.get("partitioner", "murmur2") not in properties.PARTITIONERS:
        raise CommandError("partitioner is %s; keys are partitioned as by Java's clients: %s" % (
            found["partitioner"], " or ".join(properties.PARTITIONERS)))


def bytes_or_none(value):
    """Return a value as it is."""
    return value


def _check(args):
    """Refuse options that exclude each other."""
    if args.whole and not args.file:
        raise CommandError("--whole needs files")
    if (args.json or args.envelope) and (args.key_delimiter is not None or args.whole or args.null):
        raise CommandError("JSON already marks keys and nulls: leave out --key-delimiter, --null and --whole")
    if args.message_key is not None and args.key_delimiter is not None:
        raise CommandError("--message-key or --key-delimiter, not both")
    if not formats.unescaped(args.delimiter):
        raise CommandError("--delimiter is empty; --whole makes one message of a file")


@gen.coroutine
def run(made, args, out):
    """Produce all that there is to read."""
    _check(args)
    producer = clients.Producer(args.brokers, **_settings(made, args))
    session = Session(producer, args)
    try:
        session.encoder = yield registered.encoder(args)
        yield producer.connect()
        code = yield session.run(_sources(args))
    finally:
        yield producer.close()
    if not args.quiet:
        say(sys.stderr, "%d messages were written%s." % (
            session.written, ", %d were not" % session.failed if session.failed else ""))
    raise gen.Return(code)


def _sources(args):
    """Open what is to be read: a list of file descriptors."""
    if not args.file:
        return [os.dup(sys.stdin.fileno())]
    return [os.dup(sys.stdin.fileno()) if name == "-" else os.open(name, os.O_RDONLY) for name in args.file]


def _size(sources):
    """Return how many bytes there are to read; None where it is not known, as of a pipe."""
    found = [os.fstat(source) for source in sources]
    return sum(each.st_size for each in found) if all(stat.S_ISREG(each.st_mode) for each in found) else None


class Session(object):
    """
    Messages from files to a producer.

    :param producer: the connected `kiel.clients.Producer`
    :param args: the options
    """

    def __init__(self, producer, args):
        self.producer = producer
        self.args = args
        self.topic = args.topic
        self.delimiter = formats.unescaped(args.delimiter)
        self.key_delimiter = None if args.key_delimiter is None else formats.unescaped(args.key_delimiter)
        self.key = connecting.octets(args.message_key)
        self.headers = [(name, connecting.octets(value)) for name, value in args.header]
        self.json = args.json or args.envelope
        self.keyed = self.key is not None or self.key_delimiter is not None
        #: makes values of JSON, by a schema registry; None where they are written as they are
        self.encoder = None
        #: deliveries of each block that is under way, the oldest first
        self.under_way = []
        self.written = self.failed = 0
        #: the first error of a message
        self.error = None
        self.progress = Progress(None, "B", wanted=False)

    @gen.coroutine
    def run(self, sources):
        """Produce all that the files hold; return the exit code."""
        self.progress = Progress(_size(sources), "B", wanted=not self.args.quiet and not on_terminal(sys.stdin))
        try:
            code = yield self._produce_all(sources)
        finally:
            self.progress.close()
        if self.error is not None:
            complain(self.error)
            code = FAILED
        raise gen.Return(code)

    @gen.coroutine
    def _produce_all(self, sources):
        """Produce all that the files hold, in a transaction or not; return the exit code."""
        transaction = self.producer.transactional_id is not None
        if transaction:
            yield self.producer.begin()
        code, failure = DONE, None
        try:
            for source in sources:
                whole = yield self._produce_file(Blocks(source))
                if not whole:
                    code = INTERRUPTED
                    break
            yield self._settled(0)
            if transaction:
                if code or self.error:
                    yield self.producer.abort()
                    self.failed, self.written = self.failed + self.written, 0
                else:
                    yield self.producer.commit()
        except (ValueError, exc.KielError) as error:
            failure = error
        if failure is not None:
            if transaction:
                yield self.producer.abort()
            raise failure
        raise gen.Return(code)

    @gen.coroutine
    def _produce_file(self, blocks):
        """Produce the messages of one file; return False where a signal ended it."""
        rest = []
        while True:
            coming = blocks.next()
            yield first(coming, self.args.stopped)
            if not coming.done():
                raise gen.Return(False)
            block = coming.result()
            self.progress.add(len(block))
            if self.args.whole:
                if not block:
                    yield self._take([b"".join(rest)])
                    raise gen.Return(True)
                rest.append(block)
                continue
            if not block:
                break
            if len(self.delimiter) == 1 and self.delimiter not in block:
                rest.append(block)
                continue
            messages = b"".join(rest + [block]).split(self.delimiter)
            rest = [messages.pop()]
            yield self._take(messages)
        last = b"".join(rest)
        if last:
            yield self._take([last])
        raise gen.Return(True)

    @gen.coroutine
    def _take(self, messages):
        """Hand messages to the producer."""
        if not messages:
            return
        if self.json:
            deliveries = yield self._take_lines(messages)
        elif self.headers:
            deliveries = []
            for value in messages:
                key, value = self._split(value)
                if self.encoder is not None:
                    value, = yield self.encoder.encode([value])
                taken = self.producer.produce(
                    self.topic, value, key=key, partition=self.args.partition, headers=self.headers)
                deliveries.append(taken.result() if taken.done() else (yield taken))
        else:
            keys = None
            if self.keyed:
                keys, messages = zip(*[self._split(value) for value in messages])
            elif self.args.null:
                messages = [value or None for value in messages]
            if self.encoder is not None:
                messages = yield self.encoder.encode(messages)
            deliveries = yield self.producer.produce_many(self.topic, messages, keys, self.args.partition)
        self.under_way.append(deliveries)
        yield self._settled(UNDER_WAY)

    def _split(self, message):
        """Return key and value of one message."""
        key = self.key
        if self.key_delimiter is not None:
            before, found, behind = message.partition(self.key_delimiter)
            if found:
                key, message = before, behind
        return key, None if self.args.null and not message else message

    @gen.coroutine
    def _take_lines(self, messages):
        """Hand messages of JSON to the producer; return their deliveries."""
        deliveries = []
        for text in messages:
            if not text.strip():
                continue
            key, value, headers, timestamp, partition = envelope.unpack(text, self.encoder is not None)
            if self.encoder is not None:
                value, = yield self.encoder.encode([value])
            taken = self.producer.produce(
                self.topic, value, key=key if self.key is None else self.key, headers=headers + self.headers,
                timestamp=timestamp, partition=partition if self.args.keep_partition else self.args.partition)
            deliveries.append(taken.result() if taken.done() else (yield taken))
        raise gen.Return(deliveries)

    @gen.coroutine
    def _settled(self, most):
        """Wait until no more than so many blocks are under way; count what became of the others."""
        while len(self.under_way) > most:
            deliveries = self.under_way.pop(0)
            if isinstance(deliveries, list):
                written, error = yield self._looked_at(deliveries)
            else:
                yield deliveries.finished()
                written, error = deliveries.tally()
            self.written += written
            self.failed += len(deliveries) - written
            self.error = self.error or error

    @staticmethod
    @gen.coroutine
    def _looked_at(deliveries):
        """Return how many messages were written, and the first error of the others."""
        written, first_error = 0, None
        for delivery in deliveries:
            try:
                if delivery.done():
                    delivery.result()
                else:
                    yield delivery
                written += 1
            except exc.KielError as error:
                first_error = first_error or error
        raise gen.Return((written, first_error))


class Blocks(object):
    """
    Reads a file on a thread, so that the loop goes on while nothing comes.

    :param number: the file descriptor, which is closed at the end
    """

    def __init__(self, number):
        self._number = number
        self._loop = ioloop.IOLoop.current()
        self._wanted = queue.Queue()
        thread = threading.Thread(target=self._read, name="kiel-produce-reads")
        thread.daemon = True  # one that waits for a terminal does not keep the process
        thread.start()

    def next(self):
        """Return a Future of the next block of bytes; an empty one is the end."""
        future = concurrent.Future()
        self._wanted.put(future)
        return ignore(future)

    def _read(self):
        """The thread: a block for each Future."""
        ended = False
        while not ended:
            future = self._wanted.get()
            block, error = b"", None
            try:
                block = os.read(self._number, BLOCK)
            except EnvironmentError as failure:
                error = failure
            ended = not block
            if ended:
                os.close(self._number)
            try:
                self._loop.add_callback(settle, future, block, error)
            except RuntimeError:  # the loop has ended meanwhile
                return
