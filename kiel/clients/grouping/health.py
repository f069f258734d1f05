"""How a group's member is, for whoever watches over it."""
from __future__ import absolute_import

from kiel.retry import monotonic


def report(allocator, lag, error):
    """
    Return the dict of `kiel.clients.grouped.GroupedConsumer.health`.

    :param allocator: the member's `kiel.allocation.Allocator`
    :param lag: function of topic and partition
    :param error: the last error of reading or committing, or None
    """
    heartbeat = allocator.heartbeat
    member_id, generation = allocator.identity
    allocation = dict((topic, list(ids)) for topic, ids in allocator.allocation.items())
    error = allocator.error or error
    return {
        "state": getattr(allocator, "state", None),
        "paused": bool(allocator.paused),
        "member_id": member_id,
        "generation": generation,
        "allocation": allocation,
        "last_heartbeat": None if heartbeat is None else _ago(heartbeat.last_beat),
        "last_progress": None if heartbeat is None else _ago(heartbeat.last_progress),
        "lag": dict(
            (topic, dict((partition, lag(topic, partition)) for partition in ids))
            for topic, ids in allocation.items()
        ),
        "error": None if error is None else str(error) or type(error).__name__,
    }


def _ago(when):
    """Seconds since a `kiel.retry.monotonic` time."""
    return None if when is None else max(0.0, monotonic() - when)
