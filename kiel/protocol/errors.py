"""Kafka's error codes by name: ``errors.no_error`` is 0."""
from __future__ import absolute_import

from kiel import constants


class Errors(object):
    """
    An attribute per name in `kiel.constants.ERROR_CODES`, and ``retriable``, the set of retriable
    numbers.
    """

    def __init__(self):
        for code, name in constants.ERROR_CODES.items():
            setattr(self, name, code)
        self.retriable = set(
            code for code, name in constants.ERROR_CODES.items() if name in constants.RETRIABLE_CODES
        )


errors = Errors()
