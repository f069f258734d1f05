"""What a group's member handed out of which partition, what became of it, and how far that may be committed."""
from __future__ import absolute_import

from tornado import concurrent


class Share(object):
    """What one `consume` took of one partition, until it is handed out."""

    __slots__ = ("cursor", "generation", "batches", "begun", "messages", "reached", "book", "noted", "committed")

    def __init__(self, cursor, generation, batches):
        self.cursor = cursor
        self.generation = generation
        self.batches = batches
        #: the offset that the messages begin at
        self.begun = None
        self.messages = []
        #: the offset after the last message decoded
        self.reached = None
        #: where that was noted to be committed, and what was noted there before
        self.book = self.noted = None
        #: whether it is committed: then nobody else would hand the messages out
        self.committed = False

    @property
    def key(self):
        """The partition, as (topic, partition)."""
        return self.cursor.topic, self.cursor.partition


class Books(object):
    """
    Offsets between being decoded and being committed.

    An offset is in a `Share` while its messages are not handed out; then ``at_work``, if the caller has to say that
    they are processed; then ``due``; then committed and forgotten. Keys are ``(topic, partition)``.

    :param processed: whether messages are at work first
    """

    def __init__(self, processed):
        self.processed = processed
        #: key -> offset: handed out, ready to be committed
        self.due = {}
        #: topic -> {key: offset}: handed out, not processed yet
        self.at_work = {}
        #: topic -> Future that is done when what is at work is processed
        self.working = {}
        #: key -> `Share` being decoded or committed
        self.shares = {}

    def begin(self, share):
        """A share is going to be decoded."""
        share.begun = share.cursor.handed
        self.shares[share.key] = share

    def moved(self, cursor, offset):
        """A cursor's messages before ``offset`` are decoded."""
        share = self.shares.get((cursor.topic, cursor.partition))
        if share is not None and share.cursor is cursor:
            share.reached = offset

    def note(self, share):
        """A share is decoded and about to be handed out."""
        share.book = self.at_work.setdefault(share.key[0], {}) if self.processed else self.due
        share.noted = share.book.get(share.key)
        share.book[share.key] = share.reached

    def put_back(self, share):
        """A share is not handed out after all: its cursor reads it again, unless that is another's by now."""
        cursor, key = share.cursor, share.key
        if share.book is not None and share.book.get(key) == share.reached:
            if share.noted is None:
                del share.book[key]
            else:
                share.book[key] = share.noted
        if cursor.generation == share.generation:
            cursor.move(share.begun)
            cursor.rest()
            return True
        return False

    def end(self, shares):
        """Shares are handed out or put back."""
        for share in shares:
            self.shares.pop(share.key, None)

    def handed(self, topic):
        """Messages of a topic were given to the caller."""
        if topic in self.at_work:
            self.working.setdefault(topic, concurrent.Future())

    def done_with(self, topic):
        """What was handed out of a topic is processed."""
        self.due.update(self.at_work.pop(topic, {}))
        working = self.working.pop(topic, None)
        if working is not None:
            working.set_result(None)

    def work_on(self, keys):
        """Gives ``{topic: Future}`` for the topics of which some of these partitions are at work."""
        return dict(
            (topic, self.working[topic]) for topic, work in self.at_work.items()
            if topic in self.working and set(keys).intersection(work)
        )

    def committed(self, key, offset):
        """A commit succeeded."""
        if self.due.get(key) == offset:
            del self.due[key]
        share = self.shares.get(key)
        if share is not None and share.reached == offset:
            share.committed = True

    def forget(self, key):
        """A partition is another's now, and with it what was not committed; tells whether there was any."""
        forfeited = self.due.pop(key, None) is not None
        work = self.at_work.get(key[0], {})
        forfeited = work.pop(key, None) is not None or forfeited
        if not work:
            self.at_work.pop(key[0], None)
        return forfeited

    def clear(self):
        """A membership is over: the next one must not commit its offsets."""
        for book in (self.due, self.at_work, self.working):
            book.clear()
