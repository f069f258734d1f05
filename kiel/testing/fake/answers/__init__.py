"""What the fake answers: a function for each api, `kiel.testing.fake.call.Call` in, fields of the response out."""
from __future__ import absolute_import

from kiel.testing.fake.answers import about, groups, reading, topics, transactions, writing

#: api -> what answers it
ANSWERS = {
    "produce": writing.produce,
    "fetch": reading.fetch,
    "offset": reading.offset,
    "metadata": about.metadata,
    "offset_commit": groups.offset_commit,
    "offset_fetch": groups.offset_fetch,
    "group_coordinator": about.group_coordinator,
    "join_group": groups.join_group,
    "heartbeat": groups.heartbeat,
    "leave_group": groups.leave_group,
    "sync_group": groups.sync_group,
    "describe_groups": groups.describe_groups,
    "list_groups": groups.list_groups,
    "api_versions": about.api_versions,
    "create_topics": topics.create_topics,
    "delete_topics": topics.delete_topics,
    "delete_records": topics.delete_records,
    "init_producer_id": transactions.init_producer_id,
    "offset_for_leader_epoch": reading.offset_for_leader_epoch,
    "add_partitions_to_txn": transactions.add_partitions_to_txn,
    "add_offsets_to_txn": transactions.add_offsets_to_txn,
    "end_txn": transactions.end_txn,
    "txn_offset_commit": transactions.txn_offset_commit,
    "describe_configs": topics.describe_configs,
    "create_partitions": topics.create_partitions,
    "delete_groups": groups.delete_groups,
    "incremental_alter_configs": topics.incremental_alter_configs,
    "describe_cluster": about.describe_cluster,
    "consumer_group_heartbeat": groups.consumer_group_heartbeat,
    "consumer_group_describe": groups.consumer_group_describe,
}
