"""Offsets of a consumer that are part of a transaction."""
from __future__ import absolute_import

from tornado import gen

from kiel import exc
from kiel.clients.grouping.assignment import not_owned
from kiel.clients.producing.transaction_requests import first_error
from kiel.protocol import add_offsets_to_txn, coordinator, topic_ids, txn_offset_commit


class TransactionOffsets(object):
    """
    Sends what consumers have handed out, to be committed with the transaction.

    :param cluster: the `kiel.cluster.Cluster`
    :param requests: the `kiel.clients.producing.transaction_requests.TransactionRequests`
    :param state: the `kiel.clients.producing.producer_state.ProducerState`
    """

    def __init__(self, cluster, requests, state):
        self._cluster = cluster
        self._requests = requests
        self._state = state
        self._sent = []  # (consumer, offsets) of the transaction

    @gen.coroutine
    def send(self, consumer, offsets=None):
        """
        Send a consumer's offsets; see `kiel.clients.producer.Producer.send_offsets`.

        :param offsets: ``{topic: {partition id: offset}}``; default: all that was handed out
        """
        state, requests = self._state, self._requests
        if consumer.autocommit is not False:
            raise ValueError("offsets that a transaction commits need a consumer with autocommit=False")
        group = consumer.group_name
        try:
            offsets = consumer.handed_out() if offsets is None else dict(
                ((topic, partition), offset) for topic, parts in offsets.items() for partition, offset in parts.items())
            signature = consumer.signature(offsets)
        except exc.KielError as error:
            state.spoil(error)
            raise state.failure()
        if not offsets:
            raise gen.Return({})
        try:
            if state.level < 2 and group not in state.groups:
                yield requests.ask(
                    lambda broker: add_offsets_to_txn.AddOffsetsToTxnRequest(group=group, **requests.signature()),
                    lambda response: exc.for_code(response.error_code, "group %s" % group, response.api, group=group,
                                                  transactional_id=state.transactional_id)
                )
            state.groups.add(group)
            yield requests.ask(
                lambda broker: self._commit_of(broker, consumer, signature, offsets), lambda response: first_error(
                    response, group=group, transactional_id=state.transactional_id
                ), coordinator.GROUP, group
            )
        except exc.KielError as error:
            state.spoil(error)
            raise state.failure() or error
        self._sent.append((consumer, offsets))
        raise gen.Return(offsets)

    def committed(self):
        """The transaction is committed: tell the consumers."""
        sent, self._sent = self._sent, []
        for consumer, offsets in sent:
            consumer.note_committed(offsets)

    def forget(self):
        """The transaction is aborted."""
        self._sent = []

    def _commit_of(self, broker, consumer, signature, offsets):
        """
        Return the TxnOffsetCommit of a consumer's offsets.

        :param signature: `kiel.clients.grouping.assignment.Signature`, who may commit them as long as the terms last in
            which they were handed out; in the member's next one somebody else has come further
        :raises kiel.exc.NotOwnedError: when these have ended
        """
        for key, doubt in sorted(signature.withheld(offsets).items()):
            raise doubt or not_owned([key])
        topics = topic_ids.by_topic(txn_offset_commit.TopicRequest, (
            (topic, txn_offset_commit.PartitionRequest(
                partition_id=partition, offset=int(offset), leader_epoch=getattr(offset, "epoch", -1), metadata=""
            )) for (topic, partition), offset in sorted(offsets.items())
        ), self._cluster.topic_ids)
        request = txn_offset_commit.TxnOffsetCommitRequest(
            group=consumer.group_name, topics=topics, **self._requests.signature()
        )
        request.narrow = (5, 6) if self._state.level >= 2 else (0, 4)
        if broker.reaches("txn_offset_commit", 3):
            request.member_id, request.generation = signature.identity
            request.group_instance_id = signature.instance_id
        return request
