"""microsocks and tinyproxy, as Debian has them, between kiel and a real broker that speaks TLS."""
from __future__ import absolute_import

import ssl
import subprocess

import pytest
from tornado import gen

from kiel import clients, exc, testing
from kiel.testing import ports

from tests import loop
from tests.integration import peer
from tests.needs import program

USER, PASSWORD = "mallory", "proxys-Pa55word"

TINYPROXY = """
Port %d
Listen 127.0.0.1
Allow 127.0.0.1
Timeout 600
BasicAuth %s %s
"""


@pytest.fixture(scope="module", params=peer.only("4.4.0"))
def kafka(request):
    with testing.Kafka(request.param, tls=True) as cluster:
        cluster.create_topic("through")
        yield cluster


def microsocks(port, tmpdir):
    return [program("microsocks"), "-i", "127.0.0.1", "-p", str(port), "-u", USER, "-P", PASSWORD]


def tinyproxy(port, tmpdir):
    config = tmpdir.join("tinyproxy.conf")
    config.write(TINYPROXY % (port, USER, PASSWORD))
    return [program("tinyproxy"), "-d", "-c", str(config)]


@pytest.fixture(params=[("socks5", microsocks), ("http", tinyproxy)], ids=["microsocks", "tinyproxy"])
def proxy(request, tmpdir):
    """A function that makes a URL of a running proxy, with a password."""
    scheme, command = request.param
    port, = ports.take()
    try:
        command = command(port, tmpdir)
        with open(str(tmpdir.join("out")), "wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, close_fds=True)
        try:
            yield lambda password: "%s://%s:%s@127.0.0.1:%d" % (scheme, USER, password, port)
        finally:
            process.kill()
            process.wait()
    finally:
        ports.give_back([port])


@gen.coroutine
def connected(client):
    """Connect, once the proxy listens."""
    while True:
        try:
            yield client.connect()
            return
        except exc.NoBrokersError as error:
            assert "can't be reached" in str(error), str(error)
            yield gen.sleep(0.02)


def test_a_round_trip_through_it_and_a_wrong_password(kafka, proxy):
    def body():
        context = ssl.create_default_context(cafile=kafka.ca_file)
        producer = clients.Producer(kafka.bootstrap, ssl=context, serializer=bytes, proxy=proxy(PASSWORD))
        consumer = clients.SingleConsumer(
            kafka.bootstrap, ssl=context, deserializer=bytes, max_wait_time=200, proxy=proxy(PASSWORD))
        refused = clients.Producer(kafka.bootstrap, ssl=context, proxy=proxy("not-the-Pa55word"))
        yield connected(producer)
        yield consumer.connect()
        yield (yield producer.produce("through", b"1"))
        assert b"1" in (yield peer.gather(consumer, "through", 1, start=consumer.BEGINNING))
        failed = yield loop.raises(exc.AuthenticationError, refused.connect())
        assert "proxy" in str(failed).lower() and "Pa55word" not in str(failed)
        yield [client.close() for client in (producer, consumer, refused)]
    loop.run(gen.coroutine(body), timeout=30)
