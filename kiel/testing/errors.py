"""What can go wrong while a Kafka is being brought up: each error says what to install or shows the log."""
from __future__ import absolute_import


class HarnessError(RuntimeError):
    """The base of every error of ``kiel.testing``; its text says what to do."""


class MissingToolError(HarnessError):
    """
    A program that a real Kafka needs (Java, Maven, OpenSSL) is not installed, or is too old; says
    what to install.
    """


class FetchError(HarnessError):
    """Maven could not bring the jars; the end of what it printed is in the text."""


class StartError(HarnessError):
    """A broker or ZooKeeper did not come up; the tail of its log is in the text."""


class TopicError(HarnessError):
    """A topic could not be made, changed or deleted, or its leaders did not appear in time."""
