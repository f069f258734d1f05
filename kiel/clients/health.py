"""How a client is, for whoever watches over it."""
from __future__ import absolute_import

import collections

from kiel.callbacks import safe_text
from kiel.retry import monotonic


class Trouble(object):
    """The last errors of a client, each until something of its kind succeeds."""

    def __init__(self):
        #: kind -> (error, since when there is one (`kiel.retry.monotonic`)), the newest last
        self.errors = collections.OrderedDict()

    def note(self, kind, error):
        """Something of a kind failed, or, with None, succeeded."""
        if error is None and not self.errors:
            return
        _, since = self.errors.pop(kind, (None, monotonic()))
        if error is not None:
            self.errors[kind] = error, since

    def of(self, kind):
        """Return the last error of a kind, None for none."""
        return self.errors.get(kind, (None, None))[0]


def report(trouble, outage, connected, ended=False):
    """
    Return what is in `kiel.clients.client.Client.health` of every client.

    :param trouble: the client's `Trouble`
    :param outage: the `kiel.outage.Outage` of its cluster
    :param connected: whether it is connected and not closing
    :param ended: whether it has failed for good
    """
    found = list(trouble.errors.values())
    if outage.error is not None:
        found.insert(0, (outage.error, outage.since))
    error = found[-1][0] if found else None
    return {
        "connected": connected,
        "ready": connected and error is None and not ended,
        "ended": ended,
        "error": None if error is None else safe_text(error) or type(error).__name__,
        "error_since": ago(min(since for _, since in found)) if found else None,
    }


def ago(when):
    """Return the seconds since a `kiel.retry.monotonic` time; None for none."""
    return None if when is None else max(0.0, monotonic() - when)
