"""When a classic member takes part in a rebalance, and when it does no more."""
from __future__ import absolute_import

from tornado import concurrent, gen, ioloop

from kiel import exc
from kiel.groups.classic.rejoining import Rejoining
from kiel.retry import monotonic

from tests import loop


class Member(object):
    """Notes its rebalances; each ends as the test says."""

    error = None

    def __init__(self):
        self.begun = 0
        self.reasons = []
        self.outcomes = []
        self.rejoining = Rejoining(self, self.begin)
        self.rejoining.begin()

    def begin(self):
        self.begun += 1

    def spawn(self, future):
        ioloop.IOLoop.current().add_future(future, lambda done: done.result())

    @gen.coroutine
    def try_to_join(self, run, reason, failures):
        self.reasons.append((reason, failures))
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if not isinstance(outcome, bool):
            outcome = yield outcome
        raise gen.Return(outcome)

    def joined(self, count):
        return loop.until(lambda: len(self.reasons) == count)


def with_member(test):
    def run():
        @gen.coroutine
        def body():
            member = Member()
            yield gen.coroutine(test)(member)
            driver = member.rejoining.end()
            if driver is not None:
                yield loop.within(3, driver)
        loop.run(body)
    run.__name__ = test.__name__
    return run


@with_member
def test_each_reason_is_one_rebalance(member):
    member.rejoining.want("joins")
    yield member.joined(1)
    member.rejoining.want("subscribes")
    yield member.joined(2)
    assert member.reasons == [("joins", 0), ("subscribes", 0)]
    assert member.begun == 1 and member.rejoining.reason is None


@with_member
def test_of_two_reasons_the_first_counts(member):
    under_way = concurrent.Future()
    member.outcomes.append(under_way)
    member.rejoining.want("joins")
    yield member.joined(1)
    member.rejoining.want("first")
    member.rejoining.note("second")
    under_way.set_result(True)
    yield member.joined(2)
    yield gen.sleep(0.02)
    assert [reason for reason, _ in member.reasons] == ["joins", "first"]


@with_member
def test_what_failed_waits_longer_each_time_and_needs_a_reason(member):
    member.outcomes.extend([False, False, True])
    member.rejoining.want("joins")
    yield member.joined(1)
    member.rejoining.note("again")
    yield member.joined(2)
    member.rejoining.note("and again")
    yield member.joined(3)
    assert [failures for _, failures in member.reasons] == [0, 1, 2]
    member.rejoining.want("later")
    yield member.joined(4)
    assert member.reasons[-1] == ("later", 0)


@with_member
def test_a_member_that_was_refused_waits(member):
    member.rejoining.not_before = monotonic() + 0.1
    begun = monotonic()
    member.rejoining.want("goes on")
    yield member.joined(1)
    assert monotonic() - begun >= 0.1


@with_member
def test_it_waits_for_the_end_of_the_run_before(member):
    stopping = concurrent.Future()
    member.rejoining.want("joins", stopping)
    yield gen.sleep(0.02)
    assert not member.reasons
    stopping.set_result(None)
    yield member.joined(1)


@with_member
def test_an_error_ends_it_until_it_is_wanted_again(member):
    member.error = exc.KielError("no")
    member.rejoining.want("joins")
    yield loop.within(3, member.rejoining.driver)
    assert not member.reasons
    member.error = None
    member.rejoining.want("joins")
    yield member.joined(1)


@with_member
def test_the_end_of_a_run_ends_its_pauses(member):
    member.rejoining.not_before = monotonic() + 60
    member.rejoining.want("joins")
    yield gen.sleep(0.02)
    driver = member.rejoining.end()
    yield loop.within(1, driver)
    assert not member.reasons and member.rejoining.reason is None
