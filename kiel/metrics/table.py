"""
What there is to count: one row for each number of a client, with its kind, unit and labels.

Whoever shows the numbers reads it: `kiel.metrics.prometheus`, `kiel.metrics.opentelemetry`, `kiel.telemetry.names`.
"""
from __future__ import absolute_import

import collections

#: a count that never decreases while the client lives
COUNTER = "counter"
#: the value at the moment; for several clients together it is their sum, or, for a `PEAK`, the largest
GAUGE, PEAK = "gauge", "peak"
#: how the values are distributed
HISTOGRAM = "histogram"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BYTES = tuple(1024 * 4 ** power for power in range(9))
SHARE = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

#: name -> (kind, unit, labels, meaning, the bounds of a histogram). A broker is its id, or "bootstrap".
TABLE = collections.OrderedDict((row[0], row[1:]) for row in (
    ("connections", GAUGE, "", (), "open connections", None),
    ("outage_seconds", PEAK, "seconds", (), "how long no broker has answered; 0 while at least one does", None),
    ("connects", COUNTER, "", ("broker",), "connections opened", None),
    ("connect_failures", COUNTER, "", ("broker",), "connections that could not be opened", None),
    ("connections_lost", COUNTER, "", ("broker",), "connections that were closed by the broker or failed", None),
    ("logins", COUNTER, "", ("mechanism",), "successful logins", None),
    ("requests", COUNTER, "", ("broker", "api"), "requests sent", None),
    ("request_bytes", COUNTER, "bytes", ("broker", "api"), "size of the requests", None),
    ("responses", COUNTER, "", ("broker", "api"), "responses received", None),
    ("response_bytes", COUNTER, "bytes", ("broker", "api"), "size of the responses", None),
    ("request_seconds", HISTOGRAM, "seconds", ("api",), "from the call that made a request to its response", SECONDS),
    ("broker_seconds", HISTOGRAM, "seconds", ("broker",),
     "from the last byte of a request to the first of its response; without fetches and joins, which wait", SECONDS),
    ("queue_seconds", HISTOGRAM, "seconds", ("api",),
     "how long requests waited in the client: for a connection, a login, a pause", SECONDS),
    ("throttle_seconds", COUNTER, "seconds", ("broker",),
     "how long brokers throttled the client because of a quota", None),
    ("metadata_refreshes", COUNTER, "", (), "metadata responses", None),
    ("errors", COUNTER, "", ("error",), "errors that were handled, by Kafka's name or the exception's", None),
    ("buffer_bytes", GAUGE, "bytes", (),
     "size of the messages in the client: not acknowledged (producer), or not returned yet (consumer)", None),
    ("buffer_limit_bytes", GAUGE, "bytes", (), "limit of the messages in the client: ``buffer_bytes=``", None),
    ("waiting_records", GAUGE, "records", (),
     "messages of a producer that are not sent yet, or have to be sent again", None),
    ("sent_records", COUNTER, "records", ("topic",), "messages that brokers have acknowledged", None),
    ("sent_batches", COUNTER, "", ("topic",), "batches that brokers have acknowledged", None),
    ("sent_bytes", COUNTER, "bytes", ("topic",), "size of the messages sent, before compression", None),
    ("sent_compressed_bytes", COUNTER, "bytes", ("topic",), "size of the batches sent, after compression", None),
    ("retries", COUNTER, "", ("topic",), "batches that failed and were sent again", None),
    ("failed_records", COUNTER, "records", ("topic",), "messages that could not be delivered", None),
    ("batch_records", HISTOGRAM, "records", (), "messages in a batch", RECORDS),
    ("batch_fill", HISTOGRAM, "", (), "how full batches were when sent, 0 to 1", SHARE),
    ("delivery_seconds", HISTOGRAM, "seconds", (),
     "from the first message of a batch to its acknowledgement", SECONDS),
    ("fetched_bytes", COUNTER, "bytes", ("broker",), "size of the messages fetched, as on the wire", None),
    ("fetch_bytes", HISTOGRAM, "bytes", (), "size of the messages in one fetch response", BYTES),
    ("consumed_records", COUNTER, "records", ("topic",), "messages returned to the application", None),
    ("lag", PEAK, "records", ("topic", "partition"),
     "messages between the position and the end of the log, as of the last fetch", None),
    ("lag_seconds", PEAK, "seconds", ("topic", "partition"),
     "age of the batch that was returned last; 0 at the end of the log", None),
    ("at_work_seconds", PEAK, "seconds", (),
     "how long ago the oldest messages were returned whose offsets are not committed; 0 for none", None),
    ("commits", COUNTER, "", (), "commits that succeeded, at least for some partitions", None),
    ("commit_failures", COUNTER, "", (), "commits that failed for at least one partition", None),
    ("commit_seconds", HISTOGRAM, "seconds", (), "duration of a commit", SECONDS),
    ("assigned_partitions", GAUGE, "", (), "partitions that the member owns", None),
    ("members", PEAK, "", (),
     "members of the group; known in a ZooKeeper group, and to the leader of a classic group", None),
    ("heartbeat_age_seconds", PEAK, "seconds", (), "time since the coordinator last acknowledged a heartbeat", None),
    ("rebalances", COUNTER, "", (), "rebalances in which the member's partitions changed", None),
    ("rebalance_seconds", HISTOGRAM, "seconds", (),
     "duration of a rebalance, including the last commit and callbacks", SECONDS),
    ("partitions_assigned", COUNTER, "", (), "partitions assigned to the member", None),
    ("partitions_revoked", COUNTER, "", (), "partitions revoked from the member", None),
    ("partitions_lost", COUNTER, "", (), "partitions lost without having been revoked first", None),
    ("late_heartbeats", COUNTER, "", (), "heartbeats answered after more than two intervals", None),
    ("loop_blocked", COUNTER, "", (), "callbacks that blocked the IOLoop for longer than ``slow_callback``", None),
    ("loop_blocked_seconds", COUNTER, "seconds", (), "how long callbacks blocked the IOLoop in total", None),
    ("worker_in_flight", GAUGE, "messages", (),
     "messages being handled by a worker, or on their way to ``dead_letters``", None),
    ("worker_waiting", GAUGE, "messages", (), "messages fetched ahead, or waiting for another attempt", None),
    ("worker_oldest_seconds", PEAK, "seconds", (),
     "how long the message has been handled that was begun first; 0 for none", None),
    ("worker_done", COUNTER, "messages", (), "messages handled successfully", None),
    ("worker_retried", COUNTER, "", (), "attempts after a message's first", None),
    ("worker_dead", COUNTER, "messages", (), "messages given to ``dead_letters``", None),
    ("worker_given_back", COUNTER, "messages", (), "messages left to the next owner of their partition", None),
    ("worker_transactions", COUNTER, "", (), "transactions committed, with a ``producer``", None),
    ("worker_aborted", COUNTER, "", (), "transactions aborted", None),
))

#: those of a `kiel.worker.Worker` that `Metrics.watch` was given -> their names in its ``numbers``
WORKER = collections.OrderedDict((name, {"worker_oldest_seconds": "oldest"}.get(name, name[len("worker_"):]))
                                 for name in TABLE if name.startswith("worker_"))

#: apis whose answers wait for something, so that they say nothing of a broker's speed
WAITING = frozenset(("fetch", "join_group", "sync_group"))
