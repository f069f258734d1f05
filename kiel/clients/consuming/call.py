"""
Calls of `consume`: what each asked for, how much there is room for, and whether somebody took what came.

Whoever waits may stop waiting at any moment: the Future is cancelled, or the task that awaits it, even after the result
is set and before the task has run (asyncio sets results in one turn of the loop and runs tasks in the next). Messages
that came and that nobody took are put back then, so that the next call hands them out.
"""
from __future__ import absolute_import

import collections
import logging
import os
import time

from tornado import gen, ioloop

from kiel import events, exc
from kiel.clients import observed
from kiel.clients.consuming import arguments
from kiel.clients.consuming.cursor import READY
from kiel.clients.consuming.fetcher import GRACE
from kiel.clients.consuming.offset_lookup import start_to_timestamp
from kiel.clients.consuming.overridden import overridden
from kiel.clients.consuming.portion import Portion
from kiel.clients.outcome import Outcome
from kiel.events import asyncio_running_loop
from kiel.protocol.records import Batch
from kiel.retry import monotonic

# these lines are the consumer's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.consumer")

#: bytes, as on the wire, that one call of `consume` deserialises at most, but for a batch that is larger: what is made
#: of them is alive all at once, in the way of Python's garbage collector and of the processor's caches
PIECE = 256 * 1024


class Room(object):
    """
    What a call may still hand out.

    :param messages: how many messages, or None
    :param size: how many bytes, decompressed; a batch that goes beyond it is still handed out
    :param most: bytes that a compressed batch may have for that; a larger one is cut
    """

    __slots__ = ("messages", "size", "most")

    def __init__(self, messages, size, most):
        self.messages = messages
        self.size = size
        self.most = most

    @property
    def used_up(self):
        """Whether nothing more may be handed out."""
        return self.size <= 0 or (self.messages is not None and self.messages <= 0)

    def part_of(self, batch, start, check_crcs):
        """
        Return what of a batch may be handed out: it, decompressed, or a `Portion` of it.

        :param start: the offset that it is read from
        :raises kiel.exc.CorruptMessageError: when it can't be read
        """
        if isinstance(batch, Batch) and batch.codec:
            batch = batch.decompressed(check_crcs)
            check_crcs = False
        if self.messages is None and isinstance(batch, Batch) and batch.size <= self.most:
            part = batch
        else:
            part = Portion.of(batch, start, self.messages, min(self.most, self.size), check_crcs)
        self.size -= part.size
        return part


class Call(object):
    """
    One call of `consume` or `consume_records`.

    :param topic: the topic
    :param read: what makes messages of a batch, see `kiel.clients.consuming.batch_reader.BatchReader.read`
    :param wait: seconds to wait for messages
    :param most: messages to be returned at most, or None
    :param put_back: called with this call when what it took is to be handed out again
    """

    __slots__ = ("topic", "read", "wait", "most", "begun", "taken", "seen", "given_up", "room", "held", "partitions",
                 "_put_back")

    def __init__(self, topic, read, wait, most, put_back):
        self.topic = topic
        self.read = read
        self.wait = wait
        self.most = most
        #: the `Room` for what it takes; set when it takes something
        self.room = None
        #: when it was called (`kiel.retry.monotonic`)
        self.begun = monotonic()
        #: ``(cursor, generation, offset)`` of the partitions whose messages it has, the offset of the first of them
        self.taken = []
        #: what the fetcher gave it, kept for the hooks; None where nobody listens
        self.seen = None
        #: whether nobody waits for it any more
        self.given_up = False
        #: whether what it brings is kept for a `kiel.clients.consuming.stream.Stream`, and so not handed out yet
        self.held = False
        #: the ids of the partitions that it reads; None: all
        self.partitions = None
        self._put_back = put_back

    def result(self, messages):
        """Return what the Future of the call gets; for a stream, which messages these are, too."""
        return (messages, self.taken) if self.held and messages else messages

    def give_up(self):
        """Nobody waits any more: what was taken is put back, now or as soon as it is decoded."""
        if not self.given_up:
            self.given_up = True
            self._put_back(self)


def is_here(io_loop):
    """Return whether a call comes from this loop; where that does not show at once, `events.is_elsewhere` tells."""
    if asyncio_running_loop is None:
        here = ioloop.IOLoop.current(instance=False) is io_loop and getattr(io_loop, "_running", False)
    else:
        here = asyncio_running_loop() is getattr(io_loop, "asyncio_loop", io_loop)
    return here or not events.is_elsewhere(io_loop)


class Calls(object):
    """
    The calls of `consume` of one consumer: each takes what is there, or waits; those of one topic take turns.

    :param client: the `kiel.clients.consumer.BaseConsumer`: its settings, its loop and its ``allocation``; ``_consume``
        and ``_hand_out``, which the members of a group do more in; ``_put_back``, told of what is handed out again
    :param fetcher: its `kiel.clients.consuming.fetcher.Fetcher`
    :param positions: its `kiel.clients.consuming.positions.Positions`
    :param reader: its `kiel.clients.consuming.batch_reader.BatchReader`
    :param streams: its `kiel.clients.consuming.streams.Streams`
    """

    def __init__(self, client, fetcher, positions, reader, streams):
        self.client = client
        self.fetcher = fetcher
        self.positions = positions
        self.reader = reader
        self.streams = streams
        self._settings = client._settings
        #: topic -> calls under way, which somebody still waits for
        self.under_way = collections.defaultdict(set)
        #: topic -> the call whose messages are being decoded, or are decoded and not its Future's result yet
        self.handing = {}
        self._unknown = set()  # topics that were asked for and are not there

    def begin(self, topic, start, read, max_wait_time, max_records, held=False, partitions=None):
        """Check the arguments of a call, and have it done. Returns its Future."""
        client = self.client
        call = Call(topic, read, 0, None, self._given_up)
        outcome = Outcome(call)
        coming = None
        try:
            self._check(call, start, max_wait_time, max_records)
            topic = call.topic
            if client.io_loop is None:
                raise exc.ClosedError("the consumer is not connected: yield connect() before consume()")
            if client._pid != os.getpid():  # the connections are the parent's
                client._refuse_forked()
            if client._moving is not None or not is_here(client.io_loop):
                coming = client._come_here()
        except (TypeError, ValueError, exc.KielError) as error:
            call.given_up = True
            if self.reader.turn.over(time.time()):
                ioloop.IOLoop.current().add_callback(events.settle, outcome, error=error)
            else:
                events.settle(outcome, error=error)
            return outcome
        call.held, call.partitions = held, partitions
        if self.streams.open and not held:
            self.streams.give_back(topic)
        self.under_way[topic].add(call)
        if coming is None:
            future = client._consume(topic, start, call)
        else:
            future = self._consume_then(coming, topic, start, call)
        if not future.done():
            io_loop = ioloop.IOLoop.current() if client.closing else client.io_loop
            io_loop.add_future(future, lambda _: self._finish(call, outcome, future))
        elif self.reader.turn.over(time.time()):
            # whoever repeats calls that are done at once must not keep the loop from its turn
            client.io_loop.add_callback(self._finish, call, outcome, future)
        else:
            self._finish(call, outcome, future)
        return outcome

    def _check(self, call, start, max_wait_time, max_records):
        """Check the arguments of one call; the consumer's own were checked when they were set."""
        client = self.client
        # of other types of text some equal a topic that is known, or warn when they are compared with it
        if call.topic.__class__ is not str or call.topic not in self.fetcher.cursors:
            call.topic = arguments.topic(call.topic)
        call.wait = (client.max_wait_time if max_wait_time is None else arguments.wait(max_wait_time)) / 1000.0
        call.most = client.max_records if max_records is None else arguments.most(max_records)
        if start is not None and not overridden(client.determine_offsets):
            start_to_timestamp(start)

    @gen.coroutine
    def _consume_then(self, coming, topic, start, call):
        """Consume once the client has begun anew on this loop."""
        yield coming
        messages = yield self.client._consume(topic, start, call)
        raise gen.Return(messages)

    def _finish(self, call, outcome, future):
        """A call is done: its Future is resolved, unless nobody waits any more."""
        self._forget_call(call)
        if self._end_handing(call) and call.topic in self.under_way:  # once the Future has gone, if nobody has it
            events.soon(ioloop.IOLoop.current(), lambda: self.fetcher.wake(call.topic))
        if future.cancelled():  # the loop ends
            outcome.cancel()
            return
        error = future.exception()
        if outcome.done():
            return
        if error is None:
            if self._settings.hooks is not None:
                observed.handed_out(self._settings.hooks, call, future.result())
            outcome.set_result(call.result(future.result()))
        elif hasattr(outcome, "set_exc_info"):
            outcome.set_exc_info(future.exc_info())  # the traceback, which Python 2 would lose
        else:
            outcome.set_exception(error)

    def _forget_call(self, call):
        calls = self.under_way.get(call.topic, set())
        calls.discard(call)
        if not calls:
            self.under_way.pop(call.topic, None)

    def _end_handing(self, call):
        """Let other calls of the topic take what follows; return whether it was this one that kept them from it."""
        if self.handing.get(call.topic) is not call:
            return False
        del self.handing[call.topic]
        return True

    def _given_up(self, call):
        """Nobody takes what a call brings: it is handed out again by the next."""
        self._forget_call(call)
        taken, call.taken = call.taken, []
        for cursor, generation, begun in taken:
            if cursor.continues(generation, begun):
                reached = cursor.handed
                cursor.put_back(begun)
                self.client.offsets.note(cursor.topic, cursor.partition, begun)
                self.client._put_back(cursor.topic, cursor.partition, begun, reached)
        self.fetcher.wake(call.topic)

    @gen.coroutine
    def consume(self, topic, start, call):
        """The loop of `consume`: take what is there, or wait."""
        client, fetcher = self.client, self.fetcher
        while not (client.closing or call.given_up):
            cursors = fetcher.exactly(topic, client.allocation.get(topic))
            if cursors is None:
                cursors = self.positions.cursors(topic, start)
            self.raise_pending(cursors)
            taken = self._take(call)
            if taken:
                messages = yield self._deliver(call, taken)
                if messages:
                    client.last_error = None
                    raise gen.Return(messages)
                continue
            left, overdue = self._time_left(call, cursors)
            if left <= 0:
                break
            if not cursors:
                left = yield self._find(topic, left)
                if not left:
                    continue
            self._locate(cursors, topic, start)
            waiting = fetcher.wait(topic, left, call.wait, overdue)
            try:
                fetcher.pump(topic)
                yield waiting
            finally:
                fetcher.stop_waiting(topic, waiting)
        raise gen.Return(None if client.closing else [])

    def _locate(self, cursors, topic, start):
        """Have those positions looked up that are not known."""
        for cursor in cursors:
            if not cursor.located:
                self.positions.locate(topic, start)
                return

    def _take(self, call):
        """Take what one call may hand out, unless another call is at it: positions move in the order of batches."""
        if call.topic in self.handing:
            return None
        client = self.client
        most = client.max_bytes if self.reader.deserializer is bytes else min(client.max_bytes, PIECE)
        call.room = Room(call.most, most, client.max_bytes)
        return self.fetcher.take(call.topic, most, call.most is not None, call.partitions)

    @gen.coroutine
    def _deliver(self, call, taken):
        """Hand out what was taken; the network works while messages are decoded and handled."""
        call.taken = [(cursor, generation, cursor.handed) for cursor, generation, _ in taken]
        call.seen = None if self._settings.hooks is None else taken
        self.fetcher.pump()
        # Until its Future has the messages, see `_finish`. If nobody has kept that, they are put back then: a call that
        # took what follows any earlier would have it before them, and once more after them.
        self.handing[call.topic] = call
        try:
            messages = yield self.client._hand_out(taken, call)
            if not messages and not call.given_up:
                self.raise_pending([cursor for cursor, _, _ in taken])
        except Exception:
            call.taken = []
            raise
        except BaseException:  # such as KeyboardInterrupt: the call's Future will never be done, `_finish` never called
            self._end_handing(call)
            raise
        if not messages:
            call.taken = []
            self._end_handing(call)
            self.fetcher.wake(call.topic)
        self._fetch_on(taken)
        raise gen.Return([] if call.given_up else messages)

    def _fetch_on(self, taken):
        """Have more fetched of partitions whose batches were left in them till they were read, and are gone now."""
        for cursor, _, _ in taken:
            if cursor.state == READY:
                self.fetcher.pump(cursor.topic)
                return

    def hand_out(self, taken, call):
        """Decode what was taken; return a Future of its messages."""
        return self.reader.read(taken, call.read, call.room)

    def raise_pending(self, cursors):
        """Raise the error that a partition ended the call before with, once; the partition is tried again."""
        for cursor in cursors:
            if cursor.error is not None:
                error, cursor.error = cursor.error, None
                self.client.last_error = error
                raise error

    def _time_left(self, call, cursors):
        """
        The seconds that a call may still wait, and whether its time is over but for answers that are due.

        It is longer where no broker can be reached, or where a partition's answer is still to come: an empty list means
        that the brokers had nothing.

        :raises kiel.exc.NoBrokersError: when no broker could be reached for ``request_timeout``
        :raises kiel.exc.AuthenticationError: when the login is refused, which waiting does not mend
        """
        now = monotonic()
        waited = now - call.begun
        left = call.wait - waited
        if left > 0:
            return left, False
        if self.client.cluster.down_since is None:
            due = max([self.fetcher.answer_due(cursor, call) for cursor in cursors] or [0])
            return min(due, call.begun + call.wait + GRACE) - now, True
        error = self.client.cluster.last_error
        self.fetcher.refresh_metadata()  # fetches may go through by now, and nobody else would ask again
        if isinstance(error, exc.AuthenticationError):
            raise error
        left = self._settings.request_timeout - waited
        if left <= 0:
            raise exc.NoBrokersError("no broker can be reached: %s" % error)
        return left, False

    @gen.coroutine
    def _find(self, topic, seconds):
        """
        Ask for a topic that has no partition for us, upon which the broker may make it; return how many of the seconds
        are left to wait for one, 0 where there is one.

        :raises kiel.exc.BrokerError: when asking again does not help
        """
        client = self.client
        deadline = monotonic() + seconds
        if topic not in client.cluster.topics:
            try:
                yield client.cluster.ensure(topic, seconds)
            except exc.NoBrokersError as error:
                client.last_error = error
        if client.closing or client.allocation.get(topic):
            raise gen.Return(0)
        if topic not in client.cluster.topics:
            client.last_error = client.cluster.topic_errors.get(topic) or client.last_error
            if topic not in self._unknown:
                self._unknown.add(topic)
                log.warning("Topic %s does not exist; it is read from its start once it does", topic,
                            extra=dict(client=self._settings.client_id, topic=topic))
        raise gen.Return(max(0.0, deadline - monotonic()))

    def topics_changed(self):
        """Metadata came: topics may be there that were not."""
        self._unknown.intersection_update(set(self._unknown).difference(self.client.cluster.topics))

    def give_up(self):
        """The consumer begins anew: what calls took is handed out again."""
        for call in [call for calls in self.under_way.values() for call in calls]:
            call.give_up()
        self.under_way.clear()
        self.handing.clear()
