"""Which broker coordinates a group (Kafka's FindCoordinator)."""
from __future__ import absolute_import

from kiel.protocol.part import Part, when
from kiel.protocol.primitives import Array, Int8, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

__all__ = ["GroupCoordinatorRequest", "GroupCoordinatorResponse", "Coordinator"]

api_name = "group_coordinator"

#: a ``key_type``
GROUP, TRANSACTION, SHARE = 0, 1, 2


class GroupCoordinatorRequest(Request):
    """
    Asks for the coordinator of a group; ``group`` is a transactional id with the key type
    `TRANSACTION`.
    """

    api, versions, flexible = api_name, "0-6", "3+"
    parts = (
        ("group", String, when("0-3")),
        ("key_type", Int8, when("1+")),
        ("coordinator_keys", Array.of(String), when("4+")),
    )

    def for_version(self, version):
        """From version 4 on the group is one of a list of keys."""
        if version < 4 or not self.group:
            return self
        return self.copy(group="", coordinator_keys=[self.group] + list(self.coordinator_keys))


class Coordinator(Part):
    """The coordinator of one key."""

    parts = (
        ("key", String),
        ("coordinator_id", Int32),
        ("coordinator_host", String),
        ("coordinator_port", Int32),
        ("error_code", Int16),
        ("error_message", String, when(nullable=True, ignorable=True)),
    )


class GroupCoordinatorResponse(Response):
    """
    The broker that coordinates the group, in ``coordinator_id``, ``coordinator_host`` and
    ``coordinator_port``.
    """

    api, versions, flexible = api_name, "0-6", "3+"
    parts = (
        ("throttle_time", Int32, when("1+", ignorable=True)),
        ("error_code", Int16, when("0-3")),
        ("error_message", String, when("1-3", nullable="1-3", ignorable=True)),
        ("coordinator_id", Int32, when("0-3")),
        ("coordinator_host", String, when("0-3")),
        ("coordinator_port", Int32, when("0-3")),
        ("coordinators", Array.of(Coordinator), when("4+")),
    )

    def answers(self, request):
        """Take the first of the list of version 4 and later for the one that was asked for."""
        if self.coordinators:
            first = self.coordinators[0]
            self.error_code = first.error_code
            self.error_message = first.error_message
            self.coordinator_id = first.coordinator_id
            self.coordinator_host = first.coordinator_host
            self.coordinator_port = first.coordinator_port
