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

#: what classic members assign partitions by, unless they are told: Java's own default, and what others have
CLASSIC_ASSIGNORS = ("range", "roundrobin", "cooperative-sticky")

#: those that brokers have for next-generation groups
BROKERS_ASSIGNORS = ("uniform", "range")

#: protocol -> the api that a coordinator has to serve for it
SERVED_BY = {"classic": "join_group", "consumer": "consumer_group_heartbeat"}


class ProtocolChoice(object):
    """
    Makes a member's allocator by what its coordinator serves, and has it join.

    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param membership: the member's `kiel.groups.membership.Membership`, with assignors as the user gave them
    :param settings: `kiel.settings.Settings` of the connections
    :param protocol: "classic", "consumer", or None for what the coordinator serves
    """

    def __init__(self, coordinator, membership, settings, protocol=None):
        self.coordinator = coordinator
        self.membership = membership
        self.settings = settings
        self.protocol = protocol

    @gen.coroutine
    def join(self, obey, join):
        """
        Make the allocator and join.

        :param obey: called with the allocator before it joins
        :param join: joins; returns a Future
        :raises kiel.exc.KielError: when there is no coordinator, or the group does not take the member
        """
        broker = yield self._coordinator_broker()
        if not self._tries_consumer(broker):
            yield self._join_classic(obey, join)
            return
        name = next(iter(_listed(self.membership.assignors)), None)
        allocator = ConsumerAllocator(self.coordinator, self.membership._replace(assignors=name), self.settings)
        obey(allocator)
        try:
            yield join()
        except exc.UnsupportedVersionError as error:
            yield self.fall_back(allocator, error, obey, join)

    @gen.coroutine
    def fall_back(self, allocator, error, obey, join):
        """
        The group turned out to be one of classic members that the broker does not upgrade: join those.

        :param allocator: the one that ``error`` came from
        :raises kiel.exc.UnsupportedVersionError: when the next-generation protocol was asked for by name
        """
        if self.protocol is not None or not isinstance(allocator, ConsumerAllocator):
            raise error
        log.info("Group %s uses the classic protocol: %s", self.coordinator.key, error)
        yield allocator.stop()
        yield self._join_classic(obey, join)

    @gen.coroutine
    def check(self):
        """
        Find out whether the coordinator serves the protocol that the group is to go by.

        :raises kiel.exc.UnsupportedVersionError: when it does not
        :raises kiel.exc.KielError: when there is no coordinator
        """
        broker = yield self._coordinator_broker()
        if not broker.reaches(SERVED_BY[self.protocol or "classic"], 0):
            raise exc.UnsupportedVersionError(
                "broker %s does not serve group_protocol=%r" % (broker.broker_id, self.protocol)
            )

    def _tries_consumer(self, broker):
        """Whether the next-generation protocol is tried: where the broker serves it, and nothing needs the other."""
        if self.protocol is not None:
            return self.protocol == "consumer"
        if any(each not in BROKERS_ASSIGNORS for each in _listed(self.membership.assignors)):
            return False
        return broker.reaches(SERVED_BY["consumer"], 1)

    @gen.coroutine
    def _join_classic(self, obey, join):
        chosen = _listed(self.membership.assignors) or CLASSIC_ASSIGNORS
        membership = self.membership._replace(assignors=tuple(_assignor(each) for each in chosen))
        obey(ClassicAllocator(self.coordinator, membership, self.settings))
        yield join()

    def _coordinator_broker(self):
        """Return a Future of the coordinator's `kiel.broker.Broker`, connected."""
        return self.coordinator.ask(gen.maybe_future)


def _listed(chosen):
    """Return one assignor or several as a list."""
    return [chosen] if isinstance(chosen, six.string_types) or callable(chosen) else list(chosen or ())


def _assignor(chosen):
    """
    Return the `kiel.groups.assignors.Assignor` of a name or a function.

    :raises ValueError: for a name that is none
    """
    if isinstance(chosen, six.string_types):
        if chosen not in assignors.by_name:
            raise ValueError("assignor %r is not one of %s" % (chosen, ", ".join(sorted(assignors.by_name))))
        return assignors.by_name[chosen]
    return chosen if isinstance(chosen, assignors.Assignor) else assignors.from_function(chosen)
