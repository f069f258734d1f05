"""How a member wants to take part in a group: the settings of one, without any behaviour."""
from __future__ import absolute_import

import collections


class Membership(collections.namedtuple("Membership", (
    "instance_id", "session_timeout", "heartbeat_interval", "rebalance_timeout", "max_poll_interval", "slow_callback",
    "rack_id", "assignors",
))):
    """
    The settings of a member of a Kafka group; times are in seconds.

    :param instance_id: name of a static member (KIP-345), or None
    :param session_timeout: silence after which the coordinator takes the member for dead (classic groups; the
        broker decides in next-generation ones)
    :param heartbeat_interval: between two signs of life (classic groups)
    :param rebalance_timeout: time that members have to give partitions up and to join again
    :param max_poll_interval: time without progress after which the member leaves by itself; None: it never does
    :param slow_callback: time that a callback may block the IOLoop before it is named in a warning; None: any
    :param rack_id: where the member is, or None
    :param assignors: for classic groups a tuple of `kiel.groups.assignors.Assignor`, the preferred first; for
        next-generation ones the name of the broker's assignor, or None for its default
    """

    __slots__ = ()

    def __new__(cls, instance_id=None, session_timeout=30, heartbeat_interval=3, rebalance_timeout=60,
                max_poll_interval=300, slow_callback=1, rack_id=None, assignors=None):
        return super(Membership, cls).__new__(
            cls, instance_id, session_timeout, heartbeat_interval, rebalance_timeout, max_poll_interval, slow_callback,
            rack_id, assignors
        )
