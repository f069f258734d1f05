"""Messages one by one: each is checked, made bytes, and put into a batch or made to wait."""
from __future__ import absolute_import

import six

from kiel import arguments, exc
from kiel.clients.producing import serializing
from kiel.clients.producing.batch import RECORD_OVERHEAD
from kiel.clients.producing.delivery import Delivery
from kiel.clients.producing.loop_turn import FORKS_UNSEEN
from kiel.clients.producing.message import labelled
from kiel.clients.producing.promise import Promise
from kiel.events import settle
from kiel.retry import monotonic

#: what a key maker may return besides text and None: kiel 0.9 wrote a number's text
_MADE_KEYS = (bytes,) + six.integer_types

_text = six.text_type


class OneByOne(object):
    """
    The way of every message but those of a run, which `kiel.clients.producer.Producer.produce` appends itself, and of
    those that `kiel.clients.producing.bulk.Bulk` takes in pieces.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param accumulator: the `kiel.clients.producing.accumulator.Accumulator`
    :param pending: the `kiel.clients.producing.pending_records.PendingRecords`
    :param admission: the `kiel.clients.producing.admission.Admission`
    :param turn: the `kiel.clients.producing.loop_turn.LoopTurn`
    """

    def __init__(self, client, accumulator, pending, admission, turn):
        #: the application's key maker, which is asked for each message without a key; None where there is none
        self.key_maker = None
        self._client = client
        self._accumulator = accumulator
        self._pending = pending
        self._admission = admission
        self._turn = turn

    def take(self, topic, message, value, key, partition, headers, timestamp, timeout, now):
        """Take a serialized message; see `kiel.clients.producer.Producer.produce`."""
        turn = self._turn
        due = not turn.last <= now < turn.next
        if due or not turn.looked or FORKS_UNSEEN:
            turn.begin(now, due)
        if timeout is not None:
            timeout = arguments.seconds("timeout", timeout)
        delivery = self.append(topic, message, value, key, partition, headers, timestamp, self.key_maker is None)
        accumulator = self._accumulator
        if delivery.__class__ is not Delivery:
            future = self._pending.wait(delivery)
        elif accumulator.unflushed >= accumulator.flush_at and accumulator.set_off():
            future = accumulator.sent(delivery, Promise())
        elif due and turn.over(now):
            return turn.later(delivery, Promise())
        else:
            future = turn.promise()
            future.set_result(delivery)
            return future
        return future if timeout is None else self._bounded(future, timeout, delivery)

    def take_now(self, topic, message, value, key, partition, headers, timestamp):
        """Take a serialized message; see `kiel.clients.producer.Producer.produce_nowait`."""
        delivery = self.append(topic, message, value, key, partition, headers, timestamp)
        if delivery.__class__ is not Delivery:
            delivery = self._pending.take_now(delivery)
        accumulator = self._accumulator
        if accumulator.unflushed >= accumulator.flush_at:
            accumulator.set_off()
        return delivery

    def append(self, topic, message, value, key, partition, headers, timestamp, runs=False):
        """
        Append a serialized message; return its Delivery, or the `PendingRecord` that has to wait.

        The turn has been asked for the time.

        :param runs: whether a run may begin with it
        """
        if topic.__class__ is not str:
            topic = arguments.text("topic", topic)
        if partition is not None and partition.__class__ is not int:
            partition = arguments.integer("partition", partition, 0)
        if value.__class__ is not bytes:
            if value.__class__ is _text:
                value = value.encode("utf-8")
            elif value is not None:
                return self._append_made(topic, message, value, key, partition, headers, timestamp)
        if key is None and headers is None and self.key_maker is None:
            label, size = None, RECORD_OVERHEAD + len(value or b"")
        elif key.__class__ is bytes and headers is None:
            label, size = (key, None), RECORD_OVERHEAD + len(value or b"") + len(key)
        else:
            made = key is None and self.key_maker is not None
            if made:
                key = _checked_key(self.key_maker(message))
            elif key.__class__ is not bytes:
                arguments.octets("key", key)
            label, size = labelled(key, value, headers)
            if made and self._accumulator.only_given:
                key = None  # it is written, and has no say in the partition
        if timestamp is None:
            stamp = self._turn.ms
        else:
            stamp, runs = arguments.milliseconds("timestamp", timestamp), False
        return self._accumulator.append(topic, key, label, value, stamp, partition, size, runs)

    def _append_made(self, topic, message, value, key, partition, headers, timestamp):
        """
        `append` for what a serializer returned that is neither bytes nor text nor None.

        Where that has to be waited for, the message takes its place in the line of those that wait for room: what is
        produced later waits behind it.
        """
        value, headers, future = serializing.made(value, topic, headers)
        if future is None:
            return self.append(topic, message, value, key, partition, headers, timestamp)
        admission = self._admission
        admission.is_open = False  # it is not to be accepted, whatever room there is
        try:
            pending = self.append(topic, message, None, key, partition, headers, timestamp)
        finally:
            admission.update()

        def label(result):
            """Return what is written of the message."""
            value, all_headers = serializing.resolved(result, headers)
            if all_headers is headers:
                return value, pending.label, pending.size + len(value or b"")
            return (value,) + labelled(None if pending.label is None else pending.label[0], value, all_headers)

        serializing.watch(pending, future, label, lambda: admission.release(0))
        return pending

    def written(self, taken, timeout, begun):
        """
        Return a Future of the `kiel.clients.producing.delivery.RecordMetadata` of a message.

        :param taken: the Future of its Delivery; it is cancelled with what is returned
        :param timeout: seconds for all of it, or None
        :param begun: when that began (`kiel.retry.monotonic`)
        """
        written = Promise()

        def wait(_):
            """The message is accepted, or not."""
            error = None if taken.cancelled() else taken.exception()
            if error is not None:
                settle(written, error=error)
            elif not taken.cancelled():
                delivery = taken.result()
                delivery.batch.wait(delivery.index, None, written)
                if timeout is not None:
                    left = arguments.seconds("timeout", timeout) - (monotonic() - begun)
                    self._bounded(written, max(0.0, left), delivery, timeout)

        if taken.done():
            wait(taken)
        else:
            taken.add_done_callback(wait)
            written.add_done_callback(lambda _: written.cancelled() and taken.cancel())
        return written

    def _bounded(self, future, seconds, taken, timeout=None):
        """
        Return a Future that ends with an error when so many seconds are over.

        :param taken: the message's Delivery, or the PendingRecord that waits for room
        :param timeout: what the caller gave, where that is not what is left of it
        """
        def give_up():
            accepted = taken.__class__ is Delivery or taken.accepted
            settle(future, error=exc.DeliveryTimeoutError("no answer within timeout=%g s; %s" % (
                arguments.seconds("timeout", seconds if timeout is None else timeout),
                "the message is still under way and may be written" if accepted else
                "%s, so the message is not written" % (
                    "the serializer is not done" if taken.serializing else "there was no room")
            )))

        if not future.done():
            io_loop = self._client.io_loop
            timer = io_loop.call_later(seconds, give_up)
            future.add_done_callback(lambda _: io_loop.remove_timeout(timer))
        return future


def no_key(message):
    """The default key maker: no keys."""
    return None


def own_key_maker(key_maker):
    """Return the application's key maker, None where there is none to be asked."""
    if key_maker is None or key_maker is no_key:
        return None
    return arguments.plain_callable("key_maker", key_maker)


def _checked_key(key):
    """Return what a key maker made, unless that is no key."""
    if key.__class__ not in _MADE_KEYS:
        arguments.made("key_maker", key)
    return key
