"""Batches and the queues of partitions: states event by event, splitting, who is told what, what is logged."""
from __future__ import absolute_import

import gc
import logging

import pytest
from tornado import gen

from kiel import constants, exc
from kiel.clients.producing import batch as batches
from kiel.clients.producing.batch import Batch, resolve
from kiel.clients.producing.delivery import BatchBarrier, Deliveries, Delivery, RecordMetadata
from kiel.clients.producing.partition_queue import (
    BACKING_OFF, DRAINING, IDLE, IN_FLIGHT, LINGERING, NOBODY, READY, TRANSITIONS, PartitionQueue
)
from kiel.protocol import messages
from kiel.protocol.columns import Columns
from tests import loop

EVENTS = (
    "added", "due", "sent", "failed", "moved", "waits", "paced", "answered", "drained", "retried", "emptied",
)


def batch(*values, **kwargs):
    made = Batch("t", 3, 0.0, 1.0)
    made.records = Columns.of([(None, value, None, 1000 + i) for i, value in enumerate(values)], 0)
    return made


@pytest.mark.parametrize("state,event,after", [
    (IDLE, "added", LINGERING),
    (LINGERING, "due", READY), (LINGERING, "emptied", IDLE), (LINGERING, "waits", IN_FLIGHT),
    (LINGERING, "failed", DRAINING),
    (READY, "sent", LINGERING), (READY, "waits", IN_FLIGHT), (READY, "failed", DRAINING), (READY, "moved", LINGERING),
    (IN_FLIGHT, "answered", LINGERING), (IN_FLIGHT, "added", LINGERING), (IN_FLIGHT, "paced", LINGERING),
    (IN_FLIGHT, "emptied", IDLE), (IN_FLIGHT, "failed", DRAINING),
    (DRAINING, "drained", BACKING_OFF), (DRAINING, "moved", LINGERING),
    (BACKING_OFF, "retried", LINGERING),
])
def test_transition(state, event, after):
    box = PartitionQueue("t", 0)
    box.state = state
    box.go(event)
    assert box.state == after


def test_no_other_transition_is_there():
    allowed = set((state, event) for state, events in TRANSITIONS.items() for event in events)
    assert len(allowed) == 17
    for state in TRANSITIONS:
        for event in EVENTS:
            if (state, event) not in allowed:
                box = PartitionQueue("t", 0)
                box.state = state
                with pytest.raises(KeyError):
                    box.go(event)
                assert box.state == state


def test_offsets_and_timestamps_of_a_batch():
    made = batch(b"a", b"b")
    first, second = Delivery(made, 0), Delivery(made, 1)
    assert not first.done()
    with pytest.raises(RuntimeError):
        first.result()
    resolve(made.finish(offset=40))
    assert first.done() and first.result() == RecordMetadata("t", 3, 40, 1000)
    assert second.result() == RecordMetadata("t", 3, 41, 1001)
    assert second.exception() is None


def test_log_append_time_is_that_of_the_broker():
    made = batch(b"a", b"b")
    made.finish(offset=40, timestamp=77)
    assert Delivery(made, 1).result() == RecordMetadata("t", 3, 41, 77)


def test_no_acks_no_offset():
    made = batch(b"a", b"b")
    made.finish()
    assert Delivery(made, 1).result().offset == -1


def test_deliveries_are_yieldable():
    @gen.coroutine
    def body():
        made = batch(b"a", b"b")
        early = Delivery(made, 1)
        waiting = early.future()
        resolve(made.finish(offset=7))
        assert (yield waiting).offset == 8
        assert (yield early).offset == 8
        both = yield [Delivery(made, 0), Delivery(made, 1)]
        assert [one.offset for one in both] == [7, 8]
    loop.run(body)


def test_a_failure_reaches_everybody():
    @gen.coroutine
    def body():
        made = batch(b"a", b"b")
        waiting = Delivery(made, 0).future()
        resolve(made.finish(exc.MessageSizeTooLargeError("no")))
        yield loop.raises(exc.MessageSizeTooLargeError, waiting)
        yield loop.raises(exc.MessageSizeTooLargeError, Delivery(made, 1).future())
        with pytest.raises(exc.MessageSizeTooLargeError):
            Delivery(made, 1).result()
        assert isinstance(Delivery(made, 1).exception(), exc.MessageSizeTooLargeError)
    loop.run(body)


@pytest.fixture
def lines():
    class Lines(logging.Handler):
        def emit(self, record):
            found.append(record.getMessage())
    found = []
    handler = Lines()
    batches.log.addHandler(handler)
    yield found
    batches.log.removeHandler(handler)


def test_a_failure_that_nobody_saw_is_logged_once_per_batch(lines):
    made = batch(b"a", b"b")
    deliveries = [Delivery(made, 0), Delivery(made, 1)]
    made.finish(exc.MessageSizeTooLargeError("no"))
    del made
    gc.collect()
    assert lines == []  # somebody may still ask
    del deliveries
    gc.collect()
    assert len(lines) == 1 and "2 messages for t:3 not delivered" in lines[0]


@pytest.mark.parametrize("look", [
    lambda made: Delivery(made, 0).exception(),
    lambda made: Delivery(made, 0).future().exception(),
    lambda made: pytest.raises(exc.KielError, Delivery(made, 0).result),
])
def test_a_failure_that_was_seen_is_not_logged(lines, look):
    def body():
        made = batch(b"a", b"b")
        made.finish(exc.MessageSizeTooLargeError("no"))
        look(made)
    loop.run(gen.coroutine(body))
    gc.collect()
    assert lines == []


def test_a_batch_split_in_two_keeps_its_promises():
    @gen.coroutine
    def body():
        box = PartitionQueue("t", 3)
        made = batch(*[b"%d" % i if str is not bytes else str(i) for i in range(5)])
        box.batches.extend([made, batch(b"later")])
        deliveries = [Delivery(made, i) for i in range(5)]
        futures = [delivery.future() for delivery in deliveries]
        barrier = BatchBarrier()
        assert made.watch(barrier) == 1
        one, two = box.split(made, [2])
        assert [len(each) for each in box.batches] == [2, 3, 1]
        assert barrier.left == 2
        resolve(one.finish(offset=10))
        assert [delivery.done() for delivery in deliveries] == [True, True, False, False, False]
        # and once more
        box.batches.popleft()
        three, four = box.split(two, [1])
        resolve(three.finish(exc.InvalidRecordError("bad")))
        assert not barrier.future.done()
        resolve(four.finish(offset=20))
        assert barrier.future.done() and isinstance(barrier.error, exc.InvalidRecordError)
        assert (yield futures[0]).offset == 10
        assert (yield futures[1]).offset == 11
        yield loop.raises(exc.InvalidRecordError, futures[2])
        assert (yield deliveries[3]).offset == 20
        assert (yield futures[4]).offset == 21
        assert deliveries[4].result().timestamp == 1004
    loop.run(body)


def test_sizes_of_parts_add_up():
    made = batch(b"a" * 10)
    made.records.add(b"b" * 20, 5, (b"key", [(b"h", b"v")]))
    made.records.add(None, 6)
    made.size += sum(batches.record_size(*record[:3]) for record in made.records)
    whole = made.size - batches.BATCH_OVERHEAD
    parts = made.split([1, 2])
    assert sum(part.size - batches.BATCH_OVERHEAD for part in parts) == whole


def several(*numbers):
    """A queue of batches of one message each, numbered so, the first two of which are in flight."""
    box = PartitionQueue("t", 3)
    for number in numbers:
        made = batch(b"x")
        made.sequence = number
        made.identity = (7, 0)
        box.batches.append(made)
    box.state = READY
    for _ in range(2):
        box.launch(1, 5.0)
        box.state = READY
    return box


def test_what_goes_out_and_comes_back():
    box = several(0, 1, 2)
    one, two, three = box.batches
    assert (box.sent, box.flying, box.leader, box.sent_at, box.next) == (2, 2, 1, 5.0, three)
    assert one.in_flight and two.in_flight and box.waiting == [three] and box.unsent == 1
    box.land(one)
    box.remove(one)
    assert (box.sent, box.flying, box.next, list(box.batches)) == (1, 1, three, [two, three])
    box.due = box.urgent = True
    assert not box.launch(1, 6.0)
    assert box.next is None and not box.due and not box.urgent and box.state is IN_FLIGHT
    box.land(two)
    box.land(three)
    assert box.recall() == [two, three] and (box.sent, box.flying) == (0, 0) and box.next is two


def test_remove_done_keeps_what_was_sent():
    box = several(0, 1, 2, 3)
    for made in (box.batches[1], box.batches[2]):
        made.finish(exc.ClosedError("late")) and made.retrieve_error()
    box.remove_done()
    assert len(box.batches) == 3 and box.batches[1].done and box.sent == 2
    box.land(box.batches[0])
    box.land(box.batches[1])
    box.recall()
    box.remove_done()
    assert [made.sequence for made in box.batches] == [0, 3]


def test_one_that_was_written_proves_those_before_it():
    box = several(0, 1)
    one, two = box.batches
    assert box.proved_by(two) == []  # in flight: its answer comes by itself
    box.land(one)
    box.land(two)
    assert box.proved_by(two) == []  # it was refused, and is not in doubt
    one.doubtful = True
    assert box.proved_by(two) == [one] and box.proved_by(one) == []
    one.identity = (7, 1)
    assert box.proved_by(two) == []  # another epoch tells nothing


def test_parts_of_a_numbered_batch_share_its_numbers():
    box = several(0, 5)
    made = box.batches[1]
    made.records.add(b"y", 1000)
    made.records.add(b"z", 1000)
    box.recall()
    box.split(made, [1])
    assert [(len(part), part.identity, part.sequence) for part in box.batches] == [
        (1, (7, 0), 0), (1, (7, 0), 5), (2, (7, 0), 6)]


def test_nobody_has_proved_anything_at_first():
    assert PartitionQueue("t", 0).proven is NOBODY


def test_the_head_takes_no_more_messages_once_it_is_sent():
    box = PartitionQueue("t", 3)
    made = box.begin(0.0, 1.0, 1000)
    assert box.open is made and made.limit == 1000
    assert box.close_next() is made and box.open is None and made.limit == 0
    second = box.begin(0.0, 1.0, 1000)
    assert box.close_next() is made and box.open is second
    third = box.begin(0.0, 1.0, 1000)
    assert box.open is third and second.limit == 0 and third.limit == 1000


def test_many_deliveries_without_an_object_each():
    one, two = batch(b"a", b"b", b"c"), batch(b"d")
    many = Deliveries()
    many.add(one, 1, 2)
    many.add(two, 0, 1)
    many.add(one, 0, 1)
    one.finish(offset=100)
    two.finish(offset=50)
    assert len(many) == 4
    assert [delivery.result().offset for delivery in many] == [101, 102, 50, 100]
    assert [many[i].result().offset for i in (0, 1, 2, 3, -1)] == [101, 102, 50, 100, 100]
    assert [delivery.result().offset for delivery in many[1:3]] == [102, 50]
    with pytest.raises(IndexError):
        many[4]
    assert many.done()
    assert many.tally() == (4, None)


def test_a_tally_of_what_was_written_and_what_was_not():
    whole, refused, split = batch(b"a", b"b"), batch(b"c"), batch(b"d", b"e", b"f")
    many = Deliveries()
    for each in whole, refused, split:
        many.add(each, 0, len(each))
    first, second = batch(b"d"), batch(b"e", b"f")
    split.parts = [first, second]
    error, other = exc.MessageSizeTooLargeError("t:0"), exc.NetworkExceptionError("t:0")
    whole.finish(offset=1)
    refused.finish(error)
    first.finish(offset=3)
    second.finish(other)
    assert many.tally() == (3, error)


def test_errors_say_where():
    lost = exc.BrokerConnectionError("host", 1, 2)
    one, two = batches.failure(lost, "t", 0), batches.failure(lost, "t", 1)
    assert (one.topic, one.partition, two.partition) == ("t", 0, 1)
    assert str(one) == str(lost) and type(one) is type(lost)
    refused = batches.failure(exc.for_code(4711, "words"), "t", 5)
    assert (refused.code, refused.partition) == (4711, 5)


# -- the numbers of an idempotent producer --

def numbered(box, *batches):
    """Number batches by the producer 7 in its first epoch; return their numbers."""
    for one in batches:
        one.close()
        box.number(one, (7, 0))
        assert one.identity == (7, 0)
    return [one.sequence for one in batches]


def test_numbers_count_up():
    assert numbered(PartitionQueue("t", 3), batch(b"a", b"b", b"c"), batch(b"d", b"e"), batch(b"f")) == [0, 3, 5]


def test_numbers_begin_again_after_the_largest():
    box = PartitionQueue("t", 3)
    numbered(box, batch(b"a"))
    box.following = 0x7ffffffe
    assert numbered(box, batch(b"b", b"c", b"d"), batch(b"e")) == [0x7ffffffe, 1]


def test_numbers_begin_with_0_in_each_epoch():
    box = PartitionQueue("t", 3)
    numbered(box, batch(b"a", b"b"))
    for identity in ((7, 1), (8, 0), (8, 1)):
        first, second = batch(b"c"), batch(b"d")
        for one in (first, second):
            one.close()
            box.number(one, identity)
        assert (first.identity, first.sequence, second.sequence) == (identity, 0, 1)


def test_numbers_given_back_are_used_again():
    box = PartitionQueue("t", 3)
    first, second, third = batch(b"a"), batch(b"b", b"c"), batch(b"d")
    numbered(box, first, second)
    second.data, second.version = [b"x"], (2, 0)
    box.give_back(second)
    assert (second.data, second.version, second.identity, second.sequence) == (None, None, None, None)
    assert numbered(box, third) == [1]


def test_the_numbers_of_what_may_be_written_are_never_given_back():
    box, one = PartitionQueue("t", 3), batch(b"a")
    numbered(box, one)
    one.doubtful = True
    with pytest.raises(AssertionError):
        box.give_back(one)
    assert one.sequence == 0


class State(object):
    """What a batch asks of the producer's state."""

    identity, transactional = (7, 0), False


def test_a_batch_is_encoded_once_and_what_can_not_be_takes_no_numbers():
    box = PartitionQueue("t", 3)
    box.begin(0.0, 1.0, 1000).records.extend([b"a", b"b"], 1000)
    first = box.close_next()
    first.encode(9, 0, State, box)
    data = first.data
    assert (first.version, first.identity, first.sequence, first.attempts) == ((2, 0), (7, 0), 0, 1)
    first.encode(13, 0, State, box)
    assert first.data is data and first.attempts == 2 and box.following == 2
    second = batch(b"c")
    second.close()
    with pytest.raises(exc.UnsupportedVersionError):
        second.encode(6, constants.ZSTD, State, box)
    second.records.values[0] = 3  # no bytes
    with pytest.raises(TypeError):
        second.encode(13, 0, State, box)
    assert (second.sequence, second.identity, box.following) == (None, None, 2)


def test_a_numbered_batch_that_may_be_written_stays_as_it_is():
    box, one = PartitionQueue("t", 3), batch(b"a")
    one.close()
    one.encode(9, 0, State, box)
    data, one.doubtful = one.data, True
    before, State.identity = State.identity, (7, 1)
    try:
        one.encode(9, constants.GZIP, State, box)
    finally:
        State.identity = before
    assert one.data is data and one.identity == (7, 0)
    with pytest.raises(exc.UnsupportedVersionError):
        one.encode(2, 0, State, box)


@pytest.mark.parametrize("version,magic", [(0, 0), (1, 0), (2, 1), (3, 2), (13, 2)])
def test_a_batch_has_the_format_of_its_request(version, magic):
    one = batch(b"a")
    one.close()
    one.encode(version, 0, State, PartitionQueue("t", 3))
    assert one.version == (magic, 0) and (one.sequence is None) == (magic < 2)
    assert messages.batches(b"".join(one.data))[0].values() == [b"a"]
