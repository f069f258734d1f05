"""The cluster as a whole: its brokers, their directories, the controllers' quorum, features."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import arguments, exc
from kiel.clients.administering.routes import Reader, by_topic, named, since
from kiel.protocol import (
    api_versions, describe_cluster, describe_log_dirs, describe_quorum, metadata, update_features
)

#: the one quorum that there is
QUORUM = "__cluster_metadata"

#: what a change of a feature may do, by the numbers on the wire
UPGRADES = {"upgrade": 1, "safe_downgrade": 2, "unsafe_downgrade": 3}

#: the first version of UpdateFeatures that knows kinds of upgrades, and to only validate
WITH_UPGRADES = 1

#: the first version of ApiVersions that tells features
WITH_FEATURES = 3


class ClusterDescription(collections.namedtuple("ClusterDescription", "cluster_id controller brokers")):
    """
    A cluster.

    ``cluster_id`` is None before Kafka 0.10.1, ``controller`` a broker's id, None for none; without ZooKeeper it is a
    broker that passes questions on to the controller. ``brokers`` is a list of `BrokerDescription`, by id.
    """

    __slots__ = ()


class BrokerDescription(collections.namedtuple("BrokerDescription", "broker_id host port rack fenced")):
    """
    A broker, and where clients reach it.

    ``rack`` is None where it has none, ``fenced`` whether it is registered and does not serve (Kafka 4.0).
    """

    __slots__ = ()


class LogDir(collections.namedtuple("LogDir", "replicas total_bytes usable_bytes cordoned error")):
    """
    A directory of a broker.

    ``replicas`` is ``{(topic, partition): Replica}``. Sizes are bytes, None before 3.3; ``cordoned`` is whether no
    more is put there (4.3). ``error`` is the `kiel.exc.KielError` of a directory that can't be used, else None.
    """

    __slots__ = ()


class Replica(collections.namedtuple("Replica", "size lag future")):
    """A log: its size in bytes, how many messages it lacks, and whether it is on its way from another directory."""

    __slots__ = ()


class Quorum(collections.namedtuple("Quorum", "leader epoch high_watermark voters observers")):
    """The quorum of controllers: the id of the leader, its epoch, and lists of `QuorumReplica`, by id."""

    __slots__ = ()


class QuorumReplica(collections.namedtuple("QuorumReplica", "node_id end_offset last_fetch last_caught_up")):
    """A node of the quorum, how far it is, when it was heard of: milliseconds since 1970, None before Kafka 3.5."""

    __slots__ = ()


class Feature(collections.namedtuple("Feature", "level least most")):
    """A feature: the level that the cluster is at, 0 for none, and the levels that the broker asked could work with."""

    __slots__ = ()


class Clusters(object):
    """
    Describes the cluster, and changes its features.

    :param routes: the `kiel.clients.administering.routes.Routes` to ask by
    """

    def __init__(self, routes):
        self.routes = routes

    @gen.coroutine
    def describe(self, fenced, timeout):
        """Return a `ClusterDescription`; brokers before 2.8 are asked by Metadata."""
        def make(broker, _):
            if broker.reaches(describe_cluster.api_name, 0):
                request = describe_cluster.DescribeClusterRequest(include_fenced_brokers=bool(fenced))
                if fenced:
                    since(broker, request.api, 2, "asking for fenced brokers needs Kafka 4.0")
                return request
            if fenced:
                raise exc.UnsupportedVersionError("asking for fenced brokers needs Kafka 4.0 or later")
            request = metadata.MetadataRequest()
            request.no_topics = True
            return request
        found = yield self.routes.alone("cluster", self.routes.by_any(
            ["cluster"], make, _ClusterReader(), "describing the cluster", timeout))
        raise gen.Return(found)

    def log_dirs(self, brokers, partitions, timeout):
        """Return a Future of ``{broker id: {path: LogDir} or KielError}``."""
        if brokers is not None:
            brokers = [arguments.integer("brokers", each, least=0) for each in arguments.items("brokers", brokers)]
        if partitions is not None:
            partitions = arguments.partitions("partitions", partitions)

        def make(broker, _):
            return describe_log_dirs.DescribeLogDirsRequest(topics=None if partitions is None else by_topic(
                describe_log_dirs.TopicRequest, partitions, lambda key: key[1]))

        def read(response):
            return exc.for_code(response.error_code, "directories", response.api) or dict(
                (each.log_dir, _log_dir(each, response.api)) for each in response.results)
        return self.routes.by_broker(
            brokers, make, Reader(describe_log_dirs.api_name, read), "describing directories", timeout)

    def quorum(self, timeout):
        """Return a Future of a `Quorum`."""
        def make(broker, _):
            return describe_quorum.DescribeQuorumRequest(topics=[describe_quorum.TopicRequest(
                name=QUORUM, partitions=[describe_quorum.PartitionRequest(partition_id=0)])])

        def read(response):
            error = named(response.error_code, response.error_message, "the quorum", response.api)
            if error is not None:
                return error
            part = response.topics[0].partitions[0]
            return {QUORUM: named(part.error_code, part.error_message, "the quorum", response.api) or Quorum(
                part.leader_id, part.leader_epoch, part.high_watermark, _replicas(part.current_voters),
                _replicas(part.observers)
            )}
        return self.routes.alone(QUORUM, self.routes.by_any(
            [QUORUM], make, Reader(describe_quorum.api_name, read), "describing the quorum of controllers", timeout))

    def features(self, timeout):
        """Return a Future of ``{name: Feature}``."""
        def make(broker, _):
            since(broker, api_versions.api_name, WITH_FEATURES, "describing features needs Kafka 2.7")
            return api_versions.ApiVersionsRequest()

        def read(response):
            levels = dict((each.name, each.max_version_level) for each in response.finalized_features)
            found = dict((each.name, Feature(levels.pop(each.name, 0), each.min_version, each.max_version))
                         for each in response.supported_features)
            found.update((name, Feature(level, None, None)) for name, level in levels.items())
            return exc.for_code(response.error_code, "features", response.api) or {"features": found}
        return self.routes.alone("features", self.routes.by_any(
            ["features"], make, Reader(api_versions.api_name, read), "describing features", timeout))

    def update_features(self, levels, upgrade, validate_only, timeout):
        """Return a Future of ``{name: True or KielError}``."""
        levels = dict((arguments.text("levels", name), arguments.integer("levels", level, least=0, most=32767))
                      for name, level in arguments.mapping("levels", levels).items())
        kind = UPGRADES[arguments.one_of("upgrade", upgrade, sorted(UPGRADES))]

        def make(broker, wanted):
            request = update_features.UpdateFeaturesRequest(
                timeout=self.routes.time(timeout), validate_only=bool(validate_only))
            if validate_only or kind > 2:
                since(broker, request.api, WITH_UPGRADES, "only validating, or an unsafe downgrade, needs Kafka 3.3")
            for name in wanted:
                feature = update_features.Feature(feature=name, max_version_level=levels[name])
                if broker.reaches(request.api, WITH_UPGRADES):
                    feature.upgrade_type = kind
                else:
                    feature.allow_downgrade = kind > 1
                request.feature_updates.append(feature)
            return request

        def read(response):
            error = named(response.error_code, response.error_message, "features", response.api)
            if error is not None:
                return error
            found = dict.fromkeys(levels, True)  # version 2 tells of all together
            found.update((each.feature, named(
                each.error_code, each.error_message, "feature %s" % each.feature, response.api
            ) or True) for each in response.results)
            return found
        return self.routes.by_controller(
            levels, make, Reader(update_features.api_name, read), "changing features", timeout)


class _ClusterReader(object):
    """Takes an answer about the cluster, of whichever api it is."""

    def handle_describe_cluster_response(self, response):
        """Return the `ClusterDescription`, or the error."""
        return named(response.error_code, response.error_message, "the cluster", response.api) or _cluster(response)

    def handle_metadata_response(self, response):
        """Return the `ClusterDescription`, or the error."""
        return exc.for_code(response.error_code, "the cluster", response.api) or _cluster(response)


def _cluster(response):
    return {"cluster": ClusterDescription(
        response.cluster_id, None if response.controller_id < 0 else response.controller_id, sorted(
            BrokerDescription(each.broker_id, each.host, each.port, each.rack, getattr(each, "is_fenced", False))
            for each in response.brokers
        ))}


def _log_dir(found, api):
    """Return the `LogDir` of an answer."""
    return LogDir(
        dict(((topic.name, part.partition_id), Replica(part.partition_size, part.offset_lag, part.is_future_key))
             for topic in found.topics for part in topic.partitions),
        None if found.total_bytes < 0 else found.total_bytes, None if found.usable_bytes < 0 else found.usable_bytes,
        found.is_cordoned, exc.for_code(found.error_code, "directory %s" % found.log_dir, api)
    )


def _replicas(replicas):
    return sorted(QuorumReplica(
        each.replica_id, each.log_end_offset, _time(each.last_fetch_timestamp), _time(each.last_caught_up_timestamp)
    ) for each in replicas)


def _time(milliseconds):
    return None if milliseconds < 0 else milliseconds


__all__ = [
    "BrokerDescription", "ClusterDescription", "Clusters", "Feature", "LogDir", "Quorum", "QuorumReplica", "Replica",
]
