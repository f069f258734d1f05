"""How a group's member is, for whoever watches over it."""
from __future__ import absolute_import

import collections

from kiel.retry import monotonic


class Trouble(object):
    """The last errors of a member, each until something of its kind succeeds."""

    def __init__(self):
        #: kind -> (error, since when there is one (`kiel.retry.monotonic`)), the newest last
        self._errors = collections.OrderedDict()

    def note(self, kind, error):
        """Something of a kind failed, or, with None, succeeded."""
        _, since = self._errors.pop(kind, (None, monotonic()))
        if error is not None:
            self._errors[kind] = error, since

    def of(self, kind):
        """Return the last error of a kind, None for none."""
        return self._errors.get(kind, (None, None))[0]

    @property
    def last(self):
        """The newest error and since when there is one of its kind; (None, None) while all is well."""
        return list(self._errors.values())[-1] if self._errors else (None, None)


def report(allocator, lag, trouble):
    """
    Return the dict of `kiel.clients.grouped.GroupedConsumer.health`.

    :param allocator: the member's `kiel.allocation.Allocator`
    :param lag: function of topic and partition
    :param trouble: the member's `Trouble`
    """
    heartbeat = allocator.heartbeat
    member_id, generation = allocator.identity
    allocation = dict((topic, list(ids)) for topic, ids in allocator.allocation.items())
    error, since = trouble.last
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
        "error_since": _ago(since),
    }


def _ago(when):
    """Seconds since a `kiel.retry.monotonic` time."""
    return None if when is None else max(0.0, monotonic() - when)
