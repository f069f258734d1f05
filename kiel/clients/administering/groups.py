"""Groups seen from outside: which exist, their members, committed offsets and lag."""
from __future__ import absolute_import

import collections
import logging

import six
from tornado import gen

from kiel import arguments, exc
from kiel.arguments import MAX_INT64
from kiel.clients.consuming.offset_lookup import BEGINNING, END, start_to_timestamp
from kiel.clients.grouping.group_view import CLASSIC, DEAD, GroupView, first_errors_raised, need
from kiel.protocol import list_groups

log = logging.getLogger(__name__)

#: seconds that `Groups.lag` tries to find a partition's end for; one without a leader must not hide the others
LAG_TIME = 5.0


class Listing(collections.namedtuple("Listing", "group protocol_type state type")):
    """
    One entry of the list of groups.

    ``protocol_type`` is "consumer" for groups of consumers; "" for offsets that somebody committed without a group.
    ``type`` is "classic", "consumer" (the next generation) or what newer brokers have more; None where a broker that
    knows both does not tell them apart in lists (3.7, 3.8). ``state`` is Kafka's word.
    """

    __slots__ = ()


class Lag(collections.namedtuple("Lag", "committed end lag member error")):
    """
    How far behind a group is in one partition.

    ``committed`` is the next offset that the group reads, ``end`` the offset after the last message, ``lag`` how many
    offsets lie between; None for what there is not. ``member`` is the `kiel.clients.grouping.group_view.Member` that
    has the partition, None for nobody; ``error`` the `kiel.exc.KielError` that kept the end from being known, else
    None.
    """

    __slots__ = ()


class Reset(collections.namedtuple("Reset", "before after")):
    """One partition's offset before and after a reset; ``before`` is None when there was none."""

    __slots__ = ()


class Groups(object):
    """
    Looks at groups, and deletes or resets what they have committed.

    :param client: the `kiel.clients.admin.Admin` whose brokers are asked; its ``zookeeper_offsets`` is whether offsets
        that kiel keeps in ZooKeeper count too
    :param lookup: the client's `kiel.clients.consuming.offset_lookup.OffsetLookup`
    """

    def __init__(self, client, lookup):
        self.client = client
        self.lookup = lookup

    def group(self, name):
        """Return the `kiel.clients.grouping.group_view.GroupView` of a group."""
        return GroupView(self.client, arguments.text("the group's name", name), self.client.zookeeper_offsets)

    # -- members --

    @gen.coroutine
    def list_groups(self, states=None, types=None):
        """
        Ask all brokers for the groups they coordinate: a list of `Listing`, by name.

        :param states: only groups in one of these states, such as ``["Empty"]``; their case does not matter
        :param types: only groups of one of these types: "classic", "consumer"
        :raises kiel.exc.KielError: when a broker of the cluster does not answer: its groups would be missing
        """
        states = None if states is None else arguments.texts("states", states)
        types = None if types is None else arguments.texts("types", types)
        answers = yield self.client.attempt(["groups"], self._list_groups)
        found = first_errors_raised(answers)["groups"]
        if any(listing.state == "" for listing in found.values()):  # before 2.6
            described = yield self.describe_groups(sorted(found))
            for name, group in described.items():
                found[name] = found[name]._replace(state=group.state)
        listings = [found[name] for name in sorted(found)]
        raise gen.Return(_with_one_of(_with_one_of(listings, "state", states), "type", types))

    @gen.coroutine
    def _list_groups(self, wanted):
        """One round: all brokers that metadata names, or an error, since a coordinator may move between two rounds."""
        metadata = yield self.client.cluster.get_metadata(create=False)
        named = dict((broker.broker_id, broker) for broker in metadata.brokers)
        for broker_id, broker in named.items():
            if broker_id not in self.client.cluster:
                raise gen.Return({"groups": exc.BrokerConnectionError(broker.host, broker.port, broker_id)})
            yield self.client.cluster[broker_id].connect()
            need(self.client.cluster[broker_id], list_groups.ListGroupsRequest(), "listing groups")
        requests = dict((broker_id, list_groups.ListGroupsRequest()) for broker_id in named)
        answers = yield self.client.send(requests, self)
        found = {}
        for broker_id, broker in named.items():
            answer = answers.get(broker_id, exc.BrokerConnectionError(broker.host, broker.port, broker_id))
            if isinstance(answer, exc.KielError):
                raise gen.Return({"groups": answer})
            for group in answer:
                kind = self._group_type(group, broker_id)
                found[group.group_id] = Listing(group.group_id, group.protocol_type, group.group_state, kind)
        raise gen.Return({"groups": found})

    def _group_type(self, group, broker_id):
        kind = group.group_type.lower() or None
        if kind is None and not self.client.cluster[broker_id].reaches("consumer_group_heartbeat", 0):
            return CLASSIC  # there was no other type before KIP-848
        return kind

    def handle_list_groups_response(self, response):
        """Return the groups of one broker, or the error."""
        return exc.for_code(response.error_code, "listing groups", response.api) or list(response.groups)

    @gen.coroutine
    def describe_groups(self, names):
        """
        Describe groups, classic ones and those of the next generation.

        Gives ``{name: GroupDescription}``; a group that is not there is "Dead".

        :param names: the groups' names
        :raises kiel.exc.KielError: the first error, when one could not be described
        """
        names = arguments.texts("names", names)
        described = yield gen.multi([self.group(name).describe() for name in names], quiet_exceptions=exc.KielError)
        raise gen.Return(dict(zip(names, described)))

    # -- offsets --

    @gen.coroutine
    def committed_offsets(self, group, topics=None):
        """
        Return what a group has committed: ``{(topic, partition): offset}``, the next offsets that it reads.

        :param topics: names: all their partitions are given, with None where the group has committed nothing; default:
            all offsets that the group has. Brokers before 0.10.2 are asked topic by topic for those.
        :raises kiel.exc.UnknownTopicOrPartitionError: when one of ``topics`` is not there
        """
        view = self.group(group)
        if topics is None:
            offsets = yield view.all_offsets()
            raise gen.Return(offsets)
        keys = yield self._keys(arguments.texts("topics", topics))
        offsets = yield view.committed_offsets(keys)
        raise gen.Return(first_errors_raised(offsets))

    @gen.coroutine
    def _refresh(self):
        """Bring the metadata up to date."""
        coming = self.client._come_here()
        if coming is not None:
            yield coming
        yield self.client.cluster.heal()

    @gen.coroutine
    def _keys(self, topics):
        """Return all partitions of some topics, which must be there; asking for a topic must not create it."""
        keys = []
        for topic in topics:
            if topic not in self.client.cluster.topics:
                yield self._refresh()
            if topic not in self.client.cluster.topics:
                raise exc.UnknownTopicOrPartitionError("topic %s" % topic)
            keys.extend((topic, partition) for partition in self.client.cluster.topics[topic])
        raise gen.Return(keys)

    @gen.coroutine
    def lag(self, group, topics=None):
        """
        Tell how far a group is behind: ``{(topic, partition): Lag}``.

        It is about the partitions that the group has committed offsets in, and those that members have.

        :param topics: names, to be told of all partitions of those topics only
        """
        view = self.group(group)
        topics = None if topics is None else arguments.texts("topics", topics)
        description = yield view.describe()
        members = dict(
            ((topic, partition), member) for member in description.members
            for topic, ids in member.assignment.items() for partition in ids
        )
        offsets = yield self.committed_offsets(group, topics)
        keys = set(offsets) if topics is not None else set(offsets).union(members)
        there, gone = yield self._split(keys)
        ends = yield self.lookup.list_offsets(dict.fromkeys(there, END), LAG_TIME)
        ends.update((key, exc.UnknownTopicOrPartitionError("%s:%s" % key)) for key in gone)
        result = {}
        for key in keys:
            committed, end, error = offsets.get(key), ends[key], None
            if isinstance(end, exc.KielError):
                end, error = None, end
            else:
                end = end[0]
            behind = None if committed is None or end is None else max(0, end - committed)
            result[key] = Lag(committed, end, behind, members.get(key), error)
        raise gen.Return(result)

    @gen.coroutine
    def _split(self, keys):
        """Return two lists of (topic, partition): those that exist, and those that don't."""
        if any(partition not in self.client.cluster.topics.get(topic, ()) for topic, partition in keys):
            yield self._refresh()
        there = [key for key in keys if key[1] in self.client.cluster.topics.get(key[0], ())]
        raise gen.Return((there, [key for key in keys if key not in set(there)]))

    # -- changing --

    @gen.coroutine
    def remove_members(self, group, members, instances, reason):
        """Return ``{member id or instance id: True or KielError}`` of those that were taken out of a group."""
        view = self.group(group)
        reason = None if reason is None else arguments.text("reason", reason)
        if members is None and instances is None:
            description = yield view.describe()
            found = [(member.member_id, member.instance_id) for member in description.members]
        else:
            found = [(name, None) for name in arguments.texts("members", members or ())]
            found += [("", name) for name in arguments.texts("instances", instances or ())]
        outcome = {}
        if found:
            outcome = yield view.remove(found, reason)
        raise gen.Return(dict((instance or member, value) for (member, instance), value in outcome.items()))

    @gen.coroutine
    def delete_group(self, name):
        """Delete a group with all it has committed, see `kiel.clients.admin.Admin.delete_group`."""
        yield self.group(name).delete()

    @gen.coroutine
    def delete_offsets(self, group, partitions):
        """Forget what a group has committed in some partitions, see `kiel.clients.admin.Admin.delete_offsets`."""
        there, gone = yield self._split(arguments.partitions("partitions", partitions))
        outcome = yield self.group(group).delete_offsets(there)
        outcome.update((key, exc.UnknownTopicOrPartitionError("%s:%s" % key)) for key in gone)
        first_errors_raised(outcome)

    @gen.coroutine
    def reset_offsets(self, group, to, topics=None, dry_run=False):
        """Set where a group goes on, see `kiel.clients.admin.Admin.reset_offsets`."""
        explicit = isinstance(to, dict)
        if explicit and topics is not None:
            raise ValueError("offsets by partition already name their topics: leave out topics")
        to = _numbers(to) if explicit else _moment(to)
        topics = None if topics is None else arguments.texts("topics", topics)
        view = self.group(group)
        description = yield view.describe()
        _refuse_members(description)
        if explicit:
            keys, gone = yield self._split(list(to))
            if gone:
                raise exc.UnknownTopicOrPartitionError(_listed(gone))
            after = to
        else:
            keys = yield self._keys((yield self._committed_topics(view)) if topics is None else topics)
            after = yield self._found_at(keys, to)
        low = first_errors_raised((yield self.lookup.list_offsets(dict.fromkeys(keys, BEGINNING))))
        high = first_errors_raised((yield self.lookup.list_offsets(dict.fromkeys(keys, END))))
        after = dict((key, min(max(after[key], low[key][0]), high[key][0])) for key in keys)
        before = first_errors_raised((yield view.committed_offsets(keys)))
        if not dry_run:
            yield self._commit_reset(view, after)
        raise gen.Return(dict((key, Reset(before[key], after[key])) for key in keys))

    @gen.coroutine
    def _committed_topics(self, view):
        """Return the topics in which a group has committed offsets, as far as they are still there."""
        found = yield view.all_offsets()
        there, gone = yield self._split(list(found))
        if gone:
            log.warning("Group %s has offsets of partitions that no longer exist; they are left as they are: %s",
                        view.group_name, _listed(gone))
        raise gen.Return(sorted(set(topic for topic, _ in there)))

    @gen.coroutine
    def _commit_reset(self, view, offsets):
        """Commit, unless the group has come alive since it was described."""
        outcome = yield view.commit(offsets)
        for key, error in outcome.items():
            if isinstance(error, exc.KielError) and error.cure == "rejoin":
                raise exc.NonEmptyGroupError("group %s has live members again (%s); %s:%s was not reset" % (
                    (view.group_name, error) + key))
        first_errors_raised(outcome)

    @gen.coroutine
    def _found_at(self, keys, when):
        """Return the first offset at or after a time, the end where nothing is that late: ``{key: offset}``."""
        found = first_errors_raised((yield self.lookup.list_offsets(dict.fromkeys(keys, when))))
        late = [key for key, value in found.items() if value[0] < 0]
        found.update(first_errors_raised((yield self.lookup.list_offsets(dict.fromkeys(late, END)))))
        raise gen.Return(dict((key, value[0]) for key, value in found.items()))


def _with_one_of(listings, field, wanted):
    """Return the listings whose field is among those wanted, ignoring case; None means all."""
    if wanted is None:
        return listings
    wanted = set(each.lower() for each in wanted)
    return [listing for listing in listings if (getattr(listing, field) or "").lower() in wanted]


def _moment(to):
    """Return the time that an offset request carries for `Admin.reset_offsets`."""
    if to is None or isinstance(to, bool):
        raise ValueError("to has to be BEGINNING, END, a time or {(topic, partition): offset}, not %r" % (to,))
    if isinstance(to, six.integer_types) and to >= 0:
        return to
    return start_to_timestamp(to)


def _numbers(to):
    """Return the ``{(topic, partition): offset}`` that `Admin.reset_offsets` is given, checked."""
    return dict(zip(arguments.partitions("to", to),
                    [arguments.integer("to", offset, least=0, most=MAX_INT64) for offset in to.values()]))


def _listed(keys):
    return ", ".join("%s:%s" % key for key in sorted(keys))


def _refuse_members(description):
    """Refuse to change a group that has members."""
    if description.members or description.state not in ("Empty", DEAD):
        names = ", ".join(sorted(set("%s at %s" % (member.client_id, member.host) for member in description.members)))
        raise exc.NonEmptyGroupError("group %s is %s and has %d live member(s): %s; stop them first" % (
            description.group, description.state, len(description.members), names or "on their way"))


__all__ = ["Groups", "Lag", "Listing", "Reset"]
