"""From fetched batches to messages in the caller's hands: decoding, positions, and what can't be read."""
from __future__ import absolute_import

import json
import logging
import time
from itertools import repeat

from six.moves import map, zip
from tornado import gen

from kiel import exc
from kiel.clients.cursor import offset_of
from kiel.clients.record import Record
from kiel.clients.values import from_json
from kiel.collector import HeldOff

# these lines are the consumer's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.consumer")


class Reading(object):
    """The part of a `kiel.clients.consumer.BaseConsumer` that hands messages out."""

    @staticmethod
    def _raise_pending(cursors):
        """Raises the error that a partition ended the call before with, once; the partition is tried again."""
        for cursor in cursors:
            if cursor.error is not None:
                error, cursor.error = cursor.error, None
                raise error

    @gen.coroutine
    def _hand_out(self, taken, read):
        """Decodes what was taken, and moves positions on; the loop has its turn in between."""
        messages = []
        work = self._work_through(taken, read, messages)
        while True:
            with HeldOff():  # from one wait to the next, not batch by batch: the collector has less to look at twice
                wait = next(work, None)
            if wait is None:
                break
            try:
                yield wait
            except Exception:
                pass  # it is `_work_through` that deals with it
        if not messages:
            self._raise_pending([cursor for cursor, _, _ in taken])
        raise gen.Return(messages)

    def _work_through(self, taken, read, messages):
        """Does the work of `_hand_out`: a generator of what has to be waited for before it goes on."""
        for cursor, turn, batches in taken:
            done = None
            for batch in batches:
                if self._turn.over(time.time()):
                    yield gen.moment
                if cursor.turn != turn:
                    break  # sought elsewhere, or given away meanwhile
                try:
                    slow = read(cursor, turn, batch, messages)
                    if slow is not None:
                        yield slow
                        slow.result()  # or the error
                    done = batch
                except Exception as error:
                    if isinstance(error, exc.CorruptMessageError):
                        error.topic, error.partition = cursor.topic, cursor.partition
                        log.error("%s", error)
                    self._stay(cursor, turn, error)
                    break
            if done is not None and cursor.turn == turn:
                # once, not per batch: an offset with its epoch takes a microsecond to make
                self._moved(cursor, offset_of(cursor.handed, done.leader_epoch))
                self.offsets[cursor.topic][cursor.partition] = int(cursor.handed)

    def _stay(self, cursor, turn, error):
        """A message could not be handed out: the position stays there, and a coming call raises the error."""
        self.last_error = error
        if cursor.turn == turn:
            cursor.move(cursor.handed)
            cursor.rest()
            cursor.error = error

    def _read_values(self, cursor, turn, batch, messages):
        """Adds a batch's messages, deserialised, to a list; gives a Future or None."""
        values = batch.values(cursor.handed, self.check_crcs)
        deserializer = self._read_value()
        if deserializer is bytes:
            messages.extend(values)
        else:
            count = len(messages)
            append = messages.append
            try:
                for value in values:
                    append(deserializer(value))
            except Exception:
                # the slow way, from the message that failed on
                done = len(messages) - count
                return self._read_slowly(cursor, turn, batch, messages, done, lambda record: record.value)
        self._moved(cursor, batch.next_offset)
        return None

    def _read_records(self, cursor, turn, batch, messages):
        """Adds a batch's messages as records to a list; gives a Future or None."""
        offsets, timestamps, keys, values, headers = batch.columns(cursor.handed, self.check_crcs)
        deserializer = self._read_value()
        failed = False
        if deserializer is not bytes:
            raw, values = values, []
            append = values.append
            try:
                for value in raw:
                    append(deserializer(value))
            except Exception:
                failed = True  # the rest goes the slow way, from that message on
        # without a frame, or a tuple that is thrown away again, per message
        messages.extend(map(tuple.__new__, repeat(Record), zip(
            repeat(cursor.topic), repeat(cursor.partition), offsets, timestamps, keys, values, headers
        )))
        if failed:
            return self._read_slowly(cursor, turn, batch, messages, len(values), lambda record: record)
        self._moved(cursor, batch.next_offset)
        return None

    def _read_value(self):
        """The deserialiser, or one that gives the same sooner."""
        return from_json if self.deserializer is json.loads else self.deserializer

    @gen.coroutine
    def _read_slowly(self, cursor, turn, batch, messages, done, shape):
        """Goes through the rest of a batch one by one, since a message in it does not deserialise."""
        for record in batch.records(cursor.handed, False)[done:]:
            raw = Record(cursor.topic, cursor.partition, *record)
            try:
                value = self.deserializer(raw.value)
            except Exception as error:
                self._moved(cursor, raw.offset)  # those before it are handed out, whatever comes
                yield gen.maybe_future(self.on_error(raw, error))
                if cursor.turn != turn:
                    return
            else:
                messages.append(shape(Record(*(raw[:5] + (value,) + raw[6:]))))
        self._moved(cursor, batch.next_offset)

    def _moved(self, cursor, offset):
        """Messages before ``offset`` are handed out."""
        cursor.handed = offset
        self.offsets[cursor.topic][cursor.partition] = offset

    def log_error(self, record, error):
        """What happens by default to a message that does not deserialise: a line in the log."""
        log.error("Message %s:%s at %s is stepped over, it does not deserialise: %s: %s",
                  record.topic, record.partition, record.offset, type(error).__name__, error)
