"""A group of the classic protocol, as its coordinator has it."""
from __future__ import absolute_import

import collections
import uuid

from tornado import concurrent

from kiel.events import settle
from kiel.retry import monotonic

#: the states of a group, by Kafka's names
EMPTY, PREPARING, COMPLETING, STABLE = "Empty", "PreparingRebalance", "CompletingRebalance", "Stable"

#: error codes
ILLEGAL_GENERATION, INCONSISTENT, UNKNOWN_MEMBER, REBALANCING = 22, 23, 25, 27
ID_REQUIRED, FENCED_INSTANCE = 79, 82


class ClassicMember(object):
    """One member: what it said of itself, and what it waits for."""

    def __init__(self, member_id, request, client_id, host):
        self.id = member_id
        self.instance_id = request.group_instance_id
        self.client_id = client_id
        self.host = host
        self.session_timeout = request.session_timeout / 1000.0
        #: seconds; before version 1 a session's time is a rebalance's, too
        self.rebalance_timeout = max(request.rebalance_timeout, request.session_timeout) / 1000.0
        #: (assignor's name, metadata) in the order of its liking
        self.protocols = protocols_of(request)
        self.assignment = b""
        #: the Future of its JoinGroup or SyncGroup, while it waits for the others
        self.joining = None
        self.syncing = None
        self.deadline = 0
        self.seen()

    def seen(self):
        """Begin its session anew."""
        self.deadline = monotonic() + self.session_timeout


def protocols_of(request):
    """Return what a JoinGroup request says: (assignor's name, metadata), the one it likes best first."""
    return [(protocol.name, protocol.metadata) for protocol in request.group_protocols]


class ClassicGroup(object):
    """
    A group whose leader shares out; answers are dicts of fields, or Futures of those.

    :param group_id: its name
    """

    kind = "classic"

    def __init__(self, group_id):
        self.id = group_id
        self.state = EMPTY
        self.generation = 0
        self.protocol_type = ""
        self.protocol = None
        self.leader = None
        self.members = collections.OrderedDict()
        #: ids that were given out and have not joined yet -> when they are forgotten
        self.expected = {}
        #: when those who have not joined again are put out
        self.deadline = None

    # -- requests --

    def join(self, call):
        """Answer a JoinGroup."""
        request = call.request
        static = self._static(request.group_instance_id)
        code = self._unfit(request)
        if not code and static is not None and request.member_id not in ("", static.id):
            code = FENCED_INSTANCE
        member = self.members.get(request.member_id)
        if not code and request.member_id and member is None:
            code = 0 if self.expected.pop(request.member_id, None) is not None else UNKNOWN_MEMBER
        if code:
            return dict(error_code=code, member_id=request.member_id)
        if request.member_id:
            return self._enter(member, request.member_id, call)
        return self._join_anew(static, call)

    def _join_anew(self, static, call):
        """One who has no member's id wants to join: anybody, or a static member that has begun again."""
        request = call.request
        member_id = "%s-%s" % (request.group_instance_id or call.client_id or "member", uuid.uuid4())
        if static is not None:
            return self._replace(static, member_id, call)
        if call.version >= 4 and request.group_instance_id is None:
            self.expected[member_id] = monotonic() + request.session_timeout / 1000.0
            return dict(error_code=ID_REQUIRED, member_id=member_id)
        return self._enter(None, member_id, call)

    def _unfit(self, request):
        """Return the error code of one who speaks otherwise than the group, 0 for one who fits."""
        if not request.protocol_type or not request.group_protocols:
            return INCONSISTENT
        itself = self.members.get(request.member_id), self._static(request.group_instance_id)
        others = [member for member in self.members.values() if member not in itself]
        if not others:
            return 0
        common = self._common(others).intersection(name for name, _ in protocols_of(request))
        return 0 if common and request.protocol_type == self.protocol_type else INCONSISTENT

    def _static(self, instance_id):
        for member in self.members.values():
            if instance_id is not None and member.instance_id == instance_id:
                return member
        return None

    @staticmethod
    def _common(members):
        """Return the names of the protocols that all of these members know."""
        return set.intersection(*[set(name for name, _ in member.protocols) for member in members])

    def _enter(self, member, member_id, call):
        """Take a member in, or let it join again."""
        request = call.request
        if member is None:
            member = self.members[member_id] = ClassicMember(member_id, request, call.client_id, host_of(call))
            changed = True
        else:
            changed = member.protocols != protocols_of(request)
            member.protocols = protocols_of(request)
            member.seen()
        self.protocol_type = request.protocol_type
        again = self.state == COMPLETING or self.state == STABLE and member.id != self.leader
        if again and not changed:  # its answer was lost: the same once more
            return self._joined(member)
        if member.joining is not None:
            settle(member.joining, dict(error_code=UNKNOWN_MEMBER, member_id=member.id))
        member.joining = concurrent.Future()
        answer = member.joining
        if self.state != PREPARING:
            self._prepare()
        self._complete_if_all()
        return answer

    def _replace(self, old, member_id, call):
        """A static member is back, by a new id; who had the old one is fenced (KIP-345)."""
        self._release(old, FENCED_INSTANCE)
        member = ClassicMember(member_id, call.request, call.client_id, host_of(call))
        member.assignment = old.assignment
        self.members = collections.OrderedDict(
            (member.id, member) if one is old else (one.id, one) for one in self.members.values())
        was_leader = self.leader == old.id
        if was_leader:
            self.leader = member.id
        if self.state != STABLE or member.protocols != old.protocols:
            return self._enter(member, member.id, call)
        answer = self._joined(member)
        if was_leader and call.version < 9:  # it would share out what nobody asks for
            answer.update(leader_id=old.id, members=[])
        elif was_leader:
            answer["skip_assignment"] = True
        return answer

    def sync(self, call):
        """Answer a SyncGroup."""
        request = call.request
        member, code = self._signed(request)
        if call.version >= 5 and None in (request.protocol_type, request.protocol_name):
            code = INCONSISTENT
        elif not code:
            other = request.protocol_name not in (None, self.protocol)
            code = INCONSISTENT if other else REBALANCING if self.state == PREPARING else 0
        if code:
            return dict(error_code=code)
        member.seen()
        if self.state == STABLE:
            return self._synced(member)
        member.syncing = concurrent.Future()
        answer = member.syncing
        if member.id == self.leader:
            self._assign(dict((entry.member_id, entry.assignment) for entry in request.assignments))
        return answer

    def _assign(self, shared):
        """Hand out what the leader has shared out: {member's id: bytes}."""
        self.state = STABLE
        for member in self.members.values():
            member.assignment = shared.get(member.id, b"")
            waiting, member.syncing = member.syncing, None
            if waiting is not None:
                member.seen()
                settle(waiting, self._synced(member))

    def heartbeat(self, call):
        """Answer a Heartbeat."""
        member, code = self._signed(call.request)
        if member is not None and not code:
            member.seen()
            code = REBALANCING if self.state == PREPARING else 0
        return dict(error_code=code)

    def leave(self, call):
        """Answer a LeaveGroup."""
        request = call.request
        if call.version < 3:
            return dict(error_code=self._remove(request.member_id, None))
        return dict(error_code=0, members=[
            dict(member_id=one.member_id, group_instance_id=one.group_instance_id,
                 error_code=self._remove(one.member_id, one.group_instance_id))
            for one in request.members])

    def commit_error(self, member_id, generation, instance_id):
        """Return the error code of a commit so signed, 0 for one that counts."""
        if generation < 0 and not self.members:
            return 0
        member, code = self._known(member_id, instance_id)
        if code:
            return code
        if generation != self.generation:
            return ILLEGAL_GENERATION
        member.seen()
        return REBALANCING if self.state == COMPLETING else 0

    def fetch_error(self, member_id, epoch):
        """Return the error code of a question for offsets so signed: none, as only the next generation is asked."""
        return 0

    # -- members --

    def _known(self, member_id, instance_id):
        """Return a member and the error code of one that is not known."""
        static = self._static(instance_id)
        if static is not None and member_id and static.id != member_id:
            return None, FENCED_INSTANCE
        member = self.members.get(member_id)
        return member, UNKNOWN_MEMBER if member is None else 0

    def _signed(self, request):
        member, code = self._known(request.member_id, request.group_instance_id)
        if not code and request.generation_id != self.generation:
            code = ILLEGAL_GENERATION
        return member, code

    def _remove(self, member_id, instance_id):
        member = self._static(instance_id)
        if member is not None and member_id not in ("", member.id):
            return FENCED_INSTANCE
        if member is None:
            if self.expected.pop(member_id, None) is not None:
                self._complete_if_all()
                return 0
            member = self.members.get(member_id)
        if member is None:
            return UNKNOWN_MEMBER
        self.put_out([member])
        return 0

    def put_out(self, members):
        """Do without these members from now on."""
        for member in members:
            del self.members[member.id]
            self._release(member, UNKNOWN_MEMBER)
        if self.state in (STABLE, COMPLETING):
            self._prepare()
        self._complete_if_all()

    @staticmethod
    def _release(member, code):
        """Answer what a member waits for with an error."""
        for future in (member.joining, member.syncing):
            if future is not None:
                settle(future, dict(error_code=code, member_id=member.id))
        member.joining = member.syncing = None

    # -- generations --

    def _prepare(self):
        """Wait for all to join again."""
        self.state = PREPARING
        self.deadline = monotonic() + max([member.rebalance_timeout for member in self.members.values()] or [0])
        for member in self.members.values():
            if member.syncing is not None:
                settle(member.syncing, dict(error_code=REBALANCING))
                member.syncing = None

    def _complete_if_all(self):
        if self.state == PREPARING and not self.expected and all(
                member.joining is not None for member in self.members.values()):
            self._complete()

    def _complete(self):
        """Begin a generation with those who have joined."""
        for member in list(self.members.values()):
            if member.joining is None:
                del self.members[member.id]
        self.generation += 1
        self.deadline = None
        if not self.members:
            self.state, self.protocol, self.leader = EMPTY, None, None
            return
        self.state = COMPLETING
        self.protocol = self._elected()
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        for member in self.members.values():
            member.seen()
            answer, member.joining = member.joining, None
            settle(answer, self._joined(member))

    def _elected(self):
        """Return the protocol that most members like best of those that all know."""
        common = self._common(self.members.values())
        votes = collections.Counter(
            next(name for name, _ in member.protocols if name in common) for member in self.members.values())
        return min(votes, key=lambda name: (-votes[name], name))

    def _joined(self, member):
        """Return the fields of an answer to JoinGroup."""
        members = self.members.values() if member.id == self.leader else ()
        return dict(
            error_code=0, generation_id=self.generation, protocol_type=self.protocol_type, protocol=self.protocol,
            leader_id=self.leader, member_id=member.id, members=[
                dict(member_id=one.id, group_instance_id=one.instance_id, metadata=self.metadata(one))
                for one in members])

    def metadata(self, member):
        """Return what a member says of itself for the protocol that was chosen."""
        return dict(member.protocols).get(self.protocol, b"")

    def _synced(self, member):
        return dict(error_code=0, protocol_type=self.protocol_type, protocol_name=self.protocol,
                    assignment=member.assignment)

    def tick(self, now):
        """Put out those whose time is over."""
        gone = [member_id for member_id, deadline in self.expected.items() if deadline <= now]
        for member_id in gone:
            del self.expected[member_id]
        late = [member for member in self.members.values() if member.deadline <= now and member.joining is None]
        if late:
            self.put_out(late)
        elif gone:
            self._complete_if_all()
        if self.state == PREPARING and self.deadline <= now:
            self._complete()


def host_of(call):
    """Return where a request came from, as a coordinator notes it."""
    return "/127.0.0.1"
