"""Methods of kiel 0.9 that an application overrides, by which messages are made of what was fetched."""
from __future__ import absolute_import

import time

from tornado import gen

from kiel import exc
from kiel.clients.consuming.batch_reader import guarded
from kiel.clients.consuming.record import Record
from kiel.events import ignore, outcome_of
from kiel.protocol import errors, fetch, messages as sets


def overridden(method):
    """Return whether a bound method is an application's, not one of kiel's own."""
    module = getattr(method, "__module__", None) or ""
    return not module.startswith("kiel.")


class OverriddenReading(object):
    """
    Hands batches to ``handle_fetch_response`` or ``deserialize_messages`` as kiel 0.9 did, where they are overridden.

    What they return are the messages. What they write to ``consumer.offsets`` meanwhile is how far they have come:
    what comes after that in the batch is handed to them again by the next call.

    :param client: the `kiel.clients.consumer.BaseConsumer`
    :param fetcher: its `kiel.clients.consuming.fetcher.Fetcher`, which knows what brokers told of other partitions
    :param positions: its `kiel.clients.consuming.positions.Positions`
    :param reader: its `kiel.clients.consuming.batch_reader.BatchReader`
    :param moved: as that of the reader
    """

    def __init__(self, client, fetcher, positions, reader, moved):
        self.client = client
        self.fetcher = fetcher
        self.positions = positions
        self.reader = reader
        self._moved = moved

    def wanted(self):
        """Return whether the application overrides one of the methods."""
        return overridden(self.client.handle_fetch_response) or overridden(self.client.deserialize_messages)

    def chosen(self, read):
        """Return what reads batches: `read` of this object where it is wanted, else what is given."""
        return self.read if self.wanted() else read

    def read(self, cursor, generation, batch, messages):
        """Add what the overridden method makes of a batch to a list: a generator of what has to be waited for."""
        if self.reader.turn.over(time.time()):  # the method may take its time, however small the batches are
            yield gen.moment
            if cursor.generation != generation:
                return
        found = [
            (offset, sets.Message(key=key, value=value, timestamp=timestamp))
            for offset, timestamp, key, value, _ in batch.records(cursor.handed, self.reader.check_crcs)
        ]
        if not found:
            self._moved(cursor, batch.next_offset)
            return
        part = fetch.PartitionResponse(
            partition_id=cursor.partition, error_code=errors.no_error, highwater_mark_offset=cursor.high_watermark,
            message_set=sets.MessageSet(found),
        )
        key = cursor.topic, cursor.partition
        self.positions.hooked[key] = None
        try:
            wait = guarded(self._call, cursor.topic, part)
            yield wait
            made = wait.result()
        finally:
            reached = self.positions.hooked.pop(key)
        if cursor.generation != generation:
            return
        messages.extend(made or ())
        if reached is None or reached > found[-1][0]:
            self._moved(cursor, batch.next_offset)
        else:
            self._stay(cursor, reached, bool(made))

    def _call(self, topic, part):
        if not overridden(self.client.handle_fetch_response):
            return self.client.deserialize_messages(topic, part)
        parts = [part] + [
            fetch.PartitionResponse(
                partition_id=cursor.partition, error_code=errors.no_error, highwater_mark_offset=cursor.high_watermark,
                message_set=sets.MessageSet(),
            ) for cursor in self.fetcher.of(topic)
            if cursor.partition != part.partition_id and cursor.high_watermark is not None
        ]
        response = fetch.FetchResponse(topics=[fetch.TopicResponse(name=topic, partitions=parts)])
        response.handled = True
        return self.client.handle_fetch_response(response)

    def _stay(self, cursor, reached, some):
        """The method has not taken all of the batch."""
        nothing = not some and reached <= cursor.handed
        self._moved(cursor, reached)
        cursor.stay()
        if nothing:
            cursor.rest()  # it would get the same again at once

    def refused(self, topic, part):
        """A partition's answer was an error, which is dealt with already; the application may look at it."""
        if overridden(self.client.handle_fetch_response):
            response = fetch.FetchResponse(topics=[fetch.TopicResponse(name=topic, partitions=[part])])
            response.handled = True
            ignore(outcome_of(self.client.handle_fetch_response(response)))

    def handle(self, response):
        """Return what ``handle_fetch_response`` does by itself: return the messages of an answer, deserialised."""
        found = []
        for topic in response.topics:
            for part in topic.partitions:
                if part.error_code == errors.no_error:
                    found.extend(self.client.deserialize_messages(topic.name, part))
                elif not getattr(response, "handled", False):
                    self._note_error(topic.name, part)
        return found

    def _note_error(self, topic, part):
        where = "fetch of %s:%s" % (topic, part.partition_id)
        error = exc.for_code(part.error_code, where, fetch.api_name, topic=topic)
        self.client.last_error = error
        if error.cure == "metadata":
            self.client.heal_cluster = True

    def deserialize(self, topic, part):
        """What ``deserialize_messages`` does by itself: return the messages of a partition's answer, deserialised."""
        found = []
        offsets = self.client.offsets[topic]
        deserialize = self.reader.deserialize
        for offset, message in part.message_set.messages:
            try:
                found.append(deserialize(message.value))
            except Exception as error:
                record = Record(topic, part.partition_id, offset, message.timestamp, message.key, message.value)
                outcome = outcome_of(self.reader.on_error(record, error))
                if not outcome.done():
                    raise TypeError("on_error may not be a coroutine where deserialize_messages is overridden, "
                                    "since that can't wait for it")
                outcome.result()
            offsets[part.partition_id] = offset + 1
        return found
