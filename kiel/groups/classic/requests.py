"""The requests of a member of a classic group, as pure functions: bytes and loops are elsewhere."""
from __future__ import absolute_import

from kiel import exc
from kiel.protocol import errors, heartbeat, join_group, leave_group, sync_group

#: the kind of group that consumers form
PROTOCOL_TYPE = "consumer"

#: the longest reason that brokers take
REASON_LENGTH = 255

#: generation of a member that is in none
NO_GENERATION = -1

#: seconds that the coordinator is asked for beyond a member's own rebalance time-out: to notice that a rebalance has
#: begun, and for the commits of partitions that are given up at the last moment
MARGIN = 10


class Requests(object):
    """
    Makes the requests of one member.

    :param group: the group's name
    :param membership: `kiel.groups.membership.Membership`
    """

    def __init__(self, group, membership):
        self.group = group
        self.membership = membership
        #: (member id, generation) of the member; set by it on the application's loop, read by the heartbeat thread
        self.identity = ("", NO_GENERATION)
        #: function of a JoinGroup answer that returns what the leader brings to SyncGroup, or None when it can't tell;
        #: pure, since the heartbeat thread calls it
        self.lead = lambda joined: None

    def join(self, member_id, topics, shares, reason=None):
        """
        Return the request to be a member of the next generation.

        :param member_id: text; empty at first
        :param topics: what to subscribe to
        :param shares: function of an assignor that returns the (topic -> ids, generation) to say that the member has
        :param reason: text for the broker's log (Kafka 3.2 and later)
        """
        protocols = []
        for assignor in self.membership.assignors:
            owned, generation = shares(assignor)
            metadata = assignor.metadata(topics, owned, generation, rack=self.membership.rack_id)
            protocols.append(join_group.GroupProtocol(name=assignor.name, metadata=metadata))
        return join_group.JoinGroupRequest(
            group_id=self.group, member_id=member_id, group_instance_id=self.membership.instance_id,
            session_timeout=int(self.membership.session_timeout * 1000),
            rebalance_timeout=int((self.membership.rebalance_timeout + MARGIN) * 1000),
            protocol_type=PROTOCOL_TYPE, group_protocols=protocols,
            reason=reason[:REASON_LENGTH] if reason else None,
        )

    def sync(self, joined, assignments=()):
        """
        Return the request for this member's assignment, after a JoinGroup answer.

        :param assignments: list of `kiel.protocol.sync_group.MemberAssignment`, from the leader only
        """
        return sync_group.SyncGroupRequest(
            group_id=self.group, generation_id=joined.generation_id, member_id=joined.member_id,
            group_instance_id=self.membership.instance_id, protocol_type=PROTOCOL_TYPE, protocol_name=joined.protocol,
            assignments=list(assignments),
        )

    def beat(self, member_id, generation):
        """Return a heartbeat."""
        return heartbeat.HeartbeatRequest(
            group_id=self.group, member_id=member_id, generation_id=generation,
            group_instance_id=self.membership.instance_id,
        )

    def leave(self, member_id, reason):
        """Return the request that leaves; None for a member that is not in, and for a static one, which comes back."""
        if not member_id or self.membership.instance_id is not None:
            return None
        return leave_group.LeaveGroupRequest(group_id=self.group, member_id=member_id, reason=reason[:REASON_LENGTH])

    def leave_unasked(self):
        """Return the request that leaves for want of progress; pure."""
        return self.leave(self.identity[0], "no progress for %s s" % self.membership.max_poll_interval)

    def follow(self, request, response):
        """
        Return what to send after an answer so that the member stays one while the application's loop is blocked; pure.

        A new generation that comes while the loop is blocked is taken part in: the member asks for its assignment, with
        everybody's where it is the leader, and goes on with heartbeats. The loop, once back, does the same for itself.

        :returns: a request, a function that makes it when it is due, or None when only the loop can go on
        """
        if request is None:
            return None
        code = response.error_code
        if request.api == join_group.api_name:
            return None if code else self.take_part
        if code not in (errors.no_error, errors.rebalance_in_progress):
            return None
        return self.beat(request.member_id, request.generation_id)

    def take_part(self, request, joined):
        """Return what to send after a JoinGroup answer when the loop said nothing for an interval; pure."""
        if joined.leader_id != joined.member_id:
            return self.sync(joined)
        try:
            assignments = self.lead(joined)
        except Exception:
            assignments = None  # it will fail on the loop again, and be raised there
        if assignments is None:
            return self.beat(joined.member_id, joined.generation_id)
        return self.sync(joined, assignments)


def refusal(response, place, group):
    """Return the error of an answer as an exception that says what to look at, or None."""
    error = exc.for_code(response.error_code, place, response.api, group=group)
    hint = HINTS.get(response.error_code)
    if hint is not None:
        error.message = "%s: %s" % (place, hint)
    return error


#: error code -> what the operator has to look at
HINTS = {
    errors.inconsistent_group_protocol: (
        "the other members share partitions out by none of this member's assignors, or are no consumers"),
    errors.invalid_session_timeout: (
        "session_timeout is outside the broker's group.min.session.timeout.ms and group.max.session.timeout.ms"),
    errors.fenced_instance_id: "another member has taken this group_instance_id",
    errors.group_max_size_reached: "the group has as many members as the broker's group.max.size allows",
}
