"""
Messages one after the other, of any number of topics: what ``consumer.stream()`` returns.

A stream makes ordinary calls of `consume_records`, one for each topic, and keeps what they bring as a `Chunk`. Messages
in a chunk are not handed out: the position of their partition stays before them until each is, so that a commit, a seek
or another reader finds what has been handed out, and no more. Whatever happens to a partition meanwhile shows in its
cursor's generation, and what is left of it in the chunk is dropped then; whoever reads on begins at the position.
"""
from __future__ import absolute_import

import collections
import time

from tornado import concurrent

from kiel import events, exc
from kiel.clients.consuming.chunks import Chunks, Handing
from kiel.clients.consuming.offset_lookup import BEGINNING
from kiel.clients.consuming.until import Ends
from kiel.clients.outcome import Outcome
from kiel.events import settle

#: milliseconds that a bounded read waits in its first call, by which it finds out where it is
FIRST_WAIT = 0


class Waiter(object):
    """One call of `Stream.next`, `Stream.more` or `Stream.take`, while it waits."""

    def __init__(self, outcome, handing, find, patient):
        self.outcome = outcome
        self.handing = handing
        #: returns what the call is to get of what is there
        self.find = find
        #: whether it waits until there is something
        self.patient = patient
        #: whether the consumer was asked for it
        self.asked = False


class Stream(object):
    """
    Messages of some topics, one by one, or in lists (``batches=True``).

    ``async for message in consumer.stream("colors"):`` ends when the consumer, or the stream, is closed, or at its
    ``until``. Without native coroutines::

        while (yield stream.more()):
            message = yield stream.next()

    A call that is cancelled takes nothing. An error of reading comes out of the call that finds it; the stream is as
    usable after that as `consume` is. With several topics their messages take turns.

    :param streams: the `kiel.clients.consuming.streams.Streams` that this is one of, and its way to the consumer
    :param choice: a `kiel.clients.consuming.choice.Choice`
    :param start: as for `consume`
    :param shape: makes of a `kiel.clients.consuming.record.Record` what is handed out
    :param batches: whether lists are handed out
    :param until: a `kiel.clients.consuming.until.Until`, or None
    """

    def __init__(self, streams, choice, start, shape, batches, until):
        self._client = streams.client
        self._streams = streams
        self._choice = choice
        self._start = start
        self._shape = shape
        self._batches = batches
        self._until = until
        #: where reading ends
        self._ends = Ends()
        #: what came and is not handed out yet
        self._chunks = Chunks(streams, self._ends)
        #: topic -> the Future of the call that is under way
        self._calls = {}
        #: the `Waiter`, None while nobody waits
        self._waiter = None
        #: errors that nobody was told of yet
        self._errors = collections.deque()
        #: the names of the topics that are read; None until reading begins
        self.topics = None
        #: those of them that came after that
        self._late = set()
        #: the Future of the look-up of its end
        self._looking = None
        #: topics that were asked for once
        self._asked = set()
        #: whether there is nothing more to come
        self.ended = False

    def __repr__(self):
        return "Stream(%s%s)" % (", ".join(self.topics or ()), ", ended" if self.ended else "")

    def __class_getitem__(cls, kind):
        """``Stream[bytes]`` in an annotation."""
        return cls

    # -- for the application --

    def __aiter__(self):
        return self

    def __anext__(self):
        return self.next()

    def next(self):
        """
        Return a Future of the next message, or, with ``batches``, of a list of some.

        :raises kiel.exc.StreamEnded: when there are no more; it is what ends ``async for``
        :raises RuntimeError: while another call waits
        :raises kiel.exc.KielError: as `consume`
        """
        return self._wait(self._take_list if self._batches else self._take_one)

    def more(self):
        """
        Wait until there is a message, without taking it: a Future of True, or of False when there are no more.

        Errors are those of `next`.
        """
        return self._wait(lambda waiter: True)

    def close(self):
        """End the stream; what was read and not handed out is read again by whoever reads on."""
        if self.ended:
            return
        self.ended = True
        calls, self._calls = self._calls, {}
        for outcome in calls.values():
            events.ignore(outcome)
            outcome.leave()
        self.give_back()
        self._chunks.clear()
        self._streams.ended(self)
        self._serve()

    def aclose(self):
        """`close`, as ``contextlib.aclosing`` calls it; return a Future."""
        self.close()
        done = concurrent.Future()
        done.set_result(None)
        return done

    def __del__(self):
        # nobody reads on; what fails here fails at the interpreter's end
        try:
            self.close()
        except Exception:
            pass

    # -- for `consume` of several topics --

    @property
    def selects(self):
        """Whether it reads some partitions of a topic, not all."""
        return self._choice.selects

    def take(self, most, wait, shape, start):
        """
        Return a Future of a list of messages; empty when there were none, None when the consumer closes.

        :param most: the number of messages at most, or None
        :param wait: milliseconds to wait for them
        :param shape: as for the constructor
        :param start: from now on
        """
        self._start = start
        return self._wait(lambda waiter: [
            shape(record) for record in self._chunks.take_list(waiter.handing, most, True)], False, wait)

    # -- for the consumer --

    def reads(self, topic):
        """Return whether the topic is one of this stream's."""
        return self.topics is not None and topic in self.topics

    def wants(self, cursor):
        """Return whether messages of a partition are wanted: it is chosen, and not at its end."""
        chosen = self._choice.partitions(cursor.topic)
        if chosen is not None and cursor.partition not in chosen:
            return False
        return not self._ends.reached(cursor)

    def give_back(self, condition=lambda cursor: True):
        """Let whoever reads on read again what is here of partitions, those for which a condition holds."""
        self._chunks.give_back(condition)

    def withdraw(self, topic):
        """Somebody else reads a topic: what is here of it comes first, and nobody waits for more."""
        self.give_back(lambda cursor: cursor.topic == topic)
        if topic in self._calls and not self._waits():
            events.ignore(self._calls[topic])
            self._calls.pop(topic).leave()

    def forget(self):
        """The consumer begins anew, in another process or on another loop: there is nothing to be given back."""
        self._chunks.clear()
        self._calls.clear()
        self._waiter = self._looking = None

    def topics_changed(self):
        """Metadata came: there may be more topics."""
        if self.topics is None or self._ends.known or not self._choice.is_open or self.ended:
            return
        topics = self._choice.topics(self._client.cluster.topics)
        self._late.update(set(topics).difference(self.topics))
        self.topics = topics
        if self._waits():
            self._ask()

    # -- waiting --

    def _waits(self):
        """Return whether somebody waits."""
        return self._waiter is not None and not self._waiter.outcome.done()

    def _wait(self, find, patient=True, wait=None):
        """Have a call wait until there is what it is to get; return its Future."""
        coming = None
        try:
            coming = None if self.ended else self._streams.arrive()
            if self._waits():
                raise RuntimeError("another call of this stream is still waiting; only one at a time is allowed")
        except (RuntimeError, exc.KielError) as error:
            return self._streams.refuse(error)
        handing = Handing(self._streams)
        outcome = Outcome(handing)
        if not self.ended:
            self._streams.group.asked_for_more(self)
        self._waiter = Waiter(outcome, handing, find, patient)
        self._streams.waits(self, True)
        if coming is not None:
            arrived = events.weakly(self._arrived)
            self._client.io_loop.add_future(coming, lambda future: arrived(future, wait))
        elif self._streams.reader.turn.over(time.time()):
            # whoever only ever gets what is there already must not keep the loop from its turn
            self._client.io_loop.add_callback(events.weakly(self._go_on), wait)
        else:
            self._go_on(wait)
        return outcome

    def _go_on(self, wait=None):
        """Serve who waits, or see to it that something comes."""
        if self._errors:
            self._serve()
            return
        if self.topics is None and not self.ended:
            self._begin()
        if not self._ends.known and self._until is not None and not self.ended:
            self._find_ends()
            return
        self._serve()
        if self._waits():
            self._ask(wait)
            self._serve()

    def _arrived(self, coming, wait):
        """The consumer is connected on this loop, or can't be."""
        if coming.exception() is not None:
            self._errors.append(coming.exception())
        self._go_on(wait)

    def _begin(self):
        """Reading begins."""
        self.topics = self._choice.topics(self._client.cluster.topics)
        self._streams.group.about_to_read(self.topics)

    def _find_ends(self):
        """Look the ends of a bounded read up, unless that is under way."""
        if self._looking is not None and not self._looking.done():
            return
        self._looking = events.ignore(self._until.find(self._streams.lookup, self.topics))
        self._client.io_loop.add_future(self._looking, events.weakly(self._found_ends))

    def _found_ends(self, future):
        """The ends are known, or can't be found."""
        if future is not self._looking:
            return
        if future.exception() is None:
            self._ends.offsets = future.result()
            self._go_on()
        else:
            self._errors.append(future.exception())
            self._serve()

    # -- asking --

    def _ask(self, wait=None):
        """Call for each topic of which nothing is here, or on its way."""
        self._waiter.asked = True
        for topic in self.topics or ():
            if topic not in self._calls and topic not in self._chunks and not self._is_through(topic):
                self._call(topic, wait)
        if not self.topics and not self._waiter.patient:
            seconds = self._client.max_wait_time if wait is None else wait
            self._client.io_loop.call_later(seconds / 1000.0, settle, self._waiter.outcome, [])

    def _call(self, topic, wait=None):
        """Call for messages of a topic."""
        if self._ends.known and topic not in self._asked:
            wait = FIRST_WAIT
        self._asked.add(topic)
        start = BEGINNING if topic in self._late else self._start
        outcome = self._streams.read(self, topic, start, wait, self._choice.partitions(topic))
        self._calls[topic] = outcome
        came = events.weakly(self._came)
        self._client.io_loop.add_future(outcome, lambda future: came(topic, future))

    def _came(self, topic, outcome):
        """A call is done."""
        if self._calls.get(topic) is not outcome:
            return
        del self._calls[topic]
        error = outcome.exception()
        if error is not None:
            if str(error) not in [str(known) for known in self._errors]:  # each topic says that no broker answers
                self._errors.append(error)
        else:
            held = outcome.result()
            if held is None:
                self.close()
                return
            if held:
                self._chunks.keep(topic, *held)
        if self._waits() and topic not in self._chunks and error is None and self._waiter.patient \
                and topic in self.topics and not self._is_through(topic):
            self._call(topic)
        self._serve()

    # -- serving --

    def _serve(self):
        """Give who waits what is there for it, if anything is."""
        waiter = self._waiter
        if not self._waits():
            self._release()
        elif self._errors:
            self._release()
            settle(waiter.outcome, error=self._errors.popleft())
        elif self._chunks.is_ready():
            self._release()
            settle(waiter.outcome, waiter.find(waiter))
        elif self.ended or self._is_over():
            self._release()
            self.close()
            self._tell_end(waiter)
        elif waiter.asked and not waiter.patient and not self._calls and self.topics:
            self._release()
            settle(waiter.outcome, [])

    def _release(self):
        """Nobody waits any more."""
        self._waiter = None
        self._streams.waits(self, False)

    def _tell_end(self, waiter):
        """There is nothing more to come."""
        if not waiter.patient:
            settle(waiter.outcome)
        elif waiter.find in (self._take_one, self._take_list):
            settle(waiter.outcome, error=exc.StreamEnded("the stream has ended"))
            events.ignore(waiter.outcome)  # whoever does not wait any more need not be told
        else:
            settle(waiter.outcome, False)

    def _take_one(self, waiter):
        """Hand out the first message."""
        return self._shape(self._chunks.take_one(waiter.handing))

    def _take_list(self, waiter):
        """Hand out a chunk."""
        return [self._shape(record) for record in self._chunks.take_list(waiter.handing)]

    # -- the end --

    def _is_through(self, topic):
        """Return whether all of a topic is read that was to be."""
        if not self._ends.known or topic in self._chunks:
            return False
        cursors = self._streams.fetcher.of(topic)
        chosen = self._choice.partitions(topic)
        return bool(cursors) and all(
            self._ends.reached(cursor) for cursor in cursors
            if chosen is None or cursor.partition in chosen
        )

    def _is_over(self):
        """Return whether all of all topics is read that was to be."""
        return self._ends.known and all(self._is_through(topic) for topic in self.topics)
