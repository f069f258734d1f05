"""The arguments of a consumer's calls: taken where it is plain what is meant, refused by name where it is not."""
from __future__ import absolute_import

import numbers
import operator

import six

#: milliseconds that a consumer may be told to wait: what a fetch can carry
MOST_WAIT = 0x7fffffff

#: the most bytes that a fetch can ask for
MOST_BYTES = 0x7fffffff

#: the highest offset there can be
MOST_OFFSET = 0x7fffffffffffffff


def topic(value):
    """
    Return a topic's name as text.

    :raises TypeError: for what is no name, such as a list of them
    :raises ValueError: for an empty name
    """
    if isinstance(value, bytes) and not six.PY2:
        value = value.decode("utf-8")
    if not isinstance(value, six.string_types):
        raise TypeError("topic has to be the name of one topic, not %r" % (value,))
    if not value:
        raise ValueError("topic has to be the name of one topic, not %r" % (value,))
    return value


def whole(value, name, least, most=None):
    """
    Return a whole number; a float that is one is taken for it.

    :param name: the argument's, for the error
    :param least: the lowest that is allowed
    :param most: the highest, or None
    :raises TypeError: for what is no number
    :raises ValueError: for a number out of range, or with a fraction
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError("%s is a whole number, not %r" % (name, value))
    if value != value or value in (float("inf"), float("-inf")) or int(value) != value:
        raise ValueError("%s is a whole number, not %r" % (name, value))
    if value < least or (most is not None and value > most):
        raise ValueError("%s is %d or more%s, not %r" % (
            name, least, "" if most is None else " and at most %d" % most, value))
    return int(value)


def wait(value):
    """
    Return the milliseconds that a call waits for messages.

    :raises TypeError: for what is no number
    :raises ValueError: for a number out of range, or with a fraction
    """
    return whole(value, "max_wait_time", 0, MOST_WAIT)


def most(value):
    """
    Return how many messages a call returns at most; None: as many as there is room for.

    :raises TypeError: for what is no number
    :raises ValueError: for a number below 1, or with a fraction
    """
    return value if value is None else whole(value, "max_records", 1)


def checked(name, check, doc):
    """
    Return an attribute of a consumer whose value is checked when it is set, so that no call has to do that again.

    :param name: the attribute's name
    :param check: returns the value to be kept, or raises what is wrong with it
    :param doc: what it is
    """
    own = "_" + name

    def put(consumer, value):
        setattr(consumer, own, check(value))
    return property(operator.attrgetter(own), put, doc=doc)


def partition(value):
    """
    Return a partition's id.

    :raises TypeError: for what is no number
    :raises ValueError: for a number below 0
    """
    return whole(value, "partition", 0)
