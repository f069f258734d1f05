"""What a member does whenever it is asked for messages, before and after it looks for them."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc


class Polling(object):
    """
    Has a member take part in its group by being asked for messages, as consumers of Kafka do by ``poll``.

    Asking subscribes to a topic, shows that the application goes on (``max_poll_interval``), counts what was handed out
    before as processed, and commits.

    :param client: the `kiel.clients.grouped.GroupedConsumer`: its ``max_wait_time``, and whether it is closing
    :param calls: the consumer's `kiel.clients.consuming.call.Calls`, which look for messages
    :param joining: the member's `kiel.clients.grouping.joining.Joining`, which knows whether the group refused it
    :param assignment: the member's `kiel.clients.grouping.assignment.Assignment`, which knows its allocator
    :param subscription: the member's `kiel.clients.grouping.subscription.Subscription`
    :param progress: the member's `kiel.clients.grouping.progress.Progress`
    :param autocommit: the member's `kiel.clients.grouping.autocommit.Autocommit`
    """

    def __init__(self, client, calls, joining, assignment, subscription, progress, autocommit):
        self._client = client
        self._calls = calls
        self._joining = joining
        self._assignment = assignment
        self._subscription = subscription
        self._progress = progress
        self._autocommit = autocommit

    @gen.coroutine
    def consume(self, topic, start, call):
        """Do one call of `consume`, see `kiel.clients.consumer.BaseConsumer`."""
        if self._client.closing:
            self._progress.done_with(topic)  # for the last commit, which close() does
            yield gen.moment  # a loop around consume() must not keep close() from its turn
            raise gen.Return(None)
        if self._autocommit.when_processed and len(self._calls.under_way[topic]) > 1:
            yield gen.moment
            raise exc.ConcurrentConsumeError(topic)
        yield self._joining.raise_refusal(topic)
        heartbeat = self._assignment.allocator.heartbeat
        try:
            if heartbeat is not None:
                heartbeat.progress()
                heartbeat.working = False
            messages = yield self._consume_and_commit(topic, start, call)
        finally:
            if heartbeat is not None:
                heartbeat.progress()
                heartbeat.working = True
        raise gen.Return(messages)

    @gen.coroutine
    def _consume_and_commit(self, topic, start, call):
        """Return the work of `consume`, between the signs of progress."""
        if self._assignment.allocator.by_topic:
            self._subscription.want(topic, self._client.max_wait_time / 1000.0)
        if self._autocommit.when_processed:
            self._progress.done_with(topic)
            yield self._autocommit.commit()
        messages = yield self._calls.consume(topic, start, call)
        if not messages and self._autocommit.at_once:
            yield self._autocommit.commit()  # what could not be committed when it was handed out
        raise gen.Return(messages)

    # -- by a stream, see `kiel.clients.consuming.streams.NoGroup` --

    def allow(self, choice):
        """Refuse a choice of partitions, since those are the group's to share out."""
        if choice.selects:
            raise ValueError("the members of a group read the partitions that are assigned to them: name topics, or "
                             "use a SingleConsumer")

    def about_to_read(self, topics):
        """Subscribe to all topics of a stream at once."""
        if self._assignment.allocator.by_topic:
            self._subscription.want_all(topics, self._client.max_wait_time / 1000.0)

    def asked_for_more(self, stream):
        """What the stream has handed out is processed; it is committed now and then, not just after the last."""
        heartbeat = self._assignment.allocator.heartbeat
        if heartbeat is not None:
            heartbeat.progress()
            heartbeat.working = False
        if not self._autocommit.when_processed:
            return
        for topic in [topic for topic in self._progress.working if stream.reads(topic)]:
            self._progress.done_with(topic)
        self._autocommit.now_and_then()

    def handed_over(self, cursor, offset, committed):
        """The application works on messages that a stream handed out."""
        if not committed:
            self._progress.hand_over((cursor.topic, cursor.partition), offset)
        if self._assignment.allocator.heartbeat is not None:
            self._assignment.allocator.heartbeat.working = True

    def is_committed(self, cursor, offset):
        """Return whether an offset is committed, so that nobody else hands out the messages before it."""
        return self._progress.is_committed((cursor.topic, cursor.partition), offset)
