"""What can go wrong with schemas: the registry that keeps them, and messages that do not fit them."""
from __future__ import absolute_import

from kiel import exc


class SchemaError(exc.KielError):
    """The base of what goes wrong with schemas."""


class RegistryError(SchemaError):
    """
    A schema registry refused a request, and would again.

    ``status`` is HTTP's, ``code`` the registry's own error code, such as 42201; both None where there was no answer.

    A consumer's ``consume()`` raises it and stays, instead of stepping over messages whose fault it is not.
    """

    #: whether it would be the same with any other message
    of_any_message = True

    def __init__(self, message, status=None, code=None):
        super(RegistryError, self).__init__(message)
        self.status = status
        self.code = code


class RegistryUnavailableError(RegistryError):
    """No schema registry answers, or it has trouble of its own; the last attempt's cause is in the text."""

    retriable = True


class RegistryAccessError(RegistryError):
    """The registry does not accept the login, or the user may not do that; or its certificate is not accepted."""


class SchemaNotFoundError(RegistryError):
    """There is no such schema, subject or version in the registry."""

    of_any_message = False


class IncompatibleSchemaError(RegistryError):
    """The registry does not take a schema, since it does not go with earlier versions of its subject."""


class InvalidSchemaError(RegistryError):
    """What was given for a schema is none, here or by the registry's judgement."""

    of_any_message = False


class WireFormatError(SchemaError):
    """A value that does not begin as a schema registry's serializers write it: it is of something else."""


class SerializationError(SchemaError):
    """A message does not fit its schema; ``__cause__`` is what the schema's package says."""


class DeserializationError(SchemaError):
    """A value can't be read by its schema; ``__cause__`` is what the schema's package says."""


def caused(error, cause):
    """Return an error with what is beneath it."""
    error.__cause__ = cause
    return error
