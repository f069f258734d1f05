"""Asking for metadata when a fetch shows that what is known is out of date."""
from __future__ import absolute_import

import logging

from tornado import gen

from kiel import exc
from kiel.retry import Backoff, monotonic

log = logging.getLogger(__name__)

#: how often metadata is asked for while a partition has no leader
PACE = Backoff(first=0.1, most=1.0, deadline=None)

#: seconds without a need for metadata after which the pace begins anew
QUIET = 10


class MetadataRefresh(object):
    """
    One refresh at a time, and not more often than `PACE` allows.

    :param client: the `kiel.clients.client.Client` whose cluster is asked
    :param then: called without arguments after each refresh
    """

    def __init__(self, client, then):
        self.client = client
        self.then = then
        #: the Future of the refresh under way
        self._refreshing = None
        #: the `kiel.retry.Clock` of refreshes in a row
        self._clock = None
        #: the time before which there is no other (`kiel.retry.monotonic`)
        self._not_before = 0

    def begin(self):
        """Begin a refresh, unless one is under way."""
        if self._refreshing is None and not self.client.closing:
            self._refreshing = self._run()
            self.client.io_loop.add_future(self._refreshing, self._finished)

    @gen.coroutine
    def _run(self):
        wait = self._not_before - monotonic()
        if wait > 0:
            yield gen.sleep(wait)
        if self._clock is None or wait < -QUIET:
            self._clock = PACE.start()
        self._not_before = monotonic() + self._clock.delay()
        try:
            yield self.client.cluster.heal()
        except exc.KielError as error:
            self.client.last_error = error
            self.client.cluster.warn("Metadata refresh failed: %s", error)

    def _finished(self, future):
        self._refreshing = None
        error = future.exception()
        if error is not None:
            log.error("Metadata refresh ended with an unexpected error", exc_info=(type(error), error, None))
        self.then()
