"""How the leader of a classic group assigns partitions: Kafka's own assignors by name, and plain functions."""
from __future__ import absolute_import

from kiel.groups.assignors.kafka import (
    Assignor, Function, Member, Range, RoundRobin, by_name, from_function
)

__all__ = ["Assignor", "Function", "Member", "Range", "RoundRobin", "by_name", "from_function"]
