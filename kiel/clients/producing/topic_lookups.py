"""Messages whose topic has to be looked up first."""
from __future__ import absolute_import

import collections

from tornado import gen, ioloop

from kiel import exc
from kiel.clients.producing.batch import failure
from kiel.events import settle


class TopicLookups(object):
    """
    Asks the brokers for topics that are not known, which may create them, and keeps the messages that wait for that.

    There is one look-up of a topic at a time. Messages that come meanwhile wait behind those that are there, so that
    their order holds.

    :param client: the producer, as a `kiel.clients.client.Client`
    :param routes: `kiel.clients.producing.routes.Routes`
    :param place: called with a `kiel.clients.producing.pending_record.PendingRecord` and its `Route` once that is known
    """

    def __init__(self, client, routes, place):
        self._client = client
        self._routes = routes
        self._place = place
        #: topic that is being looked up -> the messages that wait for it, in their order
        self._waiting = {}

    @property
    def waiting(self):
        """The messages that wait: a list; some may have been given up."""
        return [pending for messages in self._waiting.values() for pending in messages]

    def route(self, topic):
        """Return the `Route` of a topic; None where it is not known, and while messages wait for it."""
        return None if topic in self._waiting else self._routes.get(topic)

    def wait(self, pending):
        """Place a message once its topic, and the partition that it names, are known."""
        topic = pending.topic
        waiting = self._waiting.get(topic)
        if waiting is not None:
            waiting.append(pending)
            return
        route = self._routes.get(topic)
        # a partition that is not known may have been added lately
        if route is not None and (pending.partition is None or pending.partition in route.queues):
            self._place(pending, route)
        else:
            self._waiting[topic] = collections.deque([pending])
            self._look_up(topic)

    def forget(self):
        """Forget the look-ups, which end with the loop that is closed, or are another process's."""
        self._waiting.clear()

    @gen.coroutine
    def _look_up(self, topic):
        error = None
        if self._client.io_loop is None:
            self._client.io_loop = ioloop.IOLoop.current()
        try:
            yield self._client.cluster.ensure(topic)
        except Exception as failed:
            error = failed
        route = self._routes.learn(topic)
        if error is None or route is not None:
            error = self._client.cluster.topic_errors.get(topic) or exc.UnknownTopicOrPartitionError(
                "there is no topic %s, and the brokers do not create it" % topic
            )
        waiting = self._waiting.pop(topic)
        while waiting:
            pending = waiting.popleft()
            if pending.future.done():
                continue
            if route is None:
                settle(pending.future, error=failure(error, topic))
            else:
                self._place(pending, route)
