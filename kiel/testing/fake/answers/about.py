"""What a broker says of itself and of the cluster."""
from __future__ import absolute_import

from kiel import constants
from kiel.testing.fake.answers.shape import UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID
from kiel.testing.fake.topics import NAME
from kiel.testing.fake.versions import FEATURES, SERVED

LEADER_NOT_AVAILABLE, COORDINATOR_NOT_AVAILABLE, INVALID_TOPIC, REBOOTSTRAP = 5, 15, 17, 129


def api_versions(call):
    """Answer an ApiVersions."""
    request = call.request
    other = request.cluster_id not in (None, call.cluster.id) or request.node_id not in (-1, call.broker_id)
    return dict(
        error_code=call.code() or (REBOOTSTRAP if other else 0),
        api_keys=[dict(api_key=constants.API_KEYS[api], min_version=low, max_version=high)
                  for api, (low, high) in sorted(SERVED.items())],
        supported_features=[dict(name=name, min_version=0, max_version=level)
                            for name, level in sorted(FEATURES.items())],
        finalized_features_epoch=0,
        finalized_features=[dict(name=name, min_version_level=level, max_version_level=level)
                            for name, level in sorted(FEATURES.items())])


def _brokers(call):
    brokers = call.cluster.brokers
    return [dict(broker_id=broker_id, host=brokers[broker_id].host, port=brokers[broker_id].port)
            for broker_id in call.cluster.live]


def metadata(call):
    """Answer a Metadata."""
    cluster, asked = call.cluster, call.request.topics
    # before version 1 an empty list is all topics
    if asked is None or not asked and call.version == 0:
        asked = list(cluster.topics.by_name)
    return dict(
        brokers=_brokers(call), cluster_id=cluster.id, controller_id=cluster.coordinator,
        topics=[_topic(call, topic) for topic in asked])


def _topic(call, asked):
    name = getattr(asked, "name", asked)
    topic = call.cluster.topics.find(asked)
    code = call.code(topic.name if topic is not None else name)
    if topic is None and not code:
        code = _make(call, name)
        topic = call.cluster.topics.find(asked)
    if code:
        fields = dict(error_code=code, name=name, partitions=[])
        if getattr(asked, "topic_id", None):
            fields["topic_id"] = asked.topic_id
        return fields
    return dict(error_code=0, name=topic.name, topic_id=topic.id, partitions=[
        _partition(number, log, log.leader in call.cluster.live) for number, log in enumerate(topic.partitions)])


def _make(call, name):
    """Make a topic that is not there, if it is to be; return an error code."""
    if not name:
        return UNKNOWN_TOPIC_ID
    if not NAME.match(name):
        return INVALID_TOPIC
    if not call.cluster.auto_create or call.version >= 4 and not call.request.allow_auto_topic_creation:
        return UNKNOWN_TOPIC
    call.cluster.topics.create(name)
    return 0


def _partition(number, log, is_led):
    fields = dict(partition_id=number, leader_epoch=log.epoch, replicas=[log.leader], isrs=[log.leader])
    if is_led:
        fields.update(error_code=0, leader=log.leader, offline_replicas=[])
    else:
        fields.update(error_code=LEADER_NOT_AVAILABLE, leader=-1, offline_replicas=[log.leader])
    return fields


def describe_cluster(call):
    """Answer a DescribeCluster."""
    return dict(error_code=call.code(), endpoint_type=1, cluster_id=call.cluster.id,
                controller_id=call.cluster.coordinator, brokers=_brokers(call))


def group_coordinator(call):
    """Answer a FindCoordinator."""
    broker = call.cluster.brokers.get(call.cluster.coordinator)
    code = call.code() or (COORDINATOR_NOT_AVAILABLE if broker is None else 0)
    where = dict(error_code=code, coordinator_id=-1, coordinator_host="", coordinator_port=-1)
    if not code:
        where.update(
            coordinator_id=call.cluster.coordinator, coordinator_host=broker.host, coordinator_port=broker.port)
    if call.version >= 4:
        return dict(coordinators=[dict(where, key=key) for key in call.request.coordinator_keys])
    return where
