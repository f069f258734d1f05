"""A member of a group as kiel 0.9 is one."""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel.clients.client import Client
from kiel.protocol import coordinator, fetch, messages, offset_commit, offset_fetch

from tests.integration.zookeeper_groups import open_clients
from tests.zookeeper.world import OldMember


class OldConsumer(Client):
    """A member as kiel 0.9 is one: 0.9's znodes, and offsets of version 0 only; looks them up after each rebalance."""

    def __init__(self, kafka, group, topic):
        super(OldConsumer, self).__init__(kafka.bootstrap)
        self.member = OldMember(collections.namedtuple("Hosts", "hosts")(kafka.zk_hosts[0]), group, "old:1")
        open_clients.append(lambda: self.member.conn)
        self.group, self.topic = group, topic
        self.positions, self.known = {}, None
        self.got = []
        self.stopping = False

    @property
    def owned(self):
        found = [item.rsplit(":", 1) for item in sorted(self.member.items)]
        return [int(number) for name, number in found if name == self.topic]

    @gen.coroutine
    def start(self):
        yield self.connect()
        self.member.start({self.topic: self.cluster.topics[self.topic]})
        self.running = self.work()

    @gen.coroutine
    def stop(self):
        self.stopping = True
        yield self.running
        self.member.stop()
        self.cluster.stop()

    @gen.coroutine
    def ask(self, broker_id, request):
        response = yield self.cluster[broker_id].send(request)
        raise gen.Return(response)

    @gen.coroutine
    def work(self):
        while True:
            found = yield self.ask(
                list(self.cluster)[0], coordinator.GroupCoordinatorRequest(group=self.group)
            )
            if not found.error_code:
                break
            yield gen.sleep(0.1)
        while not self.stopping:
            yield self.consume(found.coordinator_id)
            yield gen.sleep(0.05)

    @gen.coroutine
    def consume(self, coordinator_id):
        owned = self.owned
        if owned != self.known:
            self.known, self.positions = owned, {}
        if not owned:
            return
        if not self.positions:
            request = offset_fetch.OffsetFetchRequest(group_name=self.group, topics=[
                offset_fetch.TopicRequest(name=self.topic, partitions=owned)
            ])
            request.narrow = (0, 0)
            response = yield self.ask(coordinator_id, request)
            for part in response.topics[0].partitions:
                self.positions[part.partition_id] = max(0, part.offset)
        read = False
        for number in list(self.positions):
            request = fetch.FetchRequest(max_wait_time=10, min_bytes=1, max_bytes=10 ** 6, topics=[
                fetch.TopicRequest(
                    name=self.topic, topic_id=self.cluster.topic_ids.get(self.topic, b"\0" * 16), partitions=[
                        fetch.PartitionRequest(partition_id=number, offset=self.positions[number], max_bytes=10 ** 6)
                    ])
            ])
            response = yield self.ask(self.cluster.get_leader(self.topic, number), request)
            if self.owned != owned:
                return
            for batch in messages.batches(response.topics[0].partitions[0].message_set.data):
                self.got.extend(batch.values(self.positions[number]))
                self.positions[number] = batch.next_offset
                read = True
        if read:
            request = offset_commit.OffsetCommitV0Request(group=self.group, topics=[
                offset_commit.TopicRequest(name=self.topic, partitions=[
                    offset_commit.PartitionRequest(partition_id=number, offset=offset, metadata="")
                    for number, offset in self.positions.items()
                ])
            ])
            response = yield self.ask(coordinator_id, request)
            assert not any(part.error_code for part in response.topics[0].partitions)
