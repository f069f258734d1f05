"""Rounds of requests: one that goes to several brokers, and rounds until all that is wanted has come."""
from __future__ import absolute_import

import logging

from tornado import gen, iostream

from kiel import events, exc
from kiel.clients import observed
from kiel.events import outcome_of

# these lines are the client's, whose logger applications may have set up
log = logging.getLogger("kiel.clients.client")

REQUEST_FAILED = "Request '%s' to broker %s failed: %s"

#: what a key gets that a round said nothing about: the broker's answer did not come
_NO_ANSWER = exc.NoBrokersError("no answer came")


class Rounds(object):
    """
    The only retry loop of the requests of a client's calls.

    :param client: the `kiel.clients.client.Client`: its cluster, its loop, and the look-up of its coordinator
    """

    def __init__(self, client):
        self._client = client

    @gen.coroutine
    def send(self, request_by_broker, handler):
        """Send one request to each of several brokers; see `kiel.clients.client.Client.send`."""
        client = self._client
        handlers = {}
        for broker_id, request in request_by_broker.items():
            handlers[broker_id] = getattr(handler, "handle_%s_response" % request.api, None)
            if handlers[broker_id] is None:
                raise exc.UnhandledResponseError(request.api)
        results = {}
        failures = []
        yield [
            self._send_one(broker_id, request, handlers[broker_id], results, failures)
            for broker_id, request in request_by_broker.items()
        ]
        if client.heal_cluster:
            client.heal_cluster = False
            try:
                yield client.cluster.heal()
            except exc.KielError as error:
                # what the answers brought must not be lost to the look at the cluster that comes after (D26)
                client.cluster.warn("Metadata refresh failed: %s", error)
        if failures:
            raise failures[0]
        raise gen.Return(results)

    @gen.coroutine
    def _send_one(self, broker_id, request, handle, results, failures):
        """Send one request of a round and have its answer handled."""
        client = self._client
        try:
            response = yield client.cluster[broker_id].send(request)
        except KeyError:
            log.error("Broker %s is not known (any more)", broker_id)
            client.heal_cluster = True
            return
        except iostream.StreamClosedError:
            log.error("The connection to broker %s was closed", broker_id)
            return
        except exc.UnsupportedVersionError as error:
            failures.append(error)
            return
        except exc.AuthenticationError as error:  # somebody has to mend that, so it has to be seen
            log.error("Request '%s' to broker %s failed: %s", request.api, broker_id, error)
            failures.append(error)
            return
        except Exception as error:
            client.cluster.warn(REQUEST_FAILED, request.api, broker_id, error)
            client.heal_cluster = True
            return
        if client.cluster.outage.troubles and broker_id in client.cluster:
            client.cluster.reached(client.cluster[broker_id], REQUEST_FAILED, request.api, broker_id)
        try:
            result = yield outcome_of(handle(response))
        except Exception as error:
            failures.append(error)
        else:
            results[broker_id] = result

    @gen.coroutine
    def attempt(self, keys, round, deadline, plan, coordinator, closing):
        """Repeat a round until every key has a result; see `kiel.clients.client.Client.attempt`."""
        client = self._client
        client._refuse_forked()
        if client.io_loop is not None and not client.closing and events.is_elsewhere(client.io_loop):
            yield client._come_here()
        clock = (plan or client._settings.retry).start(deadline)
        done = {}
        last = {}
        wanted = list(keys)
        while wanted:
            outcome = {}
            try:
                outcome = (yield gen.maybe_future(round(wanted))) or {}
            except exc.KielError as error:
                outcome = dict((key, error) for key in wanted)
            cures = set()
            still = []
            for key in wanted:
                value = outcome.get(key, _NO_ANSWER)
                if isinstance(value, exc.KielError) and client._settings.hooks is not None:
                    observed.failed(client._settings.hooks, value, key)
                if not isinstance(value, exc.KielError):
                    done[key] = value
                elif value.retriable and (closing or not client.closing):
                    last[key] = value
                    cures.add(value.cure)
                    still.append(key)
                else:
                    done[key] = value
            wanted = still
            if not wanted:
                break
            delay = clock.delay()
            if delay is None:
                done.update((key, last[key]) for key in wanted)
                break
            yield gen.sleep(delay)
            yield self._cure(cures, coordinator)
        raise gen.Return(done)

    @gen.coroutine
    def _cure(self, cures, coordinator):
        """Renew what errors said has to be; failing to is no error, since the next round shows it anyway."""
        client = self._client
        if "coordinator" in cures and coordinator is not None:
            coordinator.lose()
        elif "coordinator" in cures:
            client.lose_coordinator()
        if "metadata" in cures or "coordinator" in cures:
            try:
                yield client.cluster.heal()
            except exc.KielError as error:
                client.cluster.warn("Metadata refresh failed: %s", error)
