"""What the fake serves."""
from __future__ import absolute_import

#: api -> (lowest, highest version): those of Kafka 4.4, as far as the fake has such apis
SERVED = {
    "produce": (0, 13),
    "fetch": (4, 18),
    "offset": (1, 11),
    "metadata": (0, 13),
    "offset_commit": (2, 10),
    "offset_fetch": (1, 10),
    "group_coordinator": (0, 6),
    "join_group": (0, 9),
    "heartbeat": (0, 4),
    "leave_group": (0, 5),
    "sync_group": (0, 5),
    "describe_groups": (0, 6),
    "list_groups": (0, 5),
    "api_versions": (0, 5),
    "create_topics": (2, 7),
    "delete_topics": (1, 6),
    "delete_records": (0, 2),
    "init_producer_id": (0, 5),
    "offset_for_leader_epoch": (2, 4),
    "add_partitions_to_txn": (0, 3),
    "add_offsets_to_txn": (0, 4),
    "end_txn": (0, 5),
    "txn_offset_commit": (0, 6),
    "describe_configs": (1, 4),
    "create_partitions": (0, 3),
    "delete_groups": (0, 3),
    "incremental_alter_configs": (0, 1),
    "describe_cluster": (0, 2),
    "consumer_group_heartbeat": (0, 1),
    "consumer_group_describe": (0, 1),
}

#: what the cluster has agreed on: next-generation groups (KIP-848), the second protocol of transactions (KIP-890)
FEATURES = {"group.version": 1, "transaction.version": 2}
