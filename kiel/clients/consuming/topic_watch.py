"""Whether a topic that is read still is the one that it was, or has been deleted and made again."""
from __future__ import absolute_import

import logging

from kiel.retry import monotonic

log = logging.getLogger("kiel.clients.consumer")


class TopicWatch(object):
    """
    Sees that a topic is another one than that which was read: positions in the old one mean nothing then.

    Brokers from 2.8 on tell a topic's id with the metadata (KIP-516). Where there are none, a topic is another one if
    it was said to be gone in between, and its log's end or its leader's epoch is behind what was read. Without the
    former it may as well be a log that lost its end, and all there is to do is to say so.

    :param cluster: the `kiel.cluster.Cluster`
    :param fetcher: the `kiel.clients.consuming.fetcher.Fetcher`, whose cursors have the positions
    :param made_again: called with a topic that is another one now, and ``{partition: its position}`` of when it was
        said to be gone
    :param gone_after: seconds that metadata has to lack a topic for before its positions are given up; 0 to give them
        up at once
    """

    def __init__(self, cluster, fetcher, made_again, gone_after):
        self._cluster = cluster
        self._fetcher = fetcher
        self._made_again = made_again
        self._ids = {}  # topic -> the id that it had when we got the first position in it
        # topic that was said not to be there while it was read -> {partition: its position then}; where brokers have
        # no ids, it may be another one when it is there again
        self._gone = {}
        self.gone_after = gone_after
        self._missing = {}  # topic -> since when metadata lacks it, as far as somebody wanted to read it since
        self._doubtful = {}  # topic that may be another one -> [(words for why, whether that still holds)]

    def begin(self, topic):
        """The topic is read from now on, if it was not."""
        self._ids.setdefault(topic, self._cluster.topic_ids.get(topic))

    def topics_changed(self):
        """Metadata came: which topics are others?"""
        for topic in list(self._fetcher.cursors):
            known, found = self._ids.get(topic), self._cluster.topic_ids.get(topic)
            doubts = self._doubtful.pop(topic, ())
            if found is None:
                if topic not in self._cluster.topics:
                    self._gone.pop(topic, None)
                    self.note_gone(topic)
                elif topic in self._gone and self._is_younger(topic):
                    self._changed(topic)
                else:
                    self._tell(topic, [what for what, holds in doubts if holds()])
            elif found != known:
                self._ids[topic] = found
                if known is not None:
                    self._changed(topic)
        for topic in [topic for topic in self._missing if self._cluster.topics.get(topic)]:
            del self._missing[topic]

    def has_just_gone(self, topic):
        """Return whether metadata lacks a topic that is read, and not for long: it is to go on where it was."""
        if not self.gone_after or self._cluster.topics.get(topic) or topic not in self._fetcher.cursors:
            return False
        return monotonic() - self._missing.setdefault(topic, monotonic()) < self.gone_after

    def note_gone(self, topic):
        """A broker said that a topic is not there, which may mean no more than that it has not heard of it yet."""
        self._gone.setdefault(topic, dict((cursor.partition, cursor.handed) for cursor in self._fetcher.of(topic)))

    def _is_younger(self, topic):
        """Whether a partition's leader is of an older epoch than messages that were read, as only in a new topic."""
        epochs = self._cluster.leader_epochs.get(topic, {})
        return any(0 <= epochs.get(cursor.partition, -1) < cursor.epoch for cursor in self._fetcher.of(topic))

    def beyond_the_log(self, topic):
        """
        A position is out of range. Return whether that is since the topic was made again: all of it is read anew then.

        For brokers without topic ids: with those, `topics_changed` tells.
        """
        if topic not in self._gone or topic in self._cluster.topic_ids:
            return False
        self._changed(topic)
        return True

    def _changed(self, topic):
        log.warning("Topic %s was deleted and recreated: it is read from its beginning", topic,
                    extra=self._fields(topic))
        self._made_again(topic, self._gone.pop(topic, {}))

    # -- what looks odd --

    def compare_ends(self, cursor, end):
        """Return whether a log's end is behind where it was, so that metadata should be asked for: `topics_changed`."""
        before = cursor.high_watermark
        if before is None or end >= before or cursor.replica is not None:
            return False
        # of a leader that has just been elected it may be behind for a moment
        self._doubt(cursor, "ended at %d and ends at %d now" % (before, end),
                    lambda: cursor.high_watermark is not None and cursor.high_watermark < before)
        return True

    def epochs_went_back(self, cursor, epoch):
        """Messages were written in an earlier leader's time than those before them: metadata should be asked for."""
        self._doubt(cursor, "has messages of leader epoch %d at %d, behind others of epoch %d" % (
            epoch, cursor.position, cursor.epoch), lambda: True)

    def _doubt(self, cursor, what, holds):
        what = "partition %s %s" % (cursor.partition, what)
        self._doubtful.setdefault(cursor.topic, []).append((what, holds))

    def _tell(self, topic, doubts):
        if doubts:
            log.warning("Topic %s: %s: either it was deleted and recreated, which its brokers do not report, or its "
                        "log has lost messages; messages before the position are not read", topic, doubts[0],
                        extra=self._fields(topic))

    def _fields(self, topic):
        """Return the fields of a line about a topic."""
        return dict(client=self._cluster.settings.client_id, topic=topic)
