"""
A proxy between a client and real brokers that loses answers.

It takes one request of a connection after the other, as Kafka does, so it knows which answer is whose.
"""
from __future__ import absolute_import

import collections
import random
import struct

from tornado import gen, iostream, netutil, tcpclient, tcpserver

#: what becomes of a request: passed on and answered; passed on, and the connection cut when the broker has answered;
#: never passed on, and the connection left standing
PASS, CUT, HOLD = "pass", "cut", "hold"


class Losses(object):
    """
    Chooses by chance which answers are lost: ``lost`` of each ``among`` of every api.

    A share that each request had for itself would, with few requests, every now and then lose none: what is a request
    and what joins the one before depends on how busy the machine is.

    :param seed: of the chance
    :param api_keys: whose answers get lost
    """

    def __init__(self, seed, api_keys, lost=3, among=10):
        self._chance = random.Random(seed)
        self._api_keys = api_keys
        self._fates = [CUT] * lost + [PASS] * (among - lost)
        self._coming = {}  # api key -> the next of those fates, the last one first

    def __call__(self, api_key):
        """What becomes of a request."""
        if api_key not in self._api_keys:
            return PASS
        coming = self._coming.setdefault(api_key, [])
        if not coming:
            coming.extend(self._chance.sample(self._fates, len(self._fates)))
        return coming.pop()


class Proxy(object):
    """
    Stands before each broker of one client.

    ``choose(api key)`` says what becomes of a request; ``lost`` counts by api key what was not passed or answered.
    """

    def __init__(self, client, choose=lambda api_key: PASS):
        self.choose = choose
        self.lost = collections.Counter()
        self._servers = {}  # (host, port) -> _Server
        process = client.cluster.process_brokers

        def through(brokers):
            for broker in brokers:
                broker.port = self.before(broker.host, broker.port)
                broker.host = "127.0.0.1"
            return process(brokers)

        client.cluster.process_brokers = through

    def before(self, host, port):
        """The port at which a broker is reached."""
        server = self._servers.get((host, port))
        if server is None:
            server = self._servers[host, port] = _Server(self, host, port)
        return server.port

    def stop(self):
        """Stops listening."""
        for server in self._servers.values():
            server.stop()


class _Server(tcpserver.TCPServer):
    def __init__(self, proxy, host, port):
        super(_Server, self).__init__()
        self.proxy = proxy
        self.target = host, port
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.add_sockets(sockets)

    @gen.coroutine
    def handle_stream(self, stream, address):
        server = None
        try:
            server = yield tcpclient.TCPClient().connect(*self.target)
            while True:
                request = yield _frame(stream)
                api_key, = struct.unpack_from(">h", request, 4)
                fate = self.proxy.choose(api_key)
                if fate == HOLD:
                    self.proxy.lost[api_key] += 1
                    yield _frame(stream)  # nothing more is asked before the client hangs up
                yield server.write(request)
                answer = yield _frame(server)
                if fate == CUT:
                    self.proxy.lost[api_key] += 1
                    return
                yield stream.write(answer)
        except iostream.StreamClosedError:
            pass
        finally:
            stream.close()
            if server is not None:
                server.close()


@gen.coroutine
def _frame(stream):
    """One frame, with its size."""
    size = yield stream.read_bytes(4)
    rest = yield stream.read_bytes(struct.unpack(">i", size)[0])
    raise gen.Return(size + rest)
