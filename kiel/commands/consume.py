"""``kiel consume``: messages out of a topic, to standard output."""
from __future__ import absolute_import, print_function

import argparse
import errno
import os
import time

from tornado import gen

from kiel import clients, exc
from kiel.clients.consuming.offset_lookup import BEGINNING, END
from kiel.commands import connecting, envelope, formats, line, pipes, registered
from kiel.commands.progress import Progress, on_terminal
from kiel.commands.showing import INTERRUPTED, CommandError, NotThere, complain
from kiel.events import first, ignore

#: milliseconds that one question waits for messages
WAIT = 500

#: bytes that are taken at a time
PIECE = 4 * 1024 * 1024

#: messages upon which more follow at once
MANY = 100

#: seconds after which a group commits what was written
COMMIT_AFTER = 5


def where(text):
    """Return where reading begins: `BEGINNING`, `END`, an offset, or so many before the end as a negative number."""
    if text in ("beginning", "end"):
        return BEGINNING if text == "beginning" else END
    try:
        return ("offset", int(text))
    except ValueError:
        raise argparse.ArgumentTypeError("expected beginning, end, an offset, or -N for the last N, not %r" % text)


def add(kinds, shared):
    """Add the parser of this command."""
    command = kinds.add_parser(
        "consume", parents=[shared], help="write the messages of a topic to standard output",
        description="Writes the messages of a topic to standard output. With --json, or -J, each is a line of JSON "
        "that `kiel produce --json` reads.")
    command.add_argument("topic")
    command.add_argument("-p", "--partition", type=int, action="append",
                         help="only this partition; may be given several times")
    command.add_argument("-o", "--offset", type=where, metavar="OFFSET",
                         help="start at beginning (default), end, an offset, or -N: the last N messages of each "
                         "partition")
    command.add_argument("--from-time", type=line.moment, metavar="TIME",
                         help="start at this time: milliseconds since 1970, or UTC as 2026-01-31T12:00")
    command.add_argument("--to-offset", type=int, metavar="OFFSET", help="stop before this offset")
    command.add_argument("--to-time", type=line.moment, metavar="TIME",
                         help="stop at this time, or at the current end of the topic if that comes first")
    command.add_argument("-e", "--exit", action="store_true",
                         help="exit once all messages that were there at the start are read")
    command.add_argument("-c", "--count", type=int, metavar="N", help="exit after this many messages")
    command.add_argument("-G", "--group",
                         help="read as a member of this group, and commit the messages that were written out")
    command.add_argument("--only-key", metavar="KEY", help="only messages with this key")
    command.add_argument("-f", "--format", help="%%s value, %%S its length, %%k key, %%K its length, %%t topic, "
                         "%%p partition, %%o offset, %%T time stamp, %%h headers")
    command.add_argument("-D", "--delimiter", default="\\n", metavar="TEXT",
                         help="printed after each message (default: a new line)")
    command.add_argument("-K", "--key-delimiter", metavar="TEXT", help="print the key, and this text, before the value")
    command.add_argument("-J", "--envelope", action="store_true", help="the same as --json")
    command.add_argument("--hex", action="store_true", help="print keys and values as hexadecimal digits")
    command.add_argument("--committed", action="store_true", help="only messages of committed transactions")
    registered.add_option(command)
    command.set_defaults(run=run, connects=True)


def _writer(args):
    """Return a function of records that returns what is written; None where values and delimiters will do."""
    if args.json or args.envelope:
        if args.format or args.hex or args.key_delimiter:
            raise CommandError("JSON has its own format: leave out --format, --hex and --key-delimiter")
        if args.schema_registry:
            return lambda records: envelope.pack(records, envelope.as_json)
        return envelope.pack
    write = formats.hexadecimal if args.hex else formats.plain
    if args.format:
        return formats.writer(args.format, write)
    if args.key_delimiter is None and not args.hex:
        return None
    behind = formats.unescaped(args.delimiter)
    if args.key_delimiter is None:
        return lambda records: b"".join([write(each[5]) + behind for each in records])
    before = formats.unescaped(args.key_delimiter)
    return lambda records: b"".join([write(each[4]) + before + write(each[5]) + behind for each in records])


def _check(args):
    """Refuse options that exclude each other."""
    if args.count is not None and args.count < 1:
        raise CommandError("--count has to be at least 1")
    places = [args.offset, args.partition, args.from_time, args.to_offset, args.to_time]
    if args.group and places != [None] * len(places):
        raise CommandError("a group reads from its committed offsets: leave out offsets, times and partitions")
    if None not in (args.offset, args.from_time):
        raise CommandError("--offset or --from-time, not both")
    if None not in (args.to_offset, args.to_time):
        raise CommandError("--to-offset or --to-time, not both")


def _isolation(args):
    """Return which messages of transactions are read: all, unless the option or a property says otherwise."""
    found = "read_committed" if args.committed else args.found.get("isolation", "read_uncommitted")
    if found not in ("read_committed", "read_uncommitted"):
        raise CommandError("isolation.level is read_committed or read_uncommitted, not %s" % found)
    return found


#: auto.offset.reset, as Java, librdkafka and old clients call it -> as kiel does
RESETS = {
    "earliest": "beginning", "beginning": "beginning", "smallest": "beginning", "latest": "end", "end": "end",
    "largest": "end",
}


def _offset_reset(args):
    """Return where a group begins that has committed nothing."""
    found = args.found.get("offset_reset", "earliest")
    if found not in RESETS:
        raise CommandError("auto.offset.reset is earliest or latest, not %s" % found)
    return RESETS[found]


@gen.coroutine
def run(made, args, out):
    """Consume until it is enough."""
    _check(args)
    write = _writer(args)
    settings = dict(made, deserializer=bytes, max_wait_time=WAIT, max_bytes=PIECE, allow_auto_create_topics=False,
                    isolation_level=_isolation(args))
    if args.group:
        settings.update((name, args.found[name]) for name in ("group_instance_id", "group_protocol")
                        if name in args.found)
        consumer = clients.GroupedConsumer(
            args.brokers, args.group, topics=[args.topic], autocommit=False,
            offset_reset=_offset_reset(args), **settings)
    else:
        if "rack_id" in args.found:
            settings["rack_id"] = args.found["rack_id"]
        consumer = clients.SingleConsumer(args.brokers, **settings)
    session = Session(consumer, args, write, getattr(out, "buffer", out))
    try:
        yield consumer.connect()
        if args.topic not in consumer.cluster.topics:
            raise consumer.cluster.topic_errors.get(args.topic) or NotThere("topic %s is not there" % args.topic)
        code = yield session.run()
    finally:
        yield consumer.close()
    raise gen.Return(code)


class Session(object):
    """
    Messages from a consumer to a file.

    :param consumer: the connected consumer
    :param args: the options
    :param write: see `_writer`
    :param sink: the file, of bytes
    """

    def __init__(self, consumer, args, write, sink):
        self.consumer = consumer
        self.args = args
        self.topic = args.topic
        self.write = write
        self.sink = sink
        self.delimiter = formats.unescaped(args.delimiter)
        self.key = connecting.octets(args.only_key)
        self.group = args.group
        found = registered.registry(args)
        #: makes JSON of values of a schema registry's; None where they are written as they are
        self.decoder = None if found is None else registered.Decoder(found)
        #: whether values are all that is looked at: without records they are cheaper
        self.plain = (write is None and self.key is None and self.decoder is None
                      and (args.group, args.partition, args.to_offset, args.to_time) == (None,) * 4)
        self.start = END if args.group and _offset_reset(args) == "end" else BEGINNING
        #: partition -> the first offset that is not wanted any more; empty where it goes on
        self.ends = {}
        #: how many more are wanted; None for all
        self.left = args.count
        self.progress = Progress(None, "msg", wanted=False)
        self.committed_at = time.time()

    @gen.coroutine
    def run(self):
        """Consume until it is enough; return the exit code."""
        if self.group:
            code = yield self._read(self.consumer.consume_records, self.topic, self._done_with_group)
            self.sink.flush()
            yield self._commit()
        else:
            partitions = yield self._locate()
            if self.args.partition:
                code = yield self._read(self.consumer.consume_records, {self.topic: partitions}, self._done)
            else:
                read = self.consumer.consume if self.plain else self.consumer.consume_records
                code = yield self._read(read, self.topic, self._done)
            self.sink.flush()
        raise gen.Return(code)

    @gen.coroutine
    def _read(self, read, wanted, done):
        """Write what is read until a signal comes or nothing more is wanted; return the exit code."""
        error, reader = None, pipes.Reader(self.sink)
        try:
            while not self._enough():
                coming = ignore(read(wanted, self.start, **self._limit()))
                yield first(coming, self.args.stopped, reader.gone)
                if reader.gone.done():
                    raise IOError(errno.EPIPE, os.strerror(errno.EPIPE))
                if not coming.done():
                    raise gen.Return(INTERRUPTED)
                found = coming.result()
                if found is None:
                    break
                self.progress.add(len(found))
                if self.decoder is not None:
                    found, error = yield self.decoder.decode(self._chosen(found)[:self.left])
                self._put(found)
                if error is not None:
                    self.sink.flush()
                    raise error
                if (yield done(found)):
                    break
        finally:
            self.progress.close()
            reader.release()

    def _limit(self):
        """Return how many messages may be taken: no more than are written, where what is taken is committed."""
        return {"max_records": self.left} if self.group and self.left is not None else {}

    def _done(self, found):
        """Where it ends without a group is known beforehand, see `_enough`."""
        return gen.maybe_future(False)

    @gen.coroutine
    def _done_with_group(self, found):
        """Commit now and then; return whether all that there is was read, where that is the end."""
        if not found or time.time() - self.committed_at > COMMIT_AFTER:
            self.sink.flush()
            yield self._commit()
        own = self.consumer.allocation.get(self.topic, ())
        raise gen.Return(self.args.exit and not found and not any(
            self.consumer.lag(self.topic, each) for each in own))

    # -- where to read --

    @gen.coroutine
    def _locate(self):
        """Look up where each partition begins and ends, and go there; return the partitions."""
        consumer, args = self.consumer, self.args
        there = consumer.cluster.topics[self.topic]
        partitions = sorted(set(args.partition)) if args.partition else list(there)
        gone = [each for each in partitions if each not in there]
        if gone:
            raise NotThere("topic %s has no partition %s; it has 0 to %d" % (self.topic, gone[0], max(there)))
        low, high = yield [consumer.beginning_offsets(self.topic), consumer.end_offsets(self.topic)]
        starts = yield self._starts(low, high)
        ends = yield self._ends(high)
        self.ends = dict((each, ends[each]) for each in partitions if each in ends)
        for each in partitions:
            consumer.seek(self.topic, each, starts[each])
        if len(self.ends) == len(partitions):
            # what is written to a terminal shows itself how far it is
            self.progress = Progress(sum(max(0, ends[each] - starts[each]) for each in partitions), "msg",
                                     wanted=not on_terminal(self.sink))
        raise gen.Return(partitions)

    @gen.coroutine
    def _ends(self, high):
        """Return the offset at which each partition ends; nothing where it goes on."""
        ends = high if self.args.exit else {}
        if self.args.to_offset is not None:
            ends = dict((each, min(ends.get(each, self.args.to_offset), self.args.to_offset)) for each in high)
        if self.args.to_time is not None:
            ends = yield self._at(self.args.to_time, high)
        raise gen.Return(ends)

    @gen.coroutine
    def _at(self, when, high):
        """Return the first offset at or after a time in each partition, else the end."""
        found = yield self.consumer.offsets_for_times(self.topic, when)
        raise gen.Return(dict((each, high[each] if found.get(each) is None else found[each][0]) for each in high))

    @gen.coroutine
    def _starts(self, low, high):
        """Return the offset at which each partition begins."""
        wanted = self.args.offset
        if self.args.from_time is not None:
            raise gen.Return((yield self._at(self.args.from_time, high)))
        if wanted == END:
            raise gen.Return(high)
        if not isinstance(wanted, tuple):
            raise gen.Return(low)
        number = wanted[1]
        raise gen.Return(dict(
            (each, max(low[each], high[each] + number) if number < 0 else number) for each in low))

    # -- what to write --

    def _enough(self):
        """Return whether all that is wanted was read."""
        if self.left == 0:
            return True
        if not self.ends:
            return False
        return all((self.consumer.position(self.topic, each) or 0) >= end for each, end in self.ends.items())

    def _chosen(self, records):
        """Return those of the records that are wanted."""
        ends = self.ends
        if ends and (self.args.to_offset is not None or self.args.to_time is not None):
            records = [record for record in records if record[2] < ends.get(record[1], 0)]
        if self.key is not None:
            records = [record for record in records if record[4] == self.key]
        return records

    def _put(self, found):
        """Write messages: values where they are `plain`, else records."""
        if not self.plain:
            found = self._chosen(found)
        if self.left is not None:
            found = found[:self.left]
            self.left -= len(found)
        if not found:
            return
        self.sink.write(self._joined(found))
        if not self.plain or len(found) < MANY:  # else more is coming, and goes out together with it
            self.sink.flush()

    def _joined(self, found):
        """Return messages as they are written."""
        if self.write is not None:
            return self.write(found)
        values = found if self.plain else [record[5] for record in found]
        if None in values:
            values = [value or b"" for value in values]
        return self.delimiter.join(values) + self.delimiter

    @gen.coroutine
    def _commit(self):
        """Commit what was written."""
        self.committed_at = time.time()
        try:
            yield self.consumer.commit_offsets()
        except exc.NotOwnedError as error:  # another member writes them again
            complain(error)
