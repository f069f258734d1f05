"""Kafka's numbers and kiel's names for them: api keys, error codes, codecs, and the defaults of the protocol."""
from __future__ import absolute_import

DEFAULT_KAFKA_PORT = 9092

#: codec flags, as they stand in the attributes of a message or a record batch
GZIP = 1
SNAPPY = 2
LZ4 = 3
ZSTD = 4

SUPPORTED_COMPRESSION = (None, GZIP, SNAPPY, LZ4, ZSTD)

CLIENT_ID = "kiel"

#: the version of a request that nobody negotiated
API_VERSION = 0

CONSUMER_REPLICA_ID = -1

#: ``isolation_level`` of a fetch
READ_UNCOMMITTED = 0
READ_COMMITTED = 1

#: kiel's name of an api -> its key (https://kafka.apache.org/protocol#protocol_api_keys)
API_KEYS = {
    "produce": 0,
    "fetch": 1,
    "offset": 2,
    "metadata": 3,
    "offset_commit": 8,
    "offset_fetch": 9,
    "group_coordinator": 10,
    "join_group": 11,
    "heartbeat": 12,
    "leave_group": 13,
    "sync_group": 14,
    "describe_groups": 15,
    "list_groups": 16,
    "sasl_handshake": 17,
    "api_versions": 18,
    "create_topics": 19,
    "delete_topics": 20,
    "init_producer_id": 22,
    "offset_for_leader_epoch": 23,
    "sasl_authenticate": 36,
}

#: Every error code of Kafka 4.4 as ``(code, name, retriable, cure)``. Codes that kiel 0.9 knew keep its names, all
#: others have Kafka's own. What is retriable is what Java's client retries
#: (https://kafka.apache.org/protocol#protocol_error_codes); ``cure`` is what has to be renewed first.
ERRORS = (
    (-1, "unknown", False, None),
    (0, "no_error", False, None),
    (1, "offset_out_of_range", False, None),
    (2, "invalid_message", True, None),
    (3, "unknown_topic_or_partition", True, "metadata"),
    (4, "invalid_message_size", False, None),
    (5, "leader_not_available", True, "metadata"),
    (6, "not_partition_leader", True, "metadata"),
    (7, "request_timed_out", True, None),
    (8, "broker_not_available", False, None),
    (9, "replica_not_available", True, "metadata"),
    (10, "message_size_too_large", False, None),
    (11, "stale_controller_epoch", False, None),
    (12, "offset_metadata_too_large", False, None),
    (13, "network_exception", True, "metadata"),
    (14, "offsets_load_in_progress", True, None),
    (15, "coordinator_not_available", True, "coordinator"),
    (16, "not_coordinator", True, "coordinator"),
    (17, "invalid_topic", False, None),
    (18, "record_list_too_large", False, None),
    (19, "not_enough_replicas", True, None),
    (20, "not_enough_replicas_after_append", True, None),
    (21, "invalid_required_acks", False, None),
    (22, "illegal_generation", False, "rejoin"),
    (23, "inconsistent_group_protocol", False, None),
    (24, "invalid_group_id", False, None),
    (25, "unknown_member_id", False, "rejoin"),
    (26, "invalid_session_timeout", False, None),
    (27, "rebalance_in_progress", False, "rejoin"),
    (28, "invalid_commit_offset_size", False, None),
    (29, "topic_authorization_failed", False, None),
    (30, "group_authorization_failed", False, None),
    (31, "cluster_authorization_failed", False, None),
    (32, "invalid_timestamp", False, None),
    (33, "unsupported_sasl_mechanism", False, None),
    (34, "illegal_sasl_state", False, None),
    (35, "unsupported_version", False, None),
    (36, "topic_already_exists", False, None),
    (37, "invalid_partitions", False, None),
    (38, "invalid_replication_factor", False, None),
    (39, "invalid_replica_assignment", False, None),
    (40, "invalid_config", False, None),
    (41, "not_controller", True, None),
    (42, "invalid_request", False, None),
    (43, "unsupported_for_message_format", False, None),
    (44, "policy_violation", False, None),
    (45, "out_of_order_sequence_number", False, "producer_id"),
    (46, "duplicate_sequence_number", False, None),
    (47, "invalid_producer_epoch", False, "producer_id"),
    (48, "invalid_txn_state", False, None),
    (49, "invalid_producer_id_mapping", False, "producer_id"),
    (50, "invalid_transaction_timeout", False, None),
    (51, "concurrent_transactions", True, None),
    (52, "transaction_coordinator_fenced", False, None),
    (53, "transactional_id_authorization_failed", False, None),
    (54, "security_disabled", False, None),
    (55, "operation_not_attempted", False, None),
    (56, "kafka_storage_error", True, "metadata"),
    (57, "log_dir_not_found", False, None),
    (58, "sasl_authentication_failed", False, None),
    (59, "unknown_producer_id", False, "producer_id"),
    (60, "reassignment_in_progress", False, None),
    (61, "delegation_token_auth_disabled", False, None),
    (62, "delegation_token_not_found", False, None),
    (63, "delegation_token_owner_mismatch", False, None),
    (64, "delegation_token_request_not_allowed", False, None),
    (65, "delegation_token_authorization_failed", False, None),
    (66, "delegation_token_expired", False, None),
    (67, "invalid_principal_type", False, None),
    (68, "non_empty_group", False, None),
    (69, "group_id_not_found", False, None),
    (70, "fetch_session_id_not_found", True, None),
    (71, "invalid_fetch_session_epoch", True, None),
    (72, "listener_not_found", True, "metadata"),
    (73, "topic_deletion_disabled", False, None),
    (74, "fenced_leader_epoch", True, "metadata"),
    (75, "unknown_leader_epoch", True, "metadata"),
    (76, "unsupported_compression_type", False, None),
    (77, "stale_broker_epoch", False, None),
    (78, "offset_not_available", True, None),
    (79, "member_id_required", False, "rejoin"),
    (80, "preferred_leader_not_available", True, "metadata"),
    (81, "group_max_size_reached", False, None),
    (82, "fenced_instance_id", False, None),
    (83, "eligible_leaders_not_available", True, "metadata"),
    (84, "election_not_needed", True, "metadata"),
    (85, "no_reassignment_in_progress", False, None),
    (86, "group_subscribed_to_topic", False, None),
    (87, "invalid_record", False, None),
    (88, "unstable_offset_commit", True, None),
    (89, "throttling_quota_exceeded", True, None),
    (90, "producer_fenced", False, None),
    (91, "resource_not_found", False, None),
    (92, "duplicate_resource", False, None),
    (93, "unacceptable_credential", False, None),
    (94, "inconsistent_voter_set", False, None),
    (95, "invalid_update_version", False, None),
    (96, "feature_update_failed", False, None),
    (97, "principal_deserialization_failure", False, None),
    (98, "snapshot_not_found", False, None),
    (99, "position_out_of_range", False, None),
    (100, "unknown_topic_id", True, "metadata"),
    (101, "duplicate_broker_registration", False, None),
    (102, "broker_id_not_registered", False, None),
    (103, "inconsistent_topic_id", True, "metadata"),
    (104, "inconsistent_cluster_id", False, None),
    (105, "transactional_id_not_found", False, None),
    (106, "fetch_session_topic_id_error", True, None),
    (107, "ineligible_replica", False, None),
    (108, "new_leader_elected", False, None),
    (109, "offset_moved_to_tiered_storage", False, None),
    (110, "fenced_member_epoch", False, "rejoin"),
    (111, "unreleased_instance_id", False, None),
    (112, "unsupported_assignor", False, None),
    (113, "stale_member_epoch", False, "rejoin"),
    (114, "mismatched_endpoint_type", False, None),
    (115, "unsupported_endpoint_type", False, None),
    (116, "unknown_controller_id", False, None),
    (117, "unknown_subscription_id", False, None),
    (118, "telemetry_too_large", False, None),
    (119, "invalid_registration", False, None),
    (120, "transaction_abortable", False, None),
    (121, "invalid_record_state", False, None),
    (122, "share_session_not_found", True, None),
    (123, "invalid_share_session_epoch", True, None),
    (124, "fenced_state_epoch", False, None),
    (125, "invalid_voter_key", False, None),
    (126, "duplicate_voter", False, None),
    (127, "voter_not_found", False, None),
    (128, "invalid_regular_expression", False, None),
    (129, "rebootstrap_required", False, "metadata"),
    (130, "streams_invalid_topology", False, None),
    (131, "streams_invalid_topology_epoch", False, None),
    (132, "streams_topology_fenced", False, None),
    (133, "share_session_limit_reached", True, None),
    (134, "group_deletion_failed", False, None),
    (135, "streams_topology_description_update_failed", False, None),
    (136, "controller_id_not_registered", False, None),
)

#: error code -> name
ERROR_CODES = dict((code, name) for code, name, _, _ in ERRORS)

#: the *names* of the errors after which the same request may succeed
RETRIABLE_CODES = set(name for _, name, retriable, _ in ERRORS if retriable)
