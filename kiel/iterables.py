"""Helpers for collections."""
from __future__ import absolute_import


def drain(iterable):
    """
    Empty a collection while yielding what was in it.

    Takes from the left of a deque, pairs ``(key, value)`` from a dict, from the end of a list and in any
    order from a set. What is added while draining is yielded too; what was not reached when the caller
    stops stays in.

    :param iterable: anything with ``popleft``, ``popitem`` or ``pop``, looked for in that order
    """
    if hasattr(iterable, "popleft"):
        take = iterable.popleft
    elif hasattr(iterable, "popitem"):
        take = iterable.popitem
    else:
        take = iterable.pop

    while True:
        try:
            item = take()
        except (IndexError, KeyError):
            # a plain return: a StopIteration in here is a RuntimeError from Python 3.7 on (PEP 479)
            return
        yield item
