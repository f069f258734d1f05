"""
What a fetch of many partitions costs with and without a session (KIP-227): bytes, and kiel's own work, without network.

``python benchmarks/fetch_sessions.py`` prints means of processor time; each time another ten partitions have a message.
"""
from __future__ import absolute_import, print_function

import argparse
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from kiel.clients.consuming.fetch import Fetch  # noqa: E402
from kiel.clients.consuming.fetch_session import FetchSession  # noqa: E402
from kiel.clients.single import SingleConsumer  # noqa: E402
from kiel.protocol import fetch, messages  # noqa: E402
from kiel.protocol.wire import Wire, complete  # noqa: E402

clock = getattr(time, "process_time", None) or time.clock

TOPIC_ID = b"i" * 16
ROUNDS = 60


class Conn(object):
    """A broker of Kafka 4.4, as far as fetches ask for it."""

    broker_id = 1
    wire = Wire({"fetch": (4, 18)})
    supports = wire.supports
    lanes = {}


def prepare(partitions):
    """A consumer that reads so many partitions of one leader, and its cursors."""
    consumer = SingleConsumer("localhost:1", deserializer=bytes)
    cluster = consumer.cluster
    cluster.conns[1] = Conn()
    cluster.topics["t"] = list(range(partitions))
    cluster.leaders["t"] = dict.fromkeys(range(partitions), 1)
    cluster.leader_epochs["t"] = dict.fromkeys(range(partitions), 3)
    cluster.topic_ids["t"] = TOPIC_ID
    cursors = [consumer.fetcher.cursor("t", number) for number in range(partitions)]
    for cursor in cursors:
        cursor.locate(1000)
    return consumer.fetcher, cursors


def answer(cursors, named, busy, session_id):
    """The bytes of an answer that names some partitions, of which some have a message."""
    batch = messages.encode_batch([(None, b"v" * 100, [], None)], 2, 0, 1500000000000)[8:]
    return fetch.FetchResponse(session_id=session_id, topics=[fetch.TopicResponse(topic_id=TOPIC_ID, partitions=[
        fetch.PartitionResponse(
            partition_id=number, highwater_mark_offset=2000, last_stable_offset=2000, log_start_offset=0,
            message_set=messages.MessageSet.raw(
                struct.pack(">q", cursors[number].position) + batch if number in busy else b"")
        ) for number in named
    ])])


def measure(partitions, busy_ones, sessions):
    """Means of ``(request bytes, ms to make it, answer bytes, ms to take it)``."""
    fetcher, cursors = prepare(partitions)
    session = FetchSession() if sessions else None
    total = [0.0] * 4
    for turn in range(ROUNDS + 1):
        busy = set((turn * busy_ones + number) % partitions for number in range(busy_ones))
        going = session is not None and session.open
        begun = clock()
        asked = Fetch(cursors, 1 << 20, False, 1 << 24, 1 << 20)
        asked.ask(fetcher.client.cluster, fetcher.limits, 1000, True, session)
        request = asked.request
        for cursor in cursors:
            cursor.send(asked)
        version = Conn.wire.version(request)
        payload = request.serialize(version)
        made = clock() - begun
        frame = answer(cursors, sorted(busy) if going else range(partitions), busy, 5 if sessions else 0)\
            .serialize(version)
        begun = clock()
        response = fetch.FetchResponse.deserialize(frame, version)
        complete(response, request)
        if sessions:
            session.answered(response.session_id)
        fetcher.responses.handle(response, asked)
        taken = clock() - begun
        for number in busy:
            assert cursors[number].take(1 << 30)
        if turn:  # the first is a full one anyway
            total = [sum(pair) for pair in zip(total, (len(payload), made * 1000, len(frame), taken * 1000))]
    return [value / ROUNDS for value in total]


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--partitions", type=int, default=1000, help="partitions (%(default)s)")
    parser.add_argument("--busy", type=int, default=10, help="of which so many have a message (%(default)s)")
    options = parser.parse_args()
    for sessions in (False, True):
        print("%-16s request %7d bytes %6.2f ms   answer %7d bytes %6.2f ms" % (
            ("with a session" if sessions else "without",) + tuple(measure(options.partitions, options.busy, sessions))
        ))


if __name__ == "__main__":
    main()
