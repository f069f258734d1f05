"""What code written for kiel 0.9 imports, calls and reads is there, under its name and with its arguments."""
from __future__ import absolute_import

import importlib
import inspect

import pytest
import six

from kiel import clients, cluster, connection, constants, exc
from kiel.clients import client, consumer, grouped, producer, single
from kiel.zookeeper import allocator

#: module -> the names that callers import from it
NAMES = {
    "kiel": "version_info __version__",
    "kiel.clients": "SingleConsumer GroupedConsumer Producer",
    "kiel.clients.client": "Client Cluster",
    "kiel.clients.consumer": "BaseConsumer",
    "kiel.clients.single": "SingleConsumer start_to_timestamp EPOCH",
    "kiel.clients.grouped": "GroupedConsumer naive_allocator PartitionAllocator",
    "kiel.clients.producer": "Producer",
    "kiel.cluster": "Cluster Connection",
    "kiel.connection": "Connection size_struct correlation_struct response_classes",
    "kiel.zookeeper": "Party SharedSet",
    "kiel.zookeeper.party": "Party",
    "kiel.zookeeper.shared_set": "SharedSet",
    "kiel.zookeeper.allocator": "PartitionAllocator create_attempter Party SharedSet client",
    "kiel.protocol": "errors",
    "kiel.protocol.primitives": "Primitive Int8 Int16 Int32 Int64 VariablePrimitive String Bytes Array",
    "kiel.protocol.part": "Part",
    "kiel.protocol.request": "Request generate_correlation_id last_id",
    "kiel.protocol.response": "Response",
    "kiel.protocol.messages": "Message MessageSet",
    "kiel.compression.gzip": "compress decompress",
    "kiel.compression.snappy": "compress decompress snappy_available DEFAULT_VERSION MIN_COMPAT_VERSION MAGIC_HEADER "
                               "BLOCK_SIZE raw_header",
    "kiel.iterables": "drain",
    "kiel.events": "wait_on_event",
    "kiel.constants": "DEFAULT_KAFKA_PORT GZIP SNAPPY SUPPORTED_COMPRESSION CLIENT_ID API_VERSION "
                      "CONSUMER_REPLICA_ID API_KEYS ERROR_CODES RETRIABLE_CODES",
    "kiel.exc": "KielError NoBrokersError NoOffsetsError BrokerConnectionError UnhandledResponseError",
    "kiel.protocol.metadata": "MetadataRequest MetadataResponse Broker TopicMetadata PartitionMetadata api_name",
    "kiel.protocol.produce": "ProduceRequest TopicRequest PartitionRequest ProduceResponse TopicResponse "
                             "PartitionResponse api_name",
    "kiel.protocol.fetch": "FetchRequest TopicRequest PartitionRequest FetchResponse TopicResponse "
                           "PartitionResponse api_name",
    "kiel.protocol.offset": "OffsetRequest TopicRequest PartitionRequest OffsetResponse TopicResponse "
                            "PartitionResponse api_name",
    "kiel.protocol.coordinator": "GroupCoordinatorRequest GroupCoordinatorResponse api_name",
    "kiel.protocol.offset_fetch": "OffsetFetchRequest TopicRequest OffsetFetchResponse TopicResponse "
                                  "PartitionResponse api_name",
    "kiel.protocol.offset_commit": "OffsetCommitV0Request OffsetCommitV1Request OffsetCommitV2Request TopicRequest "
                                   "TopicV1Request PartitionRequest PartitionV1Request OffsetCommitResponse "
                                   "TopicResponse PartitionResponse api_name",
    "kiel.protocol.heartbeat": "HeartbeatRequest HeartbeatResponse api_name",
    "kiel.protocol.join_group": "JoinGroupRequest GroupProtocol JoinGroupResponse Member api_name",
    "kiel.protocol.sync_group": "SyncGroupRequest MemberAssignment Assignment TopicAssignment SyncGroupResponse "
                                "api_name",
    "kiel.protocol.leave_group": "LeaveGroupRequest LeaveGroupResponse api_name",
    "kiel.protocol.list_groups": "ListGroupsRequest ListGroupsResponse Group api_name",
    "kiel.protocol.describe_groups": "DescribeGroupsRequest DescribeGroupsResponse GroupDescription "
                                     "MemberDescription Assignment TopicAssignment api_name",
}

#: callable -> the arguments it took in 0.9, in their order, with their defaults
SIGNATURES = [
    (client.Client.__init__, "brokers", {}),
    (consumer.BaseConsumer.__init__, "brokers deserializer max_wait_time min_bytes max_bytes",
     {"deserializer": None, "max_wait_time": 1000, "min_bytes": 1, "max_bytes": 1048576}),
    (single.SingleConsumer.__init__, "brokers deserializer max_wait_time min_bytes max_bytes",
     {"deserializer": None, "max_wait_time": 1000, "min_bytes": 1, "max_bytes": 1048576}),
    (grouped.GroupedConsumer.__init__,
     "brokers group zk_hosts deserializer partition_allocator autocommit max_wait_time min_bytes max_bytes",
     {"deserializer": None, "partition_allocator": None, "autocommit": True, "max_wait_time": 1000, "min_bytes": 1,
      "max_bytes": 1048576}),
    (producer.Producer.__init__,
     "brokers serializer key_maker partitioner batch_size compression required_acks ack_timeout",
     {"serializer": None, "key_maker": None, "partitioner": None, "batch_size": 1, "compression": None,
      "required_acks": -1, "ack_timeout": 500}),
    (consumer.BaseConsumer.consume, "topic start", {"start": None}),
    (grouped.GroupedConsumer.commit_offsets, "metadata", {"metadata": None}),
    (grouped.naive_allocator, "members partitions", {}),
    (producer.Producer.produce, "topic message", {}),
    (connection.Connection.__init__, "host port", {}),
    (cluster.Cluster.__init__, "bootstrap_hosts", {}),
    (cluster.Cluster.heal, "response", {"response": None}),
    (cluster.Cluster.get_metadata, "topics", {"topics": None}),
    (allocator.PartitionAllocator.__init__, "zk_hosts group_name consumer_name allocator_fn on_rebalance",
     {"on_rebalance": None}),
    (exc.BrokerConnectionError.__init__, "host port broker_id", {"broker_id": None}),
    (exc.UnhandledResponseError.__init__, "api", {}),
]

#: class -> the members that callers use
MEMBERS = {
    connection.Connection: "connect close send read_loop read_message abort",
    cluster.Cluster: "get_leader start heal get_metadata process_brokers process_topics stop",
    client.Client: "connect close wind_down send",
    consumer.BaseConsumer: "allocation determine_offsets consume handle_fetch_response",
    single.SingleConsumer: "BEGINNING END determine_offsets handle_offset_response wind_down",
    grouped.GroupedConsumer: "connect determine_coordinator allocation determine_offsets consume commit_offsets "
                             "handle_offset_commit_response handle_offset_fetch_response "
                             "handle_group_coordinator_response wind_down",
    producer.Producer: "produce flush handle_produce_response wind_down unsent unsent_count sent",
    allocator.PartitionAllocator: "allocation members_path partition_path start stop connect "
                                  "handle_connection_change on_group_members_change on_partition_change "
                                  "add_partitions remove_partitions rebalance",
}


@pytest.mark.parametrize("module", sorted(NAMES))
def test_names(module):
    found = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert not missing


@pytest.mark.parametrize("function, names, defaults", SIGNATURES, ids=lambda value: getattr(
    value, "__qualname__", None) or getattr(value, "__name__", None) or " ")
def test_signatures(function, names, defaults):
    function = inspect.unwrap(function) if hasattr(inspect, "unwrap") else getattr(function, "__wrapped__", function)
    if six.PY2:
        arguments, _, keywords, values = inspect.getargspec(function)
    else:
        arguments, _, keywords, values = inspect.getfullargspec(function)[:4]
    arguments = [name for name in arguments if name != "self"]
    given = dict(zip(arguments[len(arguments) - len(values or ()):], values or ()))
    wanted = names.split()
    # SingleConsumer and others take theirs from the class they stand on
    if arguments or not keywords:
        assert arguments[:len(wanted)] == wanted
        assert dict((name, given[name]) for name in defaults) == defaults


@pytest.mark.parametrize("cls", sorted(MEMBERS, key=lambda cls: cls.__name__))
def test_members(cls):
    missing = [name for name in MEMBERS[cls].split() if not hasattr(cls, name)]
    assert not missing


def test_attributes_of_new_objects():
    mine = clients.SingleConsumer(["a:1", "b"])
    assert mine.cluster.bootstrap_hosts == ["a:1", "b"]
    assert (mine.heal_cluster, mine.closing) == (False, False)
    assert mine.offsets["t"][0] == 0 and mine.synced_offsets == set()
    assert mine.allocation is mine.cluster.topics
    assert (mine.BEGINNING, mine.END) == (-2, -1)
    host, _, number = mine.name.rpartition(":")
    assert host and number.isdigit()
    group = clients.GroupedConsumer(["a"], "g", ["z:2181"])
    assert (group.group_name, group.coordinator_id, group.autocommit) == ("g", None, True)
    assert group.topics_to_commit == set() and group.allocator.group_name == "g"
    writer = clients.Producer(["a"], compression=constants.GZIP)
    assert (writer.unsent_count, writer.compression, writer.required_acks) == (0, constants.GZIP, -1)
    conn = connection.Connection("host", "9092")
    assert (conn.host, conn.port, conn.stream, conn.closing) == ("host", 9092, None, False)
    assert conn.pending == {} and conn.api_correlation == {}


def test_errors_read_as_they_did():
    assert str(exc.BrokerConnectionError("h", 9092, broker_id=3)) == "Error connecting to h:9092"
    assert str(exc.UnhandledResponseError("fetch")) == "No handler method for 'fetch' api"
    for name in ("NoBrokersError", "NoOffsetsError"):
        assert isinstance(getattr(exc, name)(), exc.KielError)


def test_codes_keep_their_names():
    known = {
        -1: "unknown", 0: "no_error", 1: "offset_out_of_range", 2: "invalid_message", 3: "unknown_topic_or_partition",
        4: "invalid_message_size", 5: "leader_not_available", 6: "not_partition_leader", 7: "request_timed_out",
        8: "broker_not_available", 9: "replica_not_available", 10: "message_size_too_large",
        11: "stale_controller_epoch", 12: "offset_metadata_too_large", 14: "offsets_load_in_progress",
        15: "coordinator_not_available", 16: "not_coordinator", 17: "invalid_topic", 18: "record_list_too_large",
        19: "not_enough_replicas", 20: "not_enough_replicas_after_append", 21: "invalid_required_acks",
        22: "illegal_generation", 23: "inconsistent_group_protocol", 24: "invalid_group_id", 25: "unknown_member_id",
        26: "invalid_session_timeout", 27: "rebalance_in_progress", 28: "invalid_commit_offset_size",
        29: "topic_authorization_failed", 30: "group_authorization_failed", 31: "cluster_authorization_failed",
    }
    assert dict((code, constants.ERROR_CODES[code]) for code in known) == known
    assert constants.RETRIABLE_CODES >= {
        "invalid_message", "unknown_topic_or_partition", "leader_not_available", "not_partition_leader",
        "request_timed_out", "offsets_load_in_progress", "coordinator_not_available", "not_coordinator",
        "not_enough_replicas", "not_enough_replicas_after_append",
    }
