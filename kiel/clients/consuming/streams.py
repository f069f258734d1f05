"""All streams of a consumer: what they hold, which partitions they want, and when they give back."""
from __future__ import absolute_import

import time
import weakref

from tornado import ioloop

from kiel import exc
from kiel.clients.consuming import arguments
from kiel.clients.consuming.choice import Choice
from kiel.clients.consuming.offset_lookup import start_to_timestamp
from kiel.clients.consuming.stream import Stream
from kiel.clients.consuming.until import Until
from kiel.clients.outcome import Outcome
from kiel.events import settle


class NoGroup(object):
    """
    What streams tell of themselves where the consumer is in no group: that is of no account there.

    A member has a `kiel.clients.grouping.polling.Polling` in its place.
    """

    def allow(self, choice):
        """
        Let a `kiel.clients.consuming.choice.Choice` be read.

        :raises ValueError: where it is not the application's to choose
        """

    def about_to_read(self, topics):
        """A stream begins to read topics."""

    def asked_for_more(self, stream):
        """A stream is asked for the next message."""

    def handed_over(self, cursor, offset, committed):
        """
        A stream handed out the messages of a partition before an offset.

        :param committed: whether they were committed when they came
        """

    def is_committed(self, cursor, offset):
        """Return whether an offset was committed when the messages before it came."""
        return False


class Streams(object):
    """
    The streams of one consumer, and their way into it.

    :param client: the `kiel.clients.consumer.BaseConsumer`
    :param fetcher: its `kiel.clients.consuming.fetcher.Fetcher`
    :param positions: its `kiel.clients.consuming.positions.Positions`
    :param lookup: its `kiel.clients.consuming.offset_lookup.OffsetLookup`
    :param reader: its `kiel.clients.consuming.batch_reader.BatchReader`
    """

    def __init__(self, client, fetcher, positions, lookup, reader):
        self.client = client
        self.fetcher = fetcher
        self.positions = positions
        self.lookup = lookup
        self.reader = reader
        #: what a group makes of what streams do; a member sets another
        self.group = NoGroup()
        #: those that have not ended; nobody but their users keeps them alive
        self.open = weakref.WeakSet()
        #: those by which somebody waits, who may have nothing but that
        self._busy = set()
        #: what was chosen -> the `Stream` by which `consume` reads several topics
        self._shared = {}

    def make(self, topics, start, values, batches, until):
        """
        Return a new `Stream`.

        :raises TypeError: for an argument of the wrong kind
        :raises ValueError: for one out of range
        """
        choice = self._chosen(topics)
        start_to_timestamp(start)
        shape = self._shape(values)
        return self._add(choice, start, shape, bool(batches), None if until is None else Until(until))

    def _chosen(self, topics):
        """Return the `Choice` that an argument makes."""
        choice = Choice.of(topics)
        self.group.allow(choice)
        return choice

    def _shape(self, values):
        """
        Return what makes of a record what is handed out.

        :raises TypeError: where an application's own method makes messages, of which nothing else is known
        """
        if not values:
            return _same
        if self.client._overridden.wanted():
            raise TypeError("a consumer with a deserialize_messages or handle_fetch_response of its own reads one "
                            "topic at a time, by consume()")
        return _value

    def _add(self, *args):
        stream = Stream(self, *args)
        self.open.add(stream)
        return stream

    def consume(self, topics, start, max_wait_time, max_records, values):
        """Do a `consume` of what is not one topic; return a Future of a list, None when the consumer is closing."""
        try:
            choice, shape = self._chosen(topics), self._shape(values)
            wait = self.client.max_wait_time if max_wait_time is None else arguments.wait(max_wait_time)
            most = self.client.max_records if max_records is None else arguments.most(max_records)
            start_to_timestamp(start)
        except (TypeError, ValueError) as error:
            return self.refuse(error)
        stream = self._shared.get(choice.key)
        if stream is None or stream.ended:
            stream = self._shared[choice.key] = self._add(choice, start, None, True, None)
        return stream.take(most, wait, shape, start)

    # -- what streams tell --

    def waits(self, stream, somebody):
        """Note whether somebody waits for a stream."""
        if somebody:
            self._busy.add(stream)
        else:
            self._busy.discard(stream)

    def ended(self, stream):
        """A stream has ended: nobody cares any more which partitions it wanted."""
        self.open.discard(stream)
        self._busy.discard(stream)
        for topic in stream.topics or ():
            self.regulate(topic)

    # -- what streams ask --

    def refuse(self, error):
        """Return the Future of a call that can't be made; whoever repeats such calls lets others have their turn."""
        outcome = Outcome(None)
        if self.reader.turn.over(time.time()):
            ioloop.IOLoop.current().add_callback(settle, outcome, error=error)
        else:
            settle(outcome, error=error)
        return outcome

    def arrive(self):
        """
        See to it that the consumer is connected on the loop that runs here.

        Return the Future of that while it is under way, None where there is nothing to wait for.

        :raises kiel.exc.ClosedError: where it can't be
        """
        if self.client.io_loop is None and not self.client.closing:
            raise exc.ClosedError("the consumer is not connected: yield connect() before reading a stream")
        return self.client._come_here()

    def read(self, stream, topic, start, wait, partitions):
        """
        Call for messages of a topic, which are not handed out by that; return a Future.

        It gets what `kiel.clients.consuming.call.Call.result` returns.
        """
        self.positions.cursors(topic, start)
        self.regulate(topic)
        for other in list(self.open):
            if other is not stream and other.reads(topic):
                if partitions is None:
                    other.withdraw(topic)
                else:
                    other.give_back(lambda cursor: cursor.topic == topic and stream.wants(cursor))
        return self.client._calls.begin(topic, start, self.reader.read_records, wait, None, True, partitions)

    def regulate(self, topic):
        """Have those partitions of a topic fetched that some stream wants, where streams read it."""
        readers = [stream for stream in list(self.open) if stream.reads(topic)]
        for cursor in self.fetcher.of(topic):
            cursor.paused = (topic, cursor.partition) in self.positions.paused or (
                bool(readers) and not any(stream.wants(cursor) for stream in readers))

    def hand_over(self, cursor, offset, committed):
        """
        A stream hands out the messages of a partition before an offset.

        :param committed: whether they were committed when they came
        """
        self.client._moved(cursor, offset)
        self.group.handed_over(cursor, offset, committed)

    def put_before(self, cursor, offset):
        """Messages from an offset on are not handed out yet."""
        self.client._moved(cursor, offset)

    def take_back(self, cursor, begun, reached):
        """Messages from ``begun`` on are not handed out by a stream after all: they are read again."""
        cursor.put_back(begun)
        self.client.offsets.note(cursor.topic, cursor.partition, begun)
        self.client._put_back(cursor.topic, cursor.partition, begun, reached)
        self.fetcher.wake(cursor.topic)

    # -- what the consumer tells --

    def give_back(self, topic):
        """Somebody reads a topic by `consume`: messages that streams hold of it come first."""
        for stream in list(self.open):
            if stream.reads(topic):
                stream.withdraw(topic)
                if stream.selects and stream in self._shared.values():
                    stream.close()  # else its choice would hold for all

    def keep(self, allocation):
        """Give back what is held of partitions that are not this consumer's any more."""
        for stream in list(self.open):
            stream.give_back(lambda cursor: cursor.partition not in (allocation.get(cursor.topic) or ()))

    def topics_changed(self):
        """Metadata came."""
        for stream in list(self.open):
            stream.topics_changed()

    def close(self):
        """The consumer closes: all streams end."""
        self._shared.clear()
        for stream in list(self.open):
            stream.close()

    def forget(self):
        """The consumer begins anew in another process, or on another loop."""
        self._shared.clear()
        for stream in list(self.open):
            stream.forget()


def _same(record):
    return record


def _value(record):
    return record[5]
