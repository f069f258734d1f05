"""What a test wants to go wrong."""
from __future__ import absolute_import

#: what can be done to a request
ERROR, HANG_UP, DELAY = "error", "hang up", "delay"


class Fault(object):
    """
    One thing that goes wrong, so many times.

    :param api: with which requests; None for all
    :param kind: `ERROR`, `HANG_UP` or `DELAY`
    :param value: an error code, or seconds
    :param times: with how many requests; None for all from now on
    :param topic: with this topic only
    :param partition: with this partition only
    """

    def __init__(self, api, kind, value=None, times=None, topic=None, partition=None):
        self.api = api
        self.kind = kind
        self.value = value
        self.times = times
        self.topic = topic
        self.partition = partition

    def applies(self, api, kinds):
        """Return whether it is of one of these kinds, and about this api."""
        return self.kind in kinds and self.api in (None, api) and self.times != 0

    def spend(self):
        """Count one time."""
        if self.times is not None:
            self.times -= 1

    def hits(self, topic, partition):
        """Return whether a part of a request is what it is about."""
        return self.topic in (None, topic) and self.partition in (None, partition)


class Faults(object):
    """All that is to go wrong, in the order in which it was asked for."""

    def __init__(self):
        self._faults = []

    def add(self, fault):
        """Note one more."""
        self._faults.append(fault)

    def clear(self):
        """Forget all."""
        del self._faults[:]

    def find(self, api, *kinds):
        """Return the first of these kinds for a request, None where there is none."""
        self._faults = [fault for fault in self._faults if fault.times != 0]
        for fault in self._faults:
            if fault.applies(api, kinds):
                return fault
        return None
