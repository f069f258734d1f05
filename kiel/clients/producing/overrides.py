"""Methods of kiel 0.9 that a subclass may have replaced."""
from __future__ import absolute_import

#: method of 0.9 that is not called any more -> what does its work now
GONE = {
    "queue_retries": "messages are retried in order by themselves; `retry=` is how, `delivery_timeout=` how long",
}


def replaces(cls, base, name):
    """Return whether a subclass has a method of its own in the place of its base's."""
    return getattr(getattr(cls, name), "__func__", getattr(cls, name)) is not getattr(
        getattr(base, name), "__func__", getattr(base, name))


def refuse_replaced(cls):
    """
    Refuse a class with a method that nobody would call.

    :raises TypeError: which names the new way
    """
    for name, instead in sorted(GONE.items()):
        if hasattr(cls, name):
            raise TypeError("%s.%s() is no longer called: %s" % (cls.__name__, name, instead))
