"""How far a group's member has come in each partition: taken, handed out, due to be committed, committed."""
from __future__ import absolute_import

from tornado import concurrent

from kiel.events import settle


class Taken(object):
    """What one `consume` took of one partition, until it is handed out."""

    __slots__ = ("cursor", "generation", "batches", "begun", "messages", "reached", "book", "noted", "committed")

    def __init__(self, cursor, generation, batches):
        self.cursor = cursor
        self.generation = generation
        self.batches = batches
        #: the offset that the messages begin at; set when they are decoded
        self.begun = None
        self.messages = []
        #: the offset after the last message decoded; None before the first
        self.reached = None
        #: the dict in which ``reached`` was noted as to be committed, and what that said before
        self.book = self.noted = None
        #: whether ``reached`` is committed: then nobody else would hand the messages out
        self.committed = False

    @property
    def key(self):
        """The partition, as (topic, partition)."""
        return self.cursor.topic, self.cursor.partition


class Progress(object):
    """
    Offsets on their way from being decoded to being committed.

    An offset is in a `Taken` while its messages are not handed out; then in ``working``, if the application has to say
    that they are processed; then in ``due``; then committed, and forgotten here. Keys are ``(topic, partition)``.

    :param processed: whether messages that were handed out have to be processed before they are due
    """

    def __init__(self, processed):
        self.processed = processed
        #: key -> offset: ready to be committed
        self.due = {}
        #: topic -> {key: offset}: handed out, not processed yet
        self.working = {}
        #: topics whose positions the application wants to be committed, handed out or not
        self.marked = set()
        #: key -> offset: committed last, as far as this member may still take it back
        self._committed = {}
        #: key -> offset: partitions that went to others before what was handed out of them was committed
        self.forfeited = {}
        #: topic -> Future that is done when what is being worked on is processed
        self._waiting = {}
        #: key -> the `Taken` that is being decoded or committed
        self._taken = {}

    # -- taken --

    def begin(self, taken):
        """What was taken of a partition is going to be decoded."""
        taken.begun = taken.cursor.handed
        self._taken[taken.key] = taken

    def moved(self, cursor, offset):
        """A cursor's messages before ``offset`` are decoded."""
        taken = self._taken.get((cursor.topic, cursor.partition))
        if taken is not None and taken.cursor is cursor:
            taken.reached = offset

    def note(self, taken):
        """What was taken is decoded, and about to be handed out."""
        taken.book = self.working.setdefault(taken.key[0], {}) if self.processed else self.due
        taken.noted = taken.book.get(taken.key)
        taken.book[taken.key] = taken.reached

    def put_back(self, taken):
        """
        What was taken is not handed out after all: its cursor reads it again.

        Return whether it does; not where the partition was given away, or sought, meanwhile.
        """
        cursor, key = taken.cursor, taken.key
        if taken.book is not None and taken.book.get(key) == taken.reached:
            if taken.noted is None:
                del taken.book[key]
            else:
                taken.book[key] = taken.noted
        if cursor.generation != taken.generation:
            return False
        cursor.put_back(taken.begun)
        cursor.rest()
        return True

    def end(self, taken):
        """Each `Taken` of a list is handed out or put back."""
        for one in taken:
            self._taken.pop(one.key, None)

    # -- handed out --

    def handed(self, topic):
        """Messages of a topic were returned to the caller."""
        if topic in self.working:
            self._waiting.setdefault(topic, concurrent.Future())

    def done_with(self, topic):
        """What was handed out of a topic is processed."""
        self.due.update(self.working.pop(topic, {}))
        waiting = self._waiting.pop(topic, None)
        if waiting is not None:
            settle(waiting)

    def done_with_all(self):
        """All that was handed out is processed."""
        for topic in list(self.working):
            self.done_with(topic)

    def hand_over(self, key, offset):
        """A stream handed out the messages of a partition before an offset."""
        if self.processed:
            self.working.setdefault(key[0], {})[key] = offset
            self.handed(key[0])
        else:
            self.due[key] = offset

    def is_committed(self, key, offset):
        """Return whether an offset is the one that was committed last."""
        return self._committed.get(key) == offset

    def drop_work(self):
        """What is being worked on will not be processed by this member: it is not committed, and not waited for."""
        self.working.clear()
        for topic in list(self._waiting):
            settle(self._waiting.pop(topic))

    def work_on(self, keys):
        """Return ``{topic: Future}`` for the topics of which some of these partitions are being worked on."""
        return dict(
            (topic, self._waiting[topic]) for topic, work in self.working.items()
            if topic in self._waiting and set(keys).intersection(work)
        )

    # -- committed --

    def returned(self, key, begun, reached):
        """Messages from ``begun`` up to ``reached`` were handed out to a call that nobody waited for any more."""
        work = self.working.get(key[0], {})
        if work.get(key) == reached:
            del work[key]
        if self.due.get(key, self._committed.get(key)) == reached:
            self.due[key] = begun  # where it is committed already, the next commit takes it back

    def sought(self, key, offset=None):
        """
        The application goes on elsewhere: that is what is committed next, not what was handed out before.

        :param offset: None where it is not known yet
        """
        self._drop(key)
        if offset is not None:
            self.due[key] = offset

    def unmark(self, topic):
        """The application does not want what is due of a topic to be committed."""
        self.marked.discard(topic)
        for key in [key for key in self.due if key[0] == topic]:
            del self.due[key]

    def add_marked(self, position):
        """
        What the application marked is due.

        :param position: function of a topic that returns ``{partition: next offset to hand out}`` of those it knows
        """
        for topic in list(self.marked):
            for partition, offset in position(topic).items():
                self.due.setdefault((topic, partition), offset)
                self.marked.discard(topic)

    def committed(self, key, offset):
        """A commit succeeded."""
        self._committed[key] = offset
        if self.due.get(key) == offset:
            del self.due[key]
        if self.forfeited.get(key) == offset:  # the commit was under way when the partition went
            del self.forfeited[key]
        taken = self._taken.get(key)
        if taken is not None and taken.reached == offset:
            taken.committed = True

    def _drop(self, key):
        """Forget what is not committed of a partition. Return how far it went, None where there was nothing."""
        self._committed.pop(key, None)
        due = self.due.pop(key, None)
        work = self.working.get(key[0], {})
        reached = work.pop(key, due)
        if not work:
            self.working.pop(key[0], None)
        return reached

    def forfeit(self, key):
        """A partition is another member's now, and with it what was not committed."""
        reached = self._drop(key)
        if reached is not None:
            self.forfeited[key] = reached

    def forfeit_all(self):
        """The membership is gone, and with it what was not committed."""
        for key in set(self.due).union(*self.working.values()):
            self.forfeit(key)
        for book in (self._waiting, self.marked, self._committed, self._taken):
            book.clear()

    def rewind(self):
        """Forget all that is not committed. Return its partitions; their messages are to be handed out again."""
        self.forfeited.clear()
        keys = list(self.due)
        for key in keys:
            self._drop(key)
        return keys

    def clear(self):
        """A membership is over: the next one must not commit its offsets."""
        for book in (self.due, self.working, self._waiting, self.forfeited, self.marked, self._committed):
            book.clear()
