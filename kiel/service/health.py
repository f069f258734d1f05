"""A Tornado handler that says whether a process lives, and whether it is ready."""
from __future__ import absolute_import

import json

from tornado import gen, web

from kiel import events


class HealthHandler(web.RequestHandler):
    """
    Answers a probe from what clients know, without asking any broker.

    ::

        web.Application([(r"/health/(live|ready)", HealthHandler, dict(clients=[producer, worker]))])

    ``live`` is answered with 200 unless a client has ``ended``: it has failed for good, and only another process helps.
    Brokers that are away are no reason to start this one anew. ``ready`` is answered with 200 when every client is
    ``ready``, else with 503. The body is JSON: ``status`` ("ok" or "unavailable"), and ``clients``, what ``health()``
    of each said.

    :param clients: a list of objects with a ``health()`` that returns a dict with ``ready`` and ``ended``, or a Future
        of one: clients, workers, or an application's own; or a dict of them by name; or a function that returns either
    :param details: whether the body has ``clients``
    """

    def __init__(self, application, request, clients, details=True):
        self.clients = clients
        self.details = details
        super(HealthHandler, self).__init__(application, request)

    @gen.coroutine
    def get(self, what):
        """Answer a probe for "live" or "ready"."""
        if what not in ("live", "ready"):
            raise web.HTTPError(404)
        found = {}
        for name, client in named(self.clients() if callable(self.clients) else self.clients):
            found[name] = yield events.outcome_of(client.health())
        if what == "live":
            well = not any(health.get("ended") for health in found.values())
        else:
            well = all(health.get("ready") for health in found.values())
        body = {"status": "ok" if well else "unavailable"}
        if self.details:
            body["clients"] = found
        self.set_status(200 if well else 503)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(body, sort_keys=True, default=str))

    head = get

    def compute_etag(self):
        """An answer is never the same as one before."""


def named(clients):
    """Return (name, client) pairs: the names given, or those of the classes, numbered where there are several."""
    if hasattr(clients, "items"):
        return sorted(clients.items())
    pairs, seen = [], {}
    for client in clients:
        name = type(client).__name__
        seen[name] = seen.get(name, 0) + 1
        pairs.append((name if seen[name] == 1 else "%s %d" % (name, seen[name]), client))
    return pairs
