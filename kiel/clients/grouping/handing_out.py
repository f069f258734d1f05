"""From batches that a member took to messages that it returns, of partitions that still are its own then."""
from __future__ import absolute_import

import time

from tornado import gen

from kiel.clients.grouping.progress import Taken


class HandingOut(object):
    """
    Hands out what one `consume` of a member took.

    :param calls: the consumer's `kiel.clients.consuming.call.Calls`, which decode
    :param turn: the `kiel.fairness.Turn` of what it hands out
    :param offsets: its `kiel.clients.consuming.offsets.Offsets`
    :param progress: the member's `kiel.clients.grouping.progress.Progress`
    :param assignment: the member's `kiel.clients.grouping.assignment.Assignment`
    :param autocommit: the member's `kiel.clients.grouping.autocommit.Autocommit`
    """

    def __init__(self, calls, turn, offsets, progress, assignment, autocommit):
        self._calls = calls
        self._turn = turn
        self._offsets = offsets
        self._progress = progress
        self._assignment = assignment
        self._autocommit = autocommit

    @gen.coroutine
    def hand_out(self, taken, call):
        """
        Decode what was taken, commit it where that is to be at once, and return what still is this member's to return.

        Between taking and returning, partitions may be revoked or their ownership get into doubt. Their messages are
        put back then, unless they are committed already: nobody else would hand them out.
        """
        taken = [Taken(*entry) for entry in taken]
        try:
            for one in taken:
                if self._turn.over(time.time()):  # a little of each of many partitions is much, too
                    yield gen.moment
                yield self._decode(one, call)
            if self._autocommit.at_once:
                yield self._commit_taken(taken)
            messages = self._still_ours(taken)
        finally:
            self._progress.end(taken)
        if messages:
            self._progress.handed(taken[0].key[0])
        else:
            self._calls.raise_pending([one.cursor for one in taken])
        raise gen.Return(messages)

    @gen.coroutine
    def _commit_taken(self, taken):
        """Commit what is about to be handed out; what an application's own `commit_offsets` raises, consume() does."""
        try:
            yield self._autocommit.commit()
        except Exception:
            for one in taken:
                self._put_back_taken(one)
            raise

    def _put_back_taken(self, one):
        """What was taken of a partition is not handed out: it is read again."""
        if self._progress.put_back(one) and one.reached is not None:
            topic, partition = one.key
            self._offsets.note(topic, partition, one.begun)

    def _still_ours(self, taken):
        """Return the messages that may be handed out; the others are put back."""
        holding = self._assignment.holding()
        messages = []
        for one in taken:
            if one.committed or holding(one.key):
                messages.extend(one.messages)
            else:
                self._put_back_taken(one)
        return messages

    @gen.coroutine
    def _decode(self, taken, call):
        """Decode what was taken of one partition, and note how far it goes."""
        self._progress.begin(taken)
        if not self._assignment.holding()(taken.key):
            return
        try:
            entry = taken.cursor, taken.generation, taken.batches
            taken.messages = yield self._calls.hand_out([entry], call)
        except Exception as error:
            # raised by `_hand_out` if there is nothing to return, else by the next call
            taken.cursor.error = error
        if call.held and not self._autocommit.at_once:
            return  # the stream says what of it is handed out
        if taken.reached is not None and not call.given_up and self._assignment.holding()(taken.key):
            self._progress.note(taken)
