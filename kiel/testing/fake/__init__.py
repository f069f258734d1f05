"""
A Kafka in the process: it speaks Kafka's protocol on a real socket, needs no Java, and does what a test asks it to.

`FakeKafka` in :mod:`kiel.testing.fake.kafka` is what tests make; the other modules are what it is made of.
"""
from __future__ import absolute_import

from kiel.testing.fake.kafka import FakeKafka

__all__ = ("FakeKafka",)
