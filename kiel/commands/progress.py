"""How far long work is, on a terminal: a bar of `tqdm`'s where that is installed (``kiel[command]``), else nothing."""
from __future__ import absolute_import

import sys

try:
    import tqdm
except ImportError:
    tqdm = None


class Progress(object):
    """
    A bar on standard error.

    :param total: how much there is; None where that is not known
    :param unit: what is counted; "B" is shown as kB, MB ...
    :param wanted: False for no bar, wherever standard error goes
    """

    def __init__(self, total, unit, wanted=True):
        self._bar = None
        if wanted and tqdm is not None and on_terminal(sys.stderr):
            self._bar = tqdm.tqdm(total=total, unit=unit, unit_scale=True, leave=False, file=sys.stderr)

    def add(self, number):
        """Go on by so much."""
        if self._bar is not None:
            self._bar.update(number)

    def close(self):
        """Take the bar away; what is written next begins at the left."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def on_terminal(stream):
    """Return whether somebody looks at a stream."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # none at all, or closed
        return False


__all__ = ["Progress", "on_terminal"]
