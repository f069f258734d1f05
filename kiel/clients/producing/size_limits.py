"""How large a message may be by a topic's own settings: for the error of one that a broker found too large."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import events, exc
from kiel.protocol import describe_configs, errors
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: what a broker says of a batch that is too large -> the topic's setting that it is larger than
SETTINGS = {errors.message_size_too_large: "max.message.bytes", errors.record_list_too_large: "segment.bytes"}

#: seconds that the question may take, since a message's error waits for it
PATIENCE = 2.0

#: seconds for which an answer, or that there is none, holds
HOLDS = 60.0

TOPIC = 2


class SizeLimits(object):
    """
    Asks for topics' limits, from Kafka 0.11 on (KIP-133), and remembers them for a while.

    :param cluster: the producer's `kiel.cluster.Cluster`
    """

    def __init__(self, cluster):
        self._cluster = cluster
        self._known = {}  # (topic, setting) -> (until when it holds, the limit or None)

    @gen.coroutine
    def explained(self, error, batch):
        """
        Return an error like that one which tells the topic, the size and the limit; never fails.

        Its ``size`` and ``limit`` are bytes; the limit is None where the broker does not tell it.

        :param batch: the `kiel.clients.producing.batch.Batch` that was refused
        """
        setting = SETTINGS[error.code]
        size, count = size_of(batch), len(batch)  # now: it may end meanwhile
        limit = None
        try:
            limit = yield self._limit(batch.topic, setting)
        except Exception as failed:
            log.info("The size limit of topic %s could not be looked up: %s", batch.topic, failed)
        raise gen.Return(describe(error, batch.topic, count, size, setting, limit))

    @gen.coroutine
    def _limit(self, topic, setting):
        until, limit = self._known.get((topic, setting), (0, None))
        if until < monotonic():
            self._known[topic, setting] = monotonic() + HOLDS, None
            limit = yield events.within(PATIENCE, self._ask(topic, setting))
            self._known[topic, setting] = monotonic() + HOLDS, limit
        raise gen.Return(limit)

    @gen.coroutine
    def _ask(self, topic, setting):
        """Ask a broker that serves the question."""
        for broker in list(self._cluster.conns.values()):
            if broker.closing or not broker.reaches(describe_configs.api_name, 0):
                continue
            answer = yield broker.send(describe_configs.DescribeConfigsRequest(resources=[
                describe_configs.ResourceRequest(
                    resource_type=TOPIC, resource_name=topic, configuration_keys=[setting])
            ]))
            for result in answer.results:
                error = exc.for_code(result.error_code, result.error_message, answer.api, topic=topic)
                if error is not None:
                    raise error
                for config in result.configs:
                    if config.name == setting:
                        raise gen.Return(int(config.value))
        raise gen.Return(None)


def size_of(batch):
    """Return the bytes of an encoded batch, as a broker counts them."""
    data = batch.data
    return len(data) if isinstance(data, bytes) else sum(len(piece) for piece in data)


def describe(error, topic, count, size, setting, limit):
    """Return the error with a text that names everything."""
    what = "a message" if count == 1 else "a batch of %d messages" % count
    text = "topic %s: %s of %d bytes, as written; " % (topic, what, size)
    if limit is None:
        text += "the broker did not say what the topic's %s is" % setting
    else:
        text += "the topic's %s is %d" % (setting, limit)
    if error.message:
        text += " (%s)" % error.message
    told = type(error)(text)
    told.size, told.limit = size, limit
    return told
