"""
The heartbeats of a next-generation member. None can be misread, whichever answers are lost.

All here is pure: `kiel.groups.liveness.heartbeat` calls it on its own thread, while the application's loop may be
blocked.
"""
from __future__ import absolute_import

import base64
import uuid

from kiel import exc
from kiel.groups.refusals import is_unexpected
from kiel.protocol.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kiel.protocol.request import generate_correlation_id

#: epochs that say what a member wants (KIP-848)
JOIN, LEAVE, COME_BACK = 0, -1, -2

#: the fields that a heartbeat leaves out when they have not changed
UNCHANGED = dict(rack_id=None, rebalance_timeout=-1, subscribed_topic_names=None, server_assignor=None,
                 topic_partitions=None)


class MemberHeartbeat(ConsumerGroupHeartbeatRequest):
    """
    A full heartbeat, with all fields; a ``brief`` one leaves out what the coordinator knows.

    Sent again, a brief one is full: the answer that was lost may have had a new epoch or assignment. The coordinator
    takes the epoch before only from a member that names its partitions, and repeats an assignment only to one that
    sends all fields (KAFKA-19222, KAFKA-19233).
    """

    brief = False
    #: whether the member made its id itself and no coordinator has accepted it yet
    own_id = False
    #: counts what the member said; those that only keep it alive have the number of the one before
    serial = 0
    #: how often it was sent
    sendings = 0

    def for_version(self, version):
        """Return what to write; a copy where it is not all. From version 1 on members make their id (KIP-1082)."""
        self.sendings += 1
        changes = {}
        if self.brief and self.sendings == 1:
            changes.update(UNCHANGED)
        if version == 0 and self.own_id:
            changes["member_id"] = ""
        return self.copy(**changes) if changes else self

    def after(self, answer, brief):
        """Return the same member's next heartbeat, with the epoch of an answer to one before."""
        twin = self.copy(member_id=answer.member_id or self.member_id, member_epoch=answer.member_epoch)
        twin.brief, twin.own_id, twin.sendings = brief, False, 0
        twin.correlation_id = generate_correlation_id()
        return twin


def make_member_id():
    """Return a member id as Java's clients make them: 16 random bytes in 22 characters."""
    name = "-"
    while name.startswith("-"):  # tools would take it for an option
        name = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
    return name


def follow(request, answer):
    """Return what to send after an answer: another heartbeat; None after an error, and after leaving."""
    if answer is None:
        return request
    if answer.error_code or request.member_epoch < 0:
        return None
    return request.after(answer, brief=True)


def make_next(said):
    """Return a function that makes the next heartbeat when it is its turn, with the epoch of that moment."""
    def make(request, answer):
        """Return the heartbeat after that request and its answer; None when the member is out by that answer."""
        if request is None:  # nothing was answered yet: it joins by this one
            return said
        if not answer.error_code:
            made = said.after(answer, brief=False)
        elif request.member_epoch < 0 or not _passes(answer):
            return None
        else:
            made = said.copy(member_id=request.member_id, member_epoch=request.member_epoch)
            made.own_id = request.own_id
        return made
    return make


def make_leave(said, epoch):
    """Return a function that makes the heartbeat by which the member leaves, with the id that it has by then."""
    def make(request=None, answer=None):
        member_id = said.member_id
        if answer is not None and answer.member_id:
            member_id = answer.member_id
        elif request is not None and request.member_id:
            member_id = request.member_id
        return MemberHeartbeat(
            group_id=said.group_id, member_id=member_id, member_epoch=epoch, instance_id=said.instance_id
        )
    return make


def _passes(answer):
    """Return whether an answer's error passes, with the member still in the group."""
    error = exc.for_code(answer.error_code)
    return error.retriable or is_unexpected(error)
