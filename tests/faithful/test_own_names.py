"""
Subclasses of 2016 that have attributes and methods of their own, by names that are kiel's today and were free in 0.9.

Each of these names is taken in three ways, and the client works all the same, or refuses with the name.
"""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import clients

from tests.clients.grouping.members import Given
from tests.fake import with_cluster

#: what clients of 0.9.3 had, in their classes and when made
COMMON = "close closing cluster connect heal_cluster send wind_down"
READING = ("allocation consume deserialize_messages deserializer determine_offsets handle_fetch_response max_bytes "
           "max_wait_time min_bytes name offsets synced_offsets")
OLD = {
    "SingleConsumer": COMMON + " " + READING + " BEGINNING END handle_offset_response",
    "GroupedConsumer": COMMON + " " + READING + (
        " allocator autocommit commit_offsets coordinator_id determine_coordinator group_name "
        "handle_group_coordinator_response handle_offset_commit_response handle_offset_fetch_response topics_to_commit"
    ),
    "Producer": COMMON + (
        " ack_timeout batch_size compression flush handle_produce_response key_maker partitioner produce queue_retries "
        "required_acks sent serializer unsent unsent_count"
    ),
}
ARGUMENTS = {"SingleConsumer": (), "GroupedConsumer": ("g", ["nowhere:1"]), "Producer": ()}


#: arguments of today's constructors that are attributes too, and hooks: what they mean now is told in docs/moving.rst
MEANS_SOMETHING = set((
    "buffer_bytes check_crcs close_timeout handle_offset_response io_loop isolation_level last_error linger "
    "max_records on_error on_lost on_rebalance"
).split())


def cases():
    """The names of each class of clients that it had not in 0.9, and how they are taken."""
    for name in sorted(OLD):
        made = getattr(clients, name)(["nowhere:1"], *ARGUMENTS[name])
        for each in sorted(dir(made)):
            if each.startswith("__") or each in MEANS_SOMETHING or each in OLD[name].split():
                continue
            if not each.startswith("_"):
                ways = in_its_class, before, after
            elif callable(getattr(type(made), each, None)):
                ways = in_its_class, after
            else:
                ways = ()  # attributes of one's own that begin with "_" are not to be had twice
            for way in ways:
                yield name, each, way


def in_its_class(base, name):
    return type("Own", (base,), {name: lambda self, *args: "mine"})


def before(base, name):
    def __init__(self, *args, **kwargs):
        setattr(self, name, "mine")
        base.__init__(self, *args, **kwargs)
    return type("Own", (base,), {"__init__": __init__})


def after(base, name):
    def __init__(self, *args, **kwargs):
        base.__init__(self, *args, **kwargs)
        setattr(self, name, "mine")
    return type("Own", (base,), {"__init__": __init__})


@gen.coroutine
def works(cluster, kind, name):
    """Writes or reads as an application of 2016 does."""
    client = kind(cluster.bootstrap, *ARGUMENTS[name])
    if name == "GroupedConsumer":
        client.allocator = Given()
    yield client.connect()
    try:
        if name == "Producer":
            yield client.produce("t", "x")
            yield client.flush()
            assert cluster.log("t").end == 1
            return
        cluster.log("t").put(b'"a"')
        got = []
        while not got:
            got = yield (client.consume("t", client.BEGINNING) if name == "SingleConsumer" else client.consume("t"))
        assert got == ["a"]
        if name == "GroupedConsumer":
            yield client.commit_offsets()
            assert cluster.kafka_offsets["g", "t", 0][0] == 1
    finally:
        yield client.close()


@pytest.mark.parametrize("name,taken,way", list(cases()))
def test_a_name_that_was_free(name, taken, way):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        try:
            yield works(cluster, way(getattr(clients, name), taken), name)
        except TypeError as error:
            assert "of its own" in str(error) and "has a %s " % taken in str(error)
            assert taken.startswith("_") or taken == "attempt"
    check()
