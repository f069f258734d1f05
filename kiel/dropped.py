"""Frees the connections of a client that the application has dropped without closing it."""
from __future__ import absolute_import

import logging
import os
import weakref

from kiel.events import call_on_loop

log = logging.getLogger(__name__)

#: weak reference to a cluster -> what `_gone` needs of it
_watched = {}


def watch(cluster, brokers):
    """
    Have the brokers' connections closed when their cluster is collected.

    A loop keeps each socket that it listens on, and with it the connection; so those outlive their client.

    :param brokers: the cluster's own dict of `kiel.broker.Broker`, whose values must not refer to the cluster
    """
    _watched[weakref.ref(cluster, _gone)] = brokers, os.getpid()


def _gone(reference):
    """A cluster was collected, in whichever thread that happened."""
    try:
        brokers, pid = _watched.pop(reference)
        if pid != os.getpid():  # the sockets are those of the process that forked
            return
        for broker in list(brokers.values()):
            for lane in list(broker.lanes.values()):
                if lane.io_loop is not None and not broker.closing:
                    log.debug("%r belongs to nobody any more and is closed", broker)
                    call_on_loop(lane.io_loop, broker.close)
                    break
    except Exception:  # the interpreter is going down
        pass
