"""kiel 0.9's helper for calls that are given up after the first that fails."""
from __future__ import absolute_import


def create_attempter(f):
    """
    Return ``attempt(fn, *args)``, which calls the function unless the Future is done, and puts its exception there.

    For code that used 0.9's; kiel has `kiel.events.run_blocking` now.
    """
    def attempt(fn, *args, **kwargs):
        """Call the function, unless an attempt before failed."""
        if f.done():
            return
        try:
            fn(*args, **kwargs)
        except Exception as error:
            f.set_exception(error)

    return attempt
