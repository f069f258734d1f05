"""The web side: the page's files, and the WebSocket by which it is told what is new."""
from __future__ import absolute_import

import collections
import json
import os

from tornado import gen, web, websocket

from kiel import exc
from kiel.service import HealthHandler

STATIC = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")

#: how many snapshots a page that is opened is shown at once: those of its plots
HISTORY = 120

#: how many messages may be asked for at a time
MOST = 100000


class Feed(websocket.WebSocketHandler):
    """One open page."""

    def initialize(self, pages):
        self.pages = pages

    def open(self):
        """A page was opened: it gets what the plots need."""
        self.tell({"history": list(self.pages.history)})
        self.pages.feeds.add(self)

    def on_close(self):
        """A page was closed."""
        self.pages.feeds.discard(self)

    @gen.coroutine
    def on_message(self, message):
        """The button: ``{"produce": 100}``; the answer says whether the brokers have the messages."""
        try:
            count = int(json.loads(message)["produce"])
            if not 1 <= count <= MOST:
                raise ValueError(count)
        except (ValueError, KeyError, TypeError):
            self.tell({"refused": "Give a number of messages from 1 to %d." % MOST})
            return
        try:
            yield self.pages.watched.produce(count)
        except exc.KielError as error:
            self.tell({"refused": "Not written: %s" % error})
        else:
            self.tell({"written": count})

    def tell(self, what):
        """Sends something, unless the page is gone."""
        try:
            self.write_message(json.dumps(what))
        except websocket.WebSocketClosedError:
            self.pages.feeds.discard(self)


class Pages(object):
    """All open pages; `show` tells them of a snapshot."""

    def __init__(self, watched):
        self.watched = watched
        self.feeds = set()
        self.history = collections.deque(maxlen=HISTORY)

    def application(self):
        """The Tornado application."""
        return web.Application([
            (r"/feed", Feed, dict(pages=self)),
            (r"/health/(live|ready)", HealthHandler, dict(clients=self.watched.clients)),
            (r"/(page\.css|page\.js|plot\.js)", web.StaticFileHandler, dict(path=STATIC)),
            (r"/()", web.StaticFileHandler, dict(path=STATIC, default_filename="index.html")),
        ])

    def show(self, snapshot):
        """Sends a snapshot to every page."""
        self.history.append(snapshot)
        for feed in list(self.feeds):
            feed.tell({"now": snapshot})

    def close(self):
        """Closes all connections; the pages try to open others."""
        for feed in list(self.feeds):
            feed.close(1001, "the server ends")
