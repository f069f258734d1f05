"""Where messages go that fail for good."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events, exc
from kiel.callbacks import safe_text
from kiel.clients.producer import Producer
from kiel.partitioners import murmur2
from kiel.retry import Backoff
from kiel.worker.output import Output

log = logging.getLogger(__name__)

#: bytes of an error's text that a header has at most
MOST_TEXT = 4096

#: how a message that the dead-letter topic could not take in passing is tried again
PATIENCE = Backoff(first=0.2, most=5.0, deadline=None)


class DeadLetterTopic(object):
    """
    Writes messages to a topic as they came, with headers that tell what failed.

    ``kiel.error.type`` and ``kiel.error.text``, ``kiel.error.attempts``, and where the message was:
    ``kiel.error.topic``, ``kiel.error.partition``, ``kiel.error.offset``; all as text.

    :param topic: the topic's name
    :param consumer: the consumer whose brokers and settings the producer has
    """

    def __init__(self, topic, consumer):
        self.topic = topic
        cluster, settings = consumer.cluster, consumer.cluster.settings
        #: what writes; a message as large as the broker takes is not to be refused here
        self.producer = Producer(
            cluster.bootstrap_hosts, serializer=as_it_is, partitioner=murmur2, max_request_bytes=64 * 1024 * 1024,
            buffer_bytes=128 * 1024 * 1024, client_id=settings.client_id, connect_timeout=settings.connect_timeout,
            request_timeout=settings.request_timeout, ssl=settings.ssl, sasl=settings.sasl, proxy=settings.proxy,
            retry=settings.retry, metadata_max_age=cluster.metadata_max_age,
            allow_auto_create_topics=cluster.create_topics)

    def connect(self):
        """Connect the producer; return a Future."""
        return self.producer.connect()

    def close(self, seconds):
        """Close the producer, within some time; return a Future."""
        return self.producer.close(timeout=seconds)

    @gen.coroutine
    def put(self, job, error):
        """
        Write a message, and wait until it is acknowledged; what fails in passing is tried again as long as it takes.

        :param job: the `kiel.worker.job.Job`, whose record has the raw bytes
        :raises kiel.exc.KielError: for what trying again does not mend, such as a missing right; and when the producer
            is closed meanwhile
        """
        record, headers = job.record, headers_of(job, error)
        clock = PATIENCE.start()
        while True:
            try:
                yield self.producer.produce(
                    self.topic, record.value, key=record.key, headers=headers,
                    timestamp=record.timestamp if record.timestamp >= 0 else None)
                return
            except exc.KielError as failure:
                if not (failure.retriable or isinstance(failure, exc.DeliveryTimeoutError)):
                    raise
                log.warning("Writing to dead-letter topic %s failed, retrying: %s", self.topic, failure)
            yield gen.sleep(clock.delay())


class DeadLetterCallback(object):
    """
    Hands messages that failed for good to the application.

    :param callback: called with ``(record, error, attempts)``, the record's value the raw bytes; may be a coroutine
    """

    def __init__(self, callback):
        self.callback = callback

    def connect(self):
        """There is nothing to connect."""
        return gen.maybe_future(None)

    def close(self, seconds):
        """There is nothing to close."""
        return gen.maybe_future(None)

    def put(self, job, error):
        """Call the application; return a Future. What it raises is raised."""
        return events.outcome_of(self.callback(job.record, error, job.attempts))


class DeadLettersInTransaction(object):
    """
    Has messages written as `DeadLetterTopic` does, by the transaction that commits their offsets.

    :param topic: the topic's name
    """

    def __init__(self, topic):
        self.topic = topic

    def connect(self):
        """There is nothing to connect."""
        return gen.maybe_future(None)

    def close(self, seconds):
        """There is nothing to close."""
        return gen.maybe_future(None)

    def put(self, job, error):
        """Have a message be part of the next transaction; return a Future that is done."""
        record = job.record
        job.outputs = [Output(self.topic, record.value, record.key, None, headers_of(job, error),
                              record.timestamp if record.timestamp >= 0 else None)]
        return gen.maybe_future(None)


def headers_of(job, error):
    """Return the headers of a dead letter: those that it came with, and what tells what failed."""
    return list(job.record.headers) + told(job.record, error, job.attempts)


def told(record, error, attempts):
    """Return what failed, and where, as headers."""
    kind = type(error)
    name = kind.__name__ if kind.__module__ in ("builtins", "exceptions") else kind.__module__ + "." + kind.__name__
    text = safe_text(error)
    if not isinstance(text, bytes):
        text = text.encode("utf-8", "replace")
    pairs = (("type", name), ("text", text[:MOST_TEXT]), ("attempts", attempts), ("topic", record.topic),
             ("partition", record.partition), ("offset", record.offset))
    return [("kiel.error." + what, value if isinstance(value, bytes) else (u"%s" % value).encode("utf-8"))
            for what, value in pairs]


def as_it_is(value):
    """Return the producer's serializer: values are bytes already."""
    return value
