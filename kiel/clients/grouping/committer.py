"""Commits what is due, one commit at a time, so that none overtakes another."""
from __future__ import absolute_import

import logging

from tornado import gen, locks

from kiel import exc
from kiel.clients import observed
from kiel.clients.grouping.assignment import Signature, not_owned
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: seconds that an automatic commit is tried for, while messages wait to be handed over
AUTOCOMMIT_TIME = 5.0


class Committer(object):
    """
    The commits of one member.

    :param committed: the group's `kiel.clients.grouping.committed_offsets.CommittedOffsets`
    :param progress: the member's `kiel.clients.grouping.progress.Progress`
    :param assignment: the member's `kiel.clients.grouping.assignment.Assignment`
    :param positions: function of a topic that returns ``{partition: next offset to hand out}`` of those it knows
    :param text: function that returns the text kept beside offsets for which there is no other
    """

    def __init__(self, committed, progress, assignment, positions, text):
        self.committed = committed
        self.progress = progress
        self.assignment = assignment
        self._positions = positions
        self._text = text
        self._settings = committed.client.cluster.settings
        #: how many commits of what is due have begun: whether an override of `commit_offsets` used kiel's own
        self.begun = 0
        self._lock = locks.Lock()

    def abandon(self):
        """Forget the commit that is under way: its answer will not come."""
        self._lock = locks.Lock()

    @gen.coroutine
    def commit_handed_out(self, metadata):
        """
        Commit all that was handed out, which counts as processed. Return the first error, or None.

        In groups that meet in Kafka, one that says which partitions went to others before this.
        """
        self.progress.done_with_all()
        error = yield self.commit_due(metadata)
        forfeited, self.progress.forfeited = self.progress.forfeited, {}
        if error is None and forfeited and self.assignment.allocator.by_topic:
            error = not_owned(forfeited)
        raise gen.Return(error)

    @gen.coroutine
    def commit_due(self, metadata, deadline=None, closing=False):
        """
        Commit what is due, of the partitions that are still this member's. Return the first error, or None.

        :param metadata: a text kept beside the offsets, or None
        :param deadline: seconds until what failed retriably is given up
        :param closing: whether to go on trying while the client closes
        """
        self.begun += 1
        first = None
        with (yield self._lock.acquire()):
            if not self.assignment.allocator.paused:
                self.progress.add_marked(self._positions)
                self.assignment.forget(self.progress.due)
            offsets = dict(self.progress.due)
            if offsets:
                result = yield self._commit(offsets, metadata, deadline, closing)
                first = next((value for value in result.values() if isinstance(value, exc.KielError)), None)
        raise gen.Return(first)

    @gen.coroutine
    def commit_these(self, offsets, metadata):
        """Commit ``{(topic, partition): offset}`` that the application gave. Return the first error, or None."""
        with (yield self._lock.acquire()):
            outcome = yield self._commit(offsets, metadata)
        errors = [value for value in outcome.values() if isinstance(value, exc.KielError)]
        refused = [key for key, value in outcome.items() if value is None]
        if not errors and refused:
            errors = [not_owned(refused)]
        raise gen.Return(errors[0] if errors else None)

    @gen.coroutine
    def _commit(self, offsets, metadata, deadline=None, closing=False):
        """Commit offsets as long as the present terms of their partitions last."""
        begun = monotonic()
        result = yield self.committed.commit(
            offsets, self._text() if metadata is None else metadata, deadline, Signature(self.assignment, offsets),
            closing
        )
        for key, outcome in result.items():
            if isinstance(outcome, exc.KielError):
                log.error("Commit of %s:%s at %s failed: %s", key[0], key[1], offsets[key], outcome,
                          extra=dict(self.assignment.fields(), topic=key[0], partition=key[1]))
            elif outcome:
                self.progress.committed(key, offsets[key])
        if self._settings.hooks is not None:
            observed.committed(self._settings.hooks, self.assignment.group, offsets, result, monotonic() - begun)
        raise gen.Return(result)

    # -- by somebody else --

    def handed_out(self):
        """See `kiel.clients.grouped.GroupedConsumer.handed_out`."""
        if self.progress.forfeited:
            raise not_owned(self.progress.forfeited)
        self.progress.done_with_all()
        return dict(self.progress.due)

    def note_committed(self, offsets):
        """See `kiel.clients.grouped.GroupedConsumer.note_committed`."""
        for key, offset in offsets.items():
            self.progress.committed(key, offset)
        if offsets and self._settings.hooks is not None:
            observed.committed(self._settings.hooks, self.assignment.group, offsets, dict.fromkeys(offsets, True))
