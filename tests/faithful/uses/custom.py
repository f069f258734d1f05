"""Applications that bring apis of their own (C16)."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients, connection, constants
from kiel.clients.client import Client
from kiel.protocol import metadata
from kiel.protocol.part import Part
from kiel.protocol.primitives import Array, Int16, Int32, String
from kiel.protocol.request import Request
from kiel.protocol.response import Response

from . import use
from .helpers import connected, take


class entered(object):
    """An api that is known while the block runs."""

    def __init__(self, api, key, response):
        self.api, self.key, self.response = api, key, response

    def __enter__(self):
        self.before = constants.API_KEYS.get(self.api), connection.response_classes.get(self.api)
        constants.API_KEYS[self.api] = self.key
        connection.response_classes[self.api] = self.response

    def __exit__(self, *exc_info):
        for table, value in zip((constants.API_KEYS, connection.response_classes), self.before):
            if value is None:
                del table[self.api]
            else:
                table[self.api] = value


def make_list_groups():
    """ListGroups, as an application of 2016 wrote it, since 0.9 could not read its answers."""
    class Group(Part):
        parts = (("group_id", String), ("protocol_type", String))

    class ListGroupsRequest(Request):
        api = "list_groups"
        parts = ()

    class ListGroupsResponse(Response):
        api = "list_groups"
        parts = (("error_code", Int16), ("groups", Array.of(Group)))

    return ListGroupsRequest, ListGroupsResponse


def make_versions():
    """An api that 0.9 does not know at all, under a name of the application's."""
    class Range(Part):
        parts = (("key", Int16), ("low", Int16), ("high", Int16))

    class VersionsRequest(Request):
        api = "what_you_can"
        parts = ()

        @property
        def extra(self):
            return 1

    class VersionsResponse(Response):
        api = "what_you_can"
        parts = (("error_code", Int16), ("ranges", Array.of(Range)))

    return VersionsRequest, VersionsResponse


class Asking(Client):
    @gen.coroutine
    def wind_down(self):
        pass

    def handle_list_groups_response(self, response):
        return [group.group_id for group in response.groups]

    def handle_what_you_can_response(self, response):
        return dict((entry.key, (entry.low, entry.high)) for entry in response.ranges)

    def handle_metadata_response(self, response):
        return response


@use("C16")
@gen.coroutine
def an_api_that_kiel_has_too(world):
    asked, answered = make_list_groups()
    broker = world.scripted(topics={"t": 1})
    broker.committed["g", "t", 0] = 0
    with entered("list_groups", 16, answered):
        client = yield connected(world, Asking([broker.address]))
        assert (yield client.send({1: asked()})) == {1: ["g"]}
    # and afterwards everything else goes on as before
    consumer = yield connected(world, clients.SingleConsumer([broker.address], max_wait_time=100))
    broker.put("t", b"1")
    assert (yield take(consumer, "t", 1, start=consumer.BEGINNING)) == [1]


@use("C16", real=True)
@gen.coroutine
def an_api_that_kiel_has_too_on_real_brokers(world):
    asked, answered = make_list_groups()
    with entered("list_groups", 16, answered):
        client = yield connected(world, Asking(world.brokers))
        (result,) = (yield client.send({list(client.cluster)[0]: asked()})).values()
        assert isinstance(result, list)


@use("C16")
@gen.coroutine
def an_api_of_ones_own(world):
    asked, answered = make_versions()
    broker = world.scripted(topics={"t": 1})
    with entered("what_you_can", 18, answered):
        client = yield connected(world, Asking([broker.address]))
        results = yield client.send({1: asked()})
        assert results[1][0] == (0, 0)
        response = yield client.cluster[1].send(asked())
        assert isinstance(response, answered)
        again = yield connected(world, Asking([broker.address]))
        assert (yield again.send({1: asked()})) == results


@use("C16", real=True)
@gen.coroutine
def an_api_of_ones_own_on_real_brokers(world):
    asked, answered = make_versions()
    with entered("what_you_can", 18, answered):
        client = yield connected(world, Asking(world.brokers))
        (result,) = (yield client.send({list(client.cluster)[0]: asked()})).values()
        assert result[1][0] == 0
        again = yield connected(world, clients.Producer(world.brokers))
        topic = world.topic()
        yield again.produce(topic, 1)
        assert world.log(topic) == [(None, b"1")]


@use("C16")
@gen.coroutine
def a_class_under_the_name_of_kiels(world):
    # defining it, without using it, must not do anything to others
    class MetadataRequest(Request):
        api = "metadata"
        parts = (("topics", Array.of(String)),)

    class MetadataResponse(Response):
        api = "metadata"
        parts = (("nonsense", Int32),)

    broker = world.scripted(topics={"t": 1})
    for cls in clients.Producer, clients.SingleConsumer:
        client = yield connected(world, cls([broker.address]))
        assert client.cluster.topics["t"] == [0]
        yield client.cluster.heal()


@use("C16")
@gen.coroutine
def a_request_under_the_name_of_kiels(world):
    class OnlyThese(Request):
        api = "metadata"
        parts = (("topics", Array.of(String)),)

    broker = world.scripted(topics={"t": 1, "u": 2})
    client = yield connected(world, Asking([broker.address]))
    results = yield client.send({1: OnlyThese(topics=["u"])})
    assert [topic.name for topic in results[1].topics] == ["u"]
    assert isinstance(results[1], metadata.MetadataResponse)
    yield client.cluster.heal()
    assert sorted(client.cluster.topics) == ["t", "u"]


@use("C16")
@gen.coroutine
def a_subclass_of_kiels_request(world):
    class All(metadata.MetadataRequest):
        def __init__(self):
            super(All, self).__init__(topics=[])

    broker = world.scripted(topics={"t": 1, "u": 2})
    client = yield connected(world, Asking([broker.address]))
    results = yield client.send({1: All()})
    assert sorted(topic.name for topic in results[1].topics) == ["t", "u"]
    again = yield connected(world, Asking([broker.address]))
    assert sorted(again.cluster.topics) == ["t", "u"]


@use("C16")
@gen.coroutine
def a_subclass_of_kiels_answer(world):
    class Counted(metadata.MetadataResponse):
        @property
        def count(self):
            return len(self.topics)

    broker = world.scripted(topics={"t": 1, "u": 2})
    client = yield connected(world, Asking([broker.address]))
    with entered("metadata", 3, Counted):
        response = yield client.cluster[1].send(metadata.MetadataRequest(topics=[]))
        assert response.count == 2
        again = yield connected(world, clients.Producer([broker.address]))
        assert sorted(again.cluster.topics) == ["t", "u"]
    yield client.cluster.heal()
