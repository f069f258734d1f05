"""
What a group has committed: reading it, and committing.

Kafka has two stores of offsets that know nothing of each other. Version 0 of the two apis keeps them in ZooKeeper, as
kiel 0.9 does; later versions keep them in Kafka. A group that 0.9 members may belong to uses both, and takes
the higher position of both, so that members old and new can take over from each other.
"""
from __future__ import absolute_import

import collections
import logging

from tornado import gen

from kiel import constants, exc
from kiel.clients.consuming.cursor import epoch_of, offset_of
from kiel.events import outcome_of
from kiel.protocol import errors, offset_commit, offset_fetch, topic_ids

log = logging.getLogger(__name__)

ZOOKEEPER, KAFKA = "zookeeper", "kafka"

#: store -> the versions of OffsetFetch and OffsetCommit that reach it
STORES = {ZOOKEEPER: (0, 0), KAFKA: (1, 10)}

#: so many answers without an error have to leave a partition out before it counts as one without a committed offset
LEFT_OUT_TIMES = 3


class Outsider(object):
    """Who commits without being a member of the group: unsigned, and whatever is asked for."""

    #: (member id, generation or epoch)
    identity = ("", -1)
    #: the name of a static member
    instance_id = None

    def withheld(self, keys):
        """
        Return the partitions that may not be committed at this moment; asked before each request.

        ``{(topic, partition): outcome}``: an error where that may change soon, None where the partition is not this
        member's any more.
        """
        return {}

    def refused(self, error):
        """Return the error to go by when a commit was refused."""
        return error


class CommittedOffsets(object):
    """
    The stores of a group's offsets.

    :param client: the `kiel.clients.client.Client` that asks
    :param coordinator: the group's `kiel.clients.grouping.coordinator.GroupCoordinator`
    :param uses_zookeeper: whether the group may have offsets in ZooKeeper
    :param zk_hosts: the ZooKeeper that errors name
    :param isolation_level: what the offsets of transactions that are still open are to a reader of offsets
    :param face: the object whose ``handle_offset_fetch_response`` and ``handle_offset_commit_response`` see each answer
        first; default: this one
    """

    def __init__(self, client, coordinator, uses_zookeeper=False, zk_hosts=None,
                 isolation_level=constants.READ_UNCOMMITTED, face=None):
        self.client = client
        self.coordinator = coordinator
        self.uses_zookeeper = uses_zookeeper
        self.zk_hosts = zk_hosts
        self.isolation_level = isolation_level
        #: takes the answers
        self._handler = self if face is None else _Face(face, self)
        #: True once a broker said that it has no store of offsets in ZooKeeper
        self.no_zookeeper = False
        #: (store, key) -> in how many answers in a row a partition was left out
        self._left_out = collections.Counter()

    def stores(self, broker, api):
        """Return the stores that the coordinator has and this group uses, by the api that reaches them."""
        stores = []
        if self.uses_zookeeper and not self.no_zookeeper and broker.wire.supports(api, 0):
            stores.append(ZOOKEEPER)
        if broker.wire.reaches(api, 1):
            stores.append(KAFKA)
        return stores

    @gen.coroutine
    def _ask(self, broker, request):
        """Send one request to the coordinator. Return what its handler makes of the answer, None when none came."""
        answers = yield self.client.send({broker.broker_id: request}, self._handler)
        raise gen.Return(answers.get(broker.broker_id))

    # -- reading --

    @gen.coroutine
    def read(self, keys, deadline=None, tell=None):
        """
        Return what the group has committed: ``{(topic, partition): offset, None or KielError}``.

        :param keys: ``(topic, partition)`` pairs
        :param deadline: seconds until what failed retriably is given up
        :param tell: called with ``(key, offset)`` of each offset that there is as soon as it comes, so that none has to
            wait for one that is hard to get
        """
        found = yield self.coordinator.attempt(keys, lambda wanted: self._read_round(wanted, tell), deadline)
        raise gen.Return(dict(
            (key, value if isinstance(value, exc.KielError) or value >= 0 else None) for key, value in found.items()
        ))

    @gen.coroutine
    def _read_round(self, wanted, tell):
        """Ask every store for the offsets. Return the highest of each, -1 for none."""
        broker = yield self.coordinator.broker()
        found = {}
        for store in self.stores(broker, "offset_fetch"):
            request = offset_fetch.OffsetFetchRequest(
                group_name=self.coordinator.key, topics=topic_ids.by_topic(
                    offset_fetch.TopicRequest, wanted, self.client.cluster.topic_ids
                )
            )
            request.narrow = STORES[store]
            if store == KAFKA and broker.wire.reaches("offset_fetch", 7):
                # offsets of a transaction that is not ended yet are waited for (KIP-447)
                request.require_stable = self.isolation_level == constants.READ_COMMITTED
            answer = yield self._ask(broker, request)
            if answer is None:
                raise gen.Return({})
            for key in wanted:
                value = self._offset(store, key, answer)
                if isinstance(found.get(key), exc.KielError):
                    continue
                found[key] = value if isinstance(value, exc.KielError) else max(value, found.get(key, -1))
        for key, value in found.items() if tell is not None else ():
            if not isinstance(value, exc.KielError) and value >= 0:
                tell(key, value)
        raise gen.Return(found)

    def _offset(self, store, key, answer):
        """Return what a store's answer says of one partition: an offset, -1 for none, or an error."""
        value = answer.get(key)
        if value is None:
            self._left_out[store, key] += 1
            if self._left_out[store, key] < LEFT_OUT_TIMES:
                return _left_out("OffsetFetch", self.coordinator, key)
            log.warning("The OffsetFetch responses lack %s:%s of %s; it is taken to have no committed offset",
                        key[0], key[1], self.coordinator, extra=dict(topic=key[0], partition=key[1]))
            return -1
        self._left_out.pop((store, key), None)
        if store == ZOOKEEPER and isinstance(value, exc.UnsupportedVersionError):
            self.no_zookeeper = True
            return -1
        return value

    def handle_offset_fetch_response(self, response):
        """Return ``{(topic, partition): offset or KielError}``, -1 for none."""
        found = Answer(response.error_code, "offsets of %s" % self.coordinator, response.api, self.coordinator.key)
        for topic in response.topics:
            for part in topic.partitions:
                key = topic.name, part.partition_id
                code = part.error_code
                if code == errors.unknown_topic_or_partition and response.api_version == 0:
                    code = errors.no_error  # the ZooKeeper store says so when there is none
                if code == errors.unknown and response.api_version == 0:
                    # what a broker says while ZooKeeper is away or its session over; it can tell again after that
                    found[key] = exc.ZooKeeperError(
                        self.zk_hosts, "the broker can't read the committed offset of %s:%s" % key)
                    continue
                found[key] = self._error(code, "committed offset of %s:%s" % key, response, topic) or \
                    offset_of(part.offset, part.leader_epoch)
        return found

    # -- committing --

    @gen.coroutine
    def commit(self, offsets, metadata="", deadline=None, member=None, closing=False):
        """
        Commit offsets to every store that the group uses.

        Return ``{(topic, partition): True, None or KielError}``, None where the member withholds them.

        :param offsets: ``{(topic, partition): offset}``, the next offsets to read
        :param metadata: a text that Kafka keeps beside each offset; left away where it is too long
        :param deadline: seconds until what failed retriably is given up
        :param member: the member that signs the commit, see `Outsider`; default: nobody
        :param closing: whether to go on trying while the client closes
        """
        words = [metadata]
        member = Outsider() if member is None else member
        result = yield self.coordinator.attempt(
            list(offsets),
            lambda keys: self._commit_round(dict((key, offsets[key]) for key in keys), words, member),
            deadline, closing=closing
        )
        raise gen.Return(result)

    @gen.coroutine
    def _commit_round(self, offsets, words, member):
        """One round of `commit`."""
        result = member.withheld(offsets)
        if len(result) == len(offsets):
            raise gen.Return(result)
        broker = yield self.coordinator.broker()
        result = {}
        for store in self.stores(broker, "offset_commit"):
            blocked = member.withheld(offsets)  # that may have changed while the other store was asked
            result.update(blocked)
            asked = dict((key, offset) for key, offset in offsets.items() if key not in blocked)
            if not asked:
                break
            outcome = yield self._commit_to(store, broker, asked, words[0], member)
            if outcome is None:
                raise gen.Return(blocked)
            for key in asked:
                if not isinstance(result.get(key), exc.KielError):
                    result[key] = outcome[key] or True
        if any(isinstance(value, _Shorter) for value in result.values()):
            words[0] = ""
        raise gen.Return(result)

    @gen.coroutine
    def _commit_to(self, store, broker, offsets, metadata, member):
        """Commit to one store. Return ``{(topic, partition): None or KielError}``, None when no answer came."""
        member_id, generation = member.identity
        request = offset_commit.OffsetCommitRequest(
            group=self.coordinator.key, generation=generation, consumer_id=member_id,
            group_instance_id=member.instance_id if broker.wire.reaches("offset_commit", 7) else None,
            topics=topic_ids.by_topic(offset_commit.TopicRequest, (
                (topic, offset_commit.PartitionRequest(
                    partition_id=partition, offset=offset, leader_epoch=epoch_of(offset), metadata=metadata
                )) for (topic, partition), offset in offsets.items()
            ), self.client.cluster.topic_ids)
        )
        request.narrow = STORES[store]
        answer = yield self._ask(broker, request)
        if answer is None:
            raise gen.Return(None)
        result = {}
        for key in offsets:
            error = answer.get(key, _left_out("OffsetCommit", self.coordinator, key))
            if store == ZOOKEEPER and isinstance(error, exc.UnsupportedVersionError):
                self.no_zookeeper = True
                error = None
            if isinstance(error, exc.OffsetMetadataTooLargeError) and metadata:
                error = _Shorter()
            elif error is not None:
                error = member.refused(error)
            result[key] = error
        raise gen.Return(result)

    def handle_offset_commit_response(self, response):
        """Return ``{(topic, partition): None or KielError}``."""
        result = {}
        for topic in response.topics:
            for part in topic.partitions:
                key = topic.name, part.partition_id
                result[key] = self._error(part.error_code, "commit of %s:%s" % key, response, topic)
        return result

    def _error(self, code, text, response, topic):
        """Return the error of a partition of an answer; None for none."""
        return exc.for_code(code, text, response.api, topic=topic.name, group=self.coordinator.key)


class Answer(dict):
    """The partitions of an answer; an error of the answer as a whole stands for those it leaves out."""

    def __init__(self, code, where, api=None, group=None):
        super(Answer, self).__init__()
        #: the error of the answer as a whole; None for none
        self.error = exc.for_code(code, where, api, group=group)

    def get(self, key, default=None):
        """Return the key's value, the whole answer's error, or the default."""
        return super(Answer, self).get(key, self.error or default)


class _Face(object):
    """
    Has an application's own handlers see the answers first, as in kiel 0.9.

    They return what those of 0.9 did: whether to try again. That says nothing of single partitions, so kiel reads the
    answer by itself, too.
    """

    def __init__(self, face, own):
        self.face = face
        self.own = own

    @gen.coroutine
    def handle_offset_fetch_response(self, response):
        """Return ``{(topic, partition): offset or KielError}``, -1 for none."""
        retry = yield outcome_of(self.face.handle_offset_fetch_response(response))
        found = self.own.handle_offset_fetch_response(response)
        raise gen.Return(_again(found, "OffsetFetch") if retry else found)

    @gen.coroutine
    def handle_offset_commit_response(self, response):
        """Return ``{(topic, partition): None or KielError}``."""
        result = yield outcome_of(self.face.handle_offset_commit_response(response))
        retry, shorter = result if isinstance(result, tuple) else (result, False)
        outcome = self.own.handle_offset_commit_response(response)
        if shorter:
            outcome = dict((key, exc.OffsetMetadataTooLargeError()) for key in outcome)
        raise gen.Return(_again(outcome, "OffsetCommit") if retry and not shorter else outcome)


def _again(outcome, api):
    """Return what an answer says where the application wants the request to be sent again."""
    return dict(
        (key, value if isinstance(value, exc.KielError) else _wanted_again(api)) for key, value in outcome.items()
    )


def _wanted_again(api):
    error = exc.KielError("the application's handler of %s asks for a retry" % api)
    error.retriable = True
    return error


def retry_of(outcome):
    """Return whether 0.9 would send a request again upon these outcomes, and whether with less metadata."""
    errors_of = [value for value in outcome.values() if isinstance(value, exc.KielError)]
    shorter = any(isinstance(error, exc.OffsetMetadataTooLargeError) for error in errors_of)
    return shorter or any(error.retriable for error in errors_of), shorter


class _Shorter(exc.OffsetMetadataTooLargeError):
    """The metadata is too long: again, without it."""

    retriable = True


def _left_out(api, coordinator, key):
    """Return the error of a partition that an answer says nothing about; the next may."""
    error = exc.for_code(errors.unknown, "the coordinator's answer to %s leaves out %s:%s of %s" % (
        (api,) + key + (coordinator,)
    ))
    error.retriable = True
    return error
