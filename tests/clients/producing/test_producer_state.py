"""The state of a producer's identity and transaction: event by event, number by number, error by error."""
from __future__ import absolute_import

import pytest

from kiel import exc
from kiel.clients.producing.batch import Batch
from kiel.clients.producing.partition_queue import PartitionQueue
from kiel.clients.producing.producer_state import (
    ABORTING, ASKING, BROKEN, COMMITTING, FALL_BACK, FATAL, LAST_EPOCH, OFF, OPEN, READY, REMAKE, RESEND, TRANSITIONS,
    UNKNOWN, VERDICTS, WRITTEN, ProducerState
)
from kiel.protocol import errors

ALLOWED = [
    (UNKNOWN, "asked", ASKING), (UNKNOWN, "refused", OFF), (UNKNOWN, "fatal", FATAL),
    (ASKING, "given", READY), (ASKING, "failed", UNKNOWN), (ASKING, "refused", OFF), (ASKING, "fatal", FATAL),
    (READY, "begun", OPEN), (READY, "bumped", READY), (READY, "renewed", UNKNOWN), (READY, "refused", OFF),
    (READY, "fatal", FATAL),
    (OPEN, "committing", COMMITTING), (OPEN, "aborting", ABORTING), (OPEN, "broken", BROKEN), (OPEN, "fatal", FATAL),
    (BROKEN, "broken", BROKEN), (BROKEN, "aborting", ABORTING), (BROKEN, "fatal", FATAL),
    (COMMITTING, "committing", COMMITTING), (COMMITTING, "ended", READY), (COMMITTING, "renewed", UNKNOWN),
    (COMMITTING, "broken", BROKEN), (COMMITTING, "fatal", FATAL),
    (ABORTING, "aborting", ABORTING), (ABORTING, "ended", READY), (ABORTING, "renewed", UNKNOWN),
    (ABORTING, "broken", ABORTING), (ABORTING, "fatal", FATAL),
    (OFF, "refused", OFF), (FATAL, "fatal", FATAL),
]
EVENTS = sorted(set(event for _, event, _ in ALLOWED))


def batch(count=3, partition=0):
    made = Batch("t", partition)
    made.records.extend([b"v"] * count, 0)
    made.close()
    return made


def number(state, *batches):
    """Number batches of different partitions."""
    for one in batches:
        PartitionQueue("t", one.partition).number(one, state.identity)


def ready(state=READY, **settings):
    made = ProducerState(**settings)
    made.go("asked")
    made.given(7, 0)
    made.state = state
    return made


@pytest.mark.parametrize("state,event,after", ALLOWED)
def test_transition(state, event, after):
    made = ProducerState()
    made.state = state
    made.go(event)
    assert made.state == after


def test_no_other_transition_is_there():
    assert sorted((state, event, after) for state, events in TRANSITIONS.items() for event, after in events.items()) \
        == sorted(ALLOWED)
    for state in TRANSITIONS:
        for event in EVENTS:
            if event not in TRANSITIONS[state]:
                made = ProducerState()
                made.state = state
                with pytest.raises(KeyError):
                    made.go(event)
                assert made.state == state


@pytest.mark.parametrize("settings,state,required", [
    (dict(), UNKNOWN, False), (dict(idempotent=True), UNKNOWN, True), (dict(idempotent=False), OFF, False),
    (dict(transactional_id="x"), UNKNOWN, True),
])
def test_beginnings(settings, state, required):
    made = ProducerState(**settings)
    assert made.prepared == (state == OFF)
    assert (made.state, made.required, made.identity) == (state, required, None)


# -- what is lost --


def test_after_a_lost_batch_every_partition_begins_anew_in_the_next_epoch():
    made = ready()
    here, there = batch(3, 0), batch(3, 1)
    number(made, here, there)
    made.lost(here, exc.RequestTimedOutError())
    assert (made.state, made.producer_id, made.epoch) == (READY, 7, 1)
    # what is under way elsewhere keeps its numbers, and its failure needs no other epoch
    assert (there.identity, there.sequence) == ((7, 0), 0)
    made.lost(there, exc.RequestTimedOutError())
    assert made.epoch == 1
    for partition in (0, 1):
        following = batch(1, partition)
        number(made, following)
        assert (following.identity, following.sequence) == ((7, 1), 0)


def test_a_batch_without_numbers_leaves_no_hole():
    made = ready()
    made.lost(batch(), exc.DeliveryTimeoutError("late"))
    assert made.epoch == 0


def test_after_the_last_epoch_comes_another_id():
    made = ready()
    made.state = ASKING
    made.given(7, LAST_EPOCH)
    one = batch()
    number(made, one)
    made.lost(one, exc.RequestTimedOutError())
    assert (made.state, made.producer_id, made.epoch, made.identity) == (UNKNOWN, -1, -1, None)


# -- answers --


@pytest.mark.parametrize("code,log_start,doubtful,settings,verdict", [
    (errors.duplicate_sequence_number, -1, False, {}, WRITTEN),
    (errors.duplicate_sequence_number, -1, True, {"transactional_id": "x"}, WRITTEN),
    (errors.out_of_order_sequence_number, 0, False, {}, REMAKE),
    (errors.out_of_order_sequence_number, 0, True, {}, REMAKE),
    (errors.out_of_order_sequence_number, 0, False, {"transactional_id": "x"}, None),
    (errors.unknown_producer_id, 5, False, {}, REMAKE),
    (errors.unknown_producer_id, 5, True, {}, None),
    (errors.unknown_producer_id, -1, True, {}, RESEND),
    (errors.unknown_producer_id, -1, False, {"transactional_id": "x"}, RESEND),
    (errors.unknown_producer_id, 5, False, {"transactional_id": "x"}, None),
    (errors.unsupported_for_message_format, 0, False, {}, FALL_BACK),
    (errors.unsupported_for_message_format, 0, True, {}, None),
    (errors.cluster_authorization_failed, 0, False, {}, FALL_BACK),
    (errors.cluster_authorization_failed, 0, False, {"idempotent": True}, None),
    (errors.not_partition_leader, 0, False, {}, None),
    (errors.invalid_record, 0, False, {}, None),
    (None, -1, False, {}, None),
])
def test_verdict(code, log_start, doubtful, settings, verdict):
    made = ready(**settings)
    one = batch()
    assert made.judge(one, code, log_start) is None  # it has no numbers
    number(made, one)
    one.doubtful = doubtful
    assert made.judge(one, code, log_start) == verdict
    assert verdict is None or code in VERDICTS


def test_a_batch_is_remade_in_the_next_epoch_once():
    made = ready()
    here, there = batch(3, 0), batch(3, 1)
    number(made, here, there)
    here.doubtful = True
    made.remake(here)
    assert made.epoch == 1 and here.sequence is None and not here.doubtful
    made.remake(there)  # numbered before the epoch changed: the new one will do
    assert made.epoch == 1
    number(made, there)
    assert (there.identity, there.sequence) == ((7, 1), 0)


def test_without_idempotence_nothing_is_numbered_any_more():
    made = ready()
    made.refuse()
    assert made.state == OFF and made.identity is None and made.prepared
    made.refuse()
    one = batch()
    made.lost(one, exc.RequestTimedOutError())
    assert made.epoch == -1


# -- the transaction --


@pytest.mark.parametrize("state", [OPEN, COMMITTING])
def test_a_failed_message_breaks_the_transaction(state):
    made = ready(state, transactional_id="x")
    one = batch()
    number(made, one)
    error = exc.InvalidRecordError()
    made.lost(one, error)
    assert (made.state, made.epoch, made.stale) == (BROKEN, 0, True)
    failure = made.failure()
    assert isinstance(failure, exc.TransactionFailedError) and failure.cause is error
    made.go("aborting")
    made.ended()
    assert made.state == UNKNOWN  # the next epoch comes from the coordinator
    assert made.failure() is None and not made.stale


def test_what_was_never_numbered_needs_no_other_epoch():
    made = ready(OPEN, transactional_id="x")
    made.lost(batch(), exc.InvalidRecordError())
    made.go("aborting")
    made.ended()
    assert (made.state, made.epoch) == (READY, 0)


def test_version_2_gives_the_next_epoch_with_the_end():
    made = ready(OPEN, transactional_id="x")
    made.partitions.add(("t", 0))
    made.groups.add("g")
    one = batch()
    number(made, one)
    made.lost(one, exc.InvalidRecordError())
    made.go("aborting")
    made.ended(7, 1)
    assert (made.state, made.producer_id, made.epoch) == (READY, 7, 1)
    assert not made.partitions and not made.groups


def test_an_id_that_the_brokers_forgot_is_not_kept():
    made = ready(OPEN, transactional_id="x")
    made.spoil(exc.InvalidProducerIdMappingError())
    assert made.state == BROKEN and made.forgotten
    made.go("aborting")
    made.ended()
    assert (made.state, made.producer_id) == (UNKNOWN, -1)


def test_a_fenced_producer_stays_so():
    made = ready(OPEN, transactional_id="x")
    first = exc.ProducerFencedError()
    made.condemn(first)
    made.condemn(exc.InvalidTxnStateError())
    made.spoil(exc.InvalidRecordError())
    assert made.state == FATAL and made.failure() is first
