"""A login that is refused is tried again at the next use, by every client, and the error stays clear meanwhile."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import clients, exc, sasl
from kiel.security import login_pause

from tests import fake, loop
from tests.fake import with_cluster

SERVED = dict(fake.VERSIONS["4.4"], sasl_handshake=(0, 1), sasl_authenticate=(0, 2))

#: seconds from the cure to work, on a busy machine
RECOVERY = 5


def made(kind, cluster):
    settings = {"sasl": sasl.Plain("alice", "secret"), "connect_timeout": 2, "request_timeout": 2}
    if kind == "admin":
        return clients.Admin(cluster.bootstrap, **settings)
    if kind == "single":
        return clients.SingleConsumer(cluster.bootstrap, deserializer=bytes, max_wait_time=100, **settings)
    return clients.Producer(
        cluster.bootstrap, serializer=bytes, required_acks=0 if kind == "acks0" else -1,
        idempotent=kind == "idempotent", **settings
    )


@gen.coroutine
def use(kind, client):
    if kind == "admin":
        yield client.end_offsets("t")
    elif kind == "single":
        yield client.consume("t")
    else:
        delivery = yield client.produce("t", b"1")
        yield delivery


@gen.coroutine
def works(kind, client):
    """Use it until it works; every failure up to then names the login."""
    while True:
        try:
            yield loop.within(2, use(kind, client))
        except exc.AuthenticationError as error:
            assert "refused the login by PLAIN" in str(error)
            yield gen.sleep(0.02)
        else:
            break


@pytest.mark.parametrize("kind", ["admin", "single", "acks0", "acksall", "idempotent"])
def test_a_refused_login_is_tried_again_at_the_next_use(kind):
    @with_cluster(brokers=2, versions=SERVED, topics={"t": 2})
    def check(cluster):
        cluster.users["alice"] = "secret"
        client = made(kind, cluster)
        yield client.connect()
        yield use(kind, client)
        cluster.users["alice"] = "changed"
        for broker in cluster.brokers.values():
            broker.hang_up()
        failures = 0
        while failures < 8:
            try:
                yield loop.within(2, use(kind, client))
            except exc.AuthenticationError as error:
                assert "refused the login by PLAIN" in str(error)
                failures += 1
                yield gen.sleep(0.01)
        asked = cluster.count("sasl_authenticate")
        cluster.users["alice"] = "secret"
        yield loop.within(RECOVERY, works(kind, client))
        assert asked < 100
        yield client.close()
    check()


@with_cluster(versions=SERVED, topics={"t": 1})
def test_a_refusal_leaves_connections_alone_that_are_logged_in(cluster):
    cluster.users["alice"] = "secret"
    producer = made("acksall", cluster)
    yield producer.connect()
    yield use("acksall", producer)
    broker = producer.cluster[1]
    lane = broker.lanes["produce"]
    broker.lanes["quick"].close()
    cluster.users["alice"] = "changed"
    yield loop.raises(exc.AuthenticationError, broker.connect())
    assert not broker.closing and not lane.closing
    yield use("acksall", producer)
    yield producer.close()


@with_cluster(versions=SERVED)
def test_a_refused_login_is_not_tried_at_every_use(cluster):
    producer = made("acksall", cluster)
    cluster.users["alice"] = "secret"
    yield producer.connect()
    broker = producer.cluster[1]
    yield broker.open("produce")
    cluster.users["alice"] = "changed"
    broker.lanes["quick"].close()
    logins = cluster.count("sasl_authenticate")
    first = yield loop.raises(exc.AuthenticationError, broker.connect())
    assert (yield loop.raises(exc.AuthenticationError, broker.connect())) is first
    assert cluster.count("sasl_authenticate") == logins + 1
    yield producer.close()


def test_pauses_grow_and_end_with_a_login():
    pause = login_pause.LoginPause()
    assert pause.current() is None
    error = exc.AuthenticationError("no")
    pause.refused(error)
    pause.refused(error)  # somebody else who waited for the same login
    assert pause.current() is error
    pause.accepted()
    assert pause.current() is None


# -- mechanisms of an application's own --

class Mine(object):
    """A mechanism that speaks as PLAIN, each of whose calls is a function of a test."""

    name = "PLAIN"
    hint = "ask the owner"

    def __init__(self, step, session=None):
        self._step = step
        self.hosts = []
        self.session = session or self._session

    def _session(self, host):
        self.hosts.append(host)
        return MySession(self._step)


class MySession(object):
    def __init__(self, step):
        self.done = False
        self._step = step

    def step(self, challenge):
        if challenge is not None:
            self.done = True
            return None
        return self._step()


@gen.coroutine
def later(value):
    yield gen.moment
    raise gen.Return(value)


def right():
    return b"\0alice\0secret"


@pytest.mark.parametrize("step,blocking", [
    (right, False), (lambda: later(right()), False), (right, True),
])
def test_a_mechanism_of_ones_own(step, blocking):
    @with_cluster(versions=SERVED)
    def check(cluster):
        cluster.users["alice"] = "secret"
        mechanism = Mine(step)
        mechanism.blocking = blocking
        client = clients.Producer(cluster.bootstrap, sasl=mechanism)
        yield client.connect()
        assert set(mechanism.hosts) == {"127.0.0.1"}
        yield client.close()
        mechanism = Mine(step, session=lambda host: later(MySession(step)))
        client = clients.Producer(cluster.bootstrap, sasl=mechanism)
        yield client.connect()
        yield client.close()
    check()


def bug():
    raise KeyError("no such user")


@pytest.mark.parametrize("step,error,words", [
    (bug, exc.AuthenticationError, ["PLAIN", "KeyError", "no such user"]),
    (lambda: later(u"text"), exc.AuthenticationError, ["step()", "not bytes"]),
    (lambda: b"\0alice\0wrong", exc.AuthenticationError, ["refused the login by PLAIN", "ask the owner"]),
    (lambda: None, exc.AuthenticationError, ["before it was complete"]),
])
def test_a_mechanism_that_fails_is_final(step, error, words):
    @with_cluster(versions=SERVED)
    def check(cluster):
        cluster.users["alice"] = "secret"
        client = clients.Producer(cluster.bootstrap, sasl=Mine(step))
        failed = yield loop.raises(error, client.connect())
        assert not failed.retriable
        for word in words:
            assert word in str(failed)
        yield client.close()
    check()


@with_cluster(versions=SERVED, topics={"t": 1})
def test_messages_wait_while_there_are_no_credentials(cluster):
    cluster.users["alice"] = "secret"
    away = []

    def password():
        if away:
            raise exc.CredentialsError("the vault is sealed")
        return "secret"

    client = clients.Producer(cluster.bootstrap, sasl=sasl.Plain("alice", password), serializer=bytes)
    yield client.connect()
    yield use("acksall", client)
    away.append(True)
    cluster[1].hang_up()
    yield gen.sleep(0.01)
    waiting = use("acksall", client)
    yield gen.sleep(0.3)
    assert not waiting.done()
    del away[:]
    yield loop.within(RECOVERY, waiting)
    yield client.close()


@pytest.mark.parametrize("api", ["sasl_handshake", "sasl_authenticate"])
@pytest.mark.parametrize("what", [fake.CLOSE, fake.MUTE])
def test_a_broker_that_hangs_up_or_is_silent_in_mid_login(api, what):
    @with_cluster(versions=SERVED)
    def check(cluster):
        cluster[1].on(api, what)
        client = clients.Producer(cluster.bootstrap, sasl=sasl.Plain("alice", "secret"), connect_timeout=0.5)
        failed = yield loop.raises(exc.KielError, client.connect())
        assert failed.retriable and "the login by PLAIN" in str(failed)
        yield client.close()
    check()
