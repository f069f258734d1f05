"""The way from the heartbeat thread to the hooks of a client, which are called on the application's loop."""
from __future__ import absolute_import

import weakref

from kiel import events


class Relay(object):
    """
    Tells hooks from another thread. It does not keep them, nor the client with them.

    :param hooks: the client's `kiel.hooks.Hooks`
    :param io_loop: the application's IOLoop
    """

    def __init__(self, hooks, io_loop):
        self._hooks = weakref.ref(hooks)
        self._io_loop = io_loop

    @classmethod
    def to(cls, hooks, io_loop):
        """Return the way to some hooks; None where nobody listens."""
        return None if hooks is None else cls(hooks, io_loop)

    def tell(self, name, **values):
        """Have `kiel.hooks.Hooks.tell` called on the application's loop."""
        self.pass_on(name, values)

    def pass_on(self, name, values):
        """The same with the attributes in a dict."""
        events.call_on_loop(self._io_loop, _deliver, self._hooks, name, values)


def _deliver(reference, name, values):
    """Tell the hooks, where there still is somebody to be told."""
    hooks = reference()
    if hooks is not None:
        hooks.pass_on(name, values)
