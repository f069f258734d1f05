"""Lines of the log that say in fields, too, what they are about: for whoever collects them as more than text."""
from __future__ import absolute_import

import logging


class FieldLog(logging.LoggerAdapter):
    """
    A logger whose lines have fields, as ``extra=`` gives them.

    kiel's are ``client`` (its ``client_id``), ``broker``, ``topic``, ``partition``, ``group``, ``member`` and
    ``generation``; a line has those that apply.

    :param logger: where lines go
    :param fields: function that returns the fields of now
    """

    def __init__(self, logger, fields):
        super(FieldLog, self).__init__(logger, {})
        self._fields = fields

    def process(self, msg, kwargs):
        """Add the fields to a line; see `logging.LoggerAdapter.process`."""
        kwargs["extra"] = dict(self._fields(), **(kwargs.get("extra") or {}))
        return msg, kwargs


def of_member(logger, settings, allocator):
    """
    Return the logger of a group's member.

    :param settings: the client's `kiel.settings.Settings`
    :param allocator: has ``group`` and ``identity``, the member's id and generation
    """
    def fields():
        member, generation = allocator.identity
        return dict(client=settings.client_id, group=allocator.group, member=member, generation=generation)

    return FieldLog(logger, fields)
