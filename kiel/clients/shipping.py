"""
Takes batches from the outboxes to the leaders of their partitions and brings the answers back.

A `Desk` per broker: outboxes queue there, and the heads of as many as fit go out in one
ProduceRequest. What failed and may be tried again stays at the head of its outbox and rests there
for a while, with the metadata renewed.
"""
from __future__ import absolute_import

import collections
import logging

from tornado import gen

from kiel import exc
from kiel.clients import freight
from kiel.clients.desks import Changes, Desk, Desks
from kiel.clients.outbox import (
    BATCH_OVERHEAD, IN_FLIGHT, LINGERING, Outbox, failure, resolve, timed_out
)
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)


class Shipper(Desks):
    """
    Moves the outboxes of one producer along.

    :param producer: has the settings: ``cluster``, ``required_acks``, ``ack_timeout``,
        ``compression``, ``max_request_bytes``, ``delivery_timeout``, ``retry``, ``io_loop``
    :param lingering: seconds for which a batch that is not full waits for more messages
    :param on_room: called with the number of bytes that have left the buffer
    :param turn: the `kiel.fairness.Turn` that the producer shares with whatever else it does at a stretch
    """

    def __init__(self, producer, lingering, on_room, turn):
        self.producer = producer
        self.cluster = producer.cluster
        self.lingering = lingering
        self.on_room = on_room
        self.turn = turn
        #: nothing lingers: whatever is there goes out as soon as its partition is free
        self.prompt = False
        #: (topic, partition id) -> Outbox
        self.outboxes = {}
        #: those that hold anything
        self.active = set()
        #: correlation id -> Flight
        self.sent = {}
        self.desks = {}
        #: the desks that wait for the loop to have its turn
        self._postponed = []
        #: bytes that were encoded since somebody asked whether the loop is due its turn
        self._encoded = 0
        #: nothing is tried again any more
        self.stopped = False
        self._linger_timer = None
        self._deadline_timer = None
        plan = producer.retry
        # each batch has a deadline of its own
        self._backoff = Backoff(plan.first, plan.most, plan.factor, plan.jitter, deadline=None)

    def outbox(self, topic, partition):
        """Gives the outbox of a partition."""
        found = self.outboxes.get((topic, partition))
        if found is None:
            found = self.outboxes[topic, partition] = Outbox(topic, partition)
        return found

    # -- what comes in --

    def begin(self, outbox):
        """
        Gives a new batch at the end of an outbox; `added` is to follow once it has its first
        message.
        """
        now = monotonic()
        patience = self.producer.delivery_timeout
        if self._deadline_timer is None:
            self._deadline_timer = self.producer.io_loop.call_later(patience, self._on_deadline)
        return outbox.begin(now, now + patience, freight.most_bytes(self.producer))

    def added(self, outbox):
        """A message came to an outbox that was idle."""
        outbox.go("added")
        self.active.add(outbox)
        changes = Changes()
        changes.moved.append(outbox)
        self._act(changes)

    def release(self):
        """Sends all that is there without lingering any longer."""
        if self.prompt and self._linger_timer is None:
            return  # nothing lingers
        self._linger_timer = _cancel(self.producer.io_loop, self._linger_timer)
        changes = Changes()
        for outbox in self.active:
            outbox.due = True
            if outbox.state is LINGERING:
                changes.moved.append(outbox)
        self._act(changes)

    def batches(self):
        """All batches that are not done."""
        return [batch for outbox in self.active for batch in outbox.batches if not batch.done]

    def stop(self, error):
        """Fails whatever is left; gives ``{(topic, partition id): number of messages}``."""
        self.stopped = True
        self._linger_timer = _cancel(self.producer.io_loop, self._linger_timer)
        self._deadline_timer = _cancel(self.producer.io_loop, self._deadline_timer)
        changes = Changes()
        left = collections.Counter()
        for batch in self.batches():
            left[batch.topic, batch.partition] += len(batch)
            self._finish(batch, changes, failure(error, batch.topic, batch.partition))
        for outbox in self.active:
            self._clear(outbox, changes)
        self._act(changes)
        return dict(left)

    # -- what follows from what happened --

    def _act(self, changes):
        """
        Lets all that follows from some changes happen: outboxes go on or rest, requests go out,
        waiters wake.
        """
        while changes.moved:
            moved, changes.moved = changes.moved, []
            desks = []
            for outbox in moved:
                self._advance(outbox, desks, changes)
            for desk in desks:
                self._work(desk, changes)
        if changes.failed:
            failed, changes.failed = changes.failed, []
            self._rest(failed)
        if changes.freed:
            self.on_room(changes.freed)
        resolve(changes.told)

    def _advance(self, outbox, desks, changes):
        """
        Takes an outbox that is LINGERING on: to its leader's desk, to idleness, or to wait for the
        timer.
        """
        if not outbox.batches:
            outbox.go("emptied")
            outbox.due = False
            self.active.discard(outbox)
        elif not (self.prompt or outbox.due):
            if self._linger_timer is None:
                waited = monotonic() - outbox.batches[0].opened
                self._linger_timer = self.producer.io_loop.call_later(
                    max(0.0, self.lingering - waited), self._on_linger
                )
        else:
            outbox.go("due")
            broker_id = self.cluster.leaders.get(outbox.topic, {}).get(outbox.partition)
            if broker_id is None:
                self._trouble(outbox, self._leaderless(outbox), changes, whole=True)
                return
            desk = self.desks.get(broker_id)
            if desk is None:
                desk = self.desks[broker_id] = Desk(broker_id)
            desk.ready.append(outbox)
            if desk not in desks:
                desks.append(desk)

    def _on_linger(self):
        """The oldest message has lingered for long enough."""
        self._linger_timer = None
        self.release()

    def _leaderless(self, outbox):
        """The error of a partition for which metadata names no leader."""
        error = self.cluster.topic_errors.get(outbox.topic)
        if error is not None:
            return error
        if outbox.topic in self.cluster.topics:
            return exc.LeaderNotAvailableError("no broker that can be reached leads the partition")
        return exc.UnknownTopicOrPartitionError("the topic is gone")

    def _finish(self, batch, changes, error=None, offset=-1, timestamp=-1):
        """Ends a batch."""
        if error is not None:
            self.producer.lost(batch, error)
        batch.shut()
        changes.freed += batch.size - BATCH_OVERHEAD
        changes.told.extend(batch.finish(error, offset, timestamp))

    def _clear(self, outbox, changes):
        """Takes batches that are done out of an outbox."""
        outbox.sweep()
        if not outbox.batches and outbox.state is LINGERING:
            changes.moved.append(outbox)

    def _trouble(self, outbox, error, changes, whole=False):
        """
        The head of an outbox failed: it rests to be sent again, or is given up when the error is no
        passing one.

        :param whole: the error is one of all batches, not of the head alone
        """
        event = "answered" if outbox.state is IN_FLIGHT else "moved"
        if outbox.batches and getattr(error, "retriable", False) and not self.stopped:
            outbox.batches[0].last_error = error
            outbox.due = True
            outbox.go("failed")
            changes.failed.append((outbox, error))
            return
        for batch in list(outbox.batches) if whole else [outbox.batches[0]]:
            if not batch.done:
                self._finish(batch, changes, failure(error, batch.topic, batch.partition))
            outbox.drop(batch)
        outbox.go(event)
        changes.moved.append(outbox)

    @gen.coroutine
    def _rest(self, failed):
        """Lets outboxes wait for their next attempt, with the metadata renewed before it."""
        delay = 0
        topics = set()
        for outbox, error in failed:
            if outbox.clock is None:
                outbox.clock = self._backoff.start()
            delay = max(delay, outbox.clock.delay())
            if error.cure == "metadata":
                topics.add(outbox.topic)
            log.info(
                "%s:%s will be sent again in %.1f s: %s",
                outbox.topic, outbox.partition, delay, error
            )
        changes = Changes()
        try:
            yield gen.sleep(delay)
            yield self._cure(topics)
        except exc.KielError as error:
            log.info("The cluster could not be asked again: %s", error)
        except Exception:
            log.exception("Could not renew the metadata")
        for outbox, _ in failed:
            outbox.go("rested")
            outbox.sweep()
            changes.moved.append(outbox)
        self._act(changes)

    @gen.coroutine
    def _cure(self, topics):
        """
        Renews metadata; a topic that is gone is asked for by name, upon which most brokers create
        it.
        """
        if self.stopped:
            return
        for topic in topics:
            if topic not in self.cluster.topics:
                yield self.cluster.ensure(topic)
        if any(topic in self.cluster.topics for topic in topics):
            yield self.cluster.heal()

    def _on_deadline(self):
        """Gives up the batches whose time is over, and sets the timer for the next."""
        self._deadline_timer = None
        now = monotonic()
        changes = Changes()
        following = None
        for outbox in list(self.active):
            for batch in outbox.batches:
                if batch.done:
                    continue
                if batch.deadline > now:
                    if following is None or batch.deadline < following:
                        following = batch.deadline
                    break
                self._finish(batch, changes, timed_out(batch))
            self._clear(outbox, changes)
        if following is not None:
            self._deadline_timer = self.producer.io_loop.call_later(
                following - now, self._on_deadline
            )
        self._act(changes)


def _cancel(io_loop, timer):
    """Takes back a timer, if there is one; gives None."""
    if timer is not None:
        io_loop.remove_timeout(timer)
    return None
