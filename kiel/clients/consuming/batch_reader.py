"""From fetched batches to messages in the caller's hands: decoding, positions, and what can't be read."""
from __future__ import absolute_import

import json
import logging
import time

from six.moves import range
from tornado import gen

from kiel import exc
from kiel.clients.consuming import deserializing
from kiel.clients.consuming.cursor import offset_of
from kiel.clients.consuming.from_json import from_json
from kiel.clients.consuming.record import Record
from kiel.collector import HeldOff
from kiel.events import outcome_of
from kiel.fairness import Turn
from kiel.protocol.records import records_of, rows

# these lines are the consumer's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.consumer")

#: messages that are deserialised between two looks at the clock
SLICE = 32

#: bytes of batches from which on it is worth it, while they are decoded, to hold the garbage collector off, and to ask
#: between two of them whether the loop is due its turn. Where an application's own functions are called, which may take
#: their time, that is asked besides.
MANY = 16 * 1024


class BatchReader(object):
    """
    Makes messages of batches, and moves positions on.

    :param deserializer: makes a message of a value (bytes, or None for a null value)
    :param on_error: called with a `Record` (its value the raw bytes) and the exception when that fails for good; may
        return a Future. When it raises, the position stays at that message, as it does at an error that is no fault of
        the message.
    :param check_crcs: whether checksums are verified
    :param moved: called with ``(cursor, offset)``: messages before the offset are decoded, and are handed out now;
        sets ``cursor.handed``
    """

    def __init__(self, deserializer, on_error, check_crcs, moved):
        self._deserializer = checked(deserializer)
        self._of_record = deserializing.of_records(deserializer)
        self.on_error = on_error
        self.check_crcs = check_crcs
        self._moved = moved
        # what is decoded in one piece comes on top, a turn's work goes before timers that are due, and a pass of the
        # collector over what was deserialised comes before the next turn
        self.turn = Turn(limit=0.002 if deserializer is bytes else 0.001)

    @property
    def deserializer(self):
        """What makes a message of a value; may be set."""
        return self._deserializer

    @deserializer.setter
    def deserializer(self, deserializer):
        self._deserializer = checked(deserializer)
        self._of_record = deserializing.of_records(deserializer)

    @property
    def deserialize(self):
        """The deserialiser, or one that does the same faster."""
        return from_json if self._deserializer is json.loads else self._deserializer

    @gen.coroutine
    def read(self, taken, read, room):
        """
        Decode what was taken, and move positions on; the loop has its turn in between. Returns a list of messages.

        What can't be read ends its partition's part: the error is then in ``cursor.error``, for the next call to raise.

        :param taken: a list of ``(cursor, generation, batches)``, see `kiel.clients.consuming.fetcher.Fetcher.take`
        :param read: `read_values` or `read_records` of this object, or a function like them
        :param room: the `kiel.clients.consuming.call.Room` that there is for them; batches that are still in their
            cursors are taken out of them here, as far as they were read
        """
        messages = []
        size = 0
        for _, _, batches in taken:
            for batch in batches:
                size += batch.size
        many = size > MANY
        work = self._work_through(taken, read, messages, room, many)
        while True:
            if many:
                with HeldOff():  # from wait to wait, not batch by batch: it has less to look at twice
                    wait = next(work, None)
            else:
                wait = next(work, None)
            if wait is None:
                break
            try:
                yield wait
            except Exception:
                pass  # it is `_work_through` that deals with it
        raise gen.Return(messages)

    def _work_through(self, taken, read, messages, room, many):
        """Do the work of `read`: a generator of what has to be waited for before it goes on."""
        for cursor, generation, batches in taken:
            done = None
            left = cursor.batches and cursor.batches[0] is batches[0]
            if not left:
                room.size -= sum(batch.size for batch in batches)
            for batch in self._portions(cursor, generation, batches, messages, room) if left else batches:
                if many and self.turn.over(time.time()):
                    yield gen.moment
                if cursor.generation != generation:
                    break  # sought elsewhere, or given away meanwhile
                try:
                    for wait in read(cursor, generation, batch, messages) or ():
                        yield wait
                    done = batch
                except (KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:
                    self._stay(cursor, generation, raisable(error))
                    break
            if done is not None and cursor.generation == generation:
                # once, not per batch: an offset with its epoch takes a microsecond to make
                self._moved(cursor, offset_of(cursor.handed, done.leader_epoch))

    def _portions(self, cursor, generation, batches, messages, room):
        """
        Go through batches until there is no more room. What is read is dropped from the cursor, the rest stays.
        """
        for batch in batches:
            if room.used_up:
                return
            had = len(messages)
            try:
                part = room.part_of(batch, cursor.handed, self.check_crcs)
            except Exception as error:
                self._stay(cursor, generation, error)
                return
            yield part
            if room.messages is not None:
                room.messages -= len(messages) - had
            if cursor.generation != generation or cursor.error is not None:
                return
            if part.next_offset != batch.next_offset:
                cursor.replace_first(part.batch)
                return
            cursor.drop_first()

    @staticmethod
    def _stay(cursor, generation, error):
        """A message could not be handed out: the position stays there, and a coming call raises the error."""
        if isinstance(error, exc.CorruptMessageError):
            error.topic, error.partition = cursor.topic, cursor.partition
            log.error("%s", error, extra=cursor.fields)
        if cursor.generation == generation:
            cursor.stay()
            cursor.rest()
            cursor.error = error

    def read_values(self, cursor, generation, batch, messages):
        """
        Add a batch's messages, deserialised, to a list.

        Returns a generator of what has to be waited for before they all are there, or None where they are.
        """
        if self._of_record is not None:
            values = list(self._rows(cursor, batch))
        else:
            values = batch.values(cursor.handed, self.check_crcs)
        if self._deserializer is not bytes:
            return self._deserialise_batch(
                cursor, generation, batch, values, messages, messages.extend, lambda record: record.value)
        messages.extend(values)
        self._moved(cursor, batch.next_offset)
        return None

    def read_records(self, cursor, generation, batch, messages):
        """Add a batch's messages to a list as `Record` objects. Returns what `read_values` does."""
        if self._deserializer is bytes:
            return self.read_raw(cursor, generation, batch, messages)
        offsets, timestamps, keys, raw, headers = batch.columns(cursor.handed, self.check_crcs)

        def add(values):
            """Make records, as many as there are values."""
            messages.extend(rows(
                Record, cursor.topic, cursor.partition, (offsets, timestamps, keys, values, headers)
            ))
        if self._of_record is not None:
            raw = self._rows(cursor, batch)
        return self._deserialise_batch(cursor, generation, batch, list(raw), messages, add, lambda record: record)

    def read_raw(self, cursor, generation, batch, messages):
        """Add a batch's messages to a list as `Record` objects whose values are bytes, or None for a null value."""
        messages.extend(self._rows(cursor, batch))
        self._moved(cursor, batch.next_offset)

    def _rows(self, cursor, batch):
        """Return the rest of a batch as an iterable of `Record` objects with raw values."""
        return records_of(batch, Record, cursor.topic, cursor.partition, cursor.handed, self.check_crcs)

    def _deserialise_batch(self, cursor, generation, batch, raw, messages, add, shape):
        """
        The rest of reading a batch, with turns for the loop: a generator of them.

        :param add: puts the values up to one that does not deserialise where ``messages`` are
        :param shape: makes of a record what is put there
        """
        values, failed = [], []
        for wait in self._deserialise(cursor, generation, raw, values, failed):
            yield wait
        if cursor.generation != generation:
            return  # nothing of the batch is handed out, and the position, where there still is one, has not moved
        add(values)
        if len(values) == len(raw):
            self._moved(cursor, batch.next_offset)
            return
        for wait in self._read_slowly(cursor, generation, batch, messages, len(values), shape, failed):
            yield wait

    def _deserialise(self, cursor, generation, raw, values, failed):
        """
        Add the values of a batch, deserialised, to a list, up to one that fails; a generator of what to wait for.

        That is turns for the loop, and Futures of the deserializer's own. It also ends early when the partition is
        sought elsewhere, or given away, meanwhile.

        :param failed: a list that the error is added to
        """
        deserializer = self._of_record or self.deserialize
        plain = deserializer is from_json
        append = values.append
        over = self.turn.over
        last = len(raw) - SLICE  # behind that nothing is left of the batch for which a turn would be needed
        for start in range(0, len(raw), SLICE):
            failed.extend(_deserialise_some(deserializer, raw[start:start + SLICE], append))
            if failed or not plain:
                for wait in self._wait_for(values, start, failed):
                    yield wait
                if failed or cursor.generation != generation:
                    return
            if (start < last or not plain) and over(time.time()):
                yield gen.moment
                if cursor.generation != generation:
                    return

    @staticmethod
    def _wait_for(values, start, failed):
        """Wait for the deserializer's Futures: a generator. The first error counts, wherever it came from."""
        if not deserializing.some_wait(values[start:]):
            return
        later = []
        for wait in deserializing.settle(values, start, later):
            yield wait
        failed[:] = later or failed

    def _read_slowly(self, cursor, generation, batch, messages, done, shape, failed):
        """
        Go through the rest of a batch one by one, since a message in it does not deserialise: a generator, too.

        :param failed: the error of the first, in a list
        """
        for record in batch.records(cursor.handed, False)[done:]:
            raw = Record(cursor.topic, cursor.partition, *record)
            if self.turn.over(time.time()):
                self._moved(cursor, raw.offset)  # those before it are handed out, whatever comes
                yield gen.moment
                if cursor.generation != generation:
                    return
            found = []
            for wait in self._read_one(cursor, generation, raw, found, failed):
                yield wait
            if cursor.generation != generation:
                return
            messages.extend([shape(deserializing.with_value(raw, value)) for value in found])
        self._moved(cursor, batch.next_offset)

    def _read_one(self, cursor, generation, raw, found, failed):
        """Add one message, deserialised, to a list, or have what went wrong looked at: a generator, too."""
        try:
            if failed:
                raise failed.pop()
            found.append(self.deserialize(raw.value) if self._of_record is None else self._of_record(raw))
            if deserializing.waits(found[0]):
                self._moved(cursor, raw.offset)  # as above
                for wait in deserializing.settle(found, 0, failed):
                    yield wait
                if failed:
                    raise failed.pop()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            del found[:]
            if cursor.generation != generation:
                return
            self._moved(cursor, raw.offset)  # as above
            if deserializing.stays(error):
                raise
            wait = guarded(self.on_error, raw, error)
            yield wait
            wait.result()  # or the error


def _deserialise_some(deserializer, raw, append):
    """Call a function with each message, deserialised, up to one that fails; return its error in a list."""
    try:
        for value in raw:
            append(deserializer(value))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return [error]  # the rest goes the slow way, from that message on
    return ()


def log_error(record, error):
    """What happens by default to a message that does not deserialise: a line in the log."""
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be had)"
    log.error("Message %s:%s at %s could not be deserialised and is skipped: %s: %s",
              record.topic, record.partition, record.offset, type(error).__name__, text,
              extra=dict(topic=record.topic, partition=record.partition))


def checked(deserializer):
    """
    Return a deserialiser: a function, or one of any kind of coroutine.

    :raises TypeError: for what can't be called
    """
    if not callable(deserializer):
        raise TypeError("deserializer is a function of a value, not %r" % (deserializer,))
    return deserializer


def guarded(callback, *args):
    """
    Return the Future of what a callback of the application returns.

    What it raises is raised as `raisable` says: a StopIteration would just end the generator that calls it.
    """
    try:
        return outcome_of(callback(*args))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise raisable(error)


def raisable(error):
    """
    Return an exception that a Future takes and a coroutine passes on: the error itself, or one that tells of it.

    A StopIteration, GeneratorExit or CancelledError of a callback would end somebody else's generator or task.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    told = RuntimeError("a callback raised %s" % type(error).__name__)
    told.__cause__ = error
    return told
