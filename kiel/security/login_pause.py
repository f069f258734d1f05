"""How long a broker is left alone after it refused a login."""
from __future__ import absolute_import

from kiel.retry import Backoff, monotonic

#: seconds until a refused login is tried again at the next use
PAUSE = Backoff(first=0.1, most=0.5, deadline=None)


class LoginPause(object):
    """
    The pauses between logins that one broker refuses.

    A refusal holds for the whole broker, but only until the pause is over: a password, a certificate or a right may
    have been mended meanwhile. Connections that are logged in already are not touched by it.
    """

    def __init__(self):
        #: the last refusal; None once a login went through
        self.error = None
        self._clock = PAUSE.start()
        self._until = 0.0

    def refused(self, error):
        """Begin a pause, longer than the one before; those who waited for the same login report the same error."""
        if error is not self.error:
            self.error = error
            self._until = monotonic() + self._clock.delay()

    def accepted(self):
        """Forget the refusals: a login went through."""
        self.error = None
        self._clock.reset()

    def current(self):
        """Return the refusal that still holds, or None when a login may be tried."""
        if self.error is None or monotonic() >= self._until:
            return None
        return self.error


__all__ = ["LoginPause"]
