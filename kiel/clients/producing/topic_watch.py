"""Whether a topic that is written to still is the one that it was, or has been deleted and made again."""
from __future__ import absolute_import

import logging

from kiel.clients.producing.partition_queue import NOBODY
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: seconds in which offsets that went back are told of once for all partitions of a topic without an id
ONCE_IN = 5


class TopicWatch(object):
    """
    Tells when messages go to another topic than that for which they were accepted.

    They go there, since it is a topic's name that the application has given; Java's producer does the same without a
    word. But a transaction that may have written to the old topic can't be whole any more, and fails.

    Brokers from 2.8 on tell a topic's id with the metadata, and those from 4.1 on take messages for an id. Where they
    go by name they may be in the new topic before metadata says so. That, and all that there is to go by on older
    brokers, shows in their offsets.

    :param cluster: the `kiel.cluster.Cluster`
    :param transactions: the `kiel.clients.producing.transaction_manager.TransactionManager`
    :param undelivered: returns the number of messages of a topic that are not delivered yet
    """

    def __init__(self, cluster, transactions, undelivered):
        self._cluster = cluster
        self._transactions = transactions
        self._undelivered = undelivered
        self._ids = {}  # topic -> the id that it had when it was last looked at
        self._told = {}  # topic whose offsets went back -> until when that is not told again
        self._back = {}  # topic whose offsets went back, and whose id is asked for -> (words for it, partitions)

    @property
    def topics(self):
        """The topics whose ids are known: a list."""
        return list(self._ids)

    def compare(self, topic, queues):
        """
        Metadata came: is it another topic?

        :param queues: the topic's `kiel.clients.producing.partition_queue.PartitionQueue` objects
        """
        topic_id = self._cluster.topic_ids.get(topic)
        before = self._ids.get(topic)
        if topic_id is None or topic_id == before:
            return
        self._ids[topic] = topic_id
        if before is None:
            return
        written, back = self._back.pop(topic, (None, ()))
        unanswered = False
        for queue in queues:
            if queue.partition not in back:
                queue.written = -1
                queue.proven = NOBODY  # the new log has taken nothing of this producer
            unanswered = unanswered or queue.flying
        if written is None:  # else the transaction has been told, and all since then is in the new topic
            self._transactions.topic_changed(topic, "it was deleted and recreated", unanswered)
        self._tell_changed(topic, self._undelivered(topic), written)

    def _tell_changed(self, topic, count, written):
        """One line says what has become of the messages."""
        level, line, values = logging.INFO, "topic %s was deleted and recreated", [topic]
        if count:
            level, line = logging.WARNING, line + ": %d messages that were accepted before are sent to the new topic"
            values.append(count)
        if written is not None:
            level, line = logging.WARNING, line + "; %s, in the new topic"
            values.append(written)
        log.log(level, line, *values, extra=self._fields(topic))

    def went_back(self, batch, offset, before):
        """
        A batch was written where another had been before: in a new topic, or in a log that has lost its end.

        :param before: the offset of the batch before it
        """
        topic, topic_id = batch.topic, self._cluster.topic_ids.get(batch.topic)
        what = "messages were written to %s:%s at offset %d, after others at %d" % (
            topic, batch.partition, offset, before)
        self._transactions.topic_changed(topic, what)
        if topic in self._back:
            self._back[topic][1].add(batch.partition)
            return
        if monotonic() < self._told.get(topic, 0):
            return
        self._back[topic] = what, set([batch.partition])
        if topic_id is None:
            self._told[topic] = monotonic() + ONCE_IN
            self._asked(topic)
        else:
            self._cluster.heal().add_done_callback(lambda _: self._asked(topic))

    def forget(self):
        """Forget what was asked on a loop that is closed, or by another process: no answer will come."""
        self._back.clear()

    def _asked(self, topic):
        """The topic's id was asked for, where there are ids. With another one, `compare` has told all."""
        what, _ = self._back.pop(topic, (None, ()))
        if what is not None:
            log.warning("topic %s: %s: it was deleted and recreated, or its log has lost messages that were "
                        "acknowledged", topic, what, extra=self._fields(topic))

    def _fields(self, topic):
        """Return the fields of a line about a topic."""
        return dict(client=self._cluster.settings.client_id, topic=topic)
