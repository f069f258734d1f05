"""
Fetch sessions (KIP-227): a broker remembers what a consumer reads, so that a fetch names only what has changed.

A session begins with a full fetch, whose answer gives it an id. Every fetch after that carries the id, an epoch that
counts the fetches, the partitions that are new or are to be read from elsewhere, and those that are to be forgotten;
its answer names only partitions with something to say. What goes wrong ends in a full fetch, which begins anew.
Nothing in here sends or waits.
"""
from __future__ import absolute_import

from kiel.protocol import errors

#: `FetchSession.epoch` of a full fetch that begins a session
INITIAL = 0

#: the epoch of a fetch outside of any session; its session id is 0
NO_SESSION = -1

#: after this epoch comes 1
LAST = 0x7fffffff


class FetchSession(object):
    """
    One session with one broker, for one fetch at a time.

    ``id`` is 0 while the broker has given none; it may well give none, where its cache is full. ``epoch`` is what the
    next fetch carries.
    """

    def __init__(self):
        self.id = 0
        self.epoch = INITIAL
        #: what the broker knows: (topic, partition) -> a tuple, the topic's id first
        self.partitions = {}
        #: topic id -> topic, of all that an answer may name
        self.names = {}
        self._by_id = None

    @property
    def open(self):
        """Whether the next fetch may leave out what has not changed."""
        return self.epoch != INITIAL

    def ask(self, wanted, by_id):
        """
        Return what the next fetch has to say: ``(changed, forgotten)``.

        ``changed`` are the keys to send, ``forgotten`` is a list of ``(key, topic id)``. From here on until `answered`,
        `refused` or `lost` the fetch is under way. The session begins anew when the way of naming topics changes, since
        brokers refuse to mix them.

        :param wanted: all partitions to be read: {(topic, partition): (topic id, anything the fetch says of it)}
        :param by_id: whether the fetch names topics by their ids (version 13 and later)
        """
        if by_id != self._by_id:
            self.lost()
            self._by_id = by_id
        known, self.partitions = self.partitions, wanted
        if self.epoch == INITIAL:
            changed, forgotten = list(wanted), []
            self.names = {}
        else:
            changed = [key for key, value in wanted.items() if known.get(key) != value]
            # a topic made anew under the same name: its old id leaves, the new one comes in
            forgotten = [
                (key, value[0]) for key, value in known.items()
                if key not in wanted or (by_id and value[0] != wanted[key][0])
            ] if len(known) != len(wanted) or changed else []
        for key in changed:
            self.names[wanted[key][0]] = key[0]
        return changed, forgotten

    def answered(self, session_id):
        """
        An answer came, without an error of its own.

        :param session_id: the one in the answer
        """
        if not session_id:
            self.lost()
            self.id = 0
        elif self.epoch == INITIAL:
            self.id, self.epoch = session_id, 1
        elif session_id == self.id:
            self.epoch = self.epoch + 1 if self.epoch < LAST else 1
        else:
            self.lost()

    def refused(self, code):
        """The broker does not know the session, or not as we do. Returns whether the error was about that at all."""
        self.lost()
        if code == errors.fetch_session_id_not_found:
            self.id = 0
        return code in (
            errors.fetch_session_id_not_found, errors.invalid_fetch_session_epoch, errors.fetch_session_topic_id_error
        )

    def lost(self):
        """What the broker knows is uncertain: the next fetch is a full one, which also ends the session it knows."""
        self.epoch = INITIAL
        self.partitions = {}
