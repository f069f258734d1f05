"""Partitions go to other members and come from them: what is at work is finished and committed before."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events
from kiel.clients.grouping.assignment import keys_of, names_of

# these lines are the worker's, whose logger applications may have set up
log = logging.getLogger("kiel.worker.worker")

#: the part of the time for a rebalance that messages at work are waited for; the rest is for committing
SHARE = 0.75

#: seconds that the commit of partitions that go may take at most
LAST_COMMIT = 5.0


class Rebalances(object):
    """
    What the worker does when its consumer's partitions change.

    :param consumer: the `kiel.clients.grouped.GroupedConsumer`
    :param parts: ``{(topic, partition): kiel.worker.part.Part}`` of those that are this member's
    :param bench: the `kiel.worker.bench.Bench`
    :param commits: the `kiel.worker.commits.Commits`
    :param intake: the `kiel.worker.intake.Intake`
    """

    def __init__(self, consumer, parts, bench, commits, intake):
        self.consumer = consumer
        self._parts = parts
        self._bench = bench
        self._commits = commits
        self._intake = intake
        #: the application's own callbacks of the consumer, while the worker's are in their place
        self._hooks = None, None

    def listen(self):
        """Take the place of the application's callbacks, which are called by the worker's."""
        consumer = self.consumer
        self._hooks = consumer.on_rebalance, consumer.on_lost
        consumer.on_rebalance, consumer.on_lost = self._on_rebalance, self._on_lost

    def leave(self):
        """Give the application's callbacks their place back."""
        self.consumer.on_rebalance, self.consumer.on_lost = self._hooks

    @gen.coroutine
    def _on_rebalance(self, revoked, assigned):
        """Partitions go: finish what is at work on them, and commit. Or they have come."""
        for key in keys_of(assigned):
            if key in self._parts:  # of a term that ended without waiting for us; what comes now is of another
                self._intake.lose(self._parts[key])
            self._intake.resume(key)
        parts = [self._parts[key] for key in keys_of(revoked) if key in self._parts]
        for part in parts:
            part.leaving = True
            self._bench.give_back(part)
        if parts:
            self._bench.pump()
            yield self._finish(parts)
            for part in parts:
                self._intake.lose(part)
        if self._hooks[0] is not None:
            yield events.outcome_of(self._hooks[0](revoked, assigned))

    @gen.coroutine
    def _finish(self, parts):
        """Wait for what is at work on partitions that go, and commit it, as far as there is time."""
        late = yield self._bench.until(
            lambda: not any(part.pending for part in parts), SHARE * self.consumer.rebalance_timeout)
        if late:
            log.warning("Messages of %s were still being processed when the partitions were revoked; the next owner "
                        "gets them again",
                        names_of(part.key for part in parts if part.pending))
        committing = events.ignore(self._commits.commit())
        try:
            yield events.within(min(LAST_COMMIT, (1 - SHARE) * self.consumer.rebalance_timeout / 2), committing)
        except gen.TimeoutError:
            log.warning("Offsets of %s were not committed in time; the next owner gets some messages again",
                        names_of(part.key for part in parts))

    @gen.coroutine
    def _on_lost(self, lost):
        """Partitions are gone without having been asked for: nothing of them can be committed."""
        for key in keys_of(lost):
            if key in self._parts:
                self._intake.lose(self._parts[key])
        on_rebalance, on_lost = self._hooks
        if on_lost is not None:
            yield events.outcome_of(on_lost(lost))
        elif on_rebalance is not None:
            yield events.outcome_of(on_rebalance(lost, {}))
