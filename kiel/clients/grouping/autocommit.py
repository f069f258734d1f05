"""Commits that a member makes by itself: what is due, whenever that may be."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events, exc
from kiel.clients.grouping import committer
from kiel.retry import monotonic

# these lines are the consumer's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.grouped")

#: seconds between two commits of what a stream has handed out ("processed" mode)
COMMIT_INTERVAL = 1.0

#: seconds that `kiel.clients.grouped.GroupedConsumer.close` waits for messages that are being worked on
CLOSING_TIME = 1.0


class Autocommit(object):
    """
    Commits without being told to, by kiel's own commit or by what a subclass has in its place.

    :param client: the `kiel.clients.grouped.GroupedConsumer`: its ``autocommit``, and what it is told of errors
    :param commits: the member's `kiel.clients.grouping.committer.Committer`
    :param own: returns the `commit_offsets` of an application's own, None where there is none
    """

    def __init__(self, client, commits, own):
        self._client = client
        self._committer = commits
        self._own = own
        #: when what streams handed out was committed last (`kiel.retry.monotonic`)
        self.committed_at = 0
        self._calling = 0  # how many calls of an application's own are under way
        self._failures = []  # the errors that kiel's own commits raised within such calls

    @property
    def at_once(self):
        """Whether what is handed out is committed before."""
        return self._client.autocommit is True

    @property
    def when_processed(self):
        """Whether it is committed when the application says that it is done with it."""
        return self._client.autocommit == "processed"

    @property
    def is_calling(self):
        """Whether an application's own `commit_offsets`, which may call kiel's, is called for this."""
        return bool(self._calling)

    def abandon(self):
        """Forget the calls under way: they will not end."""
        self._calling = 0
        del self._failures[:]

    def note(self, error):
        """Kiel's own commit ended within such a call, with that error or None."""
        self._failures.append(error)

    def now_and_then(self):
        """Commit what a stream has handed out, if it is time."""
        now = monotonic()
        if self._committer.progress.due and now - self.committed_at > COMMIT_INTERVAL:
            self.committed_at = now
            self.commit_or_log()

    @gen.coroutine
    def commit(self, closing=False):
        """
        Commit what is due, if that may be now; a failure is logged, and what failed stays to be committed.

        By an application's own `commit_offsets`, where it has one. What that commits without calling kiel's counts as
        committed when it returns; what it raises, other than the errors of kiel's, comes out of here.
        """
        client = self._client
        if not client.topics_to_commit or client.allocator.paused or (client.closing and not closing):
            return
        own = self._own()
        if own is None:
            error = yield self._committer.commit_due(None, committer.AUTOCOMMIT_TIME, closing or client.closing)
        else:
            error = yield self._call(own)
        client._trouble.note("committing", error)
        if error is not None:
            log.error("Offsets of group %s could not be committed, %s: %s", self._client.group_name,
                      "and are not any more" if closing else "later commits will",
                      str(error) or type(error).__name__, extra=self._committer.assignment.fields())

    @gen.coroutine
    def _call(self, own):
        """Call an application's own `commit_offsets`. Return the error that kiel's raised in it, or None."""
        begun, due = self._committer.begun, dict(self._committer.progress.due)
        self._calling += 1
        try:
            yield events.outcome_of(own())
        except exc.KielError as error:
            if not any(error is one for one in self._failures):
                raise  # one of the application's own, such as that of a producer it writes offsets with
            raise gen.Return(error)
        finally:
            self._calling -= 1
            if not self._calling:
                del self._failures[:]
        if begun == self._committer.begun:
            self._client.note_committed(due)
        raise gen.Return(None)

    @gen.coroutine
    def before_release(self, keys):
        """Partitions are about to go: commit what is due of them."""
        if self._client.autocommit is not False and keys.intersection(self._committer.progress.due):
            yield self.commit_or_log()

    @gen.coroutine
    def commit_or_log(self, closing=False):
        """Commit where nobody is there to raise anything to."""
        try:
            yield self.commit(closing)
        except Exception as error:
            self._client._trouble.note("committing", error)
            log.exception("Group %s: the application's own commit_offsets failed", self._client.group_name)

    @gen.coroutine
    def commit_at_last(self):
        """Commit what is due, for the last time, and wait a while for what is being worked on."""
        working = set(key for work in self._committer.progress.working.values() for key in work)
        yield self._committer.assignment.wait_for_work(working, CLOSING_TIME)
        if self._client.autocommit is not False:
            yield self.commit_or_log(closing=True)
