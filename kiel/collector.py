"""Python's cyclic garbage collector, and when it is in the way."""
from __future__ import absolute_import

import gc


class HeldOff(object):
    """
    A context in which the garbage collector does not start by itself; for short, synchronous work.

    It starts whenever 700 more objects were made than freed, and looks at them, every tenth time at their elders, and
    now and then at all objects of the process. Making a batch of 10,000 records sets that off again and again for
    objects none of which is garbage yet, and takes longer than decoding them. Held off, one look afterwards does.
    """

    __slots__ = ("was_on",)

    def __init__(self):
        self.was_on = False

    def __enter__(self):
        self.was_on = gc.isenabled()
        gc.disable()

    def __exit__(self, *exc_info):
        if self.was_on:
            gc.enable()
