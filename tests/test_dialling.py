"""A name of several addresses, of which one or more do not work (RFC 8305)."""
from __future__ import absolute_import

import contextlib
import socket

import mock
import pytest
from tornado import gen, netutil, tcpserver

from kiel import connection_states, exc, sasl
from kiel.broker import Broker
from kiel.clients import SingleConsumer
from kiel.connection import Connection
from kiel.dialling import Dial, addresses
from kiel.settings import Settings

from tests import fake, loop
from tests.fake import with_cluster
from tests.test_connection import ask_metadata, idle, long_poll

NAME = "kafka.example"


class Faulty(tcpserver.TCPServer):
    """Takes connections and hangs up, or keeps silent."""

    silent = False

    def __init__(self):
        super(Faulty, self).__init__()
        self.streams = []

    def handle_stream(self, stream, address):
        self.streams.append(stream)
        if not self.silent:
            stream.close()


class Silent(Faulty):
    silent = True


@contextlib.contextmanager
def fault(kind, host, port):
    """An address that does not work."""
    if kind in ("hangs up", "keeps silent"):
        server = (Silent if kind == "keeps silent" else Faulty)()
        server.add_sockets(netutil.bind_sockets(port, host))
        yield server
        server.stop()
        for stream in server.streams:
            stream.close()
        return
    sockets = []
    try:
        if kind == "drops packets":  # its queue of connections is full
            server = socket.socket()
            sockets.append(server)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((host, port))
            server.listen(0)
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex((host, port))
                sockets.append(filler)
        yield None  # nobody listens: refused
    finally:
        for each in sockets:
            each.close()


@contextlib.contextmanager
def named(*hosts):
    """`NAME` stands for several addresses."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host != NAME:
            return look_up(host, port, *args, **kwargs)
        return [entry for name in hosts for entry in look_up(name, port, *args, **kwargs)]

    with mock.patch("socket.getaddrinfo", getaddrinfo):
        yield


KINDS = ("refuses", "drops packets", "hangs up", "keeps silent")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_address_does_not_work(kind):
    @with_cluster(topics={"t": 1})
    def check(cluster):
        port = cluster[1].port
        with named("127.0.0.9", "127.0.0.1"), fault(kind, "127.0.0.9", port) as server:
            settings = Settings(connect_timeout=8, probe_timeout=2)
            conn = Connection(NAME, port, settings=settings)
            yield loop.within(4, conn.connect())
            assert conn.address[1][0] == "127.0.0.1" and conn.ready
            yield conn.send(ask_metadata())
            # the one that worked is dialled first from now on
            tried = len(server.streams) if server else 0
            again = Connection(NAME, port, settings=settings)
            yield loop.within(0.8, again.connect())
            yield again.send(ask_metadata())
            assert (len(server.streams) if server else 0) == tried
            for each in (conn, again):
                each.close()
                assert idle(each) and each.state == connection_states.CLOSED
            if server:  # what was dialled in vain is not left open
                yield loop.until(lambda: all(stream.closed() for stream in server.streams) or kind == "keeps silent")
        yield loop.until(lambda: not cluster[1].streams)
    check()


@with_cluster(topics={"t": 1})
def test_the_address_that_worked_fails_later(cluster):
    port = cluster[1].port
    settings = Settings(connect_timeout=8)
    settings.reached[NAME, port] = (socket.AF_INET, ("127.0.0.9", port))
    with named("127.0.0.1", "127.0.0.9"), fault("hangs up", "127.0.0.9", port):
        conn = Connection(NAME, port, settings=settings)
        yield loop.within(4, conn.connect())
        assert settings.reached[NAME, port][1][0] == "127.0.0.1"
        conn.close()


@with_cluster(topics={"t": 1})
def test_every_lane_and_the_bootstrap(cluster):
    port = cluster[1].port
    with named("127.0.0.9", "127.0.0.1"), fault("keeps silent", "127.0.0.9", port):
        broker = Broker(NAME, port, 1, Settings(connect_timeout=8))
        yield loop.within(4, broker.connect())
        yield loop.within(0.8, broker.send(long_poll(cluster.topic_ids["t"], wait=1)))
        assert broker.lanes["fetch"].address[1][0] == "127.0.0.1"
        broker.close()
        yield loop.until(lambda: not cluster[1].streams)
        client = SingleConsumer("%s:%d" % (NAME, port))
        yield loop.within(4, client.connect())
        yield client.close()


@with_cluster()
def test_none_works(cluster):
    port = cluster[1].port
    with named("127.0.0.9", "127.0.0.8"), fault("hangs up", "127.0.0.8", port):
        conn = Connection(NAME, port, settings=Settings(connect_timeout=8, probe_timeout=0.2))
        error = yield loop.raises(exc.BrokerConnectionError, conn.connect(), 4)
        assert "%s:%d" % (NAME, port) in str(error)
        assert conn.closing and idle(conn)


@pytest.mark.parametrize("when", [0, 0.4])
def test_close_meanwhile(when):
    @with_cluster()
    def check(cluster):
        port = cluster[1].port
        with named("127.0.0.9", "127.0.0.8"), fault("keeps silent", "127.0.0.9", port) as server, \
                fault("drops packets", "127.0.0.8", port):
            conn = Connection(NAME, port, settings=Settings(connect_timeout=8))
            connecting = conn.connect()
            yield gen.sleep(when)
            conn.close()
            yield loop.raises(exc.BrokerConnectionError, connecting, 1)
            for stream in server.streams:
                with pytest.raises(Exception):
                    yield loop.within(1, stream.read_until_close() if stream.closed() else stream.read_bytes(1 << 20))
    check()


@with_cluster()
def test_families_come_by_turns(cluster):
    with named("127.0.0.1", "127.0.0.2", "::1"):
        found = yield addresses(NAME, 9092)
    assert [address[0] for _, address in found] == ["127.0.0.1", "::1", "127.0.0.2"]


@with_cluster(brokers=1)
def test_a_refused_login_is_what_is_told(cluster):
    cluster.users["alice"] = "secret"
    port = cluster[1].port
    with named("127.0.0.1", "127.0.0.9"):
        conn = Connection(NAME, port, settings=Settings(sasl=sasl.Plain("alice", "guess")))
        yield loop.raises(exc.AuthenticationError, conn.connect(), 4)


# -- the table of states --

def test_every_state_can_end_and_none_comes_after_that_but_by_beginning_anew():
    for state, events in connection_states.TRANSITIONS.items():
        assert (connection_states.END in events) == (state != connection_states.CLOSED)
        assert set(events.values()) <= set(connection_states.TRANSITIONS)
    assert connection_states.TRANSITIONS[connection_states.CLOSED] == {
        connection_states.BEGIN_ANEW: connection_states.DIALLING
    }


def test_any_other_event_is_a_bug():
    with pytest.raises(RuntimeError) as caught:
        connection_states.after(connection_states.CLOSED, connection_states.SERVE)
    assert "closed" in str(caught.value) and "serve" in str(caught.value)


def test_the_table_can_be_printed():
    assert len(connection_states.table().splitlines()) == sum(map(len, connection_states.TRANSITIONS.values()))


@with_cluster(topics={"t": 1})
def test_an_error_names_its_address_once(cluster):
    conn = Connection("127.0.0.1", cluster[1].port, 1)
    yield conn.connect()
    cluster[1].on("metadata", fake.CLOSE)
    first = yield loop.raises(exc.BrokerConnectionError, conn.send(ask_metadata()), 1)
    for error in (first, (yield loop.raises(exc.BrokerConnectionError, conn.send(ask_metadata()), 1))):
        assert str(error).count("Error connecting to") == 1, str(error)


@with_cluster(topics={"t": 1})
def test_how_far_the_broker_is_is_known_whichever_address_worked(cluster):
    with named("127.0.0.9", "127.0.0.1"):
        conn = Connection(NAME, cluster[1].port, settings=Settings())
        yield conn.connect()
    assert 0 < conn.round_trip < 5
    conn.close()


@with_cluster(topics={"t": 1})
def test_a_lane_of_a_broker_that_was_closed_dials_nothing(cluster):
    broker = Broker("127.0.0.1", cluster[1].port, 1, Settings())
    opening = broker.open("produce")
    dialled = []
    broker.lanes["quick"].connect().add_done_callback(lambda _: broker.close())
    with mock.patch("kiel.dialling.Dial", lambda *args: dialled.append(args) or Dial(*args)):
        yield loop.raises(exc.BrokerConnectionError, opening)
        yield loop.until(lambda: not cluster[1].streams)
    assert len(dialled) <= 2


@with_cluster(topics={"t": 1})
def test_a_lane_that_can_not_be_opened_ahead_takes_nothing_with_it(cluster):
    broker = Broker("127.0.0.1", cluster[1].port, 1, Settings())
    yield broker.connect()
    with mock.patch("kiel.dialling.Dial.connect", side_effect=EnvironmentError("no more connections")):
        broker.open_ahead("produce")
        lane = broker.lanes["produce"]
        yield loop.until(lambda: lane.closing)
    assert not broker.closing and broker.error is None
    yield broker.send(ask_metadata())
    yield broker.open("produce")
    assert broker.is_open("produce") and broker.lanes["produce"] is not lane
    broker.close()
