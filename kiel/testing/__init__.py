"""
A real Kafka in one line, for kiel's tests and demo and for the tests of those who use kiel.

``with kiel.testing.Kafka("4.4.0", brokers=3) as kafka:`` gives a cluster on loopback whose
addresses are ``kafka.bootstrap``. Everything here blocks; none of it is for an IOLoop. It needs
Java and, the first time, Maven.
"""
from __future__ import absolute_import

from kiel.testing.errors import FetchError, HarnessError, MissingToolError, StartError, TopicError
from kiel.testing.fake import FakeKafka
from kiel.testing.java import java_helper
from kiel.testing.kafka import Kafka
from kiel.testing.maven import jars
from kiel.testing.schema_registry import SchemaRegistry
from kiel.testing.security import Authority
from kiel.testing.zookeeper import ZooKeeper

__all__ = (
    "Authority", "FakeKafka", "FetchError", "HarnessError", "Kafka", "MissingToolError", "SchemaRegistry",
    "StartError", "TopicError", "ZooKeeper", "jars", "java_helper",
)
