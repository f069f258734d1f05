"""Arguments of public calls: converted where the meaning is clear, else refused by an error that names the argument."""
from __future__ import absolute_import

import calendar
import datetime
import inspect
import math
import operator

import six

#: the largest time stamp and the largest 32-bit number that Kafka's protocol can carry
MAX_INT64 = 2 ** 63 - 1
MAX_INT32 = 2 ** 31 - 1


def integer(name, value, least=None, most=MAX_INT32):
    """
    Return an argument as an int; a float will do when it is a whole number.

    :raises TypeError: if it is not a number
    :raises ValueError: if it is not a whole number, or out of range
    """
    if isinstance(value, bool):
        raise TypeError("%s has to be a number, not %r" % (name, value))
    if isinstance(value, float):
        if math.isnan(value) or math.isinf(value) or value != int(value):
            raise ValueError("%s has to be a whole number, not %r" % (name, value))
        value = int(value)
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError("%s has to be a number, not %s" % (name, _shown(value)))
    if (least is not None and number < least) or number > most:
        raise ValueError("%s has to be a number from %s to %d, not %d" % (name, least, most, number))
    return number


def boolean(name, value):
    """
    Return what is True or False.

    :raises TypeError: for anything else: a text such as "false" would count as true
    """
    if value is not True and value is not False:
        raise TypeError("%s has to be True or False, not %s" % (name, _shown(value)))
    return value


def seconds(name, value, least=0.0):
    """
    Return an argument that is a number of seconds; a `datetime.timedelta` will do.

    :raises TypeError: if it is not a number
    :raises ValueError: if it is too small, or not finite
    """
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, six.integer_types + (float,)):
        raise TypeError("%s has to be a number of seconds, not %s" % (name, _shown(value)))
    if math.isnan(value) or math.isinf(value) or value < least:
        raise ValueError("%s has to be a number of seconds, at least %g, not %r" % (name, least, value))
    return value


def text(name, value):
    """
    Return an argument as text of Python's own kind; bytes have to be UTF-8.

    :raises TypeError: if it is not text
    :raises ValueError: if it is empty, or bytes that are not UTF-8
    """
    if isinstance(value, (bytes, bytearray)) and not isinstance(value, str):
        try:
            value = bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("%s has to be text, and these bytes are not UTF-8: %s" % (name, _shown(value)))
    if not isinstance(value, (str, six.text_type)):
        raise TypeError("%s has to be text, not %s" % (name, _shown(value)))
    if not value:
        raise ValueError("%s has to be text, and must not be empty" % name)
    return value


def texts(name, value):
    """
    Return an argument that is a list of texts; a single text is a list of one.

    :raises TypeError: if it is not a list, or holds anything but texts
    :raises ValueError: if one of them is empty
    """
    if isinstance(value, (bytes, bytearray, str, six.text_type)):
        value = [value]
    if isinstance(value, dict) or not hasattr(value, "__iter__"):
        raise TypeError("%s has to be a list of names, not %s" % (name, _shown(value)))
    return [text(name, one) for one in value]


def partitions(name, value):
    """
    Return an argument that is a list of ``(topic, partition id)`` pairs.

    :raises TypeError: if it is not a list of pairs, a topic is not text, or an id is not a number
    :raises ValueError: if an id is below 0
    """
    if isinstance(value, (bytes, bytearray, str, six.text_type)) or not hasattr(value, "__iter__"):
        raise TypeError("%s has to be a list of (topic, partition) pairs, not %s" % (name, _shown(value)))
    found = []
    for pair in value:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError("%s has to be a list of (topic, partition) pairs, but contains %s" % (name, _shown(pair)))
        found.append((text(name, pair[0]), integer(name, pair[1], least=0)))
    return found


def items(name, value):
    """
    Return an iterable argument as a list; its items may be of any type.

    :raises TypeError: if it is not a list
    """
    if isinstance(value, (bytes, bytearray, str, six.text_type, dict)) or not hasattr(value, "__iter__"):
        raise TypeError("%s has to be a list, not %s" % (name, _shown(value)))
    return list(value)


def mapping(name, value):
    """
    Return an argument that is a dict.

    :raises TypeError: if it is not a dict
    """
    if not isinstance(value, dict):
        raise TypeError("%s has to be a dict, not %s" % (name, _shown(value)))
    return value


def one_of(name, value, words):
    """
    Return an argument that is one of some words.

    :raises ValueError: if it is none of them
    """
    if not isinstance(value, six.string_types) or value not in words:
        raise ValueError("%s has to be one of %s, not %s" % (name, ", ".join(words), _shown(value)))
    return value


def octets(name, value):
    """
    Return an argument as bytes; text becomes UTF-8, None stays.

    :raises TypeError: if it is neither
    """
    if value is None or value.__class__ is bytes:
        return value
    if isinstance(value, six.text_type):
        return value.encode("utf-8")
    if isinstance(value, memoryview):
        return value.tobytes()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise TypeError("%s has to be bytes or text, not %s" % (name, _shown(value)))


def milliseconds(name, value):
    """
    Return a point of time as milliseconds since 1970; a datetime is UTC unless it says otherwise.

    :raises TypeError: if it is not a time
    :raises ValueError: if Kafka can't represent it
    """
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.replace(tzinfo=None) - value.utcoffset()
        value = calendar.timegm(value.timetuple()) * 1000 + value.microsecond // 1000
    elif isinstance(value, float) and not math.isnan(value) and not math.isinf(value):
        value = int(value)
    return integer(name, value, 0, MAX_INT64)


def function(name, value):
    """
    Return an argument that is called, a coroutine function or not.

    :raises TypeError: if it can't be called
    """
    if not callable(value):
        raise TypeError("%s has to be a function, not %s" % (name, _shown(value)))
    return value


def plain_callable(name, value):
    """
    Return an argument that is called and whose result is used at once.

    :raises TypeError: if it can't be called, or is a coroutine function
    """
    function(name, value)
    if hasattr(inspect, "iscoroutinefunction") and inspect.iscoroutinefunction(value):
        raise TypeError("%s has to be a plain function, not a coroutine function" % name)
    return value


def refuse_coroutine(name, value):
    """Raise TypeError when a callback whose result is used at once returned something to wait for."""
    if hasattr(value, "__await__") or hasattr(value, "add_done_callback"):
        if hasattr(value, "close"):
            value.close()  # else Python warns that nobody awaited it
        raise TypeError("%s has to be a plain function, not a coroutine function" % name)


def made(name, value):
    """
    Return what a callback of the application made, as bytes; text becomes UTF-8, None stays.

    :raises TypeError: if it is neither; the error names the callback
    """
    refuse_coroutine(name, value)
    try:
        return octets(name, value)
    except TypeError:
        raise TypeError("the %s has to return bytes, text or None, not %s" % (name, _shown(value)))


def _shown(value):
    """Return an argument as an error shows it: with its type, and cut short, since it may be long or secret."""
    try:
        shown = repr(value)
    except Exception:
        return "an object of type %s" % type(value).__name__
    return "%s (%s)" % (shown if len(shown) <= 60 else shown[:57] + "...", type(value).__name__)
