"""Topics: which there are, what they are made of, new ones, more partitions, and their end."""
from __future__ import absolute_import

import base64
import collections

import six
from tornado import gen

from kiel import arguments, exc
from kiel.clients.administering.routes import Reader, named, settled, since
from kiel.protocol import create_partitions, create_topics, delete_topics, errors, metadata
from kiel.protocol.topic_ids import NO_TOPIC

#: the version of Metadata from which on a question creates no topic
ASKING_ONLY = 4


class TopicListing(collections.namedtuple("TopicListing", "name topic_id internal partitions")):
    """
    A topic that there is.

    ``topic_id`` is text as Kafka's tools show it, None before Kafka 2.8; ``internal`` is whether it is Kafka's own;
    ``partitions`` is how many it has.
    """

    __slots__ = ()


class TopicDescription(collections.namedtuple("TopicDescription", "name topic_id internal partitions")):
    """A topic: as `TopicListing`, but ``partitions`` is a list of `PartitionDescription`, by number."""

    __slots__ = ()


class PartitionDescription(collections.namedtuple(
        "PartitionDescription", "partition leader leader_epoch replicas in_sync offline")):
    """
    A partition; brokers are told by id.

    ``leader`` is None for none, ``leader_epoch`` None before Kafka 2.1. The first of ``replicas`` is the preferred
    leader. ``in_sync`` are those that have all that is committed, ``offline`` those that are not up (Kafka 1.0).
    """

    __slots__ = ()


class NewTopic(collections.namedtuple("NewTopic", "name partitions replication_factor assignment configs")):
    """
    A topic to create.

    :param name: its name
    :param partitions: their number; default: the brokers' setting (before Kafka 2.4: 1)
    :param replication_factor: the number of replicas of each; default: the brokers' setting (before Kafka 2.4: 1)
    :param assignment: ``{partition: [broker ids]}``, the preferred leader first, instead of the two numbers
    :param configs: ``{name: value}`` of its own settings, such as ``{"cleanup.policy": "compact"}``
    """

    __slots__ = ()

    def __new__(cls, name, partitions=None, replication_factor=None, assignment=None, configs=None):
        if partitions is not None:
            partitions = arguments.integer("partitions", partitions, least=1)
        if replication_factor is not None:
            replication_factor = arguments.integer("replication_factor", replication_factor, least=1, most=32767)
        if assignment is not None:
            if partitions is not None or replication_factor is not None:
                raise ValueError("assignment already names the partitions and their replicas: leave out "
                                 "partitions and replication_factor")
            assignment = dict(
                (arguments.integer("assignment", partition, least=0), broker_ids("assignment", brokers))
                for partition, brokers in arguments.mapping("assignment", assignment).items()
            )
            if sorted(assignment) != list(range(len(assignment))):
                raise ValueError("assignment has to be about partitions 0, 1, 2 ... without a gap, not %s" % (
                    sorted(assignment),))
        configs = dict((arguments.text("configs", key), setting("configs", value))
                       for key, value in arguments.mapping("configs", configs or {}).items())
        return super(NewTopic, cls).__new__(
            cls, arguments.text("name", name), partitions, replication_factor, assignment, configs)


class CreatedTopic(collections.namedtuple("CreatedTopic", "name topic_id partitions replication_factor configs")):
    """
    A topic that was made, or would be.

    ``partitions``, ``replication_factor`` and ``configs``, ``{name: value}`` of all settings, are None before Kafka 2.4
    and where the user may not see them, ``topic_id`` before 2.8 and for one that is only validated.
    """

    __slots__ = ()


class NewPartitions(collections.namedtuple("NewPartitions", "count assignment")):
    """
    The new number of partitions of a topic.

    :param count: the total, including those that exist
    :param assignment: a list with a list of broker ids for each new one, the preferred leader first; default: the
        brokers choose
    """

    __slots__ = ()

    def __new__(cls, count, assignment=None):
        if assignment is not None:
            assignment = [broker_ids("assignment", brokers) for brokers in assignment]
        return super(NewPartitions, cls).__new__(cls, arguments.integer("count", count, least=1), assignment)


class Topics(object):
    """
    Lists, describes, creates, grows and deletes topics.

    :param routes: the `kiel.clients.administering.routes.Routes` to ask by
    """

    def __init__(self, routes):
        self.routes = routes

    @gen.coroutine
    def list(self, internal, timeout):
        """Return a list of `TopicListing`, by name."""
        found = (yield self._all(None, timeout))
        raise gen.Return([
            TopicListing(topic.name, _id(topic.topic_id), topic.is_internal, len(topic.partitions))
            for _, topic in sorted(found.items()) if internal or not topic.is_internal
        ])

    @gen.coroutine
    def describe(self, names, timeout):
        """Return ``{name: TopicDescription or KielError}``."""
        names = arguments.texts("names", names)
        found = yield self._all(names, timeout)
        result = {}
        for name in names:
            topic = found.get(name)
            code = errors.unknown_topic_or_partition if topic is None else topic.error_code
            result[name] = exc.for_code(code, "topic %s" % name, metadata.api_name, topic=name) or _described(topic)
        raise gen.Return(result)

    @gen.coroutine
    def _all(self, names, timeout):
        """Return ``{name: the metadata of a topic}`` of some topics or all; asking must not create one."""
        if names is not None and not names:
            raise gen.Return({})

        def make(broker, _):
            if names is None or not broker.reaches(metadata.api_name, ASKING_ONLY):
                return metadata.MetadataRequest()  # a name would create the topic there
            return metadata.MetadataRequest(topics=names, allow_auto_topic_creation=False)

        def read(response):
            error = exc.for_code(response.error_code, "topics", response.api)
            return error or {"topics": dict((topic.name, topic) for topic in response.topics)}

        found = yield self.routes.alone("topics", self.routes.by_any(
            ["topics"], make, Reader(metadata.api_name, read), "listing topics", timeout))
        raise gen.Return(found)

    def create(self, topics, timeout, validate_only):
        """Return a Future of ``{name: CreatedTopic or KielError}``."""
        topics = [topics] if isinstance(topics, (NewTopic, six.string_types)) else topics
        topics = collections.OrderedDict(
            (topic.name, topic) for topic in (
                each if isinstance(each, NewTopic) else NewTopic(arguments.text("topics", each))
                for each in arguments.items("topics", topics)
            ))

        def make(broker, names):
            own_numbers = broker.reaches(create_topics.api_name, 4)
            request = create_topics.CreateTopicsRequest(
                topics=[_asked(topics[name], own_numbers) for name in names],
                timeout=self.routes.time(timeout), validate_only=bool(validate_only)
            )
            if validate_only:
                since(broker, request.api, 1, "validating topics without making them needs Kafka 0.10.2")
            return request

        def read(response):
            return dict((topic.name, _failed(topic, response.api) or CreatedTopic(
                topic.name, None if validate_only else _id(topic.topic_id), _known(topic.num_partitions),
                _known(topic.replication_factor),
                None if response.api_version < 5 or topic.topic_config_error_code or topic.configs is None else dict(
                    (config.name, config.value) for config in topic.configs)
            )) for topic in response.topics)
        return self.routes.by_controller(
            topics, make, Reader(create_topics.api_name, read), "creating topics", timeout)

    def delete(self, names, timeout):
        """Return a Future of ``{name: True or KielError}``."""
        names = arguments.texts("names", names)
        return self.routes.by_controller(
            names, lambda broker, wanted: delete_topics.DeleteTopicsRequest(
                topic_names=wanted, timeout=self.routes.time(timeout)),
            Reader(delete_topics.api_name, _outcome_of_topics("topics")), "deleting topics", timeout
        )

    def grow(self, counts, timeout, validate_only):
        """Return a Future of ``{name: True or KielError}``."""
        counts = dict(
            (arguments.text("counts", name), each if isinstance(each, NewPartitions) else NewPartitions(each))
            for name, each in arguments.mapping("counts", counts).items()
        )

        def make(broker, names):
            return create_partitions.CreatePartitionsRequest(timeout=self.routes.time(timeout), topics=[
                create_partitions.TopicRequest(
                    name=name, count=counts[name].count,
                    assignments=None if counts[name].assignment is None else [
                        create_partitions.Assignment(broker_ids=brokers) for brokers in counts[name].assignment]
                ) for name in names
            ], validate_only=bool(validate_only))
        return self.routes.by_controller(
            counts, make, Reader(create_partitions.api_name, _outcome_of_topics("results")), "adding partitions",
            timeout)


def _outcome_of_topics(field):
    """Return a function that reads an answer which tells what became of topics."""
    def read(response):
        outcome = {}
        for topic in getattr(response, field):
            outcome[topic.name] = settled(_failed(topic, response.api)) or True
        return outcome
    return read


def _failed(topic, api):
    return named(topic.error_code, topic.error_message, "topic %s" % topic.name, api, topic=topic.name)


def _asked(topic, own_numbers):
    """Return a `NewTopic` as the part of a request."""
    usual = -1 if own_numbers or topic.assignment is not None else 1
    return create_topics.TopicRequest(
        name=topic.name,
        num_partitions=topic.partitions or usual, replication_factor=topic.replication_factor or usual,
        assignments=[create_topics.ReplicaAssignment(partition_id=partition, broker_ids=brokers)
                     for partition, brokers in sorted((topic.assignment or {}).items())],
        configs=[create_topics.Config(name=name, value=value) for name, value in sorted(topic.configs.items())]
    )


def _described(topic):
    return TopicDescription(topic.name, _id(topic.topic_id), topic.is_internal, [
        PartitionDescription(
            each.partition_id, _known(each.leader), _known(each.leader_epoch), list(each.replicas), list(each.isrs),
            list(each.offline_replicas)
        ) for each in sorted(topic.partitions, key=lambda each: each.partition_id)
    ])


def _known(number):
    """Return a number, None for -1."""
    return None if number < 0 else number


def _id(topic_id):
    """Return a topic's id as Kafka's tools show it, None for none."""
    if topic_id in (None, NO_TOPIC):
        return None
    return str(base64.urlsafe_b64encode(topic_id).decode("ascii").rstrip("="))


def broker_ids(name, given):
    """Return a list of broker ids, at least one, each once."""
    found = [arguments.integer(name, each, least=0) for each in arguments.items(name, given)]
    if not found or len(set(found)) != len(found):
        raise ValueError("%s has to name brokers, each once, not %r" % (name, found))
    return found


def setting(name, value):
    """Return the value of a setting as Kafka wants it, a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, six.integer_types + (float,)):
        return str(value)
    if isinstance(value, (bytes, six.text_type)) and not value:
        return ""
    return arguments.text(name, value)


__all__ = [
    "CreatedTopic", "NewPartitions", "NewTopic", "PartitionDescription", "TopicDescription", "TopicListing", "Topics",
]
