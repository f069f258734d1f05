"""Transactions and who writes to partitions; transactions that hang, and their end (KIP-664)."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import arguments, exc
from kiel.arguments import MAX_INT64
from kiel.clients.administering.routes import Reader, by_topic, named, since
from kiel.clients.grouping.coordinator import GroupCoordinator
from kiel.clients.grouping.group_view import need
from kiel.protocol import describe_producers, describe_transactions, list_transactions, write_txn_markers
from kiel.protocol.coordinator import TRANSACTION

#: the first version of ListTransactions that looks at how long they have been open, and that looks at names
BY_DURATION, BY_PATTERN = 1, 2


class TransactionListing(collections.namedtuple(
        "TransactionListing", "transactional_id producer_id state coordinator")):
    """A transactional id; ``state`` is Kafka's word, such as "Ongoing" or "Empty", ``coordinator`` a broker's id."""

    __slots__ = ()


class TransactionDescription(collections.namedtuple(
        "TransactionDescription", "transactional_id producer_id epoch state timeout started partitions coordinator")):
    """
    A transactional id, and the transaction that it has open.

    ``timeout`` is in seconds; ``started`` is milliseconds since 1970, None where none is open; ``partitions`` are the
    ``(topic, partition)`` that it has written to.
    """

    __slots__ = ()


class ActiveProducer(collections.namedtuple(
        "ActiveProducer", "producer_id epoch last_sequence last_timestamp coordinator_epoch transaction_start")):
    """
    A producer that has written to a partition not long ago.

    ``last_timestamp`` is milliseconds since 1970, ``transaction_start`` the first offset of the transaction that it has
    open there, None for none.
    """

    __slots__ = ()


class Transactions(object):
    """
    Lists, describes and aborts transactions.

    :param routes: the `kiel.clients.administering.routes.Routes` to ask by
    """

    def __init__(self, routes):
        self.routes = routes

    @gen.coroutine
    def list(self, states, producer_ids, longer_than, pattern, timeout):
        """Return a list of `TransactionListing`, by transactional id."""
        states = [] if states is None else arguments.texts("states", states)
        if producer_ids is not None:
            producer_ids = [arguments.integer("producer_ids", each, least=0, most=MAX_INT64)
                            for each in arguments.items("producer_ids", producer_ids)]
        duration = -1 if longer_than is None else int(1000 * arguments.seconds("longer_than", longer_than))
        pattern = None if pattern is None else arguments.text("pattern", pattern)

        def make(broker, _):
            request = list_transactions.ListTransactionsRequest(
                state_filters=states, producer_id_filters=producer_ids or [], duration_filter=duration,
                transactional_id_pattern=pattern)
            if longer_than is not None:
                since(broker, request.api, BY_DURATION, "finding transactions that are open for long needs Kafka 3.8")
            if pattern is not None:
                since(broker, request.api, BY_PATTERN, "finding transactional ids by a pattern needs Kafka 4.1")
            return request

        def read(response):
            if response.unknown_state_filters:
                return exc.InvalidRequestError(
                    "the broker knows no state %s" % ", ".join(response.unknown_state_filters))
            return exc.for_code(response.error_code, "transactional ids", response.api) or list(
                response.transaction_states)
        answers = yield self.routes.by_broker(
            None, make, Reader(list_transactions.api_name, read), "listing transactions", timeout)
        found = []
        for broker_id, answer in sorted(answers.items()):
            if isinstance(answer, exc.KielError):
                raise answer  # its transactions would be missing
            found.extend(TransactionListing(each.transactional_id, each.producer_id, each.transaction_state, broker_id)
                         for each in answer)
        raise gen.Return(sorted(found))

    @gen.coroutine
    def describe(self, transactional_ids, timeout):
        """Return ``{transactional id: TransactionDescription or KielError}``."""
        names = arguments.texts("transactional_ids", transactional_ids)
        if timeout is not None:
            timeout = arguments.seconds("timeout", timeout)
        answers = yield [self._describe(name, timeout) for name in names]
        raise gen.Return(dict(zip(names, answers)))

    @gen.coroutine
    def _describe(self, name, timeout):
        """Return the `TransactionDescription` of one, or its error; an error that is about all of them is raised."""
        coordinator = GroupCoordinator(self.routes.client, name, TRANSACTION)

        def read(response):
            found, = response.transaction_states
            return exc.for_code(
                found.error_code, "transactional id %s" % name, response.api, transactional_id=name
            ) or TransactionDescription(
                name, found.producer_id, found.producer_epoch, found.transaction_state,
                found.transaction_timeout_ms / 1000.0,
                None if found.transaction_start_time_ms < 0 else found.transaction_start_time_ms,
                sorted((topic.name, partition) for topic in found.topics for partition in topic.partitions),
                coordinator.broker_id
            )

        @gen.coroutine
        def ask(broker):
            request = describe_transactions.DescribeTransactionsRequest(transactional_ids=[name])
            need(broker, request, "describing transactions")
            answers = yield self.routes.client.send(
                {broker.broker_id: request}, Reader(describe_transactions.api_name, read))
            raise gen.Return(answers.get(
                broker.broker_id, exc.BrokerConnectionError(broker.host, broker.port, broker.broker_id)))
        try:
            found = yield coordinator.ask(ask, timeout)
        except exc.UnsupportedVersionError:  # the oldest can't even be asked for the coordinator
            raise exc.UnsupportedVersionError("describing transactions needs Kafka 3.0 or later")
        except exc.KielError as error:
            found = error
        raise gen.Return(found)

    def producers(self, partitions, timeout):
        """Return a Future of ``{(topic, partition): [ActiveProducer] or KielError}``."""
        partitions = arguments.partitions("partitions", partitions)

        def make(broker, wanted):
            return describe_producers.DescribeProducersRequest(topics=by_topic(
                describe_producers.TopicRequest, wanted, lambda key: key[1]))

        def read(response):
            return dict(((topic.name, part.partition_id), named(
                part.error_code, part.error_message, "%s:%s" % (topic.name, part.partition_id), response.api,
                topic=topic.name
            ) or sorted(_producer(each) for each in part.active_producers))
                for topic in response.topics for part in topic.partitions)
        return self.routes.by_leader(
            partitions, make, Reader(describe_producers.api_name, read), "describing producers", timeout)

    @gen.coroutine
    def abort(self, partition, producer, timeout):
        """Write the end of a producer's transaction to a partition."""
        (topic, number), = partitions = arguments.partitions("partition", [partition])
        if not isinstance(producer, ActiveProducer):
            raise TypeError("producer has to be an ActiveProducer of describe_producers(), not %r" % (producer,))

        def make(broker, wanted):
            return write_txn_markers.WriteTxnMarkersRequest(markers=[write_txn_markers.Marker(
                producer_id=producer.producer_id, producer_epoch=producer.epoch, transaction_result=False,
                topics=[write_txn_markers.TopicRequest(name=topic, partitions=[number])],
                coordinator_epoch=max(producer.coordinator_epoch, 0)
            )])

        def read(response):
            return dict(((each.name, part.partition_id), exc.for_code(
                part.error_code, "%s:%s" % (each.name, part.partition_id), response.api, topic=each.name) or True)
                for marker in response.markers for each in marker.topics for part in each.partitions)
        outcome = yield self.routes.by_leader(
            partitions, make, Reader(write_txn_markers.api_name, read), "aborting transactions", timeout)
        if isinstance(outcome[topic, number], exc.KielError):
            raise outcome[topic, number]


def _producer(found):
    return ActiveProducer(
        found.producer_id, found.producer_epoch, found.last_sequence, found.last_timestamp, found.coordinator_epoch,
        None if found.current_txn_start_offset < 0 else found.current_txn_start_offset)


__all__ = ["ActiveProducer", "TransactionDescription", "TransactionListing", "Transactions"]
