"""Fetch and ListOffsets."""
from __future__ import absolute_import

from tornado import gen

from kiel.retry import monotonic
from kiel.testing.fake.answers import shape

OFFSET_OUT_OF_RANGE, SESSION_NOT_FOUND = 1, 70

#: times of ListOffsets besides the latest and the earliest (KIP-734, KIP-405, KIP-1005)
GREATEST_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED = -3, -4, -5


@gen.coroutine
def fetch(call):
    """Answer a Fetch, once there is enough or its time is over."""
    if call.request.session_id:  # none is ever offered, which a broker may do
        raise gen.Return(dict(error_code=SESSION_NOT_FOUND))
    until = monotonic() + call.request.max_wait_time / 1000.0
    while True:
        answer = _Answer(call)
        fields = answer.fields()
        left = until - monotonic()
        if answer.size >= call.request.min_bytes or answer.failed or left <= 0 or call.stream.closed():
            raise gen.Return(fields)
        yield call.cluster.written.wait(left)


class _Answer(object):
    """An answer to a Fetch while it is put together."""

    def __init__(self, call):
        self.call = call
        self.size = 0
        #: whether there is something in it that is worth telling at once
        self.failed = False

    def fields(self):
        """Return the fields of the answer."""
        topics = shape.each_partition(self.call, self.partition)
        for topic in topics:
            for partition in topic["partitions"]:
                if partition["error_code"]:
                    partition.update(highwater_mark_offset=-1, message_set=b"")
                    self.failed = True
        return dict(topics=topics)

    def partition(self, name, asked, log):
        """Return the fields of one partition."""
        code = shape.leads(self.call, log) or shape.fenced(log, asked)
        if code:
            return dict(error_code=code)
        diverging = self._diverging(asked, log)
        if diverging is not None:
            self.failed = True
            return dict(highwater_mark_offset=-1, message_set=b"", diverging_epoch=diverging)
        if not log.start <= asked.offset <= log.end:
            return dict(error_code=OFFSET_OUT_OF_RANGE)
        committed = self.call.request.isolation_level == 1
        limit = min(asked.max_bytes, self.call.request.max_bytes - self.size)
        data = log.read(asked.offset, limit, not self.size, log.stable if committed else None)
        self.size += len(data)
        fields = dict(highwater_mark_offset=log.end, last_stable_offset=log.stable, log_start_offset=log.start,
                      message_set=data, aborted_transactions=None)
        if committed:
            fields["aborted_transactions"] = [
                dict(producer_id=producer, first_offset=first)
                for producer, first in log.aborted_from(asked.offset, log.stable)]
        return fields

    def _diverging(self, asked, log):
        """Return where the log has gone another way than the reader's, None where it has not (KIP-595)."""
        if self.call.version < 12 or asked.last_fetched_epoch < 0:
            return None
        epoch, end = log.end_of(asked.last_fetched_epoch)
        if epoch >= 0 and (epoch < asked.last_fetched_epoch or end < asked.offset):
            return dict(epoch=epoch, end_offset=end)
        return None


def offset(call):
    """Answer a ListOffsets."""
    def answer(name, asked, log):
        code = shape.leads(call, log) or shape.fenced(log, asked)
        if code:
            return dict(error_code=code)
        if asked.time == GREATEST_TIMESTAMP:
            found, stamp = log.latest()
        elif asked.time == LATEST_TIERED:
            found, stamp = -1, -1
        else:
            found, stamp = log.offset_at(-2 if asked.time == EARLIEST_LOCAL else asked.time)
        if asked.time == -1 and call.request.isolation_level:
            found = log.stable
        return dict(offset=found, timestamp=stamp, leader_epoch=log.epoch if call.version >= 4 and found >= 0 else -1)
    return dict(topics=shape.each_partition(call, answer))


def offset_for_leader_epoch(call):
    """Answer an OffsetForLeaderEpoch."""
    def answer(name, asked, log):
        code = shape.leads(call, log) or shape.fenced(log, asked)
        if code:
            return dict(error_code=code)
        epoch, end = log.end_of(asked.leader_epoch)
        return dict(leader_epoch=epoch, end_offset=end)
    return dict(topics=shape.each_partition(call, answer))
