"""
What there is to count: one row for each number of a client, with its kind, unit and labels.

Whoever shows the numbers reads it: `kiel.metrics.prometheus`, `kiel.metrics.opentelemetry`, `kiel.telemetry.names`.
"""
from __future__ import absolute_import

import collections

#: counts, and never goes back while the client lives
COUNTER = "counter"
#: as it is now; of several clients together it is the sum, or, of a `PEAK`, the largest
GAUGE, PEAK = "gauge", "peak"
#: how many were how large
HISTOGRAM = "histogram"

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECORDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BYTES = tuple(1024 * 4 ** power for power in range(9))
SHARE = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

#: name -> (kind, unit, labels, meaning, the bounds of a histogram). A broker is its id, or "bootstrap".
TABLE = collections.OrderedDict((row[0], row[1:]) for row in (
    ("connections", GAUGE, "", (), "connections that are open", None),
    ("outage_seconds", PEAK, "seconds", (), "for how long no broker has answered; 0 while one does", None),
    ("connects", COUNTER, "", ("broker",), "connections that were opened", None),
    ("connect_failures", COUNTER, "", ("broker",), "connections that could not be opened", None),
    ("connections_lost", COUNTER, "", ("broker",), "connections that ended otherwise than by the client", None),
    ("logins", COUNTER, "", ("mechanism",), "logins that were accepted", None),
    ("requests", COUNTER, "", ("broker", "api"), "requests that were sent", None),
    ("request_bytes", COUNTER, "bytes", ("broker", "api"), "of the requests", None),
    ("responses", COUNTER, "", ("broker", "api"), "answers that came", None),
    ("response_bytes", COUNTER, "bytes", ("broker", "api"), "of the answers", None),
    ("request_seconds", HISTOGRAM, "seconds", ("api",), "from a request's being asked for to its answer", SECONDS),
    ("broker_seconds", HISTOGRAM, "seconds", ("broker",),
     "from a request's last byte to its answer's first, but for fetches and joins, which wait", SECONDS),
    ("queue_seconds", HISTOGRAM, "seconds", ("api",),
     "that requests waited in the client: for a connection, a login, a pause", SECONDS),
    ("throttle_seconds", COUNTER, "seconds", ("broker",), "that a broker had the client wait, over a quota", None),
    ("metadata_refreshes", COUNTER, "", (), "metadata that came", None),
    ("errors", COUNTER, "", ("error",), "errors that were seen to, by Kafka's or the exception's name", None),
    ("buffer_bytes", GAUGE, "bytes", (),
     "of messages in the client: a producer's that are not acknowledged, a consumer's that are not handed out", None),
    ("buffer_limit_bytes", GAUGE, "bytes", (), "that may be there: ``buffer_bytes=``", None),
    ("waiting_records", GAUGE, "records", (), "of a producer that are not sent yet, or have to be sent again", None),
    ("sent_records", COUNTER, "records", ("topic",), "that brokers have taken", None),
    ("sent_batches", COUNTER, "", ("topic",), "batches of them", None),
    ("sent_bytes", COUNTER, "bytes", ("topic",), "of them before compression", None),
    ("sent_compressed_bytes", COUNTER, "bytes", ("topic",), "of them as they were sent", None),
    ("retries", COUNTER, "", ("topic",), "batches that failed and were sent again", None),
    ("failed_records", COUNTER, "records", ("topic",), "that were given up", None),
    ("batch_records", HISTOGRAM, "records", (), "of a batch", RECORDS),
    ("batch_fill", HISTOGRAM, "", (), "the part of a batch's room that was used, 0 to 1", SHARE),
    ("delivery_seconds", HISTOGRAM, "seconds", (),
     "from the coming of a batch's first message to its acknowledgement", SECONDS),
    ("fetched_bytes", COUNTER, "bytes", ("broker",), "of messages that were fetched, as on the wire", None),
    ("fetch_bytes", HISTOGRAM, "bytes", (), "of messages that one fetch brought", BYTES),
    ("consumed_records", COUNTER, "records", ("topic",), "that were handed out", None),
    ("lag", PEAK, "records", ("topic", "partition"), "behind the end of the log, as of the last answer", None),
    ("lag_seconds", PEAK, "seconds", ("topic", "partition"),
     "how old the batch is that was handed out last; 0 at the end of the log", None),
    ("at_work_seconds", PEAK, "seconds", (),
     "since the oldest messages were handed out whose offsets are not committed; 0 for none", None),
    ("commits", COUNTER, "", (), "commits that went through, in part at least", None),
    ("commit_failures", COUNTER, "", (), "commits of which something failed", None),
    ("commit_seconds", HISTOGRAM, "seconds", (), "of a commit", SECONDS),
    ("assigned_partitions", GAUGE, "", (), "partitions that the member owns", None),
    ("members", PEAK, "", (),
     "members of the group, where this one knows: in ZooKeeper, and a classic group's leader", None),
    ("heartbeat_age_seconds", PEAK, "seconds", (), "since the coordinator last took the member for alive", None),
    ("rebalances", COUNTER, "", (), "changes of the member's partitions", None),
    ("rebalance_seconds", HISTOGRAM, "seconds", (), "of such a change, with the last commit and callbacks", SECONDS),
    ("partitions_assigned", COUNTER, "", (), "partitions that came", None),
    ("partitions_revoked", COUNTER, "", (), "partitions that went", None),
    ("partitions_lost", COUNTER, "", (), "partitions that went without having been asked for", None),
    ("late_heartbeats", COUNTER, "", (), "heartbeats answered after more than two intervals", None),
    ("loop_blocked", COUNTER, "", (), "callbacks that blocked the IOLoop for longer than ``slow_callback``", None),
    ("loop_blocked_seconds", COUNTER, "seconds", (), "for which they did", None),
    ("worker_in_flight", GAUGE, "messages", (), "that a worker's handler has, or ``dead_letters`` are about to", None),
    ("worker_waiting", GAUGE, "messages", (), "that it has taken ahead, or that rest between two attempts", None),
    ("worker_oldest_seconds", PEAK, "seconds", (),
     "for which the message has been at work that has been so for longest; 0 for none", None),
    ("worker_done", COUNTER, "messages", (), "that are done", None),
    ("worker_retried", COUNTER, "", (), "attempts after a message's first", None),
    ("worker_dead", COUNTER, "messages", (), "that were given to ``dead_letters``", None),
    ("worker_given_back", COUNTER, "messages", (), "that were left to their partition's next owner", None),
    ("worker_transactions", COUNTER, "", (), "transactions that were committed, with a ``producer``", None),
    ("worker_aborted", COUNTER, "", (), "transactions that were aborted", None),
))

#: those of a `kiel.worker.Worker` that `Metrics.watch` was given -> their names in its ``numbers``
WORKER = collections.OrderedDict((name, {"worker_oldest_seconds": "oldest"}.get(name, name[len("worker_"):]))
                                 for name in TABLE if name.startswith("worker_"))

#: apis whose answers wait for something, so that they say nothing of a broker's speed
WAITING = frozenset(("fetch", "join_group", "sync_group"))
