"""A service that works on the messages of topics: many at a time, in order, each at least once, poison put aside."""
from __future__ import absolute_import

from kiel.worker.errors import HandlerTimeoutError, Reject
from kiel.worker.output import Output
from kiel.worker.worker import Worker

__all__ = ["HandlerTimeoutError", "Output", "Reject", "Worker"]
