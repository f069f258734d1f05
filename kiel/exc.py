"""What can go wrong, as classes: each says what happened, whether to try again, and what would cure it."""
from __future__ import absolute_import

import six

from kiel import constants

try:
    _StopAsyncIteration = StopAsyncIteration
except NameError:  # Python 2
    class _StopAsyncIteration(object):
        """What does not end anything there."""


class KielError(Exception):
    """
    The base of every error that kiel raises.

    ``retriable`` tells whether the same call may succeed later; ``cure`` names what has to be renewed before that:
    ``"metadata"``, ``"coordinator"``, ``"producer_id"``, ``"rejoin"`` or ``None``.
    """

    retriable = False
    cure = None


class NoBrokersError(KielError):
    """No broker of the cluster, and no bootstrap host, can be reached; the cause of the last attempt is in the text."""

    retriable = True
    cure = "metadata"


class NoOffsetsError(KielError):
    """Finding the offsets of a topic failed for good."""


class BrokerConnectionError(KielError):
    """The connection to one broker went bad or could not be made; ``cause`` is the exception beneath, if any."""

    retriable = True
    cure = "metadata"

    def __init__(self, host, port, broker_id=None, cause=None, hint=None):
        super(BrokerConnectionError, self).__init__(host, port, broker_id)
        self.host = host
        self.port = port
        self.broker_id = broker_id
        self.cause = cause
        self.hint = hint

    def __str__(self):
        cause, hint = self.cause, self.hint
        # an error handed on as the cause of another about the same broker: its address is told once
        while isinstance(cause, BrokerConnectionError) and (cause.host, cause.port) == (self.host, self.port):
            cause, hint = cause.cause, hint or cause.hint
        text = "Error connecting to %s:%s" % (self.host, self.port)
        if cause is not None:
            text += ": %s" % (str(cause) or type(cause).__name__)
        if hint:
            text += " (%s)" % hint
        return text


#: what releases up to 0.9.3 called it
ConnectionError = BrokerConnectionError


class RequestTimeoutError(BrokerConnectionError):
    """A broker did not answer within the time-out; its connection has been closed."""


class WrongBrokerError(BrokerConnectionError):
    """
    An address was answered by another cluster than the client's, or by another broker than was dialled.

    So it is where a port was used again, a name leads elsewhere, or a copy of the cluster was restored. Nothing is
    written there or read from there; the cluster is looked up anew. A client that is closed and connected again takes
    whatever cluster it finds.
    """

    def __str__(self):
        return "%s:%s is not the broker that was meant: %s (check DNS names, ports and advertised listeners)" % (
            self.host, self.port, self.hint)

    def __init__(self, host, port, broker_id, reason):
        super(WrongBrokerError, self).__init__(host, port, broker_id, hint=reason)


class ProtocolError(KielError):
    """Bytes that are not Kafka's protocol: a frame out of step, too large, or one that can't be decoded."""

    retriable = True
    cure = "metadata"


class AuthenticationError(KielError):
    """The broker refused the login, or its certificate is not accepted: look at credentials, mechanism, authorities."""


class CredentialsError(KielError):
    """
    There are no credentials for a login at the moment: a token's provider, a KDC or a file is away. It is tried again.
    """

    retriable = True


class ZooKeeperError(KielError):
    """
    ZooKeeper can't be reached, or did not do within its time what a consumer group needs; the text says what to check.

    ``hosts`` is the text that kazoo was given, ``cause`` the exception beneath, if any.
    """

    retriable = True

    def __init__(self, hosts, reason, cause=None):
        super(ZooKeeperError, self).__init__(hosts, reason)
        self.hosts = hosts
        self.reason = reason
        self.cause = cause

    def __str__(self):
        text = "ZooKeeper at %s: %s" % (self.hosts, self.reason)
        if self.cause is not None:
            text += ": %s" % (str(self.cause) or type(self.cause).__name__)
        return text


class GroupMovedError(ZooKeeperError):
    """
    The group meets in Kafka now: this member, which only knows ZooKeeper, may not take part any more.

    ``group`` is its name, ``path`` the znode that says so.
    """

    retriable = False

    def __init__(self, hosts, group, path):
        super(GroupMovedError, self).__init__(hosts, (
            "group %s has moved to Kafka (%s is there); give this member group_protocol, or take its zk_hosts away"
        ) % (group, path))
        self.group = group
        self.path = path


class ClosedError(KielError):
    """The client is closing or closed: a message was not accepted, or could not be delivered before it closed."""


class BufferFullError(KielError):
    """A producer's buffer has no room for a message that was not to wait for it."""

    retriable = True


class DeliveryTimeoutError(KielError):
    """
    A message was not acknowledged within the producer's ``delivery_timeout``; whether it was written is not known.

    ``cause`` is the error of the last attempt, ``None`` when there was none; ``topic`` and ``partition`` tell where.
    """

    topic = None
    partition = None

    def __init__(self, message, cause=None):
        super(DeliveryTimeoutError, self).__init__(message)
        self.cause = cause


class NotOwnedError(KielError):
    """
    A commit was refused here, before any broker was asked: the partitions are not, or no longer, this member's.

    They were given away or lost between the messages being handed out and this commit; their owner hands the messages
    out again. Commit sooner, use ``autocommit="processed"``, or finish the work in ``on_rebalance``.
    """


class TransactionStateError(KielError):
    """A call that a producer's transaction does not allow at this point: the text says what has to come first."""


class TransactionFailedError(KielError):
    """
    Something of a transaction failed, so that it can only be aborted; ``cause`` is the error beneath.
    """

    def __init__(self, message, cause=None):
        super(TransactionFailedError, self).__init__(message)
        self.cause = cause


class StreamEnded(KielError, _StopAsyncIteration):
    """
    There are no more messages in a stream: it was closed, or its consumer was, or it has come to its ``until``.

    On Python 3 it is a StopAsyncIteration, and so ends ``async for``.
    """


class ConcurrentConsumeError(KielError):
    """
    A second `consume` of a topic while one is under way, with ``autocommit="processed"``.

    That mode takes the next call for the sign that the messages of the one before are processed, so it needs one
    sequential loop per topic; use ``autocommit=False`` and `commit_offsets` otherwise.
    """

    def __str__(self):
        return (
            "topic %s is already being consumed; autocommit='processed' allows only one consume() per topic at a time"
            % self.args
        )


class CorruptMessageError(KielError):
    """
    A message or record batch whose bytes can't be trusted or read.

    ``topic``, ``partition`` and ``offset`` tell where; the first two are filled in by the consumer.
    """

    def __init__(self, reason, topic=None, partition=None, offset=None):
        super(CorruptMessageError, self).__init__(reason, topic, partition, offset)
        self.reason = reason
        self.topic = topic
        self.partition = partition
        self.offset = offset

    def __str__(self):
        return "%s (topic %s, partition %s, offset %s)" % (
            self.reason, self.topic, self.partition, self.offset
        )


class LogTruncationError(KielError):
    """
    Messages that were handed out are no longer in the partition's log: it was cut, as by an unclean election (KIP-320).

    ``topic`` and ``partition`` tell where, ``offset`` what was to be read next, ``divergent_offset`` up to where the
    log still is the one that was read: what was handed out from there on is gone, and other messages may be in its
    place. It is None where the leader can't tell.
    """

    def __init__(self, topic, partition, offset, divergent_offset=None):
        super(LogTruncationError, self).__init__(topic, partition, offset, divergent_offset)
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.divergent_offset = divergent_offset

    def __str__(self):
        where = "at an offset unknown" if self.divergent_offset is None else "at %d" % self.divergent_offset
        return "the log of %s:%s, read up to %d, was cut %s" % (self.topic, self.partition, self.offset, where)


class MissingCodecError(CorruptMessageError):
    """A codec's optional package is not installed; the text names it."""


class UnhandledResponseError(KielError):
    """A response came for whose api the client has no handler method."""

    def __init__(self, api):
        super(UnhandledResponseError, self).__init__(api)
        self.api = api

    def __str__(self):
        return "No handler method for '%s' api" % self.api


class BrokerError(KielError):
    """
    A broker answered with an error code.

    Each code of `kiel.constants.ERRORS` has a class of its own, such as `NotPartitionLeaderError`; a code that nobody
    knows is a plain `BrokerError`. ``code`` is the number, ``name`` kiel's name of it.
    """

    code = -1
    name = "unknown"

    def __init__(self, message=None, code=None):
        super(BrokerError, self).__init__(message)
        self.message = message
        if code is not None and code != self.code:
            self.code = code
            self.name = "error_%d" % code

    def __str__(self):
        text = "%s (error %d)" % (self.name, self.code)
        return "%s: %s" % (text, self.message) if self.message else text


class AuthorizationError(BrokerError):
    """
    The client's user may not do what it asked for: an ACL denies it, or none allows it.

    ``resource`` is what it is about, such as "topic" or "the cluster", ``resource_name`` the topic's, group's or
    transactional id's name, ``operation`` the right that is missing, such as "Write"; each None where it isn't known.
    """

    resource = None
    resource_name = None
    operation = None

    def __str__(self):
        if self.operation is None:
            return super(AuthorizationError, self).__str__()
        text = "%s (error %d): the user needs the right %s on %s" % (
            self.name, self.code, self.operation, self.resource)
        if self.resource_name is not None:
            text += " %s" % self.resource_name
        return "%s (%s)" % (text, self.message) if self.message else text


#: error code -> the class of that error
by_code = {}


def for_code(code, message=None, api=None, **names):
    """
    Return the exception for an error number of a response, known or not; ``None`` for 0.

    :param message: the broker's own words or the place where it happened, shown in the text
    :param api: what was asked: it tells which right is missing, where the error is that
    :param names: ``topic``, ``group``, ``transactional_id``: what was asked about, as far as it is known
    """
    if code == 0:
        return None
    cls = by_code.get(code)
    if cls is None:
        return BrokerError(message, code)
    error = cls(message)
    if code in constants.RESOURCES:
        error.resource, argument = constants.RESOURCES[code]
        error.resource_name = names.get(argument)
        error.operation = constants.RIGHTS.get(api, {}).get(code)
    return error


def _define():
    """Make a class for each row of the error table and put it into this module."""
    for code, name, retriable, cure in constants.ERRORS:
        if code == 0:
            continue
        words = "".join(word.capitalize() for word in name.split("_"))
        cls_name = words if words.endswith("Error") else words + "Error"
        base = AuthorizationError if code in constants.RESOURCES else BrokerError
        cls = type(cls_name, (base,), {
            "__doc__": "Kafka's error %d, `%s`." % (code, name),
            "__module__": __name__,
            "code": code, "name": name, "retriable": retriable, "cure": cure,
        })
        by_code[code] = cls
        globals()[cls_name] = cls


_define()


class UnsupportedVersionError(by_code[35]):
    """
    No version of an api that both sides speak, or a broker's own error 35.

    ``api`` is its name, ``ours`` and ``theirs`` the ranges ``(lowest, highest)``; ``theirs`` is ``None`` where the
    broker does not serve the api at all.
    """

    def __init__(self, message=None, api=None, ours=None, theirs=None):
        super(UnsupportedVersionError, self).__init__(message)
        self.api = api
        self.ours = ours
        self.theirs = theirs

    def __str__(self):
        if self.api is None:
            return super(UnsupportedVersionError, self).__str__()
        served = "does not serve it" if self.theirs is None else "serves versions %d to %d" % self.theirs
        text = "'%s': kiel needs versions %d to %d, the broker %s" % ((self.api,) + self.ours + (served,))
        return "%s (%s)" % (text, self.message) if self.message else text


by_code[35] = UnsupportedVersionError


def _readable(to_text):
    """
    A ``__str__`` for Python 2 that never fails: what is not ASCII, as in a topic's name or a broker's text, is escaped.

    Python 2 itself raises UnicodeEncodeError there, wherever an error is logged or put into another's text.
    """
    def __str__(self):
        text = to_text(self)
        return text.encode("ascii", "backslashreplace") if isinstance(text, six.text_type) else text
    return __str__


def _plain_text(error):
    """Return the text of an error without a ``__str__`` of its own."""
    if len(error.args) == 1 and isinstance(error.args[0], six.text_type):
        return error.args[0]
    return Exception.__str__(error)


if six.PY2:
    for _class in list(globals().values()):
        if isinstance(_class, type) and issubclass(_class, KielError) and "__str__" in vars(_class):
            _class.__str__ = _readable(vars(_class)["__str__"])
    KielError.__str__ = _readable(_plain_text)
