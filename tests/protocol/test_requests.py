"""Requests and responses: 0.9's bytes, headers, correlation ids, and the one view of every version's shape."""
from __future__ import absolute_import

import binascii
import importlib
import os
import subprocess
import sys

import pytest

from kiel import constants, exc
from kiel.protocol import (
    api_versions, consumer_protocol, coordinator, create_topics, delete_topics, describe_groups, fetch, flat, heartbeat,
    init_producer_id, join_group, leave_group, list_groups, metadata, offset, offset_commit, offset_fetch, produce,
    registry, request, response, sasl_authenticate, sasl_handshake, sync_group,
)
from kiel.protocol.messages import Message, MessageSet
from kiel.protocol.wire import complete

TOPIC_ID = b"0123456789abcdef"

#: section 6 of 0.9's interface: module -> class -> its fields of version 0
INTERFACE = {
    "metadata": {
        "MetadataRequest": "topics", "MetadataResponse": "brokers topics", "Broker": "broker_id host port",
        "TopicMetadata": "error_code name partitions",
        "PartitionMetadata": "error_code partition_id leader replicas isrs"},
    "produce": {
        "ProduceRequest": "required_acks timeout topics", "TopicRequest": "name partitions",
        "PartitionRequest": "partition_id message_set", "ProduceResponse": "topics",
        "TopicResponse": "name partitions", "PartitionResponse": "partition_id error_code offset"},
    "fetch": {
        "FetchRequest": "replica_id max_wait_time min_bytes topics", "TopicRequest": "name partitions",
        "PartitionRequest": "partition_id offset max_bytes", "FetchResponse": "topics",
        "TopicResponse": "name partitions",
        "PartitionResponse": "partition_id error_code highwater_mark_offset message_set"},
    "offset": {
        "OffsetRequest": "replica_id topics", "TopicRequest": "name partitions",
        "PartitionRequest": "partition_id time max_offsets", "OffsetResponse": "topics",
        "TopicResponse": "name partitions", "PartitionResponse": "partition_id error_code offsets"},
    "coordinator": {
        "GroupCoordinatorRequest": "group",
        "GroupCoordinatorResponse": "error_code coordinator_id coordinator_host coordinator_port"},
    "offset_fetch": {
        "OffsetFetchRequest": "group_name topics", "TopicRequest": "name partitions", "OffsetFetchResponse": "topics",
        "TopicResponse": "name partitions", "PartitionResponse": "partition_id offset metadata error_code"},
    "offset_commit": {
        "OffsetCommitV0Request": "group topics", "OffsetCommitV1Request": "group topics",
        "OffsetCommitV2Request": "group topics", "TopicRequest": "name partitions",
        "TopicV1Request": "name partitions", "PartitionRequest": "partition_id offset metadata",
        "PartitionV1Request": "partition_id offset metadata", "OffsetCommitResponse": "topics",
        "TopicResponse": "name partitions", "PartitionResponse": "partition_id error_code"},
    "heartbeat": {
        "HeartbeatRequest": "group_id generation_id member_id", "HeartbeatResponse": "error_code"},
    "join_group": {
        "JoinGroupRequest": "group_id session_timeout member_id protocol_type group_protocols",
        "JoinGroupResponse": "error_code generation_id protocol leader_id member_id members",
        "Member": "member_id metadata"},
    "sync_group": {
        "SyncGroupRequest": "group_id generation_id member_id assignments",
        "MemberAssignment": "member_id assignment", "Assignment": "version topics user_data",
        "TopicAssignment": "name partitions"},
    "leave_group": {"LeaveGroupRequest": "group_id member_id", "LeaveGroupResponse": "error_code"},
    "list_groups": {
        "ListGroupsRequest": "", "ListGroupsResponse": "error_code groups", "Group": "group_id protocol_type"},
    "describe_groups": {
        "DescribeGroupsRequest": "groups", "DescribeGroupsResponse": "groups",
        "GroupDescription": "error_code group_id state protocol_type protocol members",
        "MemberDescription": "member_id client_id client_host metadata assignment",
        "Assignment": "version topics user_data", "TopicAssignment": "name partitions"},
}


@pytest.mark.parametrize("name", sorted(INTERFACE))
def test_names_of_0_9(name):
    module = importlib.import_module("kiel.protocol." + name)
    assert module.api_name == ("group_coordinator" if name == "coordinator" else name)
    assert constants.API_KEYS[module.api_name] is not None
    for exported in module.__all__:
        assert hasattr(module, exported)
    for class_name, fields in INTERFACE[name].items():
        cls = getattr(module, class_name)
        present = [field.name for field in cls.fields if field.versions[0] == 0]
        assert present == fields.split(), class_name


def hexed(request, correlation_id):
    request.correlation_id = correlation_id
    return binascii.hexlify(request.serialize()).decode("ascii")


def squeezed(text):
    return text.replace(" ", "")


def fetch_request(**topic):
    partition = fetch.PartitionRequest(partition_id=0, offset=5, max_bytes=1048576)
    topic.setdefault("name", "t")
    return fetch.FetchRequest(
        replica_id=-1, max_wait_time=1000, min_bytes=1, topics=[fetch.TopicRequest(partitions=[partition], **topic)])


def test_sample_produce():
    messages = MessageSet([(-1, Message(magic=0, attributes=0, key="k", value="v"))])
    subject = produce.ProduceRequest(required_acks=-1, timeout=500, topics=[
        produce.TopicRequest(name="t", partitions=[produce.PartitionRequest(partition_id=2, message_set=messages)])])
    assert hexed(subject, 1) == squeezed(
        "0000 0000 00000001 0004 6b69656c ffff 000001f4 00000001 0001 74 00000001 00000002 0000001c ffffffffffffffff"
        "00000010 1fecd70a 00 00 00000001 6b 00000001 76")


def test_sample_fetch():
    assert hexed(fetch_request(), 2) == squeezed(
        "0001 0000 00000002 0004 6b69656c ffffffff 000003e8 00000001 00000001 0001 74 00000001 00000000"
        "0000000000000005 00100000")


def commit(cls, **partition):
    partition = offset_commit.PartitionRequest(partition_id=0, offset=81, metadata="", **partition)
    return cls(group="g", topics=[offset_commit.TopicRequest(name="t", partitions=[partition])])


def test_sample_offset_commit():
    assert hexed(commit(offset_commit.OffsetCommitV0Request), 3) == squeezed(
        "0008 0000 00000003 0004 6b69656c 0001 67 00000001 0001 74 00000001 00000000 0000000000000051 0000")


def test_sample_offset_fetch():
    subject = offset_fetch.OffsetFetchRequest(
        group_name="g", topics=[offset_fetch.TopicRequest(name="t", partitions=[1])])
    assert hexed(subject, 4) == squeezed(
        "0009 0000 00000004 0004 6b69656c 0001 67 00000001 0001 74 00000001 00000001")


def test_sample_coordinator():
    assert hexed(coordinator.GroupCoordinatorRequest(group="g"), 5) == squeezed(
        "000a 0000 00000005 0004 6b69656c 0001 67")


#: api -> the versions from Kafka 0.8.2 to 4.4, the first flexible one; as its documentation lists them
VERSIONS = {
    "produce": (0, 13, 9), "fetch": (0, 18, 12), "offset": (0, 11, 6), "metadata": (0, 13, 9),
    "offset_commit": (0, 10, 8), "offset_fetch": (0, 10, 6), "group_coordinator": (0, 6, 3), "join_group": (0, 9, 6),
    "heartbeat": (0, 4, 4), "leave_group": (0, 5, 4), "sync_group": (0, 5, 4), "describe_groups": (0, 6, 5),
    "list_groups": (0, 5, 3), "sasl_handshake": (0, 1, None), "api_versions": (0, 5, 3), "create_topics": (0, 7, 5),
    "delete_topics": (0, 6, 4), "init_producer_id": (0, 6, 2), "offset_for_leader_epoch": (0, 4, 4),
    "sasl_authenticate": (0, 2, 2), "consumer_group_heartbeat": (0, 1, 0), "consumer_group_describe": (0, 1, 0),
    "delete_groups": (0, 3, 2), "offset_delete": (0, 0, None),
    "add_partitions_to_txn": (0, 5, 3), "add_offsets_to_txn": (0, 4, 3), "end_txn": (0, 5, 3),
    "txn_offset_commit": (0, 6, 3), "describe_acls": (0, 3, 2), "create_acls": (0, 3, 2), "delete_acls": (0, 3, 2),
    "create_delegation_token": (0, 3, 2), "renew_delegation_token": (0, 2, 2), "expire_delegation_token": (0, 2, 2),
    "describe_delegation_token": (0, 3, 2), "describe_configs": (0, 4, 4),
    "alter_configs": (0, 2, 2), "incremental_alter_configs": (0, 1, 1), "create_partitions": (0, 3, 2),
    "delete_records": (0, 2, 2), "elect_leaders": (0, 2, 2), "alter_partition_reassignments": (0, 1, 0),
    "list_partition_reassignments": (0, 0, 0), "describe_cluster": (0, 2, 0), "describe_log_dirs": (0, 5, 2),
    "describe_quorum": (0, 2, 0), "update_features": (0, 2, 0), "describe_user_scram_credentials": (0, 0, 0),
    "alter_user_scram_credentials": (0, 0, 0), "describe_client_quotas": (0, 1, 1), "alter_client_quotas": (0, 1, 1),
    "list_transactions": (0, 2, 0), "describe_transactions": (0, 0, 0), "describe_producers": (0, 0, 0),
    "write_txn_markers": (0, 2, 1), "get_telemetry_subscriptions": (0, 0, 0), "push_telemetry": (0, 0, 0),
}


@pytest.mark.parametrize("api", sorted(constants.API_KEYS))
def test_d60_every_version_of_every_api(api):
    """Not only version 0: all from the first to the newest, each written and read back."""
    lowest, highest, flexible = VERSIONS[api]
    for cls in request.classes[api], response.classes[api]:
        assert cls.version_range == (lowest, highest)
        for version in range(lowest, highest + 1):
            assert cls.is_flexible(version) == (flexible is not None and version >= flexible)
            raw = cls().encode(version)
            assert cls.decode(raw, 0, version) == (cls(), len(raw))
        for version in lowest - 1, highest + 1:
            with pytest.raises(exc.UnsupportedVersionError):
                cls().encode(version)


def test_d61_commits_of_version_1_and_2():
    """Usable, with the right version in the header; the bytes are those of Kafka's definitions by hand."""
    one = commit(offset_commit.OffsetCommitV1Request, timestamp=7)
    one.generation, one.consumer_id = 3, "me"
    assert hexed(one, 6) == squeezed(
        "0008 0001 00000006 0004 6b69656c 0001 67 00000003 0002 6d65 00000001 0001 74 00000001 00000000"
        "0000000000000051 0000000000000007 0000")
    two = commit(offset_commit.OffsetCommitV2Request)
    two.retention_time = 9
    assert hexed(two, 7) == squeezed(
        "0008 0002 00000007 0004 6b69656c 0001 67 ffffffff 0000 0000000000000009 00000001 0001 74 00000001 00000000"
        "0000000000000051 0000")
    assert (offset_commit.OffsetCommitV0Request.preferred, offset_commit.OffsetCommitV0Request().api_version) == (0, 0)
    for cls, version in ((offset_commit.OffsetCommitV1Request, 1), (offset_commit.OffsetCommitV2Request, 2)):
        assert (cls().min_version, cls().max_version, cls().api_version) == (version,) * 3
    assert request.classes["offset_commit"] is offset_commit.OffsetCommitRequest
    topic = offset_commit.TopicV1Request(name="t", partitions=[
        offset_commit.PartitionV1Request(partition_id=0, offset=81, timestamp=7, metadata="")])
    twin = offset_commit.OffsetCommitV1Request(group="g", generation=3, consumer_id="me", topics=[topic])
    assert hexed(twin, 6) == hexed(one, 6)


def test_d63_every_api_has_its_response():
    assert set(request.classes) == set(response.classes) == set(constants.API_KEYS) == set(registry.MODULES)
    for api, cls in response.classes.items():
        asked = request.classes[api]
        assert (cls.api, cls.versions, cls.flexible) == (api, asked.versions, asked.flexible)
        assert asked().api_key == constants.API_KEYS[api]


def test_d64_correlation_ids_begin_again(monkeypatch):
    for last, following in ((0x7ffffffd, [0x7ffffffe, 0x7fffffff, 0]), (0x7ffffffe, [0x7fffffff, 0, 1])):
        monkeypatch.setattr(request, "next_id", request.ids_after(last))
        ids = [metadata.MetadataRequest() for _ in range(3)]
        assert [one.correlation_id for one in ids] == following
        assert request.last_id == following[-1]
        for one in ids:
            one.serialize()


def test_correlation_ids_begin_again_each_time_and_are_of_one_sequence(monkeypatch):
    monkeypatch.setattr(request, "LAST", 3)
    monkeypatch.setattr(request, "next_id", request.ids_after(0))
    assert [request.next_id() for _ in range(9)] == [1, 2, 3, 0, 1, 2, 3, 0, 1]
    made = flat.FlatProduceRequest(None, -1, 500, [])
    assert [made.correlation_id, request.generate_correlation_id(), metadata.MetadataRequest().correlation_id] \
        == [2, 3, 0]
    assert request.last_id == 0


def test_d65_import_without_md5():
    """A FIPS build refuses md5; kiel does not ask for it."""
    code = ("import hashlib\ndef refuse(*args, **kwargs): raise ValueError('no md5 here')\n"
            "hashlib.md5 = refuse\nimport kiel.protocol.registry\n")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    subprocess.check_call([sys.executable, "-c", code], cwd=root)


def test_a_request_says_what_it_is():
    subject = fetch_request()
    assert (subject.client_id, subject.api_key, subject.api_version) == ("kiel", 1, 0)
    first, second = fetch_request(), fetch_request()
    assert first == second and first.correlation_id != second.correlation_id
    assert "correlation" not in repr(first)


def test_narrowing():
    subject = offset_fetch.OffsetFetchRequest(topics=[offset_fetch.TopicRequest(name="t", topic_id=TOPIC_ID)])
    assert (subject.min_version, subject.max_version) == (0, 10)
    subject.narrow = (0, 0)
    assert (subject.min_version, subject.max_version) == (0, 0)
    subject.narrow = (3, 99)
    assert (subject.min_version, subject.max_version) == (3, 10)
    # its newest version is not final
    assert init_producer_id.InitProducerIdRequest().max_version == 5


@pytest.mark.parametrize("subject,unknown,known", [
    (fetch_request(), 12, 18),
    (produce.ProduceRequest(topics=[produce.TopicRequest(name="t")]), 12, 13),
    (commit(offset_commit.OffsetCommitRequest), 9, 10),
    (offset_fetch.OffsetFetchRequest(topics=[offset_fetch.TopicRequest(name="t")]), 9, 10),
])
def test_no_version_by_id_without_an_id(subject, unknown, known):
    assert subject.max_version == unknown
    subject.topics[0].topic_id = TOPIC_ID
    assert subject.max_version == known


@pytest.mark.parametrize("subject,answer,versions", [
    (fetch_request(topic_id=TOPIC_ID), fetch.FetchResponse(topics=[fetch.TopicResponse(topic_id=TOPIC_ID)]), (13, 18)),
    (produce.ProduceRequest(topics=[produce.TopicRequest(name="t", topic_id=TOPIC_ID)]),
     produce.ProduceResponse(topics=[produce.TopicResponse(topic_id=TOPIC_ID)]), (13,)),
    (offset_commit.OffsetCommitRequest(topics=[offset_commit.TopicRequest(name="t", topic_id=TOPIC_ID)]),
     offset_commit.OffsetCommitResponse(topics=[offset_commit.TopicResponse(topic_id=TOPIC_ID)]), (10,)),
])
def test_names_for_ids(subject, answer, versions):
    for version in versions:
        seen = request.deserialize(subject.serialize(version))
        assert (seen.topics[0].topic_id, seen.topics[0].name) == (TOPIC_ID, "")
        got = type(answer).deserialize(answer.serialize(version), version)
        assert got.topics[0].name == ""
        complete(got, subject)
        assert got.topics[0].name == "t"


def test_an_id_nobody_asked_for_stays_without_a_name():
    answer = fetch.FetchResponse(topics=[fetch.TopicResponse(topic_id=b"x" * 16)])
    complete(answer, fetch_request(topic_id=TOPIC_ID))
    assert answer.topics[0].name == ""


@pytest.mark.parametrize("version", range(11))
def test_offset_fetch_reads_alike_in_every_version(version):
    subject = offset_fetch.OffsetFetchRequest(
        group_name="g", topics=[offset_fetch.TopicRequest(name="t", topic_id=TOPIC_ID, partitions=[1])])
    seen = request.deserialize(subject.serialize(version))
    if version >= 8:
        group, = seen.groups
        assert (group.group_id, group.topics[0].partitions) == ("g", [1])
    else:
        assert (seen.group_name, seen.topics[0].name, seen.topics[0].partitions) == ("g", "t", [1])
    topic = offset_fetch.TopicResponse(partitions=[
        offset_fetch.PartitionResponse(partition_id=1, offset=7, metadata="")])
    topic.topic_id, topic.name = (TOPIC_ID, "") if version >= 10 else (b"\0" * 16, "t")
    if version >= 8:
        answer = offset_fetch.OffsetFetchResponse(groups=[
            offset_fetch.GroupResponse(group_id="g", topics=[topic], error_code=16)])
    else:
        answer = offset_fetch.OffsetFetchResponse(topics=[topic], error_code=16)
    got = offset_fetch.OffsetFetchResponse.deserialize(answer.serialize(version), version)
    complete(got, subject)
    assert got.topics[0].name == "t" and got.topics[0].partitions[0].offset == 7
    assert got.error_code == (16 if version >= 2 else 0)


@pytest.mark.parametrize("version", range(7))
def test_coordinator_reads_alike_in_every_version(version):
    subject = coordinator.GroupCoordinatorRequest(group="g")
    seen = request.deserialize(subject.serialize(version))
    assert ([seen.group], ["g"])[version >= 4] == ["g"] and seen.coordinator_keys == (["g"] if version >= 4 else [])
    fields = dict(error_code=15, coordinator_id=3, coordinator_host="h", coordinator_port=9)
    if version >= 4:
        answer = coordinator.GroupCoordinatorResponse(coordinators=[coordinator.Coordinator(key="g", **fields)])
    else:
        answer = coordinator.GroupCoordinatorResponse(**fields)
    got = coordinator.GroupCoordinatorResponse.deserialize(answer.serialize(version), version)
    complete(got, subject)
    assert dict((name, getattr(got, name)) for name in fields) == fields
    assert subject.group == "g"  # shaping leaves the request as it is


@pytest.mark.parametrize("version", range(14))
def test_metadata_asks_alike_in_every_version(version):
    everything = request.deserialize(metadata.MetadataRequest(topics=[]).serialize(version))
    assert everything.topics == (None if version else [])
    named = request.deserialize(metadata.MetadataRequest(topics=["t"]).serialize(version))
    assert named.topics == ([metadata.TopicRequest(name="t")] if version >= 9 else ["t"])


def test_metadata_creation_can_not_be_refused_before_version_4():
    with pytest.raises(exc.UnsupportedVersionError):
        metadata.MetadataRequest(topics=["t"], allow_auto_topic_creation=False).serialize(3)
    metadata.MetadataRequest(topics=["t"], allow_auto_topic_creation=False).serialize(4)


@pytest.mark.parametrize("offsets,code,expected", [([9, 4], 0, 9), ([], 0, offset.EARLIEST), ([], 3, -1)])
def test_offsets_of_version_0(offsets, code, expected):
    """An empty list: every segment is younger than the time, so nothing is before it."""
    answer = offset.OffsetResponse(topics=[offset.TopicResponse(name="t", partitions=[
        offset.PartitionResponse(partition_id=0, error_code=code, offsets=offsets)])])
    got = offset.OffsetResponse.deserialize(answer.serialize(0), 0)
    complete(got, offset.OffsetRequest())
    assert got.topics[0].partitions[0].offset == expected


def test_offsets_of_later_versions():
    answer = offset.OffsetResponse(topics=[offset.TopicResponse(name="t", partitions=[
        offset.PartitionResponse(partition_id=0), offset.PartitionResponse(partition_id=1, offset=5)])])
    for version in range(1, 12):
        got = offset.OffsetResponse.deserialize(answer.serialize(version), version)
        complete(got, offset.OffsetRequest())
        assert [partition.offset for partition in got.topics[0].partitions] == [-1, 5]


@pytest.mark.parametrize("version", range(6))
def test_leaving_in_every_version(version):
    subject = leave_group.LeaveGroupRequest(group_id="g", member_id="m")
    seen = request.deserialize(subject.serialize(version))
    assert (seen.members[0].member_id if version >= 3 else seen.member_id) == "m"
    answer = leave_group.LeaveGroupResponse(error_code=0 if version >= 3 else 25)
    if version >= 3:
        answer.members = [leave_group.MemberResponse(member_id="m", error_code=25)]
    got = leave_group.LeaveGroupResponse.deserialize(answer.serialize(version), version)
    complete(got, subject)
    assert got.error_code == 25


@pytest.mark.parametrize("version", range(7))
def test_deleting_in_every_version(version):
    seen = request.deserialize(delete_topics.DeleteTopicsRequest(topic_names=["a"], timeout=5).serialize(version))
    assert (seen.topics[0].name if version >= 6 else seen.topic_names[0]) == "a"


def test_waiting_times_and_acks():
    assert fetch_request().wait_time == 1000
    assert produce.ProduceRequest(timeout=7).wait_time == 7
    assert join_group.JoinGroupRequest(session_timeout=10, rebalance_timeout=60).wait_time == 60
    assert join_group.JoinGroupRequest(session_timeout=10).wait_time == 10
    assert create_topics.CreateTopicsRequest().wait_time == 60000
    assert metadata.MetadataRequest().wait_time == 0
    assert not produce.ProduceRequest(required_acks=0).expects_response
    assert produce.ProduceRequest(required_acks=1).expects_response
    assert produce.ProduceRequest(required_acks=-1).expects_response
    assert fetch_request().expects_response


def test_api_versions_names_kiel():
    seen = request.deserialize(api_versions.ApiVersionsRequest().serialize(3))
    assert seen.client_software_name == "kiel" and seen.client_software_version
    # the example of Kafka's own bytes
    named = api_versions.ApiVersionsRequest(client_software_name="kiel", client_software_version="1.0")
    assert binascii.hexlify(named.encode(3)) == b"056b69656c04312e3000"


def test_api_versions_answers_of_a_broker_that_is_older():
    """Asked in a version it does not know, a broker answers in version 0, with error 35."""
    answer = api_versions.ApiVersionsResponse(error_code=35, api_keys=[
        api_versions.ApiVersion(api_key=18, min_version=0, max_version=3)])
    got = api_versions.ApiVersionsResponse.deserialize(b"????" + answer.serialize(0), 5, 4)
    assert (got.error_code, got.api_keys[0].max_version, got.api_version) == (35, 3, 0)


def test_d62_group_protocol_takes_what_0_9_took():
    old = join_group.GroupProtocol(name="range", version=0, subscription=["t"], user_data=b"u")
    # Kafka's ConsumerProtocol: a version, then the subscription, all of it with its length before it
    inside = b"\x00\x00" b"\x00\x00\x00\x01\x00\x01t" b"\x00\x00\x00\x01u"
    assert len(inside) == 0x0e
    assert old.encode() == b"\x00\x05range" b"\x00\x00\x00\x0e" + inside
    back = join_group.GroupProtocol.decode(old.encode())[0]
    assert back == old
    assert (back.version, back.subscription, back.user_data) == (0, ["t"], b"u")
    new = join_group.GroupProtocol(name="range", metadata=consumer_protocol.Subscription(
        version=3, topics=["t"], rack_id="r"))
    assert consumer_protocol.Subscription.unpack(new.metadata).rack_id == "r"
    assert join_group.GroupProtocol(name="x", metadata=b"raw").metadata == b"raw"
    with pytest.raises(ValueError):
        join_group.GroupProtocol(names="x")


def test_d62_assignments_have_their_length_before_them():
    assignment = sync_group.Assignment(version=0, user_data=b"", topics=[
        sync_group.TopicAssignment(name="t", partitions=[1])])
    inside = b"\x00\x00" b"\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x01" b"\x00\x00\x00\x00"
    member = sync_group.MemberAssignment(member_id="m", assignment=assignment)
    assert member.encode() == b"\x00\x01m\x00\x00\x00\x15" + inside
    assert len(inside) == 0x15
    got = sync_group.SyncGroupResponse.deserialize(b"\x00\x00\x00\x00\x00\x15" + inside)
    assert consumer_protocol.Assignment.unpack(got.assignment) == assignment
    assert got.assignments[0].assignment == assignment
    described = describe_groups.MemberDescription(member_id="m", assignment=assignment)
    back = describe_groups.MemberDescription.decode(described.encode())[0]
    assert describe_groups.Assignment.unpack(back.assignment) == assignment


def test_d62_heartbeats():
    subject = heartbeat.HeartbeatRequest(group_id="g", generation_id=1, member_id="m")
    assert hexed(subject, 1) == squeezed("000c 0000 00000001 0004 6b69656c 0001 67 00000001 0001 6d")
    assert heartbeat.HeartbeatResponse.deserialize(b"\x00\x1b").error_code == 27
    assert list_groups.ListGroupsResponse.deserialize(b"\x00\x00\x00\x00\x00\x00").groups == []


def test_embedded_parts_of_versions_to_come():
    """Kafka wants a newer version read as far as it is known."""
    raw = b"\x00\x63" b"\x00\x00\x00\x00" b"\xff\xff\xff\xff" b"news"
    assert consumer_protocol.Assignment.unpack(raw).version == 99
    assert consumer_protocol.Assignment.unpack(b"") == consumer_protocol.Assignment()
    for bad in b"\xff\xff\x00", b"\x00", b"\x00\x00\x00":
        with pytest.raises(exc.ProtocolError):
            consumer_protocol.Assignment.unpack(bad)


def test_what_a_broker_reads():
    raw = sasl_handshake.SaslHandshakeRequest(mechanism="PLAIN").serialize(1)
    seen = request.deserialize(raw)
    assert (seen.mechanism, seen.api_version) == ("PLAIN", 1)
    for end in range(len(raw)):
        with pytest.raises(exc.ProtocolError):
            request.deserialize(raw[:end])
    with pytest.raises(exc.ProtocolError):
        request.deserialize(b"\x7f\x00" + raw[2:])
    with pytest.raises(exc.UnsupportedVersionError):
        request.deserialize(raw[:2] + b"\x00\x63" + raw[4:])
    assert sasl_authenticate.SaslAuthenticateRequest(auth_bytes=b"\0u\0p").encode(0) == b"\x00\x00\x00\x04\0u\0p"
