"""Between the outboxes and the brokers: what waits for a broker, requests on their way, answers."""
from __future__ import absolute_import

import collections
import functools
import logging
import time

from kiel import exc
from kiel.clients import freight
from kiel.clients.outbox import IN_FLIGHT, failure
from kiel.clients.transaction import DOUBTFUL, FALL_BACK, REMAKE, RESEND, WRITTEN
from kiel.protocol import produce

log = logging.getLogger(__name__)

#: Requests on their way to one broker at once; each partition is in one of them at most.
FLIGHTS = 2

#: bytes of batches that are encoded between two looks at the clock
WORTH_ASKING = 64 * 1024


class Desk(object):
    """
    What waits to go to one broker, and how much is on its way there.

    ``opening`` says that it waits for something itself: a connection, the producer's id, or the loop's turn.
    """

    __slots__ = ("broker_id", "ready", "flights", "opening")

    def __init__(self, broker_id):
        self.broker_id = broker_id
        self.ready = collections.deque()
        self.flights = 0
        self.opening = False


class Flight(object):
    """One request on its way: ``cargo`` are its ``(outbox, batch)`` pairs."""

    __slots__ = ("desk", "cargo", "request")

    def __init__(self, desk, cargo, request):
        self.desk = desk
        self.cargo = cargo
        self.request = request


class Changes(object):
    """
    What one event brought, collected while state changes and acted upon when all of it is right.

    ``told`` is for `kiel.clients.outbox.resolve`, ``freed`` the bytes of buffer that are free
    again, ``moved`` the outboxes that are LINGERING and may go on, ``failed`` pairs of an outbox
    that rests and its error.
    """

    __slots__ = ("told", "freed", "moved", "failed")

    def __init__(self):
        self.told = []
        self.freed = 0
        self.moved = []
        self.failed = []


class Desks(object):
    """
    Loads requests with the heads of the outboxes that wait at a desk, and handles what comes back.

    The other half of `kiel.clients.shipping.Shipper`, which has the settings and all state.
    """

    # -- out --

    def _work(self, desk, changes, asked=False, due=False):
        """
        Sends what waits at a desk, as far as it may. Encoding takes its time, so the loop has its turn in between.

        :param asked: the broker has just been asked what it serves
        :param due: one request is sent now, however long others have taken
        """
        while desk.ready and desk.flights < FLIGHTS and not desk.opening:
            conn = self.cluster.conns.get(desk.broker_id)
            if conn is None:
                gone = exc.LeaderNotAvailableError("broker %s is gone" % desk.broker_id)
                self._fail_desk(desk, gone, changes)
            elif conn.closing:
                self._fail_desk(desk, conn.error, changes)
            elif not asked and "produce" not in conn.wire.versions:
                # what it speaks decides how messages are written
                desk.opening = True
                conn.connect().add_done_callback(functools.partial(self._opened, desk))
            elif not (due or asked) and self._over():
                desk.opening = True
                if not self._postponed:
                    self.producer.io_loop.add_callback(self._go_on)
                self._postponed.append(desk)
            else:
                due = False
                try:
                    waits = self.producer.prepare(conn, desk.ready)
                    if waits is None:
                        self._launch(desk, conn, changes)
                    else:
                        desk.opening = True
                        waits.add_done_callback(functools.partial(self._opened, desk, asked=False))
                except Exception as error:  # nobody else would ever move what waits here
                    if not isinstance(error, exc.KielError):
                        log.exception("Could not send a ProduceRequest")
                    self._fail_desk(desk, error, changes)

    def _opened(self, desk, future, asked=True):
        """What a desk waited for, a connection or the producer's id, is there, or failed."""
        desk.opening = False
        changes = Changes()
        if future.exception() is not None:
            self._fail_desk(desk, future.exception(), changes)
        else:
            self._work(desk, changes, asked)
        self._act(changes)

    def _over(self):
        """Whether the loop is due its turn; asked in between large pieces of work only, as a small one is soon done."""
        if self._encoded < WORTH_ASKING:
            return False
        self._encoded = 0
        return self.turn.over(time.time())

    def _go_on(self):
        """The loop had its turn: the desks that waited for it go on."""
        postponed, self._postponed = self._postponed, []
        due = True  # the first one in any case: others may have had their share of this turn already
        for desk in postponed:
            desk.opening = False
            changes = Changes()
            self._work(desk, changes, due=due)
            self._act(changes)
            due = False

    def _fail_desk(self, desk, error, changes):
        """All that waits at a desk failed with one error."""
        waiting = list(desk.ready)
        desk.ready.clear()
        for outbox in waiting:
            self._trouble(outbox, error, changes, whole=True)

    def _launch(self, desk, conn, changes):
        """Sends the heads of as many outboxes as fit into one request."""
        version = conn.wire.version(produce.ProduceRequest)
        cargo = []
        size = 0
        while desk.ready:
            outbox = desk.ready[0]
            leader = self.cluster.leaders.get(outbox.topic, {}).get(outbox.partition)
            if not outbox.batches or leader != desk.broker_id:
                desk.ready.popleft()
                outbox.go("moved")
                changes.moved.append(outbox)
                continue
            outbox.batches[0].settle()
            if cargo and (size + outbox.batches[0].size > self.producer.max_request_bytes or self._over()):
                break
            batch = outbox.seal()
            if not self._encode(outbox, batch, version, changes):
                continue
            desk.ready.popleft()
            outbox.go("sent")
            if len(outbox.batches) == 1:
                outbox.due = False
            size += batch.size
            self._encoded += batch.size
            cargo.append((outbox, batch))
        if cargo:
            flight = Flight(desk, cargo, freight.request(self.producer, cargo))
            desk.flights += 1
            self.sent[flight.request.correlation_id] = flight
            # the Future of the answer comes a turn of the loop later; that is for what has no answer
            flight.request.on_answer = self._heard
            try:
                future = conn.send(flight.request)
            except Exception as error:
                log.exception("A request could not be sent")
                self._lost(flight, error)
            else:
                future.add_done_callback(functools.partial(self._landed, flight))

    def _encode(self, outbox, batch, version, changes):
        """Makes the bytes of a head; False when there are none, as the head is another one now."""
        try:
            freight.encode(
                batch, version, self.producer.compression or 0, self.producer.identity
            )
            return True
        except freight.Headers as found:
            # the messages with headers fail, all others are kept
            for part, refused in zip(outbox.split(found.cuts), found.flags):
                if refused:
                    self._finish(part, changes, failure(found.error, part.topic, part.partition))
                    outbox.drop(part)
        except Exception as error:
            if not isinstance(error, exc.KielError):
                log.exception("%r can't be encoded", batch)
            self._finish(batch, changes, failure(error, batch.topic, batch.partition))
            outbox.drop(batch)
        return False

    # -- back --

    def _landed(self, flight, future):
        """A request was answered, or failed."""
        error = future.exception()
        self._settle(flight, future.result() if error is None else None, error)

    def _heard(self, response):
        """An answer just came; that names its flight, which a request must not hold on to in a circle."""
        flight = self.sent.get(response.correlation_id)
        if flight is not None:
            self._settle(flight, response)

    def _settle(self, flight, response, error=None):
        """A flight came to its end, by its answer or by an error; a second end of it changes nothing."""
        try:
            if error is not None:
                self._lost(flight, error)
            else:
                self._answered(flight, response)
        except Exception as wrong:
            # nothing that was under way may be forgotten, whatever is wrong
            log.exception("An answer could not be handled")
            self._lost(flight, wrong)

    def handle(self, response):
        """Handles an answer; one to a request that is not ours is left alone."""
        flight = self.sent.get(response.correlation_id)
        if flight is not None:
            self._answered(flight, response)

    def _ended(self, flight):
        """Takes a flight out of the books; False when it had gone already."""
        if self.sent.pop(flight.request.correlation_id, None) is None:
            return False
        flight.desk.flights -= 1
        return True

    def _lost(self, flight, error):
        """No answer came, and whether the messages were written is not known."""
        self._ended(flight)
        changes = Changes()
        for outbox, batch in flight.cargo:
            if outbox.state is IN_FLIGHT and outbox.batches[0] is batch:
                batch.doubtful = True
                self._trouble(outbox, error, changes)
        self._next(flight.desk, changes)

    def _answered(self, flight, response):
        """
        The answer came; ``None`` is that of a request that asked for none, and has been written.
        """
        if not self._ended(flight):
            return
        parts = {}
        for topic in response.topics if response is not None else ():
            for part in topic.partitions:
                parts[topic.name, part.partition_id] = part
        changes = Changes()
        try:
            for outbox, batch in flight.cargo:
                part = parts.get((outbox.topic, outbox.partition))
                if batch.done:  # given up meanwhile
                    outbox.drop(batch)
                elif response is None:
                    self._written(outbox, batch, -1, -1, changes)
                elif part is not None and part.error_code == 0:
                    self._written(outbox, batch, part.offset, part.timestamp, changes)
                elif (
                    part is not None and part.error_code in freight.TOO_LARGE and len(batch) > 1
                    and not (batch.doubtful and batch.sequence is not None)
                ):
                    self.producer.identity.give_back(batch)
                    outbox.split([len(batch) // 2])
                    outbox.due = True
                elif not self._refused(outbox, batch, part, changes):
                    continue
                outbox.go("answered")
                changes.moved.append(outbox)
        finally:  # what is done is told, whatever may be wrong with the rest
            self._next(flight.desk, changes)

    def _refused(self, outbox, batch, part, changes):
        """A batch was not taken; True when its answer ends it, False when `_trouble` has seen to it."""
        error = freight.error_of(part)
        identity = self.producer.identity
        code = None if part is None else part.error_code
        verdict = identity.judge(batch, code, part.log_start_offset if part is not None else -1)
        if verdict == WRITTEN:
            self._written(outbox, batch, -1, -1, changes)
            return True
        if verdict == REMAKE:
            identity.remake(batch)
            error.retriable = True
        elif verdict == FALL_BACK:
            identity.give_back(batch)
            self.producer.fall_back(error)
            error.retriable = True
        elif verdict == RESEND:
            error.retriable = True
        elif part is None or code in DOUBTFUL:
            batch.doubtful = True
        self._trouble(outbox, error, changes)
        return False

    def _written(self, outbox, batch, offset, timestamp, changes):
        """A batch arrived."""
        self._finish(batch, changes, None, offset, timestamp)
        outbox.drop(batch)
        outbox.clock = None

    def _next(self, desk, changes):
        """A flight to this desk is over, so another may start."""
        if desk.ready:
            self._work(desk, changes)
        self._act(changes)
