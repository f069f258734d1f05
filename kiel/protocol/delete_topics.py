"""Deletes topics; the controller answers."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int16, Int32, String, Uuid
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["DeleteTopicsRequest", "TopicRequest", "DeleteTopicsResponse", "TopicResponse"]

api_name = "delete_topics"


class TopicRequest(Part):
    """A topic by its name or, with the name None, by its id."""

    parts = (
        ("name", String, when(default=None, nullable=True)),
        ("topic_id", Uuid),
    )


class DeleteTopicsRequest(Request):
    """
    Asks the controller to delete ``topic_names``, or ``topics`` by id (version 6); waits up to
    ``timeout`` ms.
    """

    api, versions, flexible = api_name, "0-6", "4+"
    parts = (
        ("topics", Array.of(TopicRequest), when("6+")),
        ("topic_names", Array.of(String), when("0-5", ignorable=True)),
        ("timeout", Int32),
    )

    @property
    def wait_time(self):
        """Milliseconds for which the broker may wait for the topics to be gone."""
        return self.timeout

    def for_version(self, version):
        """From version 6 on a topic is a structure."""
        if version < 6 or not self.topic_names:
            return self
        topics = list(self.topics) + [TopicRequest(name=name) for name in self.topic_names]
        return self.copy(topic_names=[], topics=topics)


class TopicResponse(Part):
    """What became of one topic."""

    parts = (
        ("name", String, when(nullable="6+")),
        ("topic_id", Uuid, when("6+", ignorable=True)),
        ("error_code", Int16),
        ("error_message", String, when("5+", default=None, nullable="5+", ignorable=True)),
    )


class DeleteTopicsResponse(Response):
    """What became of the topics."""

    api, versions, flexible = api_name, "0-6", "4+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("topics", Array.of(TopicResponse)),
    )
