"""The request by which a member leaves its group by itself."""
from __future__ import absolute_import

import logging

from kiel import exc
from kiel.groups.liveness.coordinator_connection import RETRY

# these lines are the heartbeat thread's, whose logger applications may have set up
log = logging.getLogger("kiel.groups.liveness.heartbeat_thread")

#: seconds in which a member that leaves by itself gets that through, or goes without a word
LEAVE_TIME = 5.0


class Leaving(object):
    """
    Has the coordinator told that a member leaves; where that fails, again and again for a while.

    It runs on the heartbeat thread.

    :param group: the group's name
    :param connection: the `kiel.groups.liveness.coordinator_connection.CoordinatorConnection`
    """

    def __init__(self, group, connection):
        self.group = group
        self.connection = connection
        #: what is to be sent, until it was answered or given up; None before and after
        self.request = None
        #: the `kiel.retry.Clock` of its attempts
        self._clock = None

    def begin(self, make):
        """
        Make the request. Return whether there is one; without, the session runs out by itself.

        :param make: see ``leave`` of `kiel.groups.liveness.heartbeat.Heartbeat.start`; None: there is none
        """
        self._clock = RETRY.start(LEAVE_TIME)
        try:
            self.request = None if make is None else make()
        except Exception:
            log.exception("Group %s: the request to leave could not be made", self.group)
            self.request = None
        return self.request is not None

    def forget(self):
        """The member goes on."""
        self.request = None

    def answered(self, answer):
        """
        Take in the answer. Return the seconds after which to try again; None when that is over.

        :param answer: the response, or the `kiel.exc.KielError` in its place
        """
        error = answer if isinstance(answer, exc.KielError) else exc.for_code(
            answer.error_code, None, answer.api, group=self.group
        )
        if error is answer or (error is not None and error.cure == "coordinator"):
            self.connection.coordinator_moved()
        delay = self._clock.delay() if error is not None and error.retriable else None
        if delay is None:
            if error is not None:
                log.info("Group %s: leaving failed, the session will expire: %s", self.group, error)
            self.request = None
        return delay
