"""
kiel's tables against Kafka's definitions, kiel's bytes against Kafka's own classes, for every api and version.

Expected bytes come from Java, never from kiel. Random content comes from a seed, which a failure shows and
``KIEL_SEED`` sets.
"""
from __future__ import absolute_import

import os
import random
import time

import pytest
import six

from kiel import constants, exc
from kiel.protocol import consumer_protocol, fetch, primitives, produce, registry, request, response
from kiel.protocol.messages import MessageSet, Produced
from kiel.protocol.part import Part, parse_range
from tests.protocol import definitions, peer

SEED = int(os.environ.get("KIEL_SEED") or time.time())

#: messages per (api, version, direction); the first of them is as empty as can be
ROUNDS = 4

#: Kafka's name of an api, where it is not kiel's in camel case
KAFKA_NAMES = {"offset": "ListOffsets", "group_coordinator": "FindCoordinator"}

#: What kiel 0.9 called fields of version 0, and kiel's few own choices: class -> {Kafka's name: kiel's}
RENAMED = {
    "": {"throttle_time_ms": "throttle_time", "timeout_ms": "timeout", "partition_index": "partition_id"},
    "ConsumerGroupHeartbeatRequest": {"rebalance_timeout_ms": "rebalance_timeout"},
    "ConsumerGroupHeartbeatResponse": {"heartbeat_interval_ms": "heartbeat_interval"},
    "FetchRequest": {"max_wait_ms": "max_wait_time", "forgotten_topics_data": "forgotten_topics"},
    "FetchResponse": {"responses": "topics"},
    "kiel.protocol.fetch": {
        "topic": "name", "partition": "partition_id", "fetch_offset": "offset", "partition_max_bytes": "max_bytes",
        "high_watermark": "highwater_mark_offset", "records": "message_set"},
    "kiel.protocol.fetch.PartitionRequest": {"high_watermark": "high_watermark"},
    "ProduceRequest": {"acks": "required_acks", "topic_data": "topics"},
    "ProduceResponse": {"responses": "topics"},
    "kiel.protocol.produce": {
        "index": "partition_id", "partition_data": "partitions", "records": "message_set",
        "partition_responses": "partitions", "base_offset": "offset", "log_append_time_ms": "timestamp",
        "batch_index_error_message": "message"},
    "kiel.protocol.produce.NodeEndpoint": {"node_id": "broker_id"},
    "kiel.protocol.offset": {
        "timestamp": "time", "max_num_offsets": "max_offsets", "old_style_offsets": "offsets"},
    "kiel.protocol.offset.PartitionResponse": {"timestamp": "timestamp"},
    "kiel.protocol.metadata": {
        "node_id": "broker_id", "leader_id": "leader", "replica_nodes": "replicas", "isr_nodes": "isrs"},
    "OffsetCommitRequest": {
        "group_id": "group", "generation_id_or_member_epoch": "generation", "member_id": "consumer_id",
        "retention_time_ms": "retention_time"},
    "kiel.protocol.offset_commit": {
        "committed_offset": "offset", "committed_leader_epoch": "leader_epoch", "commit_timestamp": "timestamp",
        "committed_metadata": "metadata"},
    "OffsetFetchRequest": {"group_id": "group_name"},
    "kiel.protocol.offset_fetch": {
        "partition_indexes": "partitions", "committed_offset": "offset", "committed_leader_epoch": "leader_epoch"},
    "kiel.protocol.coordinator": {
        "key": "group", "node_id": "coordinator_id", "host": "coordinator_host", "port": "coordinator_port"},
    "kiel.protocol.coordinator.Coordinator": {"key": "key"},
    "JoinGroupRequest": {
        "session_timeout_ms": "session_timeout", "rebalance_timeout_ms": "rebalance_timeout",
        "protocols": "group_protocols"},
    "JoinGroupResponse": {"protocol_name": "protocol", "leader": "leader_id"},
    "kiel.protocol.describe_groups": {
        "group_state": "state", "protocol_data": "protocol", "member_metadata": "metadata",
        "member_assignment": "assignment"},
    "AddPartitionsToTxnRequest": {
        "v3_and_below_transactional_id": "transactional_id", "v3_and_below_producer_id": "producer_id",
        "v3_and_below_producer_epoch": "producer_epoch", "v3_and_below_topics": "topics"},
    "AddPartitionsToTxnResponse": {
        "results_by_transaction": "transactions", "results_by_topic_v3_and_below": "topics"},
    "kiel.protocol.add_partitions_to_txn": {
        "topic_results": "topics", "results_by_partition": "partitions", "partition_error_code": "error_code"},
    "AddOffsetsToTxnRequest": {"group_id": "group"},
    "TxnOffsetCommitRequest": {
        "group_id": "group", "generation_id": "generation", "generation_id_or_member_epoch": "generation"},
    "kiel.protocol.txn_offset_commit": {
        "committed_offset": "offset", "committed_leader_epoch": "leader_epoch", "committed_metadata": "metadata"},
    "InitProducerIdRequest": {"transaction_timeout_ms": "transaction_timeout", "enable2_pc": "enable_2pc"},
    "kiel.protocol.offset_for_leader_epoch": {"topic": "name", "partition": "partition_id"},
    "DeleteTopicsResponse": {"responses": "topics"},
    "SaslAuthenticateResponse": {"session_lifetime_ms": "session_lifetime"},
    "GetTelemetrySubscriptionsResponse": {"push_interval_ms": "push_interval"},
    "ElectLeadersRequest": {"topic_partitions": "topics"},
    "ElectLeadersResponse": {"replica_election_results": "topics"},
    "kiel.protocol.elect_leaders": {"topic": "name", "partition_result": "partitions"},
    "AlterPartitionReassignmentsResponse": {"responses": "topics"},
    "kiel.protocol.list_partition_reassignments": {"partition_indexes": "partitions"},
    "kiel.protocol.describe_producers": {"partition_indexes": "partitions"},
    "kiel.protocol.write_txn_markers": {"partition_indexes": "partitions"},
    "kiel.protocol.describe_transactions": {"topic": "name"},
    "kiel.protocol.describe_log_dirs.TopicRequest": {"topic": "name"},
    "kiel.protocol.describe_quorum": {"topic_name": "name"},
    "kiel.protocol.consumer_protocol": {"topic": "name", "assigned_partitions": "topics"},
}

#: kiel is a consumer, so its default replica id is the consumer's, where Kafka has 0 or -2
OTHER_DEFAULTS = {("OffsetRequest", "replica_id"), ("OffsetForLeaderEpochRequest", "replica_id")}

KINDS = {
    "int8": primitives.Int8, "int16": primitives.Int16, "int32": primitives.Int32, "int64": primitives.Int64,
    "uint16": primitives.Uint16, "float64": primitives.Float64, "bool": primitives.Boolean, "uuid": primitives.Uuid,
    "string": primitives.String, "bytes": primitives.Bytes, "records": MessageSet,
}


def kafka_name(api):
    """``offset_fetch`` -> ``OffsetFetch``."""
    return KAFKA_NAMES.get(api) or "".join(word.capitalize() for word in api.split("_"))


def subjects():
    """(kiel's class, the name of Kafka's definition, the name of Kafka's Java class)"""
    assert registry.MODULES
    for api in sorted(constants.API_KEYS):
        yield request.classes[api], kafka_name(api) + "Request", kafka_name(api) + "RequestData"
        yield response.classes[api], kafka_name(api) + "Response", kafka_name(api) + "ResponseData"
    for cls in consumer_protocol.Subscription, consumer_protocol.Assignment:
        yield cls, "ConsumerProtocol" + cls.__name__, "ConsumerProtocol" + cls.__name__


SUBJECTS = list(subjects())
NAMES = [subject[1] for subject in SUBJECTS]


@pytest.fixture(scope="module")
def kafka():
    """{release: its definitions}"""
    return dict((release, definitions.load(release)) for release in definitions.RELEASES)


@pytest.fixture(scope="module", params=definitions.RELEASES)
def java(request):
    """A Java process with the classes of a release."""
    process = peer.Peer(request.param)
    yield process
    process.close()


def versions_of(definition):
    low, high = parse_range(definition["validVersions"])
    return range(low, high + 1)


def kiel_fields(cls, version):
    """The lines of a table that a version has; an embedded part's own version is not in Kafka's definition."""
    own = issubclass(cls, consumer_protocol.VersionedPart)
    return [field for field in cls.fields[1 if own else 0:]
            if field.versions[0] <= version <= field.versions[1]]


def kiel_name(cls, field):
    name = definitions.snake(field["name"])
    for place in cls.__module__ + "." + cls.__name__, cls.__name__, cls.__module__, "":
        if name in RENAMED.get(place, ()):
            return RENAMED[place][name]
    return name


def compare_table(cls, fields, version, flexible, where):
    """Holds one version of a table against Kafka's fields, in the same order."""
    ours = kiel_fields(cls, version)
    theirs = [field for field in fields if definitions.within(version, field["versions"])]
    assert [field.name for field in ours] == [kiel_name(cls, field) for field in theirs], where
    for field, kafka in zip(ours, theirs):
        spot = "%s.%s of version %d" % (where, field.name, version)
        tagged = definitions.within(version, kafka.get("taggedVersions"))
        assert field.tag == (kafka["tag"] if tagged else None), spot
        nullable = field.nullable is not None and field.nullable[0] <= version <= field.nullable[1]
        assert nullable == definitions.within(version, kafka.get("nullableVersions")), spot
        assert field.is_array == kafka["type"].startswith("[]"), spot
        kind = field.kind.item_class if field.is_array else field.kind
        inner = definitions.children(kafka)
        if inner is None:
            wanted = KINDS[definitions.item_type(kafka)]
            # Produce's field is a MessageSet that knows which format its version takes
            assert kind is wanted or (wanted, kind) in (
                (primitives.Bytes, consumer_protocol.Embedded), (MessageSet, Produced)), spot
            compare_default(cls, field, kafka, spot)
        elif issubclass(kind, Part):
            compare_table(kind, inner, version, flexible, spot)
        else:  # a structure with one field is on the wire what the field is: Metadata's topics up to version 8
            assert not flexible, spot
            alone, = [field for field in inner if definitions.within(version, field["versions"])]
            assert kind is KINDS[alone["type"]], spot
    names = set(field.name for field in ours)
    for kafka in fields:
        if not definitions.within(version, kafka["versions"]):
            name = kiel_name(cls, kafka)
            field, = [field for field in cls.fields if field.name == name]
            assert name not in names and field.ignorable == (str(kafka.get("ignorable")) == "True"), (where, name)


def compare_default(cls, field, kafka, spot):
    if (cls.__name__, field.name) in OTHER_DEFAULTS or kafka["type"] == "records":
        return
    ours = list(field.default) if field.is_array and field.default is not None else field.default
    assert ours == definitions.default(kafka), spot
    assert getattr(cls, field.name) == field.default, spot


@pytest.mark.parametrize("cls,name,java_name", SUBJECTS, ids=NAMES)
def test_table(kafka, cls, name, java_name):
    """Fields, order, types, nulls, tags, defaults and versions are those of Kafka's definitions."""
    known = set()
    for release in definitions.RELEASES:
        definition = kafka[release][name]
        flexible = definition["flexibleVersions"]
        assert parse_range(cls.flexible) == (None if flexible == "none" else parse_range(flexible))
        if hasattr(cls, "api"):
            assert constants.API_KEYS[cls.api] == definition["apiKey"]
        for version in versions_of(definition):
            known.add(version)
            compare_table(cls, definition["fields"], version, cls.is_flexible(version), cls.__name__)
    low, high = cls.version_range
    assert known == set(range(low, high + 1))


def compare_value(cls, part, fields, message, version, where):
    """Holds a part that kiel read against the JSON of which Java made the bytes."""
    for field, kafka in zip(kiel_fields(cls, version),
                            [kafka for kafka in fields if definitions.within(version, kafka["versions"])]):
        spot = "%s.%s" % (where, field.name)
        value = getattr(part, field.name)
        key = definitions.Maker.key(kafka)
        kind = field.kind.item_class if field.is_array else field.kind
        inner = definitions.children(kafka)
        if key not in message:  # a tagged field that was left out
            assert (not value if field.is_array else value == field.default), spot
        elif message[key] is None:
            assert value is None or kafka["type"] == "records" and value.data is None, spot
        elif inner is None:
            value = value.data if kafka["type"] == "records" else value
            expected = definitions.from_json(kafka, message[key], version)
            assert value == expected, spot
            assert type(value) is type(expected) or isinstance(expected, six.integer_types), spot
        elif not issubclass(kind, Part):
            only, = [definitions.Maker.key(alone) for alone in inner
                     if definitions.within(version, alone["versions"])]
            assert value == [item[only] for item in message[key]], spot
        elif field.is_array:
            assert len(value) == len(message[key]), spot
            for item, sub in zip(value, message[key]):
                compare_value(kind, item, inner, sub, version, spot)
        else:
            compare_value(kind, value, inner, message[key], version, spot)


@pytest.mark.parametrize("cls,name,java_name", SUBJECTS, ids=NAMES)
def test_bytes(kafka, java, cls, name, java_name):
    """What Java writes, kiel reads to the same values and writes to the same bytes."""
    definition = kafka[java.release][name]
    chance = random.Random("%d %s" % (SEED, name))
    for version in versions_of(definition):
        for turn in range(ROUNDS):
            where = "%s version %d, KIEL_SEED=%d" % (name, version, SEED)
            maker = definitions.Maker(chance, plain=turn == 0)
            message = maker.structure(definition["fields"], version)
            raw = java.write(java_name, version, message)
            if issubclass(cls, consumer_protocol.VersionedPart):
                raw = bytes(bytearray([0, version])) + raw
            part, end = cls.decode(raw, 0, version)
            assert end == len(raw), where
            compare_value(cls, part, definition["fields"], message, version, where)
            assert part.encode(version) == raw, where
            again, end = cls.decode(b"xyz" + raw + b"tail", 3, version)
            assert again.encode(version) == raw and end == len(raw) + 3, where
            if cls.__module__ not in (fetch.__name__, produce.__name__):  # those compare messages, here are none
                assert again == part and not again != part, where


@pytest.mark.parametrize("api", sorted(constants.API_KEYS))
def test_headers(kafka, java, api):
    """The headers before requests and responses are Java's, whatever the client id."""
    asked, answered = request.classes[api], response.classes[api]
    definition = kafka[java.release][kafka_name(api) + "Request"]
    for version in versions_of(definition):
        header, reply_header = java.headers(constants.API_KEYS[api], version)
        for client_id, correlation_id in ((u"kiel", 1), (u"", 0x7fffffff), (None, 0), (u"\u20ac" * 50, 77)):
            subject = asked()
            subject.client_id, subject.correlation_id = client_id, correlation_id
            expected = java.write("RequestHeaderData", header, {
                "requestApiKey": constants.API_KEYS[api], "requestApiVersion": version,
                "correlationId": correlation_id, "clientId": client_id})
            raw = subject.serialize(version)
            assert raw[:len(expected)] == expected
            assert raw[len(expected):] == subject.for_version(version).encode(version)
            back = request.deserialize(raw)
            assert (back.api_version, back.client_id, back.correlation_id) == (version, client_id, correlation_id)
        reply = java.write("ResponseHeaderData", reply_header, {"correlationId": 7})
        body = answered().encode(version)
        assert answered().serialize(version) == reply[4:] + body
        assert answered.deserialize(reply + body, version, 4) == answered()


@pytest.mark.parametrize("cls,name,java_name", SUBJECTS, ids=NAMES)
def test_hostile(kafka, java, cls, name, java_name):
    """Cut off or mutated at any byte, a message gives a value or a ProtocolError, and soon."""
    definition = kafka[java.release][name]
    chance = random.Random("%d %s hostile" % (SEED, name))
    for version in versions_of(definition):
        maker = definitions.Maker(chance)
        raw = java.write(java_name, version, maker.structure(definition["fields"], version))[:400]
        wrecks = [raw[:end] for end in range(len(raw))]
        for _ in range(60):
            wreck = bytearray(raw + b"\0")
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(wreck))
                wreck[at:at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0",
                                                  bytes(bytearray(chance.randrange(256) for _ in range(4)))))
            wrecks.append(bytes(wreck))
        for wreck in wrecks:
            began = time.time()
            try:
                if hasattr(cls, "deserialize"):
                    cls.deserialize(wreck, version)
                else:
                    cls.decode(wreck, 0, version)
            except exc.ProtocolError:
                pass
            assert time.time() - began < 1, "KIEL_SEED=%d" % SEED
