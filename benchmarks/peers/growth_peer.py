"""kiel's tasks where there is much of something: topics, backlog, members of a group."""
from __future__ import absolute_import

import time

from tornado import gen

from benchmarks.peers import task
from benchmarks.peers.kiel_peer import run
from kiel import clients

#: seconds in which the members of a group have to have shared its partitions out
JOINING_TIME = 60


def metadata(this):
    """Asks for the metadata of all topics, again and again."""
    async def work():
        consumer = clients.SingleConsumer(this.bootstrap)
        await consumer.connect()
        if len(consumer.cluster.topics) < this.options["known"]:
            raise RuntimeError("only %d topics are known" % len(consumer.cluster.topics))
        await consumer.cluster.heal()
        this.begin()
        for _ in range(this.count):
            await consumer.cluster.heal()
        result = this.end()
        await consumer.close()
        return result
    return run(work)


def read_through(this):
    """Reads a long topic; gives the result of each slice of it."""
    async def work():
        consumer = clients.SingleConsumer(this.bootstrap, deserializer=bytes, max_bytes=1 << 21)
        await consumer.connect()
        slices = []
        before = 0
        this.begin()
        while this.seen < this.count:
            this.took(await consumer.consume(this.topic, start=consumer.BEGINNING))
            if this.seen >= this.count * (len(slices) + 1) // this.options["slices"]:
                slices.append(dict(this.end(), seen=this.seen, count=this.seen - before))
                before = this.seen
                this.begin()
        await consumer.close()
        return {"slices": slices}
    return run(work)


def members(this):
    """Members of one group, all in this process, read its topic; the clocks run when all have their share."""
    async def work():
        group = [clients.GroupedConsumer(
            this.bootstrap, this.options["group"], deserializer=bytes, max_bytes=1 << 21, topics=[this.topic],
            group_protocol=this.options["protocol"]
        ) for _ in range(this.options["members"])]
        await gen.multi([member.connect() for member in group])
        await shared_out(group)
        this.begin()
        results = await gen.multi([read(member) for member in group])
        await gen.multi([member.close() for member in group])
        return min(filter(None, results), key=lambda result: result["wall"])

    async def shared_out(group):
        """Waits until each member has its share."""
        least = this.options["partitions"] // len(group)
        deadline = time.time() + JOINING_TIME
        while any(len(member.allocation.get(this.topic, ())) != least for member in group):
            if time.time() > deadline:
                raise RuntimeError("partitions are not shared out: %r" % [member.allocation for member in group])
            await gen.sleep(0.1)

    async def read(member):
        """Reads as long as there are messages; gives the result as of the group's last one."""
        while this.seen < this.count:
            messages = await member.consume(this.topic)
            this.took(messages)
            if messages and this.seen >= this.count:
                return this.end()
        return None
    return run(work)


if __name__ == "__main__":
    task.main(globals())
