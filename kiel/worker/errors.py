"""What a message may fail with, beside what its handler raises."""
from __future__ import absolute_import

from kiel import exc


class Reject(Exception):
    """For a handler to raise where trying again does not mend it: the message is given up at once."""


class HandlerTimeoutError(exc.KielError):
    """A message's handler took longer than the worker's ``timeout``."""

    retriable = True
