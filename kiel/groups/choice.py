"""Which of Kafka's two protocols a group uses: the next generation where the broker serves it, else the classic one."""
from __future__ import absolute_import

import logging

import six
from tornado import gen

from kiel import exc
from kiel.groups import assignors
from kiel.groups.classic.member import ClassicAllocator
from kiel.groups.next_gen.member import ConsumerAllocator

log = logging.getLogger(__name__)

#: what classic members share partitions out by, unless they are told: Java's own default, and what others have
CLASSIC_ASSIGNORS = ("range", "roundrobin", "cooperative-sticky")

#: those that brokers have for next-generation groups
BROKERS_ASSIGNORS = ("uniform", "range")


def _listed(chosen):
    """One assignor or several, as a list."""
    return [chosen] if isinstance(chosen, six.string_types) or callable(chosen) else list(chosen or ())


def _assignor(chosen):
    """
    The `kiel.groups.assignors.Assignor` of a name or a function.

    :raises ValueError: for a name that is none
    """
    if isinstance(chosen, six.string_types):
        if chosen not in assignors.by_name:
            raise ValueError("assignor %r is not one of %s" % (chosen, ", ".join(sorted(assignors.by_name))))
        return assignors.by_name[chosen]
    return chosen if isinstance(chosen, assignors.Assignor) else assignors.from_function(chosen)


@gen.coroutine
def join_through_kafka(client, membership, obey, join):
    """
    Makes a member's allocator by what its coordinator serves, and joins.

    :param client: the `kiel.clients.grouped.GroupedConsumer`
    :param membership: its `kiel.groups.membership.Membership`, with assignors as the user gave them
    :param obey: called with the allocator before it joins
    :param join: joins; gives a Future
    :raises kiel.exc.KielError: when there is no coordinator, or the group does not take the member
    """
    found = yield client.attempt([client.group_name], lambda wanted: _find(client))
    broker_id = found[client.group_name]
    if isinstance(broker_id, exc.KielError):
        raise broker_id
    wanted = client.group_protocol
    if wanted is None and any(each not in BROKERS_ASSIGNORS for each in _listed(membership.assignors)):
        wanted = "classic"
    if wanted != "classic":
        if wanted == "consumer" or client.cluster[broker_id].reaches("consumer_group_heartbeat", 1):
            name = next(iter(_listed(membership.assignors)), None)
            obey(ConsumerAllocator(client, membership._replace(assignors=name)))
            try:
                yield join()
                return
            except exc.UnsupportedVersionError as error:
                if wanted == "consumer":
                    raise
                log.info("Group %s is a classic one: %s", client.group_name, error)
                yield client.allocator.stop()
    yield join_classic(client, membership, obey, join)


@gen.coroutine
def join_classic(client, membership, obey, join):
    """Makes a member of a classic group, and joins; parameters and errors as those of `join_through_kafka`."""
    chosen = _listed(membership.assignors) or CLASSIC_ASSIGNORS
    obey(ClassicAllocator(client, membership._replace(assignors=tuple(_assignor(each) for each in chosen))))
    yield join()


@gen.coroutine
def fall_back(client, membership, obey, join, error):
    """
    A subscription showed that the group is one of classic members that the broker does not upgrade: joins those.

    :raises kiel.exc.UnsupportedVersionError: when the next-generation protocol was asked for by name
    """
    if client.group_protocol is not None or not isinstance(client.allocator, ConsumerAllocator):
        raise error
    log.info("Group %s is a classic one: %s", client.group_name, error)
    yield client.allocator.stop()
    yield join_classic(client, membership, obey, join)


@gen.coroutine
def _find(client):
    """One look for the coordinator."""
    broker_id = yield client.coordinator()
    raise gen.Return({client.group_name: broker_id})
