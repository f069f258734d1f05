"""
How far a group has come: finding its coordinator, reading committed offsets, and committing them.

Kafka has two stores of offsets that know nothing of each other. Version 0 of the two apis keeps them in ZooKeeper, as
kiel 0.9 does; later versions keep them in Kafka. A group that 0.9 members may belong to uses both, and takes
the higher position of both, so that members old and new can take over from each other.
"""
from __future__ import absolute_import

import copy
import logging
import random

from tornado import gen

from kiel import constants, exc
from kiel.events import ignore
from kiel.clients.cursor import epoch_of, offset_of
from kiel.protocol import coordinator, errors, offset_commit, offset_fetch, topic_ids

log = logging.getLogger(__name__)

ZOOKEEPER, KAFKA = "zookeeper", "kafka"

#: store -> the versions of OffsetFetch and OffsetCommit that reach it
STORES = {ZOOKEEPER: (0, 0), KAFKA: (1, 10)}


class OffsetStore(object):
    """
    The stores of a group's offsets, as part of a `kiel.clients.client.Client` with a ``group_name``.

    ``coordinator_id`` is the broker that coordinates the group, None while it is not known.
    """

    coordinator_id = None
    #: whether this group may have offsets in ZooKeeper
    uses_zookeeper = False
    #: what the offsets of transactions that are still open are to a reader of offsets
    isolation_level = constants.READ_UNCOMMITTED
    _zk_hosts = None
    _finding = None
    _no_zookeeper = False

    # -- the coordinator --

    def determine_coordinator(self):
        """
        Finds the group's coordinator, asking broker by broker with pauses; gives a Future of whether it was found.

        Those who ask while a search is under way share it.
        """
        if self._finding is None or self._finding.done():
            self._finding = ignore(self._find_coordinator())
        return self._finding

    @gen.coroutine
    def _find_coordinator(self):
        """One search, until found or the retry deadline is over."""
        found = yield self.attempt([self.group_name], self._ask_for_coordinator)
        answer = found[self.group_name]
        if isinstance(answer, exc.KielError):
            self.coordinator_id = None
            self.last_error = answer
            log.error("No coordinator for group %s: %s", self.group_name, answer)
            raise gen.Return(False)
        raise gen.Return(True)

    @gen.coroutine
    def _ask_for_coordinator(self, wanted):
        """One round: asks the brokers, in an order of chance, until one knows."""
        answer = exc.NoBrokersError("no broker is connected")
        brokers = [broker_id for broker_id, conn in self.cluster.conns.items() if not conn.closing]
        random.shuffle(brokers)
        for broker_id in brokers:
            answers = yield self.send({
                broker_id: coordinator.GroupCoordinatorRequest(group=self.group_name)
            })
            answer = answers.get(broker_id, answer)
            if not isinstance(answer, exc.KielError):
                break
        raise gen.Return({self.group_name: answer})

    def handle_group_coordinator_response(self, response):
        """Takes over the coordinator; gives True, or the error."""
        error = exc.for_code(response.error_code, "coordinator of group %s" % self.group_name)
        if error is not None:
            log.info("Group %s has no coordinator yet: %s", self.group_name, error)
            return error
        self.coordinator_id = response.coordinator_id
        return True

    def lose_coordinator(self):
        """Forgets the coordinator; it is looked up at the next need."""
        self.coordinator_id = None

    @gen.coroutine
    def coordinator(self):
        """Gives the coordinator's id, looked up when it is not known or not connected."""
        if self.coordinator_id not in self.cluster or self.cluster[self.coordinator_id].closing:
            self.coordinator_id = None
        if self.coordinator_id is None:
            answer = (yield self._ask_for_coordinator(()))[self.group_name]
            if isinstance(answer, exc.KielError):
                raise answer
            if self.coordinator_id not in self.cluster:
                raise exc.for_code(errors.coordinator_not_available,
                                   "broker %s of group %s is not known" % (self.coordinator_id, self.group_name))
        coordinator_id = self.coordinator_id
        yield self.cluster[coordinator_id].connect()  # what it serves is known while a connection is open
        raise gen.Return(coordinator_id)

    def _stores(self, coordinator_id, api):
        """The stores that the coordinator has and this group uses, by the api that reaches them."""
        if coordinator_id not in self.cluster:
            return []
        wire = self.cluster[coordinator_id].wire
        stores = []
        if self.uses_zookeeper and not self._no_zookeeper and wire.supports(api, 0):
            stores.append(ZOOKEEPER)
        if wire.reaches(api, 1):
            stores.append(KAFKA)
        return stores

    # -- reading --

    @gen.coroutine
    def committed_offsets(self, keys, deadline=None, tell=None):
        """
        Gives what the group has committed: ``{(topic, partition): offset, None or KielError}``.

        :param keys: ``(topic, partition)`` pairs
        :param deadline: seconds until what failed retriably is given up
        :param tell: called with ``(key, offset)`` of each offset that there is as soon as it comes, so that none has to
            wait for one that is hard to get
        """
        found = yield self.attempt(keys, lambda wanted: self._fetch_committed(wanted, tell), deadline)
        raise gen.Return(dict(
            (key, value if isinstance(value, exc.KielError) or value >= 0 else None) for key, value in found.items()
        ))

    @gen.coroutine
    def _fetch_committed(self, wanted, tell):
        """One round: asks every store for the offsets, and gives the highest, -1 for none."""
        coordinator_id = yield self.coordinator()
        found = {}
        for store in self._stores(coordinator_id, "offset_fetch"):
            request = offset_fetch.OffsetFetchRequest(
                group_name=self.group_name, topics=topic_ids.by_topic(
                    offset_fetch.TopicRequest, wanted, self.cluster.topic_ids
                )
            )
            request.narrow = STORES[store]
            if store == KAFKA and self.cluster[coordinator_id].wire.reaches("offset_fetch", 7):
                # offsets of a transaction that is not ended yet are waited for (KIP-447)
                request.require_stable = self.isolation_level == constants.READ_COMMITTED
            answers = yield self.send({coordinator_id: request})
            answer = answers.get(coordinator_id)
            if answer is None:
                raise gen.Return({})
            for key in wanted:
                value = answer.get(key, exc.for_code(-1, "the answer left out %s:%s" % key))
                if store == ZOOKEEPER and isinstance(value, exc.UnsupportedVersionError):
                    self._no_zookeeper = True
                    value = -1
                if isinstance(found.get(key), exc.KielError):
                    continue
                found[key] = value if isinstance(value, exc.KielError) else max(value, found.get(key, -1))
        for key, value in found.items() if tell is not None else ():
            if not isinstance(value, exc.KielError) and value >= 0:
                tell(key, value)
        raise gen.Return(found)

    def handle_offset_fetch_response(self, response):
        """Gives ``{(topic, partition): offset or KielError}``, -1 for none."""
        found = _Answer(response.error_code, "offsets of group %s" % self.group_name)
        for topic in response.topics:
            for part in topic.partitions:
                key = topic.name, part.partition_id
                code = part.error_code
                if code == errors.unknown_topic_or_partition and response.api_version == 0:
                    code = errors.no_error  # the ZooKeeper store says so when there is none
                if code == errors.unknown and response.api_version == 0:
                    # what a broker says while ZooKeeper is away or its session over; it can tell again after that
                    found[key] = exc.ZooKeeperError(
                        self._zk_hosts, "the broker can't read the committed offset of %s:%s" % key)
                    continue
                found[key] = exc.for_code(code, "committed offset of %s:%s" % key) or \
                    offset_of(part.offset, part.leader_epoch)
        return found

    # -- committing --

    def withheld(self, keys):
        """
        Says which partitions may not be committed at this moment; asked before each request.

        Gives ``{(topic, partition): outcome}``: an error where that may change soon, None where the partition is not
        this member's any more.
        """
        return {}

    @gen.coroutine
    def commit(self, offsets, metadata="", deadline=None):
        """
        Commits offsets to every store that the group uses.

        Gives ``{(topic, partition): True, None or KielError}``, None where `withheld` says so.

        :param offsets: ``{(topic, partition): offset}``, the next offsets to read
        :param metadata: a text that Kafka keeps beside each offset; left away where it is too long
        :param deadline: seconds until what failed retriably is given up
        """
        words = [metadata]
        result = yield self.attempt(
            list(offsets), lambda keys: self._commit_round(dict((key, offsets[key]) for key in keys), words), deadline
        )
        raise gen.Return(result)

    @gen.coroutine
    def _commit_round(self, offsets, words):
        """One round of `commit`."""
        result = self.withheld(offsets)
        if len(result) == len(offsets):
            raise gen.Return(result)
        coordinator_id = yield self.coordinator()
        result = {}
        for store in self._stores(coordinator_id, "offset_commit"):
            blocked = self.withheld(offsets)
            result.update(blocked)
            asked = dict((key, offset) for key, offset in offsets.items() if key not in blocked)
            if not asked:
                break
            answer = yield self._commit_to(store, coordinator_id, asked, words[0])
            if answer is None:
                raise gen.Return(blocked)
            for key in asked:
                if not isinstance(result.get(key), exc.KielError):
                    result[key] = answer[key] or True
        if any(isinstance(value, _Shorter) for value in result.values()):
            words[0] = ""
        raise gen.Return(result)

    @gen.coroutine
    def _commit_to(self, store, coordinator_id, offsets, metadata):
        """Commits to one store; gives ``{(topic, partition): None or KielError}``, None when no answer came."""
        member_id, generation = self.allocator.identity
        wire = self.cluster[coordinator_id].wire
        request = offset_commit.OffsetCommitRequest(
            group=self.group_name, generation=generation, consumer_id=member_id,
            group_instance_id=self.allocator.instance_id if wire.reaches("offset_commit", 7) else None,
            topics=topic_ids.by_topic(offset_commit.TopicRequest, (
                (topic, offset_commit.PartitionRequest(
                    partition_id=partition, offset=offset, leader_epoch=epoch_of(offset), metadata=metadata
                )) for (topic, partition), offset in offsets.items()
            ), self.cluster.topic_ids)
        )
        request.narrow = STORES[store]
        answers = yield self.send({coordinator_id: request})
        if coordinator_id not in answers:
            raise gen.Return(None)
        result = {}
        for key in offsets:
            error = answers[coordinator_id].get(key, exc.for_code(-1, "the answer left out %s:%s" % key))
            if store == ZOOKEEPER and isinstance(error, exc.UnsupportedVersionError):
                self._no_zookeeper = True
                error = None
            if isinstance(error, exc.OffsetMetadataTooLargeError) and metadata:
                error = _Shorter()
            elif error is not None and error.cure == "rejoin" and self.allocator.by_topic:
                self.allocator.rejoin(error)
                # in the next generation, with what is still this member's then; `withheld` stops what is not
                error = copy.copy(error)
                error.retriable = True
            result[key] = error
        raise gen.Return(result)

    def handle_offset_commit_response(self, response):
        """Gives ``{(topic, partition): None or KielError}``."""
        result = {}
        for topic in response.topics:
            for part in topic.partitions:
                key = topic.name, part.partition_id
                result[key] = exc.for_code(part.error_code, "commit of %s:%s" % key)
        return result


class _Answer(dict):
    """The partitions of an answer; an error of the answer as a whole stands for those it leaves out."""

    def __init__(self, code, where):
        super(_Answer, self).__init__()
        self.error = exc.for_code(code, where)

    def get(self, key, default=None):
        """The key's value, the whole answer's error, or the default."""
        return super(_Answer, self).get(key, self.error or default)


class _Shorter(exc.OffsetMetadataTooLargeError):
    """The metadata is too long: again, without it."""

    retriable = True
