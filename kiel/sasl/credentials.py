"""Credentials that are values, or functions and coroutines that are asked for them at each login."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc
from kiel.sasl.text import to_bytes


def resolve(make, **values):
    """
    Return ``make(**values)``, each of the values that is callable being called first.

    Where one of the calls returns a Future or a coroutine, a Future is returned.

    :raises kiel.exc.AuthenticationError: when what a call returns will not do
    """
    called = dict((name, value()) for name, value in values.items() if callable(value))
    if any(_is_future(value) for value in called.values()):
        return _when_there(make, values, called)
    return _make(make, values, called)


@gen.coroutine
def _when_there(make, values, called):
    for name in list(called):
        if _is_future(called[name]):
            called[name] = yield gen.convert_yielded(called[name])
    raise gen.Return(_make(make, values, called))


def _make(make, values, called):
    for name in called:
        if called[name] is None:
            raise exc.AuthenticationError("SASL: the function for %s returned None" % name)
    try:
        return make(**dict(values, **called))
    except (TypeError, ValueError) as error:
        if not called:
            raise
        raise exc.AuthenticationError("SASL: what the function for %s returned can't be used: %s" % (
            " and ".join(sorted(called)), error
        ))


def _is_future(value):
    return hasattr(value, "add_done_callback") or hasattr(value, "__await__")


def checked(name, value):
    """
    Return a credential as it was given, a value as bytes already.

    :raises TypeError: when it is neither text nor bytes nor a function
    :raises ValueError: when it is empty or contains a NUL
    """
    return value if callable(value) else to_bytes(name, value)


def shown(value):
    """Return the text of a user name for a `repr`."""
    return "..." if callable(value) else repr(value)


__all__ = ["checked", "resolve", "shown"]
