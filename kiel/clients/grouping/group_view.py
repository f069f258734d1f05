"""A group of consumers as seen from outside, by somebody who is no member of it."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import exc
from kiel.clients.grouping.committed_offsets import KAFKA, STORES, CommittedOffsets
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.protocol import (
    consumer_group_describe, consumer_protocol, delete_groups, describe_groups, errors, leave_group, offset_delete,
    offset_fetch, topic_ids
)

#: the two types of groups that consumers make
CLASSIC, CONSUMER = "classic", "consumer"

#: the state of a group that is not there
DEAD = "Dead"

#: the first version of LeaveGroup in which somebody else has members leave
SEVERAL_LEAVE = 3

#: the types of a next-generation group's members, by the number on the wire
MEMBER_TYPES = {0: CLASSIC, 1: CONSUMER}

#: api -> the first Kafka that serves it
SINCE = {
    "list_groups": "0.9", "describe_groups": "0.9", "delete_groups": "1.1", "offset_delete": "2.4",
    "consumer_group_describe": "3.7",
    "describe_acls": "0.11", "create_acls": "0.11", "delete_acls": "0.11",
    "create_delegation_token": "1.1", "renew_delegation_token": "1.1", "expire_delegation_token": "1.1",
    "describe_delegation_token": "1.1",
    "create_topics": "0.10.1", "delete_topics": "0.10.1", "create_partitions": "1.0", "delete_records": "0.11",
    "describe_configs": "0.11", "incremental_alter_configs": "2.3", "describe_log_dirs": "1.0", "elect_leaders": "2.2",
    "alter_partition_reassignments": "2.4", "list_partition_reassignments": "2.4", "leave_group": "2.4",
    "update_features": "2.7", "describe_user_scram_credentials": "2.7", "alter_user_scram_credentials": "2.7",
    "describe_client_quotas": "2.6", "alter_client_quotas": "2.6", "describe_producers": "2.8",
    "list_transactions": "3.0", "describe_transactions": "3.0", "write_txn_markers": "0.11",
    "describe_quorum": "3.3, without ZooKeeper,",
    "api_versions": "2.7",  # for the features in its answers, which is all that is asked of it here
}


class Member(collections.namedtuple(
        "Member", "member_id instance_id client_id host rack_id topics assignment target epoch type")):
    """
    A member of a group.

    ``instance_id`` is the name of a static member, None for others. ``topics`` is what it subscribes to, ``assignment``
    what it has, ``{topic: [partition ids]}``. ``target`` is what it is to have, ``epoch`` how far it has followed the
    group (both in next-generation groups only, else None). ``type`` is the protocol it speaks, "classic" or "consumer",
    None where the broker does not tell.
    """

    __slots__ = ()


class GroupDescription(collections.namedtuple(
        "GroupDescription", "group type protocol_type state assignor epoch coordinator members")):
    """
    What its coordinator says of a group.

    ``type`` is "classic", or "consumer" for the next generation (KIP-848). ``state`` is Kafka's own word: "Stable",
    "Empty" ..., and "Dead" for a group that is not there (or is neither of consumers nor of a classic kind).
    ``protocol_type`` is "consumer" for consumers, "" when nobody was ever in the group. ``assignor`` is what partitions
    are shared out by; ``epoch`` the group's, None in classic groups, whose generation Kafka does not tell.
    ``coordinator`` is a broker's id, ``members`` a list of `Member`, by client id and member id.
    """

    __slots__ = ()


class GroupView(object):
    """
    One group: its coordinator, members and offsets, over the connections of a client that need not be a member.

    :param client: the `kiel.clients.client.Client`, such as an `kiel.clients.admin.Admin`
    :param group: the group's name
    :param uses_zookeeper: whether offsets in ZooKeeper count too, see `kiel.clients.grouping.committed_offsets`
    """

    def __init__(self, client, group, uses_zookeeper=False):
        self.client = client
        self.group_name = group
        #: the `kiel.clients.grouping.coordinator.GroupCoordinator`
        self.coordinator = GroupCoordinator(client, group)
        #: the `kiel.clients.grouping.committed_offsets.CommittedOffsets`
        self.offsets = CommittedOffsets(client, self.coordinator, uses_zookeeper)

    @gen.coroutine
    def _send(self, broker, request, what, handler=None):
        """Send one request to the coordinator. Return what its handler makes of the answer."""
        need(broker, request, what)
        answers = yield self.client.send({broker.broker_id: request}, handler or self)
        raise gen.Return(answers.get(broker.broker_id, _NO_ANSWER))

    # -- members --

    def describe(self):
        """
        Return a Future of the group's `GroupDescription`.

        :raises kiel.exc.UnsupportedVersionError: on brokers before 0.9
        """
        return self.coordinator.ask(self._describe)

    @gen.coroutine
    def _describe(self, broker):
        """Ask for a next-generation group first, where the broker knows them, since it calls others not found."""
        if broker.reaches("consumer_group_describe", 0):
            answer = yield self._send(
                broker, consumer_group_describe.ConsumerGroupDescribeRequest(group_ids=[self.group_name]),
                "describing groups"
            )
            # 3.7 to 3.9 may serve the api and have it switched off
            if not isinstance(answer, (exc.GroupIdNotFoundError, exc.UnsupportedVersionError)):
                raise gen.Return(answer)
        answer = yield self._send(
            broker, describe_groups.DescribeGroupsRequest(groups=[self.group_name]), "describing groups"
        )
        if isinstance(answer, exc.GroupIdNotFoundError):
            answer = GroupDescription(self.group_name, None, "", DEAD, "", None, broker.broker_id, [])
        raise gen.Return(answer)

    def handle_consumer_group_describe_response(self, response):
        """Return the `GroupDescription` of a next-generation group, or the error."""
        group, = response.groups
        members = [
            Member(
                member.member_id, member.instance_id, member.client_id, member.client_host, member.rack_id,
                sorted(member.subscribed_topic_names), _partitions(member.assignment),
                _partitions(member.target_assignment), member.member_epoch, MEMBER_TYPES.get(member.member_type)
            ) for member in group.members
        ]
        return _error(group.error_code, group.error_message, self.group_name, response) or GroupDescription(
            self.group_name, CONSUMER, "consumer", group.group_state, group.assignor_name, group.group_epoch,
            self.coordinator.broker_id, sorted(members, key=_order)
        )

    def handle_describe_groups_response(self, response):
        """Return the `GroupDescription` of a classic group, or the error."""
        group, = response.groups
        consumers = group.protocol_type == "consumer"
        members = []
        for member in group.members:
            subscription = consumer_protocol.Subscription.unpack(member.metadata if consumers else b"")
            assignment = consumer_protocol.Assignment.unpack(member.assignment if consumers else b"")
            shares = dict((topic.name, sorted(topic.partitions)) for topic in assignment.topics)
            members.append(Member(
                member.member_id, member.group_instance_id, member.client_id, member.client_host, subscription.rack_id,
                sorted(subscription.topics), shares, None, None, CLASSIC
            ))
        return _error(group.error_code, group.error_message, self.group_name, response) or GroupDescription(
            self.group_name, CLASSIC, group.protocol_type, group.state, group.protocol, None,
            self.coordinator.broker_id, sorted(members, key=_order)
        )

    # -- offsets --

    def committed_offsets(self, keys, deadline=None):
        """Return a Future of what is committed for these partitions, see `CommittedOffsets.read`."""
        return self.offsets.read(keys, deadline)

    def commit(self, offsets, metadata="", deadline=None):
        """Commit offsets, which Kafka refuses while the group has members; see `CommittedOffsets.commit`."""
        return self.offsets.commit(offsets, metadata, deadline)

    @gen.coroutine
    def all_offsets(self):
        """
        Return all that the group has committed: ``{(topic, partition): offset}``.

        Brokers before 0.10.2, and ZooKeeper, can only be asked for partitions: there it is what the group has in the
        topics that there are.
        """
        found = yield self.coordinator.ask(self._all_of_kafka)
        if found is None or self.offsets.uses_zookeeper:
            keys = [(topic, partition) for topic, ids in self.client.cluster.topics.items() for partition in ids]
            offsets = yield self.committed_offsets(set(keys).union(found or ()))
            found = first_errors_raised(offsets)
        raise gen.Return(dict((key, offset) for key, offset in found.items() if offset is not None))

    @gen.coroutine
    def _all_of_kafka(self, broker):
        """One question for everything; None where the broker can't be asked so."""
        if not broker.reaches("offset_fetch", 2):
            raise gen.Return(None)
        request = offset_fetch.OffsetFetchRequest(group_name=self.group_name, topics=None)
        request.narrow = 2, STORES[KAFKA][1]
        answer = yield self._send(broker, request, "asking for all offsets")
        if isinstance(answer, exc.KielError) or answer.error is not None:
            raise gen.Return(answer if isinstance(answer, exc.KielError) else answer.error)
        wrong = [value for value in answer.values() if isinstance(value, exc.KielError)]
        if wrong:
            raise gen.Return(wrong[0])
        raise gen.Return(dict((key, offset) for key, offset in answer.items() if offset >= 0))

    def handle_offset_fetch_response(self, response):
        """Return ``{(topic, partition): offset or KielError}``, -1 for none."""
        return self.offsets.handle_offset_fetch_response(response)

    # -- deleting --

    def delete(self):
        """
        Delete the group with its offsets; return a Future.

        :raises kiel.exc.NonEmptyGroupError: when it has members
        :raises kiel.exc.GroupIdNotFoundError: when it is not there
        """
        request = delete_groups.DeleteGroupsRequest(groups_names=[self.group_name])
        return self.coordinator.ask(lambda broker: self._send(broker, request, "deleting groups"))

    def handle_delete_groups_response(self, response):
        """Return True, or the error."""
        result, = response.results
        hint = "stop its members first" if result.error_code == errors.non_empty_group else None
        return _error(result.error_code, result.error_message or hint, self.group_name, response) or True

    # -- members that go --

    def remove(self, members, reason=None):
        """
        Take members out of the group; return a Future of ``{(member id, instance id): True or KielError}``.

        :param members: such pairs; one that has an instance id is known by that
        :param reason: what the broker's log says of it (Kafka 3.2)
        """
        request = leave_group.LeaveGroupRequest(group_id=self.group_name, members=[
            leave_group.MemberIdentity(
                member_id="" if instance_id else member_id, group_instance_id=instance_id, reason=reason)
            for member_id, instance_id in members
        ])
        request.narrow = SEVERAL_LEAVE, request.version_range[1]
        removed = _Removed(self.group_name, members)
        return self.coordinator.ask(lambda broker: self._send(broker, request, "removing members", removed))

    # -- deleting offsets --

    def delete_offsets(self, keys):
        """
        Delete committed offsets; return a Future of ``{(topic, partition): True or KielError}``.

        :param keys: ``(topic, partition)`` pairs
        """
        return self.coordinator.attempt(keys, self._delete_offsets)

    @gen.coroutine
    def _delete_offsets(self, wanted):
        """One round of `delete_offsets`."""
        broker = yield self.coordinator.broker()
        request = offset_delete.OffsetDeleteRequest(
            group_id=self.group_name, topics=topic_ids.by_topic(offset_delete.TopicRequest, (
                (topic, offset_delete.PartitionRequest(partition_id=partition)) for topic, partition in wanted
            ))
        )
        answer = yield self._send(broker, request, "deleting offsets")
        if isinstance(answer, exc.KielError):
            answer = dict.fromkeys(wanted, answer)
        raise gen.Return(answer)

    def handle_offset_delete_response(self, response):
        """Return ``{(topic, partition): True or KielError}``, or the error of the group."""
        error = _error(response.error_code, None, self.group_name, response)
        if error is not None:
            return error
        result = {}
        for topic in response.topics:
            for part in topic.partitions:
                where = "%s:%s of group %s" % (topic.name, part.partition_id, self.group_name)
                if part.error_code == errors.group_subscribed_to_topic:
                    where += "; a live member is subscribed to the topic, stop it first"
                result[topic.name, part.partition_id] = exc.for_code(
                    part.error_code, where, response.api, topic=topic.name, group=self.group_name
                ) or True
        return result


class _Removed(object):
    """Takes the answer about members that were to leave."""

    def __init__(self, group, members):
        self.group = group
        self.members = members

    def handle_leave_group_response(self, response):
        """Return ``{(member id, instance id): True or KielError}``, or the error of the group."""
        if response.error_code and not response.members:
            return _error(response.error_code, None, self.group, response)
        codes = dict((each.group_instance_id or each.member_id, each.error_code) for each in response.members)
        return dict((member, exc.for_code(
            codes.get(member[1] or member[0], errors.unknown_member_id),
            "member %s of group %s" % (member[1] or member[0], self.group), response.api, group=self.group
        ) or True) for member in self.members)


def need(broker, request, what):
    """
    Raise a clear error when a broker is too old for a request.

    :param what: what is wanted of it
    :raises kiel.exc.UnsupportedVersionError: naming the Kafka that is needed
    """
    try:
        broker.version(request)
    except exc.UnsupportedVersionError as error:
        error.message = "%s needs Kafka %s or later" % (what, SINCE.get(request.api, "of another release"))
        raise error


def first_errors_raised(outcome):
    """
    Return ``{key: value}`` as it is, when no value is an error.

    :raises kiel.exc.KielError: the first error, by key
    """
    for _, value in sorted(outcome.items(), key=lambda item: item[0]):
        if isinstance(value, exc.KielError):
            raise value
    return outcome


def _error(code, message, group, response):
    """Return the exception of an answer about a group, with the broker's words where it has any; None for none."""
    return exc.for_code(code, "group %s%s" % (group, ": %s" % message if message else ""), response.api, group=group)


def _partitions(assignment):
    """``{topic: [ids]}`` of a next-generation assignment."""
    return dict((part.topic_name, sorted(part.partitions)) for part in assignment.topic_partitions)


def _order(member):
    """Return what members are sorted by."""
    return member.client_id, member.member_id


#: the answer did not come; it may the next time
_NO_ANSWER = exc.NoBrokersError("the group's coordinator did not answer")
