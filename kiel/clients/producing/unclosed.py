"""Says what is lost when a producer is dropped, or Python ends, without `close`."""
from __future__ import absolute_import

import atexit
import logging
import os
import warnings
import weakref

from six import moves

log = logging.getLogger(__name__)

#: Python 2 has none
_WARNING = getattr(moves.builtins, "ResourceWarning", None)

_all = weakref.WeakSet()


class Unclosed(object):
    """
    Watches over the messages of one producer; to be held by that producer alone.

    It knows the producer's messages and not the producer, so that it goes when the producer does. (On Python 2 an
    object with a finaliser must not be in a cycle.)

    :param queues: the `kiel.clients.producing.partition_queue.PartitionQueue` objects that hold anything: a set
    :param waiting: what waits for room: the `kiel.clients.producing.admission.Admission`'s own queue
    """

    def __init__(self, queues, waiting):
        self._queues = queues
        self._waiting = waiting
        self._pid = os.getpid()
        _all.add(self)

    def report(self):
        """Say what is undelivered, once."""
        queues, self._queues = self._queues, ()
        if self._pid != os.getpid():  # the messages are those of the process that forked
            return
        left = dict(((queue.topic, queue.partition), sum(len(batch) for batch in queue.batches if not batch.done))
                    for queue in queues)
        count = sum(left.values()) + len(self._waiting)
        if not count:
            return
        text = "a producer was not closed: %d message%s not delivered (%s); `yield producer.close()` delivers them" % (
            count, "" if count == 1 else "s", ", ".join(
                "%d for %s:%s" % (number, topic, partition)
                for (topic, partition), number in sorted(left.items(), key=str) if number
            ) or "no room"
        )
        log.error(text)
        if _WARNING is not None:
            warnings.warn(text, _WARNING, stacklevel=2)

    def __del__(self):
        try:
            self.report()
        except Exception:  # the interpreter is going down
            pass


def _report_all():
    for unclosed in list(_all):
        unclosed.report()


atexit.register(_report_all)
