"""One case of the sweep: a client, an api, and a code that is answered once or for a while; with a ledger."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import clients, events, exc
from kiel.clients.offsets import BEGINNING
from kiel.protocol import errors
from kiel.retry import Backoff, monotonic

from tests import answers, fake
from tests.clients.producing.transactions import Member
from tests.sweep import admin, members

#: seconds for which "a while" lasts from the first request on, what it waits for that, and after which a case hangs
WHILE, UNASKED, LIMIT = 0.4, 3.0, 30.0

#: requests that one case may take, and those per second: more is spinning
MOST, RATE = 60, 80.0

#: client -> the apis that it uses
APIS = collections.OrderedDict([
    ("producer", ("metadata", "produce", "describe_configs")),
    ("idempotent producer", ("metadata", "init_producer_id", "produce")),
    ("producer with several batches under way", ("produce",)),
    ("transactional producer", ("group_coordinator", "init_producer_id", "add_partitions_to_txn", "produce",
                                "add_offsets_to_txn", "txn_offset_commit", "end_txn")),
    ("single consumer", ("metadata", "offset", "fetch")),
    ("consumer that fetches ahead", ("fetch",)),
    ("member of a classic group", members.APIS["classic"]),
    ("member of a next-generation group", members.APIS["consumer"]),
    ("admin", tuple(admin.CALLS)),
])

#: all codes of Kafka's, and one that nobody knows
CODES = sorted(code for code in exc.by_code if code) + [9999]

SETTINGS = dict(retry=Backoff(first=0.02, most=0.2, deadline=4.0), request_timeout=5)

#: DUPLICATE_SEQUENCE_NUMBER says that the batch is in the log, so it is
DUPLICATE = 46


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

    settings = SETTINGS

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


class Fault(object):
    """
    A broker that answers an api with a code, once or for a while, and as it did before after that.

    :param refuse: the handler that does so
    """

    def __init__(self, cluster, code, refuse, once):
        self.broker = cluster[1]
        self.code = code
        self.refuse = refuse
        self.once = once
        self.active = False
        #: how many requests were refused
        self.refused = 0

    @gen.coroutine
    def begin(self, api):
        """Have it answer so; the Future is done when that is over."""
        usual = self.broker.handlers.get(api, [None])[0]
        self.active = True

        def handler(call):
            if not self.active:
                return usual(call) if usual is not None else None
            self.active = not self.once
            self.refused += 1
            return self.refuse(call)

        self.broker.on(api, handler)
        if not self.once:
            until = monotonic() + UNASKED
            while not self.refused and monotonic() < until:
                yield gen.sleep(0.01)
            yield gen.sleep(WHILE)
            self.active = False

    def end(self):
        """It is over, whether or not anybody asked."""
        self.active = False


def refusal(client, api, code):
    """A handler that answers an api with a code, as a broker would."""
    def written(call):
        for topic in call.request.topics:
            for part in topic.partitions:
                call.cluster.log("t", part.partition_id).accept(part.message_set.data)
        call.error_at = (code, None, None)
    if api == "produce" and code == DUPLICATE:
        return written
    own = members.refusal(api, code) if "member" in client else None
    return own or (fake.error(code) if hasattr(answers, api) else admin.answer(code))


def case_of(client, cluster, ledger, api, fault):
    """A Future of one case: of what is wrong, None when all is well."""
    if "group" in client:
        return members.case(cluster, ledger, api, fault, "classic" if "classic" in client else "consumer")
    if client == "producer" and api == "describe_configs":
        return limits_case(cluster, ledger, api, fault)
    return {
        "admin": admin.case, "transactional producer": transactions_case, "consumer that fetches ahead": ahead_case,
        "producer with several batches under way": pipeline_case, "single consumer": consumer_case,
        "producer": producer_case, "idempotent producer": idempotent_case,
    }[client](cluster, ledger, api, fault)


#: client -> what its broker serves, where that is more than the newest that the fake knows
VERSIONS = {"admin": admin.VERSIONS, "member of a classic group": members.VERSIONS,
            "member of a next-generation group": members.VERSIONS, "producer": admin.VERSIONS}


@gen.coroutine
def run(client, api, code, once):
    """Run one case; return its `Outcome`."""
    cluster = fake.FakeCluster(topics={"t": 1}, versions=VERSIONS.get(client, "4.4")).start()
    ledger = Ledger()
    fault = Fault(cluster, code, refusal(client, api, code), once)
    begun = monotonic()
    complaint = None
    try:
        complaint = yield events.within(LIMIT, case_of(client, cluster, ledger, api, fault))
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


# -- producers --

@gen.coroutine
def producer_case(cluster, ledger, api, fault, idempotent=False):
    """Messages during and after the fault: each acknowledged one is there once, and the last is acknowledged."""
    producer = clients.Producer(
        cluster.bootstrap, serializer=bytes, idempotent=idempotent, delivery_timeout=5, **SETTINGS
    )
    ended = fault.begin(api)
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
    fault.end()
    values = yield read_all(cluster)
    lost = [value for value in ledger.done if value not in values]
    if lost:
        raise gen.Return("acknowledged and not there: %r" % lost)
    if len(values) != len(set(values)):
        raise gen.Return("written twice: %r" % values)
    if b"last" not in ledger.done and not idempotent:
        raise gen.Return("does not recover: %s" % ", ".join(ledger.raised))


def idempotent_case(cluster, ledger, api, fault):
    """The same, of a producer that has to be idempotent."""
    return producer_case(cluster, ledger, api, fault, True)


@gen.coroutine
def limits_case(cluster, ledger, api, fault):
    """What a broker finds too large has an error of its own, whatever it says to the question how much it takes."""
    admin.prepare(cluster)
    producer = clients.Producer(cluster.bootstrap, serializer=bytes, delivery_timeout=5, **SETTINGS)
    ended = fault.begin(api)
    try:
        yield producer.connect()
        cluster[1].on("produce", fake.error(10), times=1)
        yield ledger.attempt(producer.produce("t", b"large"))
        if ledger.raised != ["MessageSizeTooLargeError"]:
            raise gen.Return("raised %s" % ledger.raised)
        yield ended
        yield producer.produce("t", b"last")
    finally:
        yield producer.close()
    if (yield read_all(cluster)) != [b"last"]:
        raise gen.Return("the last is not there")


@gen.coroutine
def pipeline_case(cluster, ledger, api, fault):
    """Many batches, of which several are under way: each acknowledged one is there once, in its order."""
    producer = clients.Producer(
        cluster.bootstrap, serializer=bytes, delivery_timeout=5, linger=0.001, max_request_bytes=1000, **SETTINGS)
    yield producer.connect()
    yield (yield producer.produce("t", b"first")).future()
    values = [b"%03d" % number + b"." * 200 for number in range(30)]
    ended = fault.begin(api)
    try:
        deliveries = []
        for value in values:
            deliveries.append((value, (yield producer.produce("t", value))))
        for value, delivery in deliveries:
            good, _ = yield ledger.attempt(delivery.future())
            if good:
                ledger.done.append(value)
        yield ended
        yield (yield producer.produce("t", b"last")).future()
    finally:
        yield producer.close()
    fault.end()
    found = yield read_all(cluster)
    if found[:1] != [b"first"] or found[-1:] != [b"last"]:
        raise gen.Return("the first or the last is not there")
    if found != sorted(set(found), key=lambda value: (value == b"last", value != b"first", value)):
        raise gen.Return("not each once and in order: %r" % [value[:4] for value in found])
    lost = set(ledger.done).difference(found)
    if lost:
        raise gen.Return("acknowledged and not there: %r" % lost)


@gen.coroutine
def transactions_case(cluster, ledger, api, fault):
    """Transactions during and after the fault: each one said to be committed is, and the last goes well if any may."""
    producer = clients.Producer(
        cluster.bootstrap, serializer=bytes, transactional_id="x", delivery_timeout=5, **SETTINGS)
    ended = fault.begin(api)
    committed = []

    @gen.coroutine
    def transaction(value):
        """One transaction, ended as the documentation says: an end under way is asked for again, all else aborted."""
        yield producer.begin()
        good, _ = yield ledger.attempt(writing(value))
        for _ in range(40):
            state = producer.identity.state
            if state == "committing":
                good, _ = yield ledger.attempt(producer.commit())
            elif state in ("open", "broken", "aborting"):
                good = False
                yield ledger.attempt(producer.abort())
            else:
                break
            yield gen.sleep(0.05)
        if good:
            committed.append(value)

    @gen.coroutine
    def writing(value):
        yield producer.produce("t", value)
        yield producer.send_offsets(Member({("t", 0): 7}))
        yield producer.commit()

    try:
        yield ledger.attempt(producer.connect())
        for value in (b"a", b"b", b"c"):
            yield ledger.attempt(transaction(value))
        yield ended
        yield ledger.attempt(transaction(b"last"))
        fatal = producer.identity.state == "fatal"
    finally:
        yield producer.close()
    fault.end()
    found = yield read_all(cluster)
    if set(committed).difference(found):
        raise gen.Return("committed and not there: %r" % set(committed).difference(found))
    if sum(one for one, _ in cluster.ended) < len(committed):
        raise gen.Return("%d were said to be committed, the broker knows of %r" % (len(committed), cluster.ended))
    if b"last" not in committed and not fatal:
        raise gen.Return("does not recover: %s" % ", ".join(sorted(set(ledger.raised))))


# -- consumers --

@gen.coroutine
def consumer_case(cluster, ledger, api, fault):
    """All messages are handed out once, in their order, whatever is answered on the way."""
    cluster.log("t", 0).put(b"1", b"2", b"3")
    consumer = clients.SingleConsumer(cluster.bootstrap, deserializer=bytes, max_wait_time=200, **SETTINGS)
    ended = fault.begin(api)
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


@gen.coroutine
def ahead_case(cluster, ledger, api, fault):
    """Messages that come in many fetches, asked for before those before are taken: all once, in their order."""
    values = [b"%03d" % number for number in range(40)]
    for value in values:
        cluster.log("t", 0).put(value)
    consumer = clients.SingleConsumer(
        cluster.bootstrap, deserializer=bytes, max_wait_time=200, max_bytes=400, max_records=3, **SETTINGS)
    ended = None
    try:
        yield consumer.connect()
        for _ in range(60):
            if len(ledger.done) >= len(values):
                break
            if ended is None and len(ledger.done) > 5:
                ended = fault.begin(api)
            good, messages = yield ledger.attempt(consumer.consume("t", start=BEGINNING))
            ledger.done.extend(messages or ())
            if not good:
                yield gen.sleep(0.05)
        yield ended
    finally:
        yield consumer.close()
    runs = [ledger.done]
    if fault.code == errors.offset_out_of_range and ledger.done[:1] == values[:1]:
        # it goes on where it began, as `offset_reset` says
        begun = [at for at, value in enumerate(ledger.done) if value == values[0]] + [len(ledger.done)]
        runs = [ledger.done[first:last] for first, last in zip(begun, begun[1:])]
    if not runs or any(run != values[:len(run)] for run in runs) or len(ledger.done) < len(values):
        raise gen.Return("handed out %r: %s" % (ledger.done, ", ".join(ledger.raised)))
