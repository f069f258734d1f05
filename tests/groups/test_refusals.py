"""How long a member that was refused waits before it tries again."""
from __future__ import absolute_import

from kiel import exc
from kiel.groups import refusals


def test_a_refused_login_is_tried_again_soon_however_often_it_was_refused():
    clock = refusals.PAUSES.start()
    waits = [refusals.pause(clock, exc.AuthenticationError("no")) for _ in range(20)]
    assert waits[0] < 0.2 and max(waits) <= 1.0
    assert refusals.pause(clock, exc.GroupAuthorizationFailedError("no")) > 5
