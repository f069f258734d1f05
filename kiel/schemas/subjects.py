"""Under which subject of a registry a message's schema is: the names that Confluent's clients use."""
from __future__ import absolute_import

from kiel.schemas.errors import SchemaError


def topic(name, record, is_key):
    """Return ``<topic>-value`` or ``<topic>-key``: one schema for a topic, that evolves."""
    return "%s-%s" % (name, "key" if is_key else "value")


def record(name, record, is_key):
    """Return the record's full name: messages of different kinds in any topics."""
    return _named(record)


def topic_record(name, record, is_key):
    """Return ``<topic>-<record's full name>``: messages of different kinds in a topic."""
    return "%s-%s" % (name, _named(record))


#: the strategies by the names that serializers take
BY_NAME = {"topic": topic, "record": record, "topic-record": topic_record}


def strategy(value):
    """
    Return a strategy: a function ``(topic, record name, is_key)`` that returns a subject.

    :raises TypeError: if it is not one of them
    :raises ValueError: for an unknown name
    """
    if callable(value):
        return value
    if value in BY_NAME:
        return BY_NAME[value]
    raise ValueError("subject has to be one of %s, or a function of topic, record name and is_key, not %r" % (
        ", ".join(sorted(BY_NAME)), value))


def _named(record):
    if not record:
        raise SchemaError("the schema names no record (Avro's name, JSON Schema's title), which this subject needs")
    return record
