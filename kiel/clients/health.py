"""How a group's member is, for whoever watches over it."""
from __future__ import absolute_import

from kiel.retry import monotonic


class Health(object):
    """The part of a `kiel.clients.grouped.GroupedConsumer` that tells how it is."""

    def health(self):
        """
        How this member is, as a dict of plain values that may go out as JSON.

        - ``state``: where it is in its group's protocol, such as "stable"; None for groups that meet in ZooKeeper
        - ``paused``: whether its ownership is in doubt, so that nothing is handed out or committed
        - ``member_id`` and ``generation`` (the epoch in next-generation groups)
        - ``allocation``: ``{topic: [partition ids]}`` that it owns
        - ``last_heartbeat``: seconds since the coordinator last took it for alive; ``last_progress``: seconds since
          `consume` was last called or gave something. None before the first, and where members meet in ZooKeeper
        - ``lag``: ``{topic: {partition id: messages}}`` behind the end of the log, as of the last answer; None where
          it is not known
        - ``error``: what ended the membership, or else the last error of reading or committing, as text; None while
          all is well

        It costs no request, and answers from what is known.
        """
        allocator, heartbeat = self.allocator, self.allocator.heartbeat
        member_id, generation = allocator.identity
        allocation = dict((topic, list(ids)) for topic, ids in self.allocation.items())
        error = allocator.error or self.last_error
        return {
            "state": getattr(allocator, "state", None),
            "paused": bool(allocator.paused),
            "member_id": member_id,
            "generation": generation,
            "allocation": allocation,
            "last_heartbeat": None if heartbeat is None else _ago(heartbeat.last_beat),
            "last_progress": None if heartbeat is None else _ago(heartbeat.last_progress),
            "lag": dict(
                (topic, dict((partition, self.lag(topic, partition)) for partition in ids))
                for topic, ids in allocation.items()
            ),
            "error": None if error is None else str(error) or type(error).__name__,
        }


def _ago(when):
    """Seconds since a `kiel.retry.monotonic` time."""
    return None if when is None else max(0.0, monotonic() - when)
