"""
What a client tells of itself while it works: connections, requests, batches, fetches, commits, rebalances, errors.

A client takes ``hooks=[...]``, a list of objects. An object has any of the methods of `METHODS`; each takes one
`Event`, whose attributes are listed there. Attributes and methods may be added in later releases, so a method takes
the event and nothing else, and an object may have any other methods besides.

Methods are called on the client's IOLoop, in the turn in which something happened: once for each request, batch, fetch
or call, never for each message. They are plain functions that return soon; what calls the client's own methods goes
through ``IOLoop.add_callback``. What a method raises is logged, the first time, and goes no further.

A client without hooks only asks whether it has any.
"""
from __future__ import absolute_import

import collections
import logging
import weakref

from kiel import arguments

log = logging.getLogger(__name__)

#: method -> (when it is called, {attribute of the event: what it says}); times are in seconds, sizes in bytes. What a
#: broker is: ``broker_id`` is None for a bootstrap host, ``host`` and ``port`` are what was dialled.
METHODS = collections.OrderedDict((
    ("made", ("a client is being made; whoever wraps its methods does so now", ())),
    ("connected", ("a connection is open, its login accepted", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("seconds", "from dialling on"),
    ))),
    ("connect_failed", ("a connection could not be opened", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("seconds", "from dialling on"),
        ("error", "the `kiel.exc.KielError`"),
    ))),
    ("disconnected", ("a connection that was open has ended", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("seconds", "for which it was open"),
        ("error", "the `kiel.exc.KielError`; None where the client closed it"),
        ("pending", "how many requests fail with it"),
    ))),
    ("authenticated", ("a login was accepted, the first of a connection or one that renews its session", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("mechanism", "such as \"SCRAM-SHA-256\""),
        ("lifetime", "seconds after which the broker wants another login; 0 for never"),
    ))),
    ("request_sent", ("a request was handed to the socket", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("api", "kiel's name of it, such as \"produce\""),
        ("version", "the version of the api"),
        ("correlation_id", "the request's number"),
        ("bytes", "of the request"),
        ("queued", "seconds that it waited in the client: for a connection, a login, the end of a pause"),
    ))),
    ("request_answered", ("its answer is read", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("api", "kiel's name of it"),
        ("version", "the version of the api"),
        ("correlation_id", "the request's number"),
        ("bytes", "of the answer"),
        ("queued", "seconds that the request waited in the client"),
        ("writing", "seconds until the socket had taken the last byte of it"),
        ("at_broker", "seconds from then to the first byte of the answer: the broker's, and the way there and back"),
        ("reading", "seconds from then to the last byte"),
        ("seconds", "in all"),
    ))),
    ("throttled", ("a broker had the client wait, or asks it to, since it is over a quota", (
        ("broker_id", "the broker's id"),
        ("host", "its name"),
        ("port", "its port"),
        ("api", "the request that was answered so"),
        ("seconds", "that it is to wait, or has waited"),
    ))),
    ("metadata_refreshed", ("metadata came and were taken over", (
        ("brokers", "how many brokers there are"),
        ("topics", "how many topics are known"),
    ))),
    ("batch_written", ("the broker has a batch of messages, or has been sent it with ``required_acks=0``", (
        ("topic", "its topic"),
        ("partition", "its partition's id"),
        ("broker_id", "the leader that took it"),
        ("records", "how many messages"),
        ("bytes", "of the messages as they are encoded, before compression"),
        ("compressed", "bytes of the batch as it was sent"),
        ("fill", "how much of the room of a batch was used: 0 to 1"),
        ("attempts", "how often it was sent, or meant to be"),
        ("offset", "the first message's; -1 where the broker does not tell"),
        ("queued", "seconds from the first message's coming until the batch was first sent"),
        ("seconds", "from the first message's coming on"),
    ))),
    ("batch_retried", ("a batch failed and is sent again", (
        ("topic", "its topic"),
        ("partition", "its partition's id"),
        ("records", "how many messages"),
        ("attempts", "how often it was sent, or meant to be"),
        ("error", "the `kiel.exc.KielError`"),
    ))),
    ("batch_failed", ("a batch is given up", (
        ("topic", "its topic"),
        ("partition", "its partition's id"),
        ("records", "how many messages"),
        ("attempts", "how often it was sent, or meant to be"),
        ("error", "the exception that its messages fail with"),
        ("seconds", "from the first message's coming on"),
    ))),
    ("fetch_answered", ("a fetch was answered", (
        ("broker_id", "the broker"),
        ("bytes", "of messages, as on the wire"),
        ("asked", "how many partitions were asked for"),
        ("partitions", "how many partitions brought messages"),
        ("errors", "how many partitions brought an error"),
        ("seconds", "from sending the request on"),
    ))),
    ("records_handed_out", ("a call of ``consume`` or ``consume_records`` returned messages", (
        ("topic", "the topic"),
        ("records", "how many messages"),
        ("messages", "the list that the call returns, which is the caller's"),
        ("partitions", "``{partition id: Handed}``, see `Handed`"),
        ("ahead", "whether a stream keeps them, to hand them out one after the other"),
        ("seconds", "that the call took"),
    ))),
    ("nothing_handed_out", ("such a call ended without messages", (
        ("topic", "the topic"),
        ("seconds", "that the call took"),
    ))),
    ("committed", ("offsets were committed, or could not be", (
        ("group", "the group's name"),
        ("offsets", "``{(topic, partition id): next offset to read}`` of those that were committed"),
        ("errors", "``{(topic, partition id): kiel.exc.KielError}`` of those that were not"),
        ("seconds", "that it took, with everything tried again; 0 for what a transaction committed"),
    ))),
    ("rebalance_begun", ("partitions come or go; a classic group that is not cooperative has two such changes, one "
                         "where all go and one where they come", (
                             ("group", "the group's name"),
                             ("member", "this member's id"),
                             ("generation", "the group's generation or the member's epoch"),
                             ("revoked", "``{topic: [partition ids]}`` that go"),
                             ("assigned", "``{topic: [partition ids]}`` that come"),
                         ))),
    ("rebalance_ended", ("they have: the last commit is through, and the application has been told", (
        ("group", "the group's name"),
        ("member", "this member's id"),
        ("generation", "the group's generation or the member's epoch"),
        ("revoked", "``{topic: [partition ids]}`` that went"),
        ("assigned", "``{topic: [partition ids]}`` that came"),
        ("lost", "``{topic: [partition ids]}`` that went without having been asked for"),
        ("seconds", "since ``rebalance_begun``; 0 where partitions were lost"),
    ))),
    ("heartbeat_late", ("the coordinator took the member for alive, after more than two intervals", (
        ("group", "the group's name"),
        ("seconds", "since it last did"),
        ("interval", "seconds that there should be"),
    ))),
    ("loop_blocked", ("the IOLoop turns again after a callback blocked it for longer than ``slow_callback``", (
        ("group", "the group whose member noticed"),
        ("seconds", "for which it was blocked"),
        ("culprit", "\"file:line (function)\""),
    ))),
    ("error", ("something failed that is seen to: by trying again after the cure, or by an error for the caller", (
        ("error", "the `kiel.exc.KielError`"),
        ("cure", "what is renewed first: \"metadata\", \"coordinator\", \"producer_id\", \"rejoin\" or None"),
        ("retriable", "whether it is tried again, as long as there is time"),
        ("topic", "what it is about, where it is a topic"),
        ("partition", "what it is about, where it is a partition"),
    ))),
))

#: What `METHODS` calls Handed: of one partition ``begun``, the offset that the messages begin at, ``next``, the one
#: that is handed out next, and ``newest``, the latest time stamp of their last batch (milliseconds; -1 for none).
Handed = collections.namedtuple("Handed", ("begun", "next", "newest"))


class Event(object):
    """
    What a hook's method is called with.

    ``name`` is the method's, ``client`` the client that it is about; None once the application has dropped that. The
    other attributes are those of `METHODS`.
    """

    def __init__(self, name, client, values):
        self.__dict__ = values  # a third of the time that copying them takes
        self.name = name
        self.client = client

    @property
    def client_id(self):
        """The name that the client gives to brokers; None once the client was dropped."""
        return None if self.client is None else self.client._settings.client_id

    def __repr__(self):
        return "Event(%s, %s)" % (self.name, ", ".join(
            "%s=%r" % (field, getattr(self, field, None)) for field, _ in METHODS[self.name][1]))


class Hooks(object):
    """
    The hooks of one client.

    :param listeners: the objects that were given
    :raises TypeError: for what is no list of such objects, for an object with none of the methods, and for a method
        that is a coroutine
    """

    def __init__(self, listeners):
        #: method -> the functions that are called, in the order of the objects
        self._listening = dict((name, _methods_of(listeners, name)) for name in METHODS)
        #: the objects that the application gave, in their order
        self.listeners = tuple(listeners)
        #: those that kiel has added
        self._added = ()
        #: a weak reference to the client
        self._client = None
        #: (object, method) of those whose exception is logged
        self._failed = set()

    def bind(self, client):
        """Note the client that it is all about."""
        self._client = weakref.ref(client)

    def add(self, listener):
        """Have an object of kiel's own called from now on, after all others."""
        self._added += (listener,)
        self._list()

    def remove(self, listener):
        """Undo `add`. Return whether anybody is left."""
        self._added = tuple(other for other in self._added if other is not listener)
        self._list()
        return bool(self.listeners or self._added)

    def _list(self):
        for name in METHODS:
            self._listening[name] = _methods_of(self.listeners + self._added, name)

    def wants(self, name):
        """Return whether anybody listens to a method's events, for those that take some work to make."""
        return bool(self._listening[name])

    def tell(self, name, **values):
        """Call a method of whoever has it, with an `Event` of these attributes."""
        self.pass_on(name, values)

    def pass_on(self, name, values):
        """The same with the event's attributes as a dict, which the event keeps: do not change it afterwards."""
        functions = self._listening[name]
        if not functions:
            return
        event = Event(name, None if self._client is None else self._client(), values)
        for function in functions:
            try:
                function(event)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                self._log_once(name, function)

    def _log_once(self, name, function):
        key = id(getattr(function, "__self__", function)), name
        if key not in self._failed:
            self._failed.add(key)
            log.exception("Hook %s failed on %s; its further failures there are not logged", function, name)


def listen(hooks):
    """
    Return the `Hooks` of a client's argument; None where nobody listens.

    :raises TypeError: as `Hooks`
    """
    if hooks is None:
        return None
    if isinstance(hooks, dict) or not hasattr(hooks, "__iter__"):
        raise TypeError("hooks has to be a list of objects with methods of kiel.hooks.METHODS, not %s" %
                        type(hooks).__name__)
    hooks = list(hooks)
    for hook in hooks:
        if isinstance(hook, type) or not any(callable(getattr(hook, name, None)) for name in METHODS):
            raise TypeError("hooks: %r has none of the methods that are called: %s" % (hook, ", ".join(METHODS)))
    return Hooks(hooks) if hooks else None


def _methods_of(listeners, name):
    """Return the methods of that name."""
    found = [getattr(listener, name) for listener in listeners if getattr(listener, name, None) is not None]
    return tuple(arguments.plain_callable("the hook %s" % name, function) for function in found)
