"""How a group's member is, for whoever watches over it."""
from __future__ import absolute_import

from kiel.clients.health import ago
from kiel.retry import monotonic


def report(health, allocator, lag):
    """
    Return the dict of `kiel.clients.grouped.GroupedConsumer.health`.

    :param health: what there is of every client, see `kiel.clients.health.report`
    :param allocator: the member's `kiel.allocation.Allocator`
    :param lag: function of topic and partition
    """
    heartbeat = allocator.heartbeat
    member_id, generation = allocator.identity
    allocation = dict((topic, list(ids)) for topic, ids in allocator.allocation.items())
    paused = bool(allocator.paused)
    return dict(
        health,
        ready=health["ready"] and not paused,
        state=getattr(allocator, "state", None),
        paused=paused,
        member_id=member_id,
        generation=generation,
        allocation=allocation,
        last_heartbeat=None if heartbeat is None else ago(heartbeat.last_beat),
        last_progress=None if heartbeat is None else ago(heartbeat.last_progress),
        lag=dict(
            (topic, dict((partition, lag(topic, partition)) for partition in ids))
            for topic, ids in allocation.items()
        ),
    )


def gauges(allocator):
    """Return the numbers of a member, see `kiel.clients.client.Client.metrics`."""
    found = {"assigned_partitions": {(): sum(len(ids) for ids in allocator.allocation.values())}}
    if allocator.member_count is not None:
        found["members"] = {(): allocator.member_count}
    if allocator.heartbeat is not None and allocator.heartbeat.last_beat is not None:
        found["heartbeat_age_seconds"] = {(): max(0.0, monotonic() - allocator.heartbeat.last_beat)}
    return found
