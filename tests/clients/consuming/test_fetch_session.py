"""What a fetch session leaves out, and when it begins anew (KIP-227)."""
from __future__ import absolute_import

import collections

import pytest
from tornado import gen

from kiel.clients.consuming.fetch_session import INITIAL, LAST, FetchSession
from kiel.protocol import errors, fetch, topic_ids
from kiel.protocol.wire import complete

from tests import answers, fake
from tests.clients.consuming.consumers import gather, with_consumer

A, B = b"a" * 16, b"b" * 16


def wanted(*entries):
    """``(topic, partition, topic id, offset)`` as a session takes them."""
    return collections.OrderedDict(((topic, number), (topic_id, offset)) for topic, number, topic_id, offset in entries)


ALL = wanted(("t", 0, A, 0), ("t", 1, A, 0), ("u", 0, B, 5))


@pytest.fixture
def session():
    made = FetchSession()
    assert made.ask(ALL, True) == (list(ALL), [])
    assert (made.id, made.epoch) == (0, INITIAL) and not made.open
    made.answered(77)
    assert (made.id, made.epoch) == (77, 1) and made.open
    return made


def test_nothing_new_is_nothing_said(session):
    assert session.ask(wanted(("t", 0, A, 0), ("t", 1, A, 0), ("u", 0, B, 5)), True) == ([], [])
    session.answered(77)
    assert session.epoch == 2


def test_what_moved_is_named_and_the_names_of_all_are_kept(session):
    assert session.ask(wanted(("t", 0, A, 0), ("t", 1, A, 9), ("u", 0, B, 5)), True) == ([("t", 1)], [])
    assert session.names == {A: "t", B: "u"}


def test_what_is_not_wanted_any_more_is_forgotten_and_may_come_back(session):
    assert session.ask(wanted(("t", 1, A, 0)), True) == ([], [(("t", 0), A), (("u", 0), B)])
    session.answered(77)
    assert session.ask(ALL, True) == ([("t", 0), ("u", 0)], [])


def test_one_goes_and_another_comes(session):
    assert session.ask(wanted(("t", 0, A, 0), ("t", 1, A, 0), ("u", 1, B, 0)), True) == ([("u", 1)], [(("u", 0), B)])


def test_a_topic_made_anew_leaves_under_its_old_id(session):
    assert session.ask(wanted(("t", 0, A, 0), ("t", 1, A, 0), ("u", 0, A, 5)), True) == ([("u", 0)], [(("u", 0), B)])


def test_by_name_an_id_does_not_matter_for_leaving():
    session = FetchSession()
    session.ask(ALL, False)
    session.answered(5)
    assert session.ask(wanted(("t", 0, A, 0), ("t", 1, A, 0), ("u", 0, A, 5)), False) == ([("u", 0)], [])


def test_names_and_ids_are_not_mixed(session):
    assert session.ask(ALL, False) == (list(ALL), [])
    assert (session.id, session.epoch) == (77, INITIAL)  # ends the one that was


def test_a_broker_without_room_for_sessions():
    session = FetchSession()
    session.ask(ALL, True)
    session.answered(0)
    assert (session.id, session.epoch) == (0, INITIAL)
    assert session.ask(ALL, True) == (list(ALL), [])


@pytest.mark.parametrize("code,session_id", [
    (errors.fetch_session_id_not_found, 0), (errors.invalid_fetch_session_epoch, 77),
    (errors.fetch_session_topic_id_error, 77),
])
def test_a_refused_session_begins_anew(session, code, session_id):
    session.ask(ALL, True)
    assert session.refused(code)
    assert (session.id, session.epoch) == (session_id, INITIAL)
    assert session.ask(ALL, True) == (list(ALL), [])


def test_another_error_begins_anew_too(session):
    assert not session.refused(errors.unknown)
    assert not session.open


def test_a_lost_answer_and_a_strange_id(session):
    session.lost()
    assert (session.id, session.epoch) == (77, INITIAL)
    session.ask(ALL, True)
    session.answered(78)
    assert (session.id, session.epoch) == (78, 1)
    session.ask(ALL, True)
    session.answered(77)
    assert session.epoch == INITIAL


def test_the_epoch_goes_round(session):
    session.epoch = LAST
    session.answered(77)
    assert session.epoch == 1


def test_names_come_from_the_request_or_from_what_is_known():
    response = fetch.FetchResponse(topics=[fetch.TopicResponse(topic_id=A), fetch.TopicResponse(topic_id=B)])
    request = fetch.FetchRequest(topics=[fetch.TopicRequest(name="t", topic_id=A)])
    request.names = {B: "u"}
    complete(response, request)
    assert [topic.name for topic in response.topics] == ["t", "u"]
    assert topic_ids.all_known([])


class Sessions(object):
    """Plays the sessions of a broker: completes requests by what they leave out, and leaves out of answers."""

    def __init__(self, broker):
        self.known = {}  # session id -> [epoch to come, {(topic, partition): partition request}]
        self.fetches = []  # (session id, epoch, partitions named, partitions forgotten)
        self.refuse = None
        broker.on("fetch", self.answer)

    @gen.coroutine
    def answer(self, call):
        request = call.request
        keys = [(answers.named(call, topic), part) for topic in request.topics for part in topic.partitions]
        gone = [
            (answers.named(call, topic), number) for topic in request.forgotten_topics for number in topic.partitions
        ]
        self.fetches.append((request.session_id, request.session_epoch, len(keys), len(gone)))
        if self.refuse is not None and request.session_epoch > 0:
            code, self.refuse = self.refuse, None
            raise gen.Return(dict(error_code=code, topics=[]))
        if request.session_epoch < 0:
            raise gen.Return(None)
        if request.session_epoch == 0:
            number = 100 + len(self.known)
            self.known[number] = [0, {}]
        else:
            number = request.session_id
            assert self.known[number][0] == request.session_epoch
        session = self.known[number]
        session[0] += 1
        for topic, partition in gone:
            del session[1][topic, partition]
        session[1].update(((topic, part.partition_id), part) for topic, part in keys)
        ids = call.cluster.topic_ids
        call.request.topics = [
            fetch.TopicRequest(name=topic, topic_id=ids[topic], partitions=[part])
            for (topic, _), part in session[1].items()
        ]
        answer = yield call.usual()
        answer["session_id"] = number
        if request.session_epoch:
            answer["topics"] = [
                topic for topic in answer["topics"] if topic["partitions"][0]["message_set"]
                or topic["partitions"][0]["error_code"]
            ]
        raise gen.Return(answer)


@pytest.mark.parametrize("release", ["2.4", "4.4"])
def test_a_consumer_names_only_what_has_changed(release):
    @with_consumer(versions=release, topics={"t": 20, "u": 20})
    def check(cluster, consumer):
        sessions = Sessions(cluster[1])
        cluster.log("u", 3).put(b"a")
        yield consumer.consume("t", consumer.BEGINNING)
        assert (yield gather(consumer, 1, "u")) == [b"a"]
        for _ in range(3):
            yield consumer.consume("u")
        cluster.log("u", 7).put(b"b")
        assert (yield gather(consumer, 1, "u")) == [b"b"]
        for _ in range(3):
            yield consumer.consume("u")
        opened, later = [[entry for entry in sessions.fetches if test(entry[1])] for test in (
            lambda epoch: epoch == 0, lambda epoch: epoch > 0
        )]
        assert len(opened) == 1 and len(later) > 4 and (100, later[-1][1], 0, 0) in later
        assert sum(named for _, _, named, _ in later) < 50  # the second topic once, and what moved
    check()


@pytest.mark.parametrize("code", [70, 71, 106])
def test_a_consumer_whose_session_is_refused(code):
    @with_consumer(topics={"t": 20})
    def check(cluster, consumer):
        sessions = Sessions(cluster[1])
        yield consumer.consume("t", consumer.BEGINNING)
        yield consumer.consume("t")
        sessions.refuse = code
        yield consumer.consume("t")
        cluster.log("t", 7).put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
        assert [entry[0] for entry in sessions.fetches if entry[1] == 0] == [0, 0 if code == 70 else 100]
        assert consumer.last_error is None
    check()


@with_consumer(topics={"t": 20})
def test_a_lost_connection_begins_a_session_anew(cluster, consumer):
    sessions = Sessions(cluster[1])
    yield consumer.consume("t", consumer.BEGINNING)
    yield consumer.consume("t")
    cluster[1].hang_up()
    cluster.log("t", 7).put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    for _ in range(9):  # in which the partitions come back from their rest
        yield consumer.consume("t")
    anew = [entry for entry in sessions.fetches if entry[1] == 0][1:]
    assert anew[0][0] == 100 and sessions.fetches[-1][1:] == (sessions.fetches[-2][1] + 1, 0, 0)


@with_consumer(topics={"t": 20})
def test_a_broker_that_gives_no_session_is_asked_in_full(cluster, consumer):
    cluster.log("t", 7).put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    yield consumer.consume("t")
    calls = [call.request for call in cluster[1].requests if call.api == "fetch"]
    assert set((call.session_id, call.session_epoch) for call in calls) <= {(0, 0), (0, -1)}
    assert len([call for call in calls if call.session_epoch == 0]) > 1


@with_consumer(topics={"t": 3})
def test_few_partitions_take_none_of_the_brokers_sessions(cluster, consumer):
    cluster.log("t", 1).put(b"b")
    assert (yield gather(consumer, 1)) == [b"b"]
    calls = [call.request for call in cluster[1].requests if call.api == "fetch"]
    assert set((call.session_id, call.session_epoch) for call in calls) == {(0, -1)}


@pytest.mark.parametrize("release", sorted(set(fake.VERSIONS) - {"2.4", "2.8", "3.9", "4.4"}))
def test_older_brokers_have_no_sessions(release):
    @with_consumer(versions=release, topics={"t": 20})
    def check(cluster, consumer):
        cluster.log("t", 1).put(b"b")
        assert (yield gather(consumer, 1)) == [b"b"]
    check()
