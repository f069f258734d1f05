"""What a group's coordinator is asked."""
from __future__ import absolute_import

from kiel.testing.fake.answers import shape
from kiel.testing.fake.classic import INCONSISTENT, STABLE, UNKNOWN_MEMBER, host_of
from kiel.testing.fake.groups import Committed
from kiel.testing.fake.next_gen import grouped

NOT_COORDINATOR, INVALID_GROUP, GROUP_NOT_FOUND, UNSTABLE_OFFSET = 16, 24, 69, 88


def _refusal(call, group_id):
    """Return the error code for whoever asks the wrong broker, or for no group."""
    return call.code() or _place(call, group_id)


def _place(call, group_id):
    if call.broker_id != call.cluster.coordinator:
        return NOT_COORDINATOR
    return 0 if group_id else INVALID_GROUP


# -- the classic protocol --

def join_group(call):
    """Answer a JoinGroup."""
    code = _refusal(call, call.request.group_id)
    group = None if code else call.cluster.groups.classic(call.request.group_id)
    if group is None:
        return dict(error_code=code or INCONSISTENT, member_id=call.request.member_id)
    return group.join(call)


def _member_call(call, answer):
    """Answer a request of one who should be a member."""
    code = _refusal(call, call.request.group_id)
    if code:
        return dict(error_code=code)
    group = call.cluster.groups.find(call.request.group_id)
    if group is None or group.kind != "classic":
        return dict(error_code=UNKNOWN_MEMBER)
    return answer(group)


def sync_group(call):
    """Answer a SyncGroup."""
    return _member_call(call, lambda group: group.sync(call))


def heartbeat(call):
    """Answer a Heartbeat."""
    return _member_call(call, lambda group: group.heartbeat(call))


def leave_group(call):
    """Answer a LeaveGroup."""
    return _member_call(call, lambda group: group.leave(call))


# -- the next generation --

def consumer_group_heartbeat(call):
    """Answer a ConsumerGroupHeartbeat."""
    code = _refusal(call, call.request.group_id)
    group = None if code else call.cluster.groups.consumer(call.request.group_id)
    if group is None:
        return dict(error_code=code or GROUP_NOT_FOUND)
    return group.heartbeat(call)


# -- offsets --

def committed(call, code, offsets):
    """
    Return the topics of an answer to a commit.

    :param code: an error code for all of them
    :param offsets: takes in what is committed
    """
    def answer(name, asked, log):
        if code or log is None:
            return dict(error_code=code or shape.UNKNOWN_TOPIC)
        offsets[name, asked.partition_id] = Committed(asked.offset, asked.leader_epoch, asked.metadata)
        return {}

    return shape.each_partition(call, answer)


def offset_commit(call):
    """Answer an OffsetCommit."""
    request = call.request
    group = call.cluster.groups.find(request.group)
    code = _place(call, request.group)
    if not code and group is not None:
        code = group.commit_error(request.consumer_id, request.generation, request.group_instance_id)
    elif not code and request.generation >= 0:
        code = UNKNOWN_MEMBER
    offsets = {}
    topics = committed(call, code, offsets)
    if offsets:
        call.cluster.groups.commit(request.group, offsets)
    return dict(topics=topics)


def offset_fetch(call):
    """Answer an OffsetFetch."""
    request = call.request
    if call.version >= 8:
        return dict(groups=[
            _offsets_of(call, group.group_id, group.topics, group.member_id, group.member_epoch)
            for group in request.groups])
    fields = _offsets_of(call, request.group_name, request.topics, None, -1)
    del fields["group_id"]
    return fields


def _offsets_of(call, group_id, topics, member_id, epoch):
    groups = call.cluster.groups
    group = groups.find(group_id)
    code = _place(call, group_id)
    if not code and group is not None:
        code = group.fetch_error(member_id, epoch)
    if code:
        return dict(group_id=group_id, error_code=code, topics=[])
    offsets = groups.offsets.get(group_id, {})

    def answer(name, number, log):
        if call.request.require_stable and groups.is_pending(group_id, (name, number)):
            return dict(error_code=UNSTABLE_OFFSET)
        found = offsets.get((name, number), Committed(-1, -1, ""))
        return dict(offset=found.offset, leader_epoch=found.leader_epoch, metadata=found.metadata)

    if topics is None:
        topics = _all_topics(call, offsets)
    found = shape.each_partition(call, answer, topics=topics, by_number=True)
    for topic in found:
        for partition in topic["partitions"]:
            if partition["error_code"]:
                partition.update(offset=-1, leader_epoch=-1, metadata="")
    return dict(group_id=group_id, error_code=0, topics=found)


class _Asked(object):
    """A topic of which all offsets are asked for."""

    def __init__(self, name, topic_id):
        self.name = name
        self.topic_id = topic_id
        self.partitions = []


def _all_topics(call, offsets):
    found = {}
    for name, number in sorted(offsets):
        topic = call.cluster.topics.find(name)
        if topic is not None:
            found.setdefault(name, _Asked(name, topic.id)).partitions.append(number)
    return [found[name] for name in sorted(found)]


# -- about groups --

def list_groups(call):
    """Answer a ListGroups."""
    found = []
    states = set(state.lower() for state in call.request.states_filter)
    kinds = set(kind.lower() for kind in call.request.types_filter)
    for group in call.cluster.groups.by_id.values():
        if (not states or group.state.lower() in states) and (not kinds or group.kind in kinds):
            found.append(dict(group_id=group.id, protocol_type=group.protocol_type, group_state=group.state,
                              group_type=group.kind))
    return dict(error_code=call.code(), groups=found)


def describe_groups(call):
    """Answer a DescribeGroups."""
    return dict(groups=[_described(call, group_id) for group_id in call.request.groups])


def _described(call, group_id):
    code = _refusal(call, group_id)
    group = call.cluster.groups.find(group_id)
    text = None
    if code or group is None or group.kind != "classic":
        if not code and call.version >= 6:
            code, text = GROUP_NOT_FOUND, "Group %s not found." % group_id
        return dict(error_code=code, error_message=text, group_id=group_id, state="Dead", protocol_type="", protocol="",
                    members=[])
    settled = group.state == STABLE
    return dict(
        error_code=0, group_id=group_id, state=group.state, protocol_type=group.protocol_type,
        protocol=group.protocol if settled else "",
        members=[_described_member(group, member, settled) for member in group.members.values()])


def _described_member(group, member, settled):
    fields = dict(member_id=member.id, group_instance_id=member.instance_id, client_id=member.client_id,
                  client_host=member.host, metadata=b"", assignment=b"")
    if settled:
        fields.update(metadata=group.metadata(member), assignment=member.assignment)
    return fields


def consumer_group_describe(call):
    """Answer a ConsumerGroupDescribe."""
    return dict(groups=[_described_consumer(call, group_id) for group_id in call.request.group_ids])


def _described_consumer(call, group_id):
    code = _refusal(call, group_id)
    group = call.cluster.groups.find(group_id)
    if code or group is None or group.kind != "consumer":
        return dict(error_code=code or GROUP_NOT_FOUND, group_id=group_id, group_state="", assignor_name="",
                    error_message=None if code else "Group %s is not a consumer group." % group_id, members=[])
    names = dict((topic.id, topic.name) for topic in call.cluster.topics.by_name.values())

    def assignment(partitions):
        return dict(topic_partitions=[
            dict(entry, topic_name=names[entry["topic_id"]]) for entry in grouped(partitions)
            if entry["topic_id"] in names])

    return dict(
        error_code=0, group_id=group_id, group_state=group.state, group_epoch=group.epoch,
        assignment_epoch=group.epoch, assignor_name=group.assignor, members=[dict(
            member_id=member.id, instance_id=member.instance_id, rack_id=member.rack_id, member_epoch=member.epoch,
            client_id=member.client_id, client_host=host_of(call), subscribed_topic_names=member.topics,
            subscribed_topic_regex=member.regex, member_type=1, assignment=assignment(member.assigned),
            target_assignment=assignment(group.target.get(member.id, ()))) for member in group.members.values()])


def delete_groups(call):
    """Answer a DeleteGroups."""
    return dict(results=[
        dict(group_id=group_id, error_code=_refusal(call, group_id) or call.cluster.groups.delete(group_id))
        for group_id in call.request.groups_names])
