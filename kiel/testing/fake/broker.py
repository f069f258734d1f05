"""One broker of a `kiel.testing.FakeKafka`."""
from __future__ import absolute_import

import logging

from tornado import gen, iostream

from kiel import exc
from kiel.testing.fake import faults
from kiel.testing.fake.answers import ANSWERS
from kiel.testing.fake.call import Call
from kiel.testing.fake.listener import Listener, size_of
from kiel.testing.fake.signal import Signal
from kiel.testing.fake.versions import SERVED

log = logging.getLogger(__name__)

#: seconds between two looks at whether a broker is still paused
LOOK = 60.0


class Serving(Listener):
    """
    What a broker does on the fake's own thread.

    :param broker_id: its id
    :param cluster: a function that returns the `kiel.testing.fake.cluster.Cluster`
    """

    def __init__(self, broker_id, cluster, host, port):
        super(Serving, self).__init__(host, port)
        self.id = broker_id
        self._cluster = cluster
        self.is_up = False
        self.is_paused = False
        self.resumed = Signal()

    def start(self):
        """Listen, on the port that it had before, if any."""
        super(Serving, self).start()
        self.is_up = True

    def stop(self):
        """Be down: hang up on all, and listen no more."""
        self.is_up = False
        super(Serving, self).stop()

    def resume(self):
        """Answer again."""
        self.is_paused = False
        self.resumed.happen()

    @gen.coroutine
    def converse(self, stream, number):
        """Answer a request after the other, each before the next is read, as Kafka does."""
        goes_on = True
        while goes_on:
            try:
                goes_on = yield self._exchange(stream)
            except iostream.StreamClosedError:  # the usual end, of which no Future needs to tell
                return

    @gen.coroutine
    def _exchange(self, stream):
        """Answer the next request; return whether the connection goes on."""
        size = size_of((yield stream.read_bytes(4)))
        if size is None:
            log.warning("The fake Kafka hangs up: what came is no request of Kafka's")
            raise gen.Return(False)
        payload = yield stream.read_bytes(size)
        while self.is_paused and not stream.closed():
            yield self.resumed.wait(LOOK)
        frame, goes_on = yield self._answer(stream, payload)
        if frame is not None:
            yield stream.write(frame)
        raise gen.Return(goes_on)

    @gen.coroutine
    def _answer(self, stream, payload):
        """Return the bytes of an answer, None for none, and whether the connection goes on."""
        cluster = self._cluster()
        call = Call(cluster, self.id, stream, payload)
        low, high = SERVED.get(call.api, (0, -1))
        if not low <= call.version <= high:
            if call.api == "api_versions":
                raise gen.Return((call.refusal(low, high), True))
            log.warning("The fake Kafka hangs up: it does not serve %s version %d, only %s", call.api, call.version,
                        "%d to %d" % (low, high) if call.api in SERVED else "other apis")
            raise gen.Return((None, False))
        try:
            call.decode()
        except exc.ProtocolError as error:
            log.warning("The fake Kafka hangs up: %s version %d: %s", call.api, call.version, error)
            raise gen.Return((None, False))
        cluster.counts[call.api] += 1
        delay = cluster.faults.find(call.api, faults.DELAY)
        if delay is not None:
            delay.spend()
            yield gen.sleep(delay.value)
        fault = cluster.faults.find(call.api, faults.ERROR, faults.HANG_UP)
        if fault is not None and fault.kind == faults.HANG_UP:
            fault.spend()
            raise gen.Return((None, False))
        call.meet(fault)
        fields = yield gen.maybe_future(ANSWERS[call.api](call))
        if call.hit:
            fault.spend()
        raise gen.Return((call.frame(fields), True))
