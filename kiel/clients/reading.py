"""From fetched batches to messages in the caller's hands: decoding, positions, and what can't be read."""
from __future__ import absolute_import

import json
import logging
import time
from itertools import repeat

from six.moves import map, range, zip
from tornado import gen

from kiel import exc
from kiel.clients.cursor import offset_of
from kiel.clients.record import Record
from kiel.clients.values import from_json
from kiel.collector import HeldOff

# these lines are the consumer's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.consumer")

#: messages that are deserialised between two looks at the clock
SLICE = 32


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
                    for wait in read(cursor, turn, batch, messages) or ():
                        yield wait
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
        """Adds a batch's messages, deserialised, to a list; gives a generator of what has to be waited for, or None."""
        values = batch.values(cursor.handed, self.check_crcs)
        if self.deserializer is not bytes:
            return self._deserialise_batch(
                cursor, turn, batch, values, messages, messages.extend, lambda record: record.value)
        messages.extend(values)
        self._moved(cursor, batch.next_offset)
        return None

    def _read_records(self, cursor, turn, batch, messages):
        """Adds a batch's messages as records to a list; gives a generator of what has to be waited for, or None."""
        offsets, timestamps, keys, raw, headers = batch.columns(cursor.handed, self.check_crcs)

        def add(values):
            """Makes records, as many as there are values: without a frame, or a tuple thrown away again, for each."""
            messages.extend(map(tuple.__new__, repeat(Record), zip(
                repeat(cursor.topic), repeat(cursor.partition), offsets, timestamps, keys, values, headers
            )))
        if self.deserializer is not bytes:
            return self._deserialise_batch(cursor, turn, batch, list(raw), messages, add, lambda record: record)
        add(raw)
        self._moved(cursor, batch.next_offset)
        return None

    def _deserialise_batch(self, cursor, turn, batch, raw, messages, add, shape):
        """
        The rest of reading a batch, with turns for the loop: a generator of them.

        :param add: puts the values up to one that does not deserialise where ``messages`` are
        :param shape: makes of a record what is put there
        """
        values = []
        for wait in self._deserialise(cursor, turn, raw, values):
            yield wait
        if cursor.turn != turn:
            return  # nothing of the batch is handed out, and the position, where there still is one, has not moved
        add(values)
        if len(values) == len(raw):
            self._moved(cursor, batch.next_offset)
            return
        for wait in self._read_slowly(cursor, turn, batch, messages, len(values), shape):
            yield wait

    def _deserialise(self, cursor, turn, raw, values):
        """
        Adds the values of a batch, deserialised, to a list, up to one that fails; a generator of turns for the loop.

        It also ends early when the partition is sought elsewhere, or given away, in such a turn.
        """
        deserializer = self._read_value()
        append = values.append
        over = self._turn.over
        for start in range(0, len(raw), SLICE):
            try:
                for value in raw[start:start + SLICE]:
                    append(deserializer(value))
            except Exception:
                return  # the rest goes the slow way, from that message on
            if over(time.time()):
                yield gen.moment
                if cursor.turn != turn:
                    return

    def _read_value(self):
        """The deserialiser, or one that gives the same sooner."""
        return from_json if self.deserializer is json.loads else self.deserializer

    def _read_slowly(self, cursor, turn, batch, messages, done, shape):
        """Goes through the rest of a batch one by one, since a message in it does not deserialise: a generator, too."""
        for record in batch.records(cursor.handed, False)[done:]:
            raw = Record(cursor.topic, cursor.partition, *record)
            if self._turn.over(time.time()):
                self._moved(cursor, raw.offset)  # those before it are handed out, whatever comes
                yield gen.moment
                if cursor.turn != turn:
                    return
            try:
                value = self.deserializer(raw.value)
            except Exception as error:
                self._moved(cursor, raw.offset)  # as above
                wait = gen.maybe_future(self.on_error(raw, error))
                yield wait
                wait.result()  # or the error
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
