"""One case of the sweep: a client, an api, and a code that is answered once or for a while; with a ledger."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import clients, events, exc
from kiel.clients.offsets import BEGINNING
from kiel.retry import Backoff, monotonic

from tests import fake

#: seconds for which "a while" lasts, and after which a case hangs
WHILE, LIMIT = 0.4, 30.0

#: requests that one case may take, and those per second: more is spinning
MOST, RATE = 60, 80.0

#: client -> the apis that it uses
APIS = collections.OrderedDict([
    ("producer", ("metadata", "produce")),
    ("idempotent producer", ("metadata", "init_producer_id", "produce")),
    ("single consumer", ("metadata", "offset", "fetch")),
])

#: all codes of Kafka's, and one that nobody knows
CODES = sorted(code for code in exc.by_code if code) + [9999]

SETTINGS = dict(retry=Backoff(first=0.02, most=0.2, deadline=4.0), request_timeout=5)


class Outcome(object):
    """
    What came of a case.

    :param raised: names of the errors that the application got, in their order
    :param complaint: what is wrong with it; None when all is well
    """

    def __init__(self, raised, complaint, requests):
        self.raised = raised
        self.complaint = complaint
        self.requests = requests

    def __str__(self):
        if self.complaint:
            return "BROKEN: " + self.complaint
        return ", ".join(sorted(set(self.raised))) or "recovers"


class Ledger(object):
    """What the application was told."""

    def __init__(self):
        self.raised = []
        self.done = []

    @gen.coroutine
    def attempt(self, future):
        """Wait for a call; note its error. Return (whether it went well, its result)."""
        try:
            result = yield future
        except exc.KielError as error:
            self.raised.append(type(error).__name__)
            raise gen.Return((False, None))
        raise gen.Return((True, result))


@gen.coroutine
def run(client, api, code, once):
    """Run one case; return its `Outcome`."""
    cluster = fake.FakeCluster(topics={"t": 1}).start()
    ledger = Ledger()
    begun = monotonic()
    complaint = None
    try:
        case = consumer_case if client == "single consumer" else producer_case
        complaint = yield events.within(
            LIMIT, case(cluster, ledger, api, code, once, client == "idempotent producer")
        )
    except gen.TimeoutError:
        complaint = "hangs"
    except Exception as error:
        complaint = "%s: %s" % (type(error).__name__, error)
    finally:
        requests, seconds = len(cluster[1].requests), monotonic() - begun
        cluster.stop()
    if complaint is None and requests > MOST and requests / seconds > RATE:
        complaint = "spins: %d requests in %.1f s" % (requests, seconds)
    raise gen.Return(Outcome(ledger.raised, complaint, requests))


@gen.coroutine
def fault(cluster, api, code, once):
    """Have the broker answer an api with a code, once or for a while."""
    cluster[1].on(api, fake.error(code), times=1 if once else None)
    if not once:
        yield gen.sleep(WHILE)
        cluster[1].on(api, None)


@gen.coroutine
def read_all(cluster):
    """Return the values in the log, as a client that saw no fault reads them."""
    consumer = clients.SingleConsumer(cluster.bootstrap, deserializer=bytes, max_wait_time=100)
    yield consumer.connect()
    values = []
    try:
        ends = yield consumer.end_offsets("t")
        while ends[0] and consumer.position("t", 0) != ends[0]:
            values.extend((yield consumer.consume("t", start=BEGINNING)))
    finally:
        yield consumer.close()
    raise gen.Return(values)


@gen.coroutine
def producer_case(cluster, ledger, api, code, once, idempotent):
    """Messages during and after the fault: each acknowledged one is there once, and the last is acknowledged."""
    producer = clients.Producer(
        cluster.bootstrap, serializer=bytes, idempotent=idempotent, delivery_timeout=5, **SETTINGS
    )
    ended = fault(cluster, api, code, once)
    try:
        connected, _ = yield ledger.attempt(producer.connect())
        for value in (b"a", b"b", b"c"):
            good, _ = yield ledger.attempt(producer.produce("t", value))
            if good:
                ledger.done.append(value)
        yield ended
        good, _ = yield ledger.attempt(producer.produce("t", b"last"))
        if good:
            ledger.done.append(b"last")
    finally:
        yield producer.close()
    cluster[1].on(api, None)
    values = yield read_all(cluster)
    lost = [value for value in ledger.done if value not in values]
    if lost:
        raise gen.Return("acknowledged and not there: %r" % lost)
    if len(values) != len(set(values)):
        raise gen.Return("written twice: %r" % values)
    if b"last" not in ledger.done and not idempotent:
        raise gen.Return("does not recover: %s" % ", ".join(ledger.raised))


@gen.coroutine
def consumer_case(cluster, ledger, api, code, once, _):
    """All messages are handed out once, in their order, whatever is answered on the way."""
    cluster.log("t", 0).put(b"1", b"2", b"3")
    consumer = clients.SingleConsumer(cluster.bootstrap, deserializer=bytes, max_wait_time=200, **SETTINGS)
    ended = fault(cluster, api, code, once)
    try:
        yield ledger.attempt(consumer.connect())
        for _ in range(30):
            if len(ledger.done) >= 3:
                break
            good, messages = yield ledger.attempt(consumer.consume("t", start=BEGINNING))
            ledger.done.extend(messages or ())
            if not good:
                yield gen.sleep(0.05)
        yield ended
    finally:
        yield consumer.close()
    if ledger.done != [b"1", b"2", b"3"]:
        raise gen.Return("handed out %r: %s" % (ledger.done, ", ".join(ledger.raised)))
