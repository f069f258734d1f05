"""The books: producers number their messages per key and note what was acknowledged, consumers note what came."""
from __future__ import absolute_import

import time

from tornado import gen

from kiel import exc
from kiel.clients.offsets import BEGINNING
from tests.faults import checker

#: bytes of a message: the key and number, and filling
SIZE = 60


def written(key, number):
    """The value of a message."""
    return ("%s|%d|" % (key, number)).encode("ascii").ljust(SIZE, b".")


def read(value):
    """The ``(key, number)`` of a message's value."""
    key, number, _ = value.decode("ascii").split("|")
    return key, int(number)


class Book(object):
    """What was produced and what became of it; messages are ``(key, number)``."""

    def __init__(self):
        self._next = {}
        #: told to be written, in that order
        self.acknowledged = []
        #: failed: nobody knows whether they are there
        self.unknown = []
        #: of transactions that were aborted
        self.aborted = []
        #: the errors of those that failed
        self.errors = []

    def number(self, key):
        """The next number of a key."""
        found = self._next.get(key, 0)
        self._next[key] = found + 1
        return found

    @property
    def produced(self):
        """How many messages were given to the producer."""
        return sum(self._next.values())

    def check(self, got):
        """The `kiel` verdict on what was read; see `tests.faults.checker.check`."""
        return checker.check(self.acknowledged, got, self.aborted, self.unknown)


class Progress(object):
    """Watches how long nothing happens: ``longest`` is the longest time between two signs of life, in seconds."""

    def __init__(self):
        self.last = time.time()
        self.longest = 0.0

    def sign(self):
        """Something came through."""
        now = time.time()
        self.longest = max(self.longest, now - self.last)
        self.last = now

    def begin(self):
        """Counts from now on."""
        self.last = time.time()
        self.longest = 0.0


class Writing(object):
    """
    Produces to the partitions of a topic at a steady pace, each partition under a key of its own.

    :param rate: messages a second, at most
    """

    def __init__(self, producer, topic, partitions, book, rate):
        self.producer = producer
        self.topic = topic
        self.partitions = partitions
        self.book = book
        self.rate = rate
        self.progress = Progress()
        self.stopping = False
        self._open = 0
        self.done = self._write()

    @gen.coroutine
    def _write(self):
        """Produces until `stopping`, then waits for the fate of all."""
        begun, count, following = time.time(), 0, []
        while not self.stopping:
            for partition in range(self.partitions):
                key = "p%d" % partition
                group = []
                for _ in range(10):
                    number = self.book.number(key)
                    try:
                        delivery = yield self.producer.produce(
                            self.topic, written(key, number), key=key, partition=partition)
                    except exc.KielError as error:
                        self.book.unknown.append((key, number))
                        self.book.errors.append(error)
                        yield gen.sleep(0.01)
                    else:
                        group.append((key, number, delivery))
                count += len(group)
                following.append(self._follow(group))
            ahead = begun + count / float(self.rate) - time.time()
            if ahead > 0.002:
                yield gen.sleep(ahead)
            elif ahead < -1:  # time lost in a fault is not made up for
                begun -= ahead
            following = [future for future in following if not future.done()]
        yield following

    @gen.coroutine
    def _follow(self, group):
        """Notes what becomes of a few messages of one key."""
        for key, number, delivery in group:
            try:
                yield delivery
            except exc.KielError as error:
                self.book.unknown.append((key, number))
                self.book.errors.append(error)
            else:
                self.book.acknowledged.append((key, number))
        self.progress.sign()

    @gen.coroutine
    def stop(self):
        """Ends producing; done when the fate of every message is known."""
        self.stopping = True
        yield self.done


class Transacting(Writing):
    """
    Produces in transactions of a few hundred messages, of which every fourth is aborted.

    Messages count as acknowledged when their transaction is committed; those of one that failed, and then was aborted,
    as aborted.
    """

    #: messages of one key in a transaction
    EACH = 40

    @gen.coroutine
    def _write(self):
        turn = 0
        begun, count = time.time(), 0
        while not self.stopping:
            turn += 1
            group = []
            try:
                yield self.producer.begin()
                for partition in range(self.partitions):
                    key = "p%d" % partition
                    for _ in range(self.EACH):
                        number = self.book.number(key)
                        group.append((key, number))
                        yield self.producer.produce(self.topic, written(key, number), key=key, partition=partition)
                if turn % 4 == 0:
                    yield self.producer.abort()
                    self.book.aborted.extend(group)
                else:
                    yield self.producer.commit()
                    self.book.acknowledged.extend(group)
                self.progress.sign()
            except exc.KielError as error:
                self.book.errors.append(error)
                yield self._give_up(group)
            count += len(group)
            ahead = begun + count / float(self.rate) - time.time()
            if ahead > 0.002:
                yield gen.sleep(ahead)
            elif ahead < -1:
                begun -= ahead

    @gen.coroutine
    def _give_up(self, group):
        """Aborts a transaction that failed; when even that can't be told, the fate of its messages is unknown."""
        deadline = time.time() + 60
        while time.time() < deadline:
            try:
                yield self.producer.abort()
            except exc.TransactionStateError:
                break  # it has ended, nobody knows how
            except exc.KielError as error:
                self.book.errors.append(error)
                yield gen.sleep(0.2)
            else:
                self.book.aborted.extend(group)
                return
        self.book.unknown.extend(group)


class Reading(object):
    """Consumes a topic for as long as it is let; ``got`` is what came, in order."""

    def __init__(self, consumer, topic):
        self.consumer = consumer
        self.topic = topic
        self.got = []
        self.errors = []
        self.progress = Progress()
        self.stopping = False
        self.done = self._read()

    @gen.coroutine
    def _read(self):
        while not self.stopping:
            try:
                found = yield self.consumer.consume(self.topic, BEGINNING)
            except exc.KielError as error:
                self.errors.append(error)
                yield gen.sleep(0.05)
                continue
            if found is None:
                return
            if found:
                self.progress.sign()
            self.got.extend(read(value) for value in found)

    @gen.coroutine
    def catch_up(self, messages, seconds):
        """Waits until all of these have come, or nothing came for so many seconds; gives whether they have."""
        messages = set(messages)
        since, count = time.time(), -1
        while True:
            if len(self.got) != count:
                count, since = len(self.got), time.time()
                if count >= len(messages) and messages.issubset(self.got):
                    raise gen.Return(True)
            if time.time() - since > seconds:
                raise gen.Return(False)
            yield gen.sleep(0.1)

    @gen.coroutine
    def stop(self):
        """Ends consuming."""
        self.stopping = True
        yield self.done


class Passing(Reading):
    """
    Consumes, transforms and produces exactly once: what is read from one topic is written to another, in a transaction
    that commits the offsets too. ``got`` are the messages of transactions that were committed.
    """

    def __init__(self, consumer, producer, source, target):
        self.producer = producer
        self.target = target
        super(Passing, self).__init__(consumer, source)

    @gen.coroutine
    def _read(self):
        while not self.stopping:
            try:
                found = yield self.consumer.consume(self.topic, BEGINNING)
                if not found:
                    continue
                messages = [(read(value), value) for value in found]
                yield self.producer.begin()
                for (key, _), value in messages:
                    yield self.producer.produce(self.target, value, key=key, partition=int(key[1:]))
                yield self.producer.send_offsets(self.consumer)
                yield self.producer.commit()
            except exc.KielError as error:
                self.errors.append(error)
                yield self._again()
            else:
                self.got.extend(message for message, _ in messages)
                self.progress.sign()

    @gen.coroutine
    def _again(self):
        """Aborts, and has what was handed out handed out again."""
        deadline = time.time() + 60
        while time.time() < deadline:
            try:
                yield self.producer.abort()
            except exc.TransactionStateError:
                break
            except exc.KielError as error:
                self.errors.append(error)
                yield gen.sleep(0.2)
            else:
                break
        self.consumer.rewind()
