"""`kiel.service.HealthHandler`, asked over HTTP."""
from __future__ import absolute_import

import json

from tornado import gen, testing, web

from kiel import clients
from kiel.service import HealthHandler

from tests import loop
from tests.worker.working import Gate, with_stage


class Fake(object):
    """Something with a `health`."""

    def __init__(self, **found):
        self.found = found

    def health(self):
        return self.found


@gen.coroutine
def later(found):
    yield gen.moment
    raise gen.Return(found)


WELL = Fake(ready=True, ended=False)
AWAY = Fake(ready=False, ended=False, error="no broker")
OVER = Fake(ready=False, ended=True, error="fenced")
SLOW = type("Slow", (), {"health": lambda self: later({"ready": True, "ended": False})})()

#: the clients, and the codes of live and ready
CASES = [
    ([], 200, 200),
    ([WELL, WELL], 200, 200),
    ([WELL, AWAY], 200, 503),
    ([OVER, WELL], 503, 503),
    ([SLOW], 200, 200),
    ({"a": WELL, "b": AWAY}, 200, 503),
    (lambda: [OVER], 503, 503),
]


class TestHealth(testing.AsyncHTTPTestCase):
    """Asks a web application."""

    def get_app(self):
        return web.Application(
            [(r"/%d/(.*)" % number, HealthHandler, dict(clients=found)) for number, (found, _, _) in enumerate(CASES)]
            + [(r"/brief/(live|ready)", HealthHandler, dict(clients=[AWAY], details=False)),
               (r"/real/(live|ready)", HealthHandler, dict(clients=[clients.Producer(["h:1"])]))])

    def ask(self, path, **options):
        response = self.fetch(path, **options)
        return response.code, response.body and json.loads(response.body.decode("utf-8"))

    def test_live_and_ready_are_told_apart(self):
        for number, (_, live, ready) in enumerate(CASES):
            for what, code in (("live", live), ("ready", ready)):
                got, body = self.ask("/%d/%s" % (number, what))
                assert (got, body["status"]) == (code, "ok" if code == 200 else "unavailable"), (number, what)

    def test_the_body_has_what_each_client_said(self):
        assert self.ask("/2/ready")[1]["clients"] == {"Fake": WELL.found, "Fake 2": AWAY.found}
        assert self.ask("/5/live")[1]["clients"] == {"a": WELL.found, "b": AWAY.found}
        assert self.ask("/brief/ready") == (503, {"status": "unavailable"})

    def test_a_real_client_that_is_not_connected(self):
        assert self.ask("/real/live")[0] == 200
        code, body = self.ask("/real/ready")
        assert code == 503 and body["clients"]["Producer"]["connected"] is False

    def test_other_requests(self):
        assert self.fetch("/0/else").code == 404
        assert self.fetch("/brief/else").code == 404
        assert self.fetch("/2/ready", method="HEAD").code == 503
        response = self.fetch("/0/live")
        assert response.headers["Content-Type"].startswith("application/json")
        assert response.headers["Cache-Control"] == "no-store"
        assert self.fetch("/0/live", headers={"If-None-Match": response.headers.get("Etag", "*")}).code == 200


@with_stage(topics={"t": 1})
def test_a_workers_health(stage):
    gate = Gate()
    stage.put(1)
    worker = stage.make(gate)
    assert not worker.health()["ready"] and not worker.health()["ended"]
    stage.running = worker.run()
    yield loop.until(lambda: gate.open)
    found = worker.health()
    assert found["ready"] and found["worker"]["in_flight"] == 1 and found["allocation"] == {"t": [0]}
    json.dumps(found)
    worker.drain()
    assert worker.health()["draining"] and not worker.health()["ready"] and not worker.health()["ended"]
    gate.let(1)


@with_stage(topics={"t": 1})
def test_a_worker_that_an_error_ended(stage):
    stage.put(b"{")
    stage.start()
    yield loop.raises(ValueError, stage.running)
    found = stage.worker.health()
    assert found["ended"] and not found["ready"] and found["error"]
    stage.running = None
