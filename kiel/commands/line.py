"""What a command line says of times, partitions and offsets."""
from __future__ import absolute_import

import argparse
import datetime

#: forms of a time on the command line, UTC
TIMES = ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d")


def moment(text):
    """Return milliseconds since 1970, or a datetime, of a time on the command line."""
    if text.isdigit():
        return int(text)
    for form in TIMES:
        try:
            return datetime.datetime.strptime(text.rstrip("Z"), form)
        except ValueError:
            pass
    raise argparse.ArgumentTypeError("a time is milliseconds since 1970 or UTC as 2026-01-31T12:00, not %r" % text)


def partition_of(text):
    """Return ``(topic, partition)`` of "topic:partition"."""
    topic, _, partition = text.rpartition(":")
    if not topic or not partition.isdigit():
        raise argparse.ArgumentTypeError("expected TOPIC:PARTITION, not %r" % text)
    return topic, int(partition)


def explicit(text):
    """Return ``((topic, partition), offset)`` of "topic:partition=offset"."""
    where, _, offset = text.rpartition("=")
    if not offset.isdigit():
        raise argparse.ArgumentTypeError("expected TOPIC:PARTITION=OFFSET, not %r" % text)
    return partition_of(where), int(offset)


def numbers(text):
    """Return the list of numbers of "1,2,3"."""
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError("expected numbers separated by commas, not %r" % text)


def pair(text):
    """Return ``(key, value)`` of "key=value"."""
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise argparse.ArgumentTypeError("expected KEY=VALUE, not %r" % text)
    return key, value


def move(text):
    """Return ``((topic, partition), [broker ids])`` of "topic:partition=1,2"."""
    where, _, brokers = text.rpartition("=")
    return partition_of(where), numbers(brokers)
