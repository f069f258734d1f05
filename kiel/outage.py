"""What a client says on the log of trouble: enough to see it, not a line for each attempt, and one when it is over."""
from __future__ import absolute_import

import logging

from kiel.retry import monotonic

# these lines are the cluster's, whose logger applications may have set up
log = logging.getLogger("kiel.cluster")

#: seconds between two lines that tell the same
PERIOD = 60.0

#: seconds without a word after which trouble is taken to be over
QUIET = 90.0

#: seconds for which a leader that has moved and such are no reason for a warning: an orderly restart takes less
PATIENCE = 5.0

#: what trouble is about while no broker answers at all
ALL = "all"


class Trouble(object):
    """Something that has gone wrong, and is not over."""

    __slots__ = ("begun", "told", "level", "held", "last", "log")

    def __init__(self, now):
        self.begun = self.last = now
        #: when it was told of last, and at which level of the log; None before
        self.told = self.level = None
        #: how many lines were held back since
        self.held = 0
        #: the logger that it was told to
        self.log = log


class Outage(object):
    """
    Whether any broker answers, since when none does, and what is told of that and of other trouble.

    Lines have the fields that apply of ``client``, ``broker``, ``topic`` and ``partition``, as ``extra=`` gives them.

    :param client_id: the client's name
    """

    def __init__(self, client_id=None):
        #: why no broker could be reached, while none can; None otherwise
        self.error = None
        #: when the last broker was lost (`kiel.retry.monotonic`); None while one answers
        self.since = None
        self._client_id = client_id
        #: what it is about -> `Trouble`; whoever would call `over` often looks here first
        self.troubles = {}

    @property
    def held(self):
        """How many lines are held back."""
        return sum(trouble.held for trouble in self.troubles.values())

    def begin(self, error):
        """No broker answers."""
        self.error = error
        if self.since is None:
            self.since = monotonic()

    def end(self):
        """A broker answered."""
        if self.since is not None:
            log.info("A broker answers again, after %.1f s%s", monotonic() - self.since,
                     _and_held(self.troubles.pop(ALL, None)), extra=self._fields({}))
        self.error = self.since = None

    def warn(self, about, text, *args, **fields):
        """
        Warn once a minute; what is told meanwhile is counted and goes to the log at the level DEBUG.

        :param about: what makes two warnings the same; while no broker answers at all, all are
        :param fields: of the line
        """
        self.tell(log, ALL if self.since is not None else about, logging.WARNING, text, args, fields)

    def tell(self, logger, about, level, text, args, fields, patience=0):
        """
        Tell once a minute of something, and at once where it has become worse.

        :param level: of the line; INFO until the trouble has lasted for ``patience`` seconds
        """
        now = monotonic()
        trouble = self.troubles.get(about)
        if trouble is None or now - trouble.last > QUIET:  # nobody said that it is over
            trouble = self.troubles[about] = Trouble(now)
        trouble.last, trouble.log = now, logger
        if now - trouble.begun < patience:
            level = min(level, logging.INFO)
        if trouble.told is not None and now - trouble.told < PERIOD and level <= trouble.level:
            trouble.held += 1
            logger.debug(text, *args, extra=self._fields(fields))
            return
        if trouble.held:
            text += " (and %d more %s within %.0f s)" % (
                trouble.held, "warnings" if level >= logging.WARNING else "times", now - trouble.told)
        trouble.told, trouble.level, trouble.held = now, level, 0
        logger.log(level, text, *args, extra=self._fields(fields))

    def over(self, about, text, *args, **fields):
        """Tell that a trouble is over, if there was one."""
        trouble = self.troubles.pop(about, None)
        if trouble is not None:
            trouble.log.info(text + ", after %.1f s%s", *(args + (monotonic() - trouble.begun, _and_held(trouble))),
                             extra=self._fields(fields))

    def _fields(self, fields):
        return dict(fields, client=self._client_id)


def _and_held(trouble):
    """Return how many lines were held back, as a text."""
    held = trouble.held if trouble is not None else 0
    return " (%d line%s held back)" % (held, "" if held == 1 else "s") if held else ""
