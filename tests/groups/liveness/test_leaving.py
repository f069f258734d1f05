"""What answers to the request that leaves lead to."""
from __future__ import absolute_import

import collections

import pytest

from kiel import exc
from kiel.groups.liveness import leaving
from kiel.groups.liveness.leaving import Leaving

Answer = collections.namedtuple("Answer", "error_code api")


class Connection(object):
    moved = 0

    def coordinator_moved(self):
        self.moved += 1


def begun(make=lambda: "request"):
    made = Leaving("g", Connection())
    return made, made.begin(make)


@pytest.mark.parametrize("make,request_made", [
    (lambda: "request", "request"), (lambda: None, None), (None, None), (lambda: 1 / 0, None),
])
def test_there_may_be_no_request(make, request_made):
    made, there_is = begun(make)
    assert made.request == request_made
    assert there_is is (request_made is not None)


@pytest.mark.parametrize("answer,again,moved", [
    (Answer(0, "leave_group"), False, 0),
    (Answer(25, "leave_group"), False, 0),  # unknown_member_id: it is out already
    (Answer(15, "leave_group"), True, 1),   # coordinator_not_available
    (Answer(16, "leave_group"), True, 1),   # not_coordinator
    (exc.ConnectionError("h", 1), True, 1),
    (exc.KielError("no"), False, 1),
])
def test_what_is_worth_another_try(answer, again, moved):
    made, _ = begun()
    delay = made.answered(answer)
    assert (delay is not None, made.request is not None, made.connection.moved) == (again, again, moved)


def test_it_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(leaving, "LEAVE_TIME", 0.0)
    made, _ = begun()
    assert made.answered(Answer(16, "leave_group")) is None
    assert made.request is None


def test_a_member_that_goes_on_leaves_no_more():
    made, _ = begun()
    made.forget()
    assert made.request is None
