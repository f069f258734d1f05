"""The topics that a group shares out: those there are, those that come and go, those that a member asks for."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.events import ignore
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: topics of Kafka's own, which no group shares out
INTERNAL = ("__consumer_offsets", "__transaction_state", "__share_group_state")

#: seconds that metadata has to lack a topic for before the group is told that it is deleted: one broker that has not
#: heard of a new topic yet must not take it away from all members
GONE_AFTER = 2.0


class GroupTopics(object):
    """The part of a `kiel.clients.grouped.GroupedConsumer` that tells its allocator of topics."""

    def _know_nothing(self, topics):
        """Begins without topics, but for those to subscribe to."""
        self._joined = False
        #: the topics to subscribe to, where members share only what they subscribe to
        self._wanted = set(topics)
        #: topic -> Future of a subscription under way
        self._subscribing = {}
        #: topic -> ids that the allocator was told of last
        self._known_topics = {}
        #: topic -> ids that there were when we first saw the topic
        self._first_ids = {}
        #: topic -> since when metadata lacks it
        self._missing = {}
        self._timer = None

    def _shared_topics(self):
        """All topics but Kafka's own: topic -> ids."""
        return dict((topic, list(ids)) for topic, ids in self.cluster.topics.items() if topic not in INTERNAL)

    @gen.coroutine
    def _join(self):
        """Tells the allocator of the topics that there are, and has it join."""
        self._joined = True
        self._known_topics = self._shared_topics()
        for topic, ids in self._known_topics.items():
            self._first_ids.setdefault(topic, frozenset(ids))
        yield self.allocator.start(self._known_topics)
        if self.allocator.by_topic and self._wanted:
            yield self._subscribe(sorted(self._wanted))

    @gen.coroutine
    def _subscribe(self, topics):
        """Asks for topics, upon which the broker may make them; then subscribes to them."""
        for topic in topics:
            if topic not in self.cluster.topics:
                try:
                    yield self.cluster.ensure(topic, self.max_wait_time / 1000.0)
                except exc.KielError as error:
                    self.last_error = error
        allocator = self.allocator
        try:
            yield allocator.subscribe(topics)
        except exc.UnsupportedVersionError as error:
            if self.allocator is allocator:
                yield self._fall_back(error)
            yield self.allocator.subscribe(topics)

    def _fall_back(self, error):
        """The allocator's protocol is not the group's: takes another, or raises; gives a Future."""
        raise NotImplementedError

    def _want(self, topic):
        """Sees to it that the member takes part in a topic; what goes wrong is the allocator's ``error``."""
        if topic in self._subscribing or topic in self._wanted and self.allocator.is_in:
            return
        self._wanted.add(topic)
        self._subscribing[topic] = self._subscribe([topic])

        def done(future):
            """The subscription holds, or failed."""
            self._subscribing.pop(topic, None)
            error = future.exception()
            if error is not None and not self.closing:
                self.last_error = error
                self.fetcher.wake(topic)
                log.error("Group %s: subscribing to %s failed: %s", self.group_name, topic, error)

        self.io_loop.add_future(self._subscribing[topic], done)

    def _on_metadata(self):
        """Topics may have come or gone: the group's set follows."""
        super(GroupTopics, self)._on_metadata()
        if not self._joined or self.closing:
            return
        topics = self._shared_topics()
        if not topics:
            return  # a broker that has just started may say so
        for topic, ids in topics.items():
            self._first_ids.setdefault(topic, frozenset(ids))
            self._missing.pop(topic, None)
        gone = set()
        for topic in set(self._known_topics).difference(topics):
            if monotonic() - self._missing.setdefault(topic, monotonic()) < GONE_AFTER:
                topics[topic] = self._known_topics[topic]
                if self._timer is None:
                    self._timer = self.io_loop.call_later(GONE_AFTER, self._look_again)
            else:
                gone.add(topic)
                for book in (self._missing, self._first_ids, self.offsets):
                    book.pop(topic, None)
        if topics != self._known_topics:
            self._known_topics = topics
            self.io_loop.add_future(self.allocator.update(topics, gone), _log_failure)

    def _look_again(self):
        """Asks for metadata, to see whether a topic really is gone."""
        self._timer = None
        ignore(self.cluster.heal())

    def _follow_no_more(self):
        """The allocator is told of nothing from now on."""
        self._joined = False
        if self._timer is not None:
            self.io_loop.remove_timeout(self._timer)
            self._timer = None


def _log_failure(future):
    """Logs what a Future that nobody waits for failed with."""
    if future.exception() is not None:
        log.error("The group's partition set could not be changed: %s", future.exception())
