"""The worker: takes messages, has them worked on, and commits what is done."""
from __future__ import absolute_import

import logging

from tornado import concurrent, gen, ioloop

from kiel import arguments, events
from kiel.callbacks import safe_text
from kiel.clients.grouped import GroupedConsumer
from kiel.retry import monotonic
from kiel.worker.bench import Bench
from kiel.worker.commits import Commits
from kiel.worker.handler import Handler, refuse_wrong
from kiel.worker.intake import Intake
from kiel.worker.rebalances import Rebalances
from kiel.worker.settings import Settings

log = logging.getLogger(__name__)

#: seconds that what is at work is given when the worker ends because of an error
PATIENCE_AT_LAST = 30

#: seconds between two signs of life while there is no room for more messages
LIFE = 1.0


class Worker(object):
    """
    Has a function called for each message of some topics, many at a time, and each at least once.

    ``yield Worker(consumer, handler).run()`` works until `drain` is called. The worker has the consumer for itself:
    it connects it, takes messages, commits, and closes it at the end. Offsets are committed up to the first message
    that is not done, soon after that changes.

    What a handler raises is its message's failure. It is tried again as ``retry`` says, and then given to
    ``dead_letters``; only when it is there is the message done. A value that does not deserialise fails in the same
    way, but is not tried again, and neither is what raises `kiel.worker.Reject`. Without ``dead_letters``, a message
    that fails for good ends the worker: `run` raises the error, and the message is the first to come when the group
    goes on.

    Messages are taken ahead, ten times ``concurrency`` and at least a hundred. While there are so many, none are
    consumed; while one partition has so many that wait for a slow message before them, it is paused. In a rebalance,
    messages at work are waited for, for three quarters of the consumer's ``rebalance_timeout``, and so are those before
    one that is done; those after, that have not been begun, are left to their partition's next owner.

    :param consumer: a `kiel.clients.GroupedConsumer` with ``topics`` and ``autocommit=False``, connected or not
    :param handler: called with a `kiel.clients.Record`; a coroutine, or a plain function. It is called on the IOLoop
        unless there is an ``executor``.
    :param concurrency: how many messages may be at work at once
    :param order: "key": of two messages with the same key, the later is begun when the earlier is done, and messages
        without a key have no order; "partition": so it is with all messages of a partition; None: there is no order
    :param retry: a `kiel.retry.Backoff` that says how often a message is tried again; its ``deadline`` counts from the
        first failure. None: never. A message that rests between two attempts holds up its key, not its slot.
    :param dead_letters: a topic's name: messages are written there with their key, value and headers as they came, and
        with headers that tell what failed (see `kiel.worker.dead_letters.DeadLetterTopic`). Or called with
        ``(record, error, attempts)``, the record's value as it came; may be a coroutine; what it raises ends the
        worker.
    :param timeout: seconds for one attempt; after it, a native coroutine is cancelled, and the attempt has failed with
        `kiel.worker.HandlerTimeoutError`. Other handlers can't be ended: they go on beside what comes next. None: no
        limit; then a handler that never ends keeps its partition from being committed.
    :param executor: a `concurrent.futures.Executor` that a plain, blocking function is called in
    :param start: where to begin in partitions in which the group has committed nothing, as for
        `kiel.clients.GroupedConsumer.consume`; default: at their beginning
    :param producer: a `kiel.clients.Producer` with a ``transactional_id``: each message is worked on exactly once. The
        handler returns `kiel.worker.Output` objects, which are produced, with dead letters, in the transaction that
        commits their message's offset. The worker has the producer for itself: it connects and closes it. The consumer
        needs ``isolation_level="read_committed"``, the brokers Kafka 2.5.
    :param transaction_messages: how many messages a transaction is about at most; default: 1000
    :param transaction_seconds: seconds from a message being done to its transaction's beginning, together with what is
        done by then; default: 0.2
    :raises TypeError: for an argument of a wrong type, or a handler of which nothing would run
    :raises ValueError: for a value that there is not; for a consumer that commits by itself, or has no ``topics``; for
        ``dead_letters`` that are read by the worker itself; for what can't work exactly once
    """

    def __init__(self, consumer, handler, concurrency=10, order="key", retry=None, dead_letters=None, timeout=None,
                 executor=None, start=None, producer=None, transaction_messages=None, transaction_seconds=None):
        refuse_wrong(handler, executor)
        settings = Settings(consumer, concurrency, order, retry, dead_letters, timeout, start, producer,
                            transaction_messages, transaction_seconds)
        self.consumer = consumer
        #: the topics that are worked on
        self.topics = settings.topics
        self.concurrency = settings.concurrency
        self.order = order
        #: what is connected and closed with the consumer
        self._store, self._dead_letters, self._window = settings.store, settings.dead_letters, settings.window
        #: where messages are worked on
        self._bench = Bench(
            Handler(handler, executor, settings.timeout, lambda: consumer.deserializer, self._store.outputs),
            self._dead_letters, retry, self.concurrency, self._window,
            lambda part: self._intake.settled(part), self._fail)
        #: (topic, partition) -> `kiel.worker.part.Part`, of those that are this member's
        self._parts = {}
        self._commits = Commits(self._store, self._parts, self._fail)
        self._intake = Intake(consumer, settings, self._parts, self._bench, self._commits, self._fail, self.drain)
        self._rebalances = Rebalances(consumer, self._parts, self._bench, self._commits, self._intake)
        #: whether no more messages are to be taken or begun
        self._stopping = False
        #: done when ``_stopping`` is True, and when `run` is; made there
        self._stopped = self._ended = None
        #: the error that ended the worker; None while there is none
        self.error = None
        self._running = False
        #: when what is at work has to be done (`kiel.retry.monotonic`), and the loop's timer of it; None before `drain`
        self._deadline = self._timer = None
        self.io_loop = None

    # -- what is seen from outside --

    @property
    def numbers(self):
        """
        What the worker has and has done, as a dict of plain numbers.

        ``in_flight``: messages that a handler has, or ``dead_letters`` are about to; ``waiting``: taken ahead, or
        resting between two attempts; ``done``, ``retried`` (attempts after the first), ``dead`` (given to
        ``dead_letters``), ``given_back`` (left to their partition's next owner): since the worker was made;
        ``oldest``: for how many seconds the message has been at work, its pauses included, that has been so for
        longest; 0 without any. With a ``producer``, ``transactions`` and ``aborted`` ones, too.
        """
        busy = self._bench.busy
        numbers = dict(self._bench.counts, in_flight=len(busy), waiting=self._window.taken - len(busy),
                       oldest=max(0.0, monotonic() - min(job.begun for job in busy)) if busy else 0.0)
        numbers.update(self._store.counts)
        return numbers

    def health(self):
        """
        Return how the worker and its consumer are, as a dict of plain values that may go out as JSON.

        That is `kiel.clients.GroupedConsumer.health` of its consumer, with ``draining``: whether `drain` was called,
        and then it is not ``ready``; with ``ended`` and ``error`` where an error has ended the worker; and with
        ``worker``, its `numbers`.
        """
        found = dict(GroupedConsumer.health(self.consumer), draining=self._stopping, worker=self.numbers)
        found["ready"] = found["ready"] and self._ended is not None and not self._stopping
        if self.error is not None:
            found.update(ended=True, error=safe_text(self.error) or type(self.error).__name__)
        return found

    # -- running --

    def run(self):
        """
        Connect the consumer, work until `drain` is called, and close it. Return a Future.

        A Future that is cancelled drains the worker. It is run once.

        :raises RuntimeError: when it was run before
        :raises kiel.exc.KielError: when the consumer can't be connected, or `consume` fails with what trying again does
            not mend
        :raises Exception: what a message failed with for good, without ``dead_letters``; what a ``dead_letters`` of the
            application's own raised
        """
        if self._running:
            raise RuntimeError("a worker can only be run once")
        self._running = True
        self.io_loop = ioloop.IOLoop.current()
        self._stopped, self._ended = concurrent.Future(), concurrent.Future()
        future = events.detached(self._run())
        future.add_done_callback(lambda done: getattr(done, "cancelled", bool)() and self.drain())
        return future

    @gen.coroutine
    def _run(self):
        """The work of `run`."""
        life = ioloop.PeriodicCallback(self._show_life, LIFE * 1000)
        takers = []
        self._rebalances.listen()
        self._commits.io_loop = self._bench.io_loop = self.io_loop
        life.start()
        try:
            try:
                if (yield self._connect()):
                    takers.extend(self._intake.begin())
                    yield events.first(self._stopped, *takers)
                    yield self._wind_down()
            finally:
                life.stop()
                self._commits.stop()
                yield self._close()
                self._rebalances.leave()
            yield takers  # the consumer is closed, so they end
        except Exception as error:
            self.error = self.error or error
        finally:
            if self._timer is not None:
                self.io_loop.remove_timeout(self._timer)
            events.settle(self._ended)
        if self.error is not None:
            raise self.error

    @gen.coroutine
    def _connect(self):
        """Connect the consumer and the dead letters' producer. Return whether that is done, not called off."""
        both = [self.consumer.connect(), self._store.connect()]
        both += [self._dead_letters.connect()] if self._dead_letters else []
        both = events.ignore(gen.multi([events.ignore(one) for one in both], quiet_exceptions=Exception))
        yield events.first(both, self._stopped)
        if self._stopped.done():
            raise gen.Return(False)
        both.result()  # or its error
        raise gen.Return(True)

    def drain(self, timeout=30):
        """
        Take no more messages, wait for those being handled, commit, and close the consumer. Return a Future.

        It is done when `run` is, and never fails: errors are raised by `run`. Messages that were not begun yet, or that
        wait for another attempt, are left to the next owners of their partitions. Only those with a smaller offset than
        one that is already done are still handled, since that one would be delivered again otherwise.

        :param timeout: seconds for messages being handled and for closing. After that, native coroutines are cancelled
            and other handlers keep running; their messages are delivered again to another member
        """
        self._stop(arguments.seconds("timeout", timeout))
        self._running = True  # it can't be run any more
        return gen.maybe_future(None) if self._ended is None else events.finished(self._ended)

    def _stop(self, seconds):
        """Take and begin nothing any more; what is at work has so many seconds, unless it had less already."""
        deadline = monotonic() + seconds
        if self._deadline is None or deadline < self._deadline:
            self._deadline = self._bench.deadline = deadline
            if self._timer is not None:
                self.io_loop.remove_timeout(self._timer)
                self._timer = None
            if self._ended is not None and not self._ended.done():
                self._timer = self.io_loop.call_later(seconds, self._bench.check)
        if self._stopping:
            return
        self._stopping = self._bench.stopping = True
        for part in self._parts.values():
            self._bench.give_back(part)
        self._intake.stop()
        self._bench.pump()
        if self._stopped is not None:
            events.settle(self._stopped)
        self._bench.check()

    def _fail(self, error):
        """End the worker: there is something that it can't go on after."""
        if self.error is None:
            self.error = error
            log.error("The worker stops: %s: %s", type(error).__name__, safe_text(error))
        self._stop(PATIENCE_AT_LAST)

    @gen.coroutine
    def _wind_down(self):
        """Wait for what is at work, and commit what is done."""
        yield self._bench.until(lambda: not self._window.taken)
        for part in self._parts.values():
            self._bench.give_back(part, all_of_it=True)
        self._bench.forsake_all()
        try:
            error = yield events.within(self._left(), self._commits.commit())
        except gen.TimeoutError as late:
            error = late
        if error is not None:
            log.error("The worker's last offsets could not be committed; their messages will be delivered again: %s",
                      safe_text(error))

    @gen.coroutine
    def _close(self):
        """Close the consumer, and what else was connected."""
        self._intake.resume_all()
        left = self._left()
        closing = [self.consumer.close(), self._store.close(left)]
        yield closing + ([self._dead_letters.close(left)] if self._dead_letters else [])

    def _left(self):
        """Return the seconds left for the final commit and for closing."""
        return 1.0 if self._deadline is None else max(1.0, self._deadline - monotonic())

    def _show_life(self):
        """Tell the heartbeat that the member makes progress though it calls no `consume`: it has no room for more."""
        heartbeat = self.consumer.allocator.heartbeat
        if self._window.hungry and heartbeat is not None:
            heartbeat.progress()
