"""A cluster that is gone costs next to nothing, here with scripted brokers; with real ones: tests/faults/down.py."""
from __future__ import absolute_import

import collections
import os

from tornado import gen

from kiel import clients, exc
from kiel.clients.offsets import BEGINNING
from kiel.groups.liveness import coordinator_connection
from kiel.protocol import heartbeat
from kiel.settings import Settings
from kiel.testing import ports

from tests import fake, loop
from tests.faults import down

#: seconds until the promise holds, and for which it is watched
SETTLING = float(os.environ.get("KIEL_DOWN_SETTLING") or 5)
SECONDS = float(os.environ.get("KIEL_DOWN_SECONDS") or 5)


def test_what_a_cluster_that_is_gone_costs(capsys):
    @gen.coroutine
    def body():
        cluster = fake.FakeCluster(brokers=3, topics={"t": 6})
        cluster.start()
        settings = {"request_timeout": 2, "connect_timeout": 2}
        producer = clients.Producer(
            cluster.bootstrap, serializer=bytes, linger=0.01, batch_size=10, client_id="p", **settings)
        consumer = clients.SingleConsumer(
            cluster.bootstrap, deserializer=bytes, client_id="c", max_wait_time=200, **settings)
        yield [producer.connect(), consumer.connect()]
        stopping = []
        errors = []

        @gen.coroutine
        def consume():
            while not stopping:
                try:
                    yield consumer.consume("t", BEGINNING)
                except exc.KielError as error:
                    errors.append(error)
        consuming = consume()
        for number in range(60):
            yield producer.produce("t", b"%d" % number if bytes is not str else str(number))
        yield producer.flush(5)
        cluster.stop()
        waiting = []
        for number in range(600):
            waiting.append((yield producer.produce("t", b"x", partition=number % 6)))
        yield gen.sleep(SETTLING)
        told = len(errors)
        with down.Attempts() as attempts:
            used = down.cpu()
            yield gen.sleep(SECONDS)
            used = down.cpu() - used
        total = collections.Counter(attempts.count)
        print("%.2f %% of a core for a producer and a consumer; attempts %s; errors told %d" % (
            100 * used / SECONDS, dict(total), len(errors) - told))
        assert not any(delivery.done() for delivery in waiting)
        # what a machine that is busy with other things adds is not ours
        assert used / SECONDS < 0.03, used
        assert total and max(total.values()) <= SECONDS + 1, total
        cluster.start()
        yield gen.with_timeout(loop.ioloop.IOLoop.current().time() + 10, gen.multi(waiting))
        stopping.append(True)
        yield [consumer.close(), producer.close()]
        yield consuming
        cluster.stop()
    loop.run(body, timeout=60)
    print(capsys.readouterr()[0])


def test_the_heart_of_a_group_dials_its_coordinator_once_a_try():
    """It asks around for another first, the coordinator it knows too: who was silent then is not dialled again."""
    @gen.coroutine
    def body():
        gone, = ports.take()
        talk = coordinator_connection.CoordinatorConnection(Settings(client_id="h"), "g", 1)
        talk.use(("127.0.0.1", gone), [])
        talk.coordinator_moved()
        with down.Attempts() as attempts:
            request = heartbeat.HeartbeatRequest(group_id="g", generation_id=1, member_id="m")
            yield loop.raises(exc.BrokerConnectionError, talk.send(request), 5)
        assert dict(attempts.count) == {("h", "127.0.0.1", gone): 1}
        talk.close()
        ports.give_back([gone])
    loop.run(body, timeout=10)
