"""
TLS and SASL against real brokers, by every client; and each way to get them wrong, which must say what to do about it.

`KIEL_KAFKA` (a release, or several with commas between) says which Kafkas.
"""
from __future__ import absolute_import

import logging
import socket
import ssl
import time
import uuid

import pytest
import six
from tornado import gen

from kiel import clients, exc, sasl, testing

from tests import loop
from tests.integration import peer

RELEASES = peer.share("0.10.2.2", "3.9.1-zk", "4.4.0")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
USER, PASSWORD = "alice", "alice-secret"
WRONG = "not-the-Pa55word"

#: seconds in which what is wrong has to be said, on a busy machine
PATIENCE = 8


def fixture(params, **settings):
    """A cluster per release, shared by the module's tests; none at all where no release is asked for."""
    @pytest.fixture(scope="module", params=params)
    def cluster(request):
        with testing.Kafka(request.param, **settings) as kafka:
            yield kafka
    return cluster


both = fixture(RELEASES, tls=True, sasl=MECHANISMS)
tls = fixture(peer.only("0.10.2.2", "4.4.0"), tls=True)
plaintext = fixture(peer.only("0.10.2.2", "4.4.0"), sasl=["PLAIN"])


@pytest.fixture(scope="module")
def zookeeper():
    with testing.ZooKeeper() as server:
        yield server


def trusting(kafka):
    return ssl.create_default_context(cafile=kafka.ca_file)


def login(name, password=PASSWORD, user=USER):
    return sasl.Plain(user, password) if name == "PLAIN" else sasl.Scram(user, password, name)


def works(kafka, zookeeper, topic, **settings):
    """Every kind of client does its work with these settings."""
    kafka.create_topic(topic, partitions=2)

    def body(writer, start):
        producer = yield start(clients.Producer, serializer=lambda value: value)
        for value in (b"1", b"2", b"3"):
            delivery = yield producer.produce(topic, value)
            yield delivery
        single = yield start(clients.SingleConsumer, deserializer=bytes, max_wait_time=200)
        assert sorted((yield peer.gather(single, topic, 3, start=single.BEGINNING))) == [b"1", b"2", b"3"]
        group = "group-" + uuid.uuid4().hex[:8]
        grouped = yield start(
            clients.GroupedConsumer, group, kafka.zk_hosts or [zookeeper.hosts], deserializer=bytes, max_wait_time=200)
        assert sorted((yield peer.gather(grouped, topic, 3))) == [b"1", b"2", b"3"]
        yield grouped.commit_offsets()
        # each lane is a connection of its own, secured as the first
        for client in (producer, single, grouped):
            lanes = peer.connections_of(client)
            assert len(lanes) > 1
            # one that is dialled ahead may still be on its way
            yield loop.until(lambda: all(lane.stream is not None for lane in lanes))
            for lane in lanes:
                assert hasattr(lane.stream.socket, "cipher") == bool(settings.get("ssl"))
    peer.with_clients(kafka, body, **settings)


@pytest.fixture
def topic():
    return "secured-" + uuid.uuid4().hex[:8]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_client_over_tls_and_sasl(both, zookeeper, topic, mechanism):
    works(both, zookeeper, topic, ssl=trusting(both), sasl=login(mechanism))


def test_every_client_over_tls(tls, zookeeper, topic):
    works(tls, zookeeper, topic, ssl=trusting(tls))


def test_every_client_over_sasl_in_plain_text(plaintext, zookeeper, topic):
    works(plaintext, zookeeper, topic, sasl=login("PLAIN"))


# -- what goes wrong --

class Kept(logging.Handler):
    """Keeps all that kiel logs."""

    def __init__(self):
        super(Kept, self).__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter())
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


def refused(brokers, error, words, **settings):
    """
    Each client's ``connect`` ends in that error, in time, with all of the words in its text and no secret anywhere.

    A word may be a tuple of several, one of which has to be there.
    """
    kept = Kept()
    logger = logging.getLogger("kiel")
    level = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)

    def body():
        begun = time.time()
        made = [clients.Producer(brokers, **settings), clients.SingleConsumer(brokers, **settings)]
        try:
            for client in made:
                failed = yield loop.raises(error, client.connect(), PATIENCE)
                text = str(failed)
                said = text + repr(failed) + repr(client.settings.sasl)
                for word in words:
                    options = word if isinstance(word, tuple) else (word,)
                    assert any(option.lower() in text.lower() for option in options), (word, text)
                assert WRONG not in said and PASSWORD not in said
            assert time.time() - begun < PATIENCE
        finally:
            for client in made:
                yield loop.within(5, client.close())
        assert not any(peer.connections_of(client) for client in made)
    try:
        loop.run(gen.coroutine(body), timeout=30)
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
    assert kept.lines
    for line in kept.lines:
        assert WRONG not in line and PASSWORD not in line


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password(both, mechanism):
    refused(both.bootstrap, exc.AuthenticationError, [mechanism, "password"],
            ssl=trusting(both), sasl=login(mechanism, WRONG))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_user_that_is_not_there(both, mechanism):
    refused(both.bootstrap, exc.AuthenticationError, [mechanism, "user"],
            ssl=trusting(both), sasl=login(mechanism, WRONG, "mallory"))


def test_a_mechanism_that_is_not_offered(plaintext):
    refused(plaintext.bootstrap, exc.AuthenticationError, ["SCRAM-SHA-256", "offers: PLAIN"],
            sasl=login("SCRAM-SHA-256", WRONG))


def test_a_login_where_none_is_asked_for(tls):
    refused(tls.bootstrap, exc.AuthenticationError, ["no SASL login", "sasl="],
            ssl=trusting(tls), sasl=login("PLAIN", WRONG))


def test_no_login_over_tls_where_one_is_asked_for(both):
    refused(both.bootstrap, exc.NoBrokersError, ["sasl="], ssl=trusting(both))


def test_no_login_in_plain_text_where_one_is_asked_for(plaintext):
    refused(plaintext.bootstrap, exc.NoBrokersError, ["sasl="])


def test_plain_text_to_a_tls_port(tls):
    refused(tls.bootstrap, exc.KielError, ["TLS", tls.bootstrap[0]])


def test_plain_text_and_a_login_to_a_tls_port(both):
    refused(both.bootstrap, exc.KielError, ["TLS"], sasl=login("PLAIN", WRONG))


def test_tls_to_a_plain_port(tls):
    refused(tls.plaintext, exc.KielError, ["TLS", tls.plaintext[0]], ssl=trusting(tls))


def test_an_authority_that_is_not_known(tls):
    refused(tls.bootstrap, exc.AuthenticationError, ["certificate", "ssl="], ssl=True)


class LogFilter(object):
    """Lets records through that a function is true of."""

    def __init__(self, filter):
        self.filter = filter


def test_a_host_name_that_is_not_in_the_certificate(tls, monkeypatch):
    port = tls.bootstrap[0].rpartition(":")[2]
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        return look_up("127.0.0.1" if host in ("kafka.example", b"kafka.example") else host, *args, **kwargs)

    def but_of_tornados_own(record):
        """On Python 2.7 this error passes Tornado's nets, which logs it besides."""
        return not (record.exc_info and issubclass(record.exc_info[0], ssl.CertificateError))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    if six.PY2:
        logger = logging.getLogger("tornado.application")
        monkeypatch.setattr(logger, "filters", [LogFilter(but_of_tornados_own)])
    refused("kafka.example:" + port, exc.AuthenticationError, ["certificate", "kafka.example", "host name"],
            ssl=trusting(tls))


def test_ipv6_and_a_certificate_of_the_client(zookeeper, topic):
    """TLS 1.3 lets the handshake of a client without a certificate finish first, and complains then."""
    kafka = peer.cluster_of("4.4.0", host="::1", tls=True, client_auth=True)
    try:
        assert kafka.bootstrap[0].startswith("[::1]:")
        context = trusting(kafka)
        refused(kafka.bootstrap, exc.AuthenticationError, ["client certificate", "ssl="], ssl=context)
        context.load_cert_chain(kafka.client_cert, kafka.client_key)
        works(kafka, zookeeper, topic, ssl=context)
    finally:
        kafka.stop()


def test_a_password_changed_while_the_client_runs(plaintext, topic):
    """What has to log in anew says why it can't, and goes on once it can."""
    plaintext.create_topic(topic)

    def body(writer, start):
        yield writer.put(topic, 0, [b"1"])
        mechanism = login("PLAIN")
        consumer = yield start(clients.SingleConsumer, deserializer=bytes, max_wait_time=200, sasl=mechanism)
        assert (yield peer.gather(consumer, topic, 1, start=consumer.BEGINNING)) == [b"1"]
        consumer.settings.sasl = login("PLAIN", WRONG)
        for lane in peer.connections_of(consumer):
            lane.close()
        failed = yield loop.raises(exc.AuthenticationError, raising(consumer, topic), 20)
        assert "PLAIN" in str(failed) and WRONG not in str(failed)
        consumer.settings.sasl = mechanism
        yield writer.put(topic, 0, [b"2"])
        found = []
        while not found:
            try:
                found = yield consumer.consume(topic)
            except exc.AuthenticationError:
                pass
        assert found == [b"2"]
    peer.with_clients(plaintext, body, request_timeout=3)


@gen.coroutine
def raising(consumer, topic):
    """Consumes until an error is raised."""
    while True:
        yield consumer.consume(topic)
