"""The topics that a group shares: those there are, those that come and go, those that a member subscribes to."""
from __future__ import absolute_import

import logging

from tornado import gen, ioloop

from kiel import events, exc
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: topics of Kafka's own, which no group shares
INTERNAL = ("__consumer_offsets", "__transaction_state", "__share_group_state")

#: seconds that metadata has to lack a topic for before the group is told that it is deleted: one broker that has not
#: heard of a new topic yet must not take it away from all members
GONE_AFTER = 2.0


class Subscription(object):
    """
    Tells a member's allocator of the topics that there are, and of those that the member wants.

    :param cluster: the client's `kiel.cluster.Cluster`
    :param assignment: the member's `kiel.clients.grouping.assignment.Assignment`, which knows its allocator
    :param topics: names of topics to subscribe to on joining
    :param fall_back: called with the error of an allocator whose protocol turned out not to be the group's; takes
        another, or raises; returns a Future
    :param on_error: called with (topic or None, error) of what went wrong with nobody waiting for it
    :param on_gone: called with the name of a topic that was deleted
    """

    def __init__(self, cluster, assignment, topics, fall_back, on_error, on_gone):
        self.cluster = cluster
        self.assignment = assignment
        #: the topics to subscribe to, where members share only what they subscribe to
        self.wanted = set(topics)
        #: topic -> ids that there were when we first saw the topic
        self.first_ids = {}
        #: topic -> Future of a subscription under way
        self.pending = {}
        self._fall_back = fall_back
        self._on_error = on_error
        self._on_gone = on_gone
        #: whether the allocator is told of what changes
        self.following = False
        #: topic -> ids that the allocator was told of last
        self._known = {}
        #: topic -> since when metadata lacks it (`kiel.retry.monotonic`)
        self._missing = {}
        #: the timer of the next look at whether a topic is gone; None for none
        self._timer = None

    def _shared(self):
        """Return all topics but Kafka's own: topic -> ids."""
        return dict((topic, list(ids)) for topic, ids in self.cluster.topics.items() if topic not in INTERNAL)

    @gen.coroutine
    def join(self, seconds):
        """
        Tell the allocator of the topics that there are, and have it join.

        :param seconds: how long a topic that is subscribed to and does not exist is waited for
        """
        self.following = True
        self._known = self._shared()
        for topic, ids in self._known.items():
            self.first_ids.setdefault(topic, frozenset(ids))
        allocator = self.assignment.allocator
        yield allocator.start(self._known)
        if allocator.by_topic and self.wanted:
            yield self._subscribe(sorted(self.wanted), seconds)

    @gen.coroutine
    def _subscribe(self, topics, seconds):
        """Ask for topics, upon which the broker may make them; then subscribe to them."""
        for topic in topics:
            if topic not in self.cluster.topics:
                try:
                    yield self.cluster.ensure(topic, seconds)
                except exc.KielError as error:
                    self._on_error(None, error)
        allocator = self.assignment.allocator
        try:
            yield allocator.subscribe(topics)
        except exc.UnsupportedVersionError as error:
            if self.assignment.allocator is allocator:
                yield self._fall_back(error)
            yield self.assignment.allocator.subscribe(topics)

    def want(self, topic, seconds):
        """See to it that the member takes part in a topic; what goes wrong is the allocator's ``error``."""
        if topic in self.pending or (topic in self.wanted and self.assignment.allocator.is_in):
            return
        self.wanted.add(topic)
        future = self.pending[topic] = self._subscribe([topic], seconds)
        future.add_done_callback(lambda _: self._subscribed(topic, future))

    def want_all(self, topics, seconds):
        """`want` several topics, all in one rebalance."""
        missing = [topic for topic in topics if topic not in self.pending and topic not in self.wanted]
        if not missing:
            return
        future = self._subscribe(missing, seconds)
        for topic in missing:
            self.wanted.add(topic)
            self.pending[topic] = future
            future.add_done_callback(lambda _, topic=topic: self._subscribed(topic, future))

    def _subscribed(self, topic, future):
        """The subscription holds, or failed."""
        self.pending.pop(topic, None)
        error = future.exception()
        if error is not None:
            self._on_error(topic, error)

    def metadata_changed(self):
        """Topics may have come or gone: tell the allocator."""
        topics = self._shared()
        if not self.following or not topics:  # a broker that has just started may say that there are none
            return
        for topic, ids in topics.items():
            self.first_ids.setdefault(topic, frozenset(ids))
            self._missing.pop(topic, None)
        gone = self._gone(topics)
        if topics != self._known:
            self._known = topics
            self.assignment.allocator.update(topics, gone).add_done_callback(_log_failure)

    def _gone(self, topics):
        """Return the topics that are gone for good; those that may only seem to be are put back into ``topics``."""
        gone = set()
        for topic in set(self._known).difference(topics):
            if monotonic() - self._missing.setdefault(topic, monotonic()) < GONE_AFTER:
                topics[topic] = self._known[topic]
                if self._timer is None:
                    self._timer = ioloop.IOLoop.current().call_later(GONE_AFTER, self._look_again)
            else:
                gone.add(topic)
                self._missing.pop(topic, None)
                self.first_ids.pop(topic, None)
                self._on_gone(topic)
        return gone

    def _look_again(self):
        """Ask for metadata, to see whether a topic really is gone."""
        self._timer = None
        events.ignore(self.cluster.heal())

    def abandon(self):
        """Forget what is under way on a loop that is closed, or in another process; what is wanted stays wanted."""
        self.following = False
        self.pending.clear()
        self._known = {}
        self._missing.clear()
        self._timer = None

    def stop(self):
        """Tell the allocator of nothing from now on."""
        self.following = False
        self._missing.clear()
        if self._timer is not None:
            ioloop.IOLoop.current().remove_timeout(self._timer)
            self._timer = None


def _log_failure(future):
    """Log what a Future that nobody waits for failed with."""
    if future.exception() is not None:
        log.error("The group could not be told of new or deleted topics: %s", future.exception())
