# coding: utf-8
"""Requests that are written in one go have the bytes that the tables give."""
from __future__ import absolute_import

import pytest

from kiel.protocol import fetch, flat as flats, produce, request, topic_ids
from kiel.protocol.wire import complete

from tests.protocol import random_messages

VERSIONS = range(produce.ProduceRequest.version_range[0], produce.ProduceRequest.version_range[1] + 1)
FETCH_VERSIONS = range(fetch.FetchRequest.version_range[0], fetch.FetchRequest.version_range[1] + 1)


def by_tables(flat):
    """The same request made of parts."""
    made = produce.ProduceRequest(
        transactional_id=flat.transactional_id, required_acks=flat.required_acks, timeout=flat.timeout,
        topics=[
            topic.copy(partitions=[part.copy() for part in topic.partitions]) for topic in flat.topics
        ])
    made.client_id, made.correlation_id = flat.client_id, flat.correlation_id
    return made


def some(rnd, ids=True):
    """Batches of some topics, as a producer has them."""
    topics = [(name, random_messages.some_bytes(rnd, 16) if ids else None)
              for name in ("t", "topic-1", "n" * 130)[:rnd.randrange(1, 4)]]
    batches = []
    for partition in range(rnd.choice((1, 2, 5, 140))):
        topic, topic_id = rnd.choice(topics)
        pieces = [rnd.choice((b"a", b"b", b"c")) * rnd.choice((1, 100, 130, 20000)) for _ in range(rnd.randrange(1, 4))]
        batches.append((topic, topic_id, partition, pieces))
    return batches


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_as_by_the_tables(version):
    rnd = random_messages.seeded()
    for _ in range(12):
        flat = flats.FlatProduceRequest(
            None if version < 3 else rnd.choice((None, "transactional", u"\xe4")), rnd.choice((-1, 1)),
            rnd.randrange(9999), some(rnd))
        flat.client_id = rnd.choice(("kiel", u"\xfc", None, "c" * 200))
        assert flat.serialize(version) == by_tables(flat).serialize(version)
        assert flat.expects_response and flat.wait_time == flat.timeout
        read = request.deserialize(flat.serialize(version))
        data = [pieces for _, _, _, pieces in flat.batches]
        assert sorted(part.message_set.data for topic in read.topics for part in topic.partitions) == sorted(
            map(b"".join, data))


def test_what_it_tells_is_what_the_tables_tell():
    rnd = random_messages.seeded()
    for ids in (True, False):
        flat = flats.FlatProduceRequest(None, 0, 500, some(rnd, ids))
        plain = by_tables(flat)
        assert (flat.min_version, flat.max_version) == (plain.min_version, plain.max_version)
        assert flat.max_version == (13 if ids else 12) and not flat.expects_response and repr(flat.topics)
        assert flat.serialize() == plain.serialize()  # version 0
        assert flat.topic_names == (plain.topic_names if ids else {})
    assert flats.FlatProduceRequest(None, 0, 500, [("t", topic_ids.NO_TOPIC, 0, [b""])]).max_version == 12


def test_what_is_kept_of_many_kinds_is_bounded(monkeypatch):
    monkeypatch.setattr(flats, "_beginnings", {})
    for number in range(2 * flats.KINDS + 3):
        flat = flats.FlatProduceRequest(str(number), -1, 500, [("t", None, 0, [b"data"])])
        assert flat.serialize(12) == by_tables(flat).serialize(12)
        assert len(flats._beginnings) <= flats.KINDS


def test_an_answer_without_names_gets_them():
    flat = flats.FlatProduceRequest(None, -1, 500, [("a", b"a" * 16, 0, [b"x"]), ("b", b"b" * 16, 0, [b"x"])])
    answer = produce.ProduceResponse(topics=[produce.TopicResponse(topic_id=b"b" * 16)])
    complete(answer, flat)
    assert answer.topics[0].name == "b"


def test_what_can_not_be_written_is_an_error():
    flat = flats.FlatProduceRequest(None, -1, 500, [("t", b"i" * 16, 1 << 40, [b"x"])])
    with pytest.raises(ValueError):
        flat.serialize(13)


def a_fetch(rnd, version, by_id=True):
    """A fetch of some partitions of some topics, of which some others leave the session."""
    topics = [(name, random_messages.some_bytes(rnd, 16) if by_id else topic_ids.NO_TOPIC)
              for name in ("t", u"topic-\xe4", "n" * 130)[:rnd.randrange(1, 4)]]
    asked = [
        rnd.choice(topics) + (
            partition, rnd.choice((-1, 0, 7)), rnd.randrange(1 << 40), rnd.choice((-1, 3)) if version >= 12 else -1,
            rnd.randrange(1 << 30)
        ) for partition in range(rnd.choice((0, 1, 2, 5, 140)))
    ]
    left = [rnd.choice(topics) + (partition,) for partition in range(rnd.choice((0, 1, 3)) if version >= 7 else 0)]
    session = (rnd.randrange(1 << 30), rnd.randrange(1 << 30)) if version >= 7 else (0, -1)
    return flats.FlatFetchRequest(
        rnd.randrange(9999), rnd.randrange(9), rnd.randrange(1 << 30), rnd.choice((0, 1)) if version >= 4 else 0,
        rnd.choice((u"", "rack", u"r\xe4ck", "r" * 300)) if version >= 11 else "", session[0], session[1], asked, left,
        dict((topic_id, topic) for topic, topic_id in topics), by_id)


def fetch_by_tables(flat):
    """The same request made of parts."""
    made = fetch.FetchRequest(
        max_wait_time=flat.max_wait_time, min_bytes=flat.min_bytes, max_bytes=flat.max_bytes,
        isolation_level=flat.isolation_level, rack_id=flat.rack_id, session_id=flat.session_id,
        session_epoch=flat.session_epoch, topics=flat.topics, forgotten_topics=flat.forgotten_topics)
    made.client_id, made.correlation_id = flat.client_id, flat.correlation_id
    return made


@pytest.mark.parametrize("version", FETCH_VERSIONS)
def test_every_version_of_a_fetch_as_by_the_tables(version):
    rnd = random_messages.seeded()
    for _ in range(12):
        flat = a_fetch(rnd, version)
        flat.client_id = rnd.choice(("kiel", u"\xfc", None, "c" * 200))
        assert flat.serialize(version) == fetch_by_tables(flat).serialize(version)
        assert flat.expects_response and flat.wait_time == flat.max_wait_time
        read = request.deserialize(flat.serialize(version))
        assert sorted(
            (part.partition_id, part.offset, part.max_bytes) for topic in read.topics for part in topic.partitions
        ) == [(asked[2], asked[4], asked[6]) for asked in flat.partitions]


def test_what_a_fetch_tells_is_what_the_tables_tell():
    rnd = random_messages.seeded()
    for by_id in (True, False):
        flat = a_fetch(rnd, 13, by_id)
        while not flat.partitions:
            flat = a_fetch(rnd, 13, by_id)
        plain = fetch_by_tables(flat)
        assert (flat.min_version, flat.max_version) == (plain.min_version, plain.max_version) and repr(flat)
        assert flat.max_version == (18 if by_id else 12)
        assert not by_id or set(plain.topic_names.items()) <= set(flat.topic_names.items())
        answer = fetch.FetchResponse(topics=[fetch.TopicResponse(topic_id=flat.partitions[0][1])])
        complete(answer, flat)
        assert answer.topics[0].name == flat.topic_names[flat.partitions[0][1]]


def test_a_fetch_that_can_not_be_written_is_an_error():
    flat = flats.FlatFetchRequest(500, 1, 1 << 40, 0, "", 0, -1, [], [], {}, True)
    with pytest.raises(ValueError):
        flat.serialize(13)
