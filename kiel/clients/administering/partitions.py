"""Partitions: deleting messages, electing leaders, reassigning replicas."""
from __future__ import absolute_import

import collections

from kiel import arguments, exc
from kiel.arguments import MAX_INT64
from kiel.clients.administering.routes import Final, Reader, by_topic, named, since
from kiel.clients.administering.topics import broker_ids
from kiel.clients.consuming.offset_lookup import END
from kiel.protocol import (
    alter_partition_reassignments, delete_records, elect_leaders, errors, list_partition_reassignments
)

#: the first version of ElectLeaders that knows elections of replicas that may lack messages
UNCLEAN = 1

#: what is asked for in one go, where the broker tells of what items
ALL = "all"


class Reassignment(collections.namedtuple("Reassignment", "replicas adding removing")):
    """A reassignment in progress: ids of the brokers that have the partition, are added to it, and removed from it."""

    __slots__ = ()


class Partitions(object):
    """
    Deletes messages, elects leaders, moves partitions.

    :param routes: the `kiel.clients.administering.routes.Routes` to ask by
    """

    def __init__(self, routes):
        self.routes = routes

    def delete_records(self, offsets, timeout):
        """Return a Future of ``{(topic, partition): the first offset that is left, or KielError}``."""
        offsets = dict(zip(
            arguments.partitions("offsets", arguments.mapping("offsets", offsets)),
            [arguments.integer("offsets", each, least=END, most=MAX_INT64) for each in offsets.values()]
        ))

        def make(broker, wanted):
            return delete_records.DeleteRecordsRequest(timeout=self.routes.time(timeout), topics=by_topic(
                delete_records.TopicRequest, wanted,
                lambda key: delete_records.PartitionRequest(partition_id=key[1], offset=offsets[key])
            ))

        def read(response):
            return dict((key, error or part.low_watermark) for key, error, part in _parts(response))
        return self.routes.by_leader(
            list(offsets), make, Reader(delete_records.api_name, read), "deleting messages", timeout)

    def elect(self, partitions, unclean, timeout):
        """Return a Future of ``{(topic, partition): True, False or KielError}``."""
        if partitions is not None:
            partitions = arguments.partitions("partitions", partitions)

        def make(broker, wanted):
            request = elect_leaders.ElectLeadersRequest(
                topics=None if partitions is None else by_topic(
                    elect_leaders.TopicPartitions, wanted, lambda key: key[1]),
                timeout=self.routes.time(timeout), election_type=1 if unclean else 0
            )
            if unclean:
                since(broker, request.api, UNCLEAN, "unclean elections need Kafka 2.4")
            return request

        def read(response):
            error = exc.for_code(response.error_code, "electing leaders", response.api)
            if error is not None:
                return error
            # that it can't be done, or need not, is what was to be found out: it is not tried again
            found = dict((key, False if part.error_code == errors.election_not_needed else _final(error) or True)
                         for key, error, part in _parts(response))
            return found if partitions is not None else {ALL: _unwrapped(found)}
        reader = Reader(elect_leaders.api_name, read)
        if partitions is not None:
            return self.routes.by_controller(partitions, make, reader, "electing leaders", timeout)
        return self.routes.alone(ALL, self.routes.by_controller([ALL], make, reader, "electing leaders", timeout))

    def reassign(self, moves, timeout):
        """Return a Future of ``{(topic, partition): True or KielError}``."""
        moves = dict(zip(
            arguments.partitions("moves", arguments.mapping("moves", moves)),
            [None if each is None else broker_ids("moves", each) for each in moves.values()]
        ))

        def make(broker, wanted):
            return alter_partition_reassignments.AlterPartitionReassignmentsRequest(
                timeout=self.routes.time(timeout), topics=by_topic(
                    alter_partition_reassignments.TopicRequest, wanted,
                    lambda key: alter_partition_reassignments.PartitionRequest(
                        partition_id=key[1], replicas=moves[key])))

        def read(response):
            return named(
                response.error_code, response.error_message, "moving partitions", response.api
            ) or dict((key, _final(error) or True) for key, error, _ in _parts(response))
        return self.routes.by_controller(
            moves, make, Reader(alter_partition_reassignments.api_name, read), "moving partitions", timeout)

    def reassignments(self, partitions, timeout):
        """Return a Future of ``{(topic, partition): Reassignment}`` of the moves that are under way."""
        if partitions is not None:
            partitions = arguments.partitions("partitions", partitions)

        def make(broker, _):
            return list_partition_reassignments.ListPartitionReassignmentsRequest(
                timeout=self.routes.time(timeout), topics=None if partitions is None else by_topic(
                    list_partition_reassignments.TopicRequest, partitions, lambda key: key[1]))

        def read(response):
            return named(response.error_code, response.error_message, "moves of partitions", response.api) or {
                ALL: dict(((topic.name, part.partition_id), Reassignment(
                    [each for each in part.replicas if each not in part.adding_replicas],
                    list(part.adding_replicas), list(part.removing_replicas)
                )) for topic in response.topics for part in topic.partitions)
            }
        return self.routes.alone(ALL, self.routes.by_controller(
            [ALL], make, Reader(list_partition_reassignments.api_name, read), "listing moves of partitions", timeout))


def _parts(response):
    """Return ``((topic, partition id), its error or None, its part of the answer)`` of each."""
    return [
        ((topic.name, part.partition_id), named(
            part.error_code, getattr(part, "error_message", None), "%s:%s" % (topic.name, part.partition_id),
            response.api, topic=topic.name
        ), part) for topic in response.topics for part in topic.partitions
    ]


#: errors that another attempt may mend
_PASSING = (exc.NotControllerError, exc.RequestTimedOutError)


def _final(error):
    """Return an error as a result, unless another attempt may mend it."""
    return error if error is None or isinstance(error, _PASSING) else Final(error)


def _unwrapped(found):
    return dict((key, value.error if isinstance(value, Final) else value) for key, value in found.items())


__all__ = ["Partitions", "Reassignment"]
