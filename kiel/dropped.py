"""
Clients that nobody closed: the application has dropped them, or Python ends.

A loop keeps each socket that it listens on, and with it the connection; so those outlive their client. Here they are
closed, and it is said what was not closed and what is lost by that: one line on the log, and a ResourceWarning where
Python has those.
"""
from __future__ import absolute_import

import atexit
import logging
import os
import warnings
import weakref

from six import moves

from kiel.events import call_on_loop

log = logging.getLogger(__name__)

#: Python 2 has none
_WARNING = getattr(moves.builtins, "ResourceWarning", None)

#: weak reference to a cluster -> its `Unclosed`
_watched = {}


class Unclosed(object):
    """
    What there is to say and to free when nobody has closed a client: it knows what the client holds, not the client.

    :param brokers: the client's own dict of `kiel.broker.Broker`, whose values must not refer to the client
    """

    def __init__(self, brokers):
        self._brokers = brokers
        #: the process whose connections these are; set when they are made
        self.pid = os.getpid()
        #: what kind of client it is; None for a cluster without one, of which nothing is said
        self.kind = None
        #: returns what is lost as ``(number, text)``, the number 0 for nothing; must not refer to the client
        self.lost = None
        #: whether somebody else says that the client was dropped: the heartbeat thread of a member of a group
        self.told_elsewhere = False

    def _open(self):
        """Return the brokers with connections that are not closed, with the loop of each."""
        found = []
        for broker in list(self._brokers.values()):
            loops = [lane.io_loop for lane in broker.lanes.values() if lane.io_loop is not None]
            if loops and not broker.closing:
                found.append((broker, loops[0]))
        return found

    def report(self, dropped=False):
        """
        Say what was not closed. Return the text of that; None for nothing, and in a process that was forked.

        :param dropped: whether it was dropped, rather than left until Python, or its loop, ended
        """
        if self.kind is None or self.pid != os.getpid():
            return None
        count, what = (0, "") if self.lost is None else self.lost()
        if count:
            text = "a producer was not closed: %s; `yield producer.close()` delivers them" % what
            log.error(text)
            return text
        if not self._open():
            return None
        text = "a %s was not closed; `yield client.close()` ends its connections" % self.kind
        if not (dropped and self.told_elsewhere):
            log.warning(text)
        return text

    def free(self):
        """Close what is open, each on its own loop."""
        if self.pid == os.getpid():  # else the sockets are those of the process that forked
            for broker, io_loop in self._open():
                log.debug("%r belongs to nobody any more and is closed", broker)
                call_on_loop(io_loop, broker.close)


def watch(cluster, brokers):
    """
    Have the brokers' connections closed when their cluster is collected; return the `Unclosed`, for its client to fill.

    :param brokers: the cluster's own dict of `kiel.broker.Broker`, whose values must not refer to the cluster
    """
    unclosed = _watched[weakref.ref(cluster, _gone)] = Unclosed(brokers)
    return unclosed


def _gone(reference):
    """A cluster was collected, in whichever thread that happened."""
    text = None
    try:
        unclosed = _watched.pop(reference)
        text = unclosed.report(dropped=True)
        unclosed.free()
    except Exception:  # the interpreter is going down
        pass
    _warn(text)


def _warn(text):
    if text is not None and _WARNING is not None:
        warnings.warn(text, _WARNING, stacklevel=2)


def _at_exit():
    for unclosed in list(_watched.values()):
        _warn(unclosed.report())


atexit.register(_at_exit)
