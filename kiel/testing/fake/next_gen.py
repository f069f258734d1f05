"""A group of the next generation (KIP-848), as its coordinator has it: the coordinator shares out."""
from __future__ import absolute_import

import collections
import re
import uuid

from kiel.retry import monotonic
from kiel.testing.fake import sharing

#: error codes
UNKNOWN_MEMBER, INVALID_REQUEST, FENCED_EPOCH, UNRELEASED, UNSUPPORTED_ASSIGNOR = 25, 42, 110, 111, 112
STALE_EPOCH, INVALID_REGEX, FENCED_INSTANCE = 113, 128, 82

#: member epochs that mean something else
JOIN, LEAVE, LEAVE_STATIC = 0, -1, -2

#: seconds for which a silent member stays, as ``group.consumer.session.timeout.ms`` has it
SESSION = 45.0


class ConsumerMember(object):
    """One member: what it wants, what it may have, and what it is to give up."""

    def __init__(self, member_id, call):
        self.id = member_id
        self.instance_id = call.request.instance_id
        self.rack_id = call.request.rack_id
        self.client_id = call.client_id
        self.epoch = 0
        self.previous_epoch = 0
        self.topics = []
        self.regex = None
        self.assignor = None
        self.rebalance_timeout = 300.0
        #: (topic id, partition) each
        self.assigned = frozenset()
        self.revoking = frozenset()
        #: what it was told last that it may have
        self.told = None
        #: when it has to have given up what it is to
        self.revoke_by = None
        self.has_left = False  # a static member that will come back
        self.deadline = 0
        self.seen()

    def seen(self):
        """Begin its session anew."""
        self.deadline = monotonic() + SESSION

    def learn(self, request):
        """Take over what a heartbeat says of it; return an error code."""
        if request.rebalance_timeout > 0:
            self.rebalance_timeout = request.rebalance_timeout / 1000.0
        if request.server_assignor is not None:
            if request.server_assignor not in sharing.ASSIGNORS:
                return UNSUPPORTED_ASSIGNOR
            self.assignor = request.server_assignor
        if request.subscribed_topic_regex is not None:
            try:
                re.compile(request.subscribed_topic_regex)
            except re.error:
                return INVALID_REGEX
            self.regex = request.subscribed_topic_regex or None
        if request.subscribed_topic_names is not None:
            self.topics = sorted(request.subscribed_topic_names)
        return 0

    def wants(self, name):
        """Return whether it subscribes to a topic."""
        return name in self.topics or self.regex is not None and re.match("(?:%s)$" % self.regex, name) is not None


class ConsumerGroup(object):
    """
    A group whose coordinator shares out.

    :param group_id: its name
    :param topics: the `kiel.testing.fake.topics.Topics`
    :param heartbeat_interval: milliseconds between its members' heartbeats
    """

    kind = "consumer"
    protocol_type = "consumer"

    def __init__(self, group_id, topics, heartbeat_interval):
        self.id = group_id
        self.topics = topics
        self.heartbeat_interval = heartbeat_interval
        self.epoch = 0
        self.assignor = "uniform"
        self.members = collections.OrderedDict()
        #: member's id -> what it is to have
        self.target = {}
        self._seen = None

    @property
    def state(self):
        """Its state by Kafka's names."""
        if not self.members:
            return "Empty"
        settled = all(
            member.epoch == self.epoch and not member.revoking
            and member.assigned == self.target.get(member.id, frozenset()) for member in self.members.values())
        return "Stable" if settled else "Reconciling"

    # -- requests --

    def heartbeat(self, call):
        """Answer a ConsumerGroupHeartbeat."""
        request = call.request
        if request.member_epoch in (LEAVE, LEAVE_STATIC):
            return self._leave(request)
        member, code = self._find(request) if request.member_epoch > JOIN else self._join(call)
        if not code:
            code = member.learn(request)
            if code and request.member_epoch == JOIN:
                self.members.pop(member.id, None)
        if code:
            return dict(error_code=code, member_epoch=0)
        member.seen()
        self._share_out()
        self._advance(member, owned_by(request))
        return self._answer(member, request)

    def _find(self, request):
        """Return the member that a heartbeat is of, and an error code."""
        member = self.members.get(request.member_id)
        if member is None or member.has_left:
            return None, UNKNOWN_MEMBER
        if request.member_epoch == member.epoch:
            return member, 0
        # the answer that told the new epoch may have been lost
        owned = owned_by(request)
        before = request.member_epoch == member.previous_epoch and owned is not None and owned <= member.assigned
        return member, 0 if before else FENCED_EPOCH

    def _join(self, call):
        """Take a member in, or let it begin anew; return it and an error code."""
        request = call.request
        if request.subscribed_topic_names is None and not request.subscribed_topic_regex:
            return None, INVALID_REQUEST
        if call.version >= 1 and not request.member_id:
            return None, INVALID_REQUEST
        member_id = request.member_id or base_id()
        static = self._static(request.instance_id)
        if static is not None and static.id != member_id:
            if not static.has_left:
                return None, UNRELEASED
            member = ConsumerMember(member_id, call)
            member.assigned = static.assigned
            self.target[member_id] = self.target.pop(static.id, frozenset())
            del self.members[static.id]
            self.members[member_id] = member
            return member, 0
        member = self.members.get(member_id)
        if member is None:
            member = self.members[member_id] = ConsumerMember(member_id, call)
        member.has_left = False
        member.told = None
        return member, 0

    def _static(self, instance_id):
        for member in self.members.values():
            if instance_id is not None and member.instance_id == instance_id:
                return member
        return None

    def _leave(self, request):
        member = self.members.get(request.member_id)
        if member is None:
            return dict(error_code=UNKNOWN_MEMBER)
        if request.member_epoch == LEAVE_STATIC and member.instance_id is not None:
            member.has_left = True
            member.revoking = frozenset()
            member.seen()
        else:
            del self.members[member.id]
        self._share_out()
        return dict(error_code=0, member_id=member.id, member_epoch=request.member_epoch)

    def commit_error(self, member_id, epoch, instance_id):
        """Return the error code of a commit so signed, 0 for one that counts."""
        if epoch < 0 and not self.members:
            return 0
        return self.fetch_error(member_id, epoch)

    def fetch_error(self, member_id, epoch):
        """Return the error code of a question for offsets so signed."""
        if not member_id and epoch < 0:
            return 0
        member = self.members.get(member_id)
        if member is None:
            return UNKNOWN_MEMBER
        return 0 if epoch == member.epoch else STALE_EPOCH

    # -- sharing out --

    def _share_out(self):
        """Decide anew who is to have what, where something has changed since the last time."""
        members = sorted(self.members.values(), key=lambda member: member.id)
        assignors = collections.Counter(member.assignor for member in members if member.assignor)
        seen = [self.topics.version] + [(member.id, member.topics, member.regex, member.assignor) for member in members]
        if seen == self._seen:
            return
        self._seen = seen
        self.epoch += 1
        self.assignor = assignors.most_common(1)[0][0] if assignors else "uniform"
        wanted = collections.OrderedDict((member.id, [
            topic for topic in self.topics.by_name.values() if member.wants(topic.name)
        ]) for member in members)
        self.target = sharing.ASSIGNORS[self.assignor](wanted, self.target)

    def _advance(self, member, owned):
        """
        Bring a member nearer to what it is to have: it gives up first, then gets what others have given up.

        :param owned: what it says that it has; None where it says nothing
        """
        target = self.target.get(member.id, frozenset())
        if member.revoking:
            if owned is None or owned & member.revoking:
                return
            member.revoking = frozenset()
            member.revoke_by = None
        excess = member.assigned - target
        if excess:
            member.assigned &= target
            # what it never was told of, it need not give up
            member.revoking = excess if member.told is not None else frozenset()
            member.revoke_by = monotonic() + member.rebalance_timeout
            if member.revoking:
                return
        taken = frozenset().union(*[
            one.assigned | one.revoking for one in self.members.values() if one is not member])
        member.assigned |= target - taken
        if member.epoch != self.epoch:
            member.previous_epoch, member.epoch = member.epoch, self.epoch

    def _answer(self, member, request):
        fields = dict(error_code=0, member_id=member.id, member_epoch=member.epoch,
                      heartbeat_interval=self.heartbeat_interval)
        whole = request.subscribed_topic_names is not None or request.subscribed_topic_regex is not None
        if member.told != member.assigned or whole and request.topic_partitions is not None:
            member.told = member.assigned
            fields["assignment"] = dict(topic_partitions=grouped(member.assigned))
        return fields

    def tick(self, now):
        """Put out those whose time is over."""
        late = [member for member in self.members.values()
                if member.deadline <= now or member.revoking and member.revoke_by <= now]
        for member in late:
            del self.members[member.id]
        if late:
            self._share_out()


def base_id():
    """Return a new member's id."""
    return str(uuid.uuid4())


def owned_by(request):
    """Return what a heartbeat says that the member has, as (topic id, partition) pairs; None where it says nothing."""
    if request.topic_partitions is None:
        return None
    return frozenset((topic.topic_id, number) for topic in request.topic_partitions for number in topic.partitions)


def grouped(partitions):
    """Return (topic id, partition) pairs as the dicts of an answer."""
    found = {}
    for topic_id, number in sorted(partitions):
        found.setdefault(topic_id, []).append(number)
    return [dict(topic_id=topic_id, partitions=numbers) for topic_id, numbers in sorted(found.items())]
