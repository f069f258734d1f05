"""
A schema registry of the tests' own: what Confluent's API says, in memory, with faults on request.

It is on a real socket, in the test's own loop. `tests.integration.test_schemas` asks a real one the same questions.
"""
from __future__ import absolute_import

import json
import threading
import uuid

from six.moves.urllib.parse import unquote
from tornado import gen, httpserver, ioloop, netutil, web

from kiel.schemas import Registry
from kiel.retry import Backoff

from tests import loop


class Fault(object):
    """An answer that is none of the registry's: a status with a body, or silence until the test ends it."""

    def __init__(self, status=500, body=b"", times=1, silent=False):
        self.status, self.body, self.times, self.silent = status, body, times, silent


def plain(fields):
    """A schema's fields without those that say nothing."""
    return dict((name, fields[name]) for name in ("schema", "schemaType", "references")
                if fields.get(name) not in (None, [], "AVRO"))


class Server(object):
    """What the registry knows, and what it was asked."""

    def __init__(self, guids=True, serialized=None, ssl_options=None, accepts=None):
        self.guids = guids
        #: text of a Protobuf schema -> its descriptor in base64, for ``format=serialized``
        self.serialized = serialized or {}
        #: the Authorization header that is wanted, None for none
        self.accepts = accepts
        #: id -> (guid, dict of schema, schemaType, references)
        self.schemas = {}
        #: subject -> list of [id, whether it is deleted]
        self.subjects = {}
        self.levels = {None: "BACKWARD"}
        #: subjects that take nothing new
        self.incompatible = set()
        #: (method, path, query, headers) of each request
        self.requests = []
        self.faults = []
        #: what requests wait for, where the test makes them wait
        self.gate = None
        application = web.Application([(r"/(.*)", Handler, dict(server=self))])
        sockets = netutil.bind_sockets(0, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self._http = httpserver.HTTPServer(application, ssl_options=ssl_options)
        self._http.add_sockets(sockets)
        self.url = "%s://127.0.0.1:%d" % ("https" if ssl_options else "http", self.port)

    def asked(self, method=None):
        """The paths that were asked for."""
        return [path for how, path, _, _ in self.requests if method in (None, how)]

    def add(self, subject, fields):
        """Have a subject have a schema; return its id."""
        fields = plain(fields)
        number = next((number for number, (_, known) in self.schemas.items() if known == fields), None)
        if number is None:
            number = len(self.schemas) + 1
            self.schemas[number] = str(uuid.uuid5(uuid.NAMESPACE_DNS, str(sorted(fields.items())))), fields
        versions = self.subjects.setdefault(subject, [])
        if not any(known == number and not deleted for known, deleted in versions):
            versions.append([number, False])
        return number

    def stop(self):
        self._http.stop()


class Handler(web.RequestHandler):
    """One request."""

    def initialize(self, server):
        self.server = server

    @gen.coroutine
    def prepare(self):
        server = self.server
        server.requests.append((self.request.method, self.request.path, dict(
            (name, self.get_argument(name)) for name in self.request.query_arguments), self.request.headers))
        if server.gate is not None:
            yield server.gate
        if server.faults:
            fault = server.faults[0]
            fault.times -= 1
            if not fault.times:
                server.faults.pop(0)
            while fault.silent and not self.request.connection.stream.closed():
                yield gen.sleep(0.005)
            self.set_status(fault.status, "Trouble")
            self.finish(fault.body)
        elif server.accepts not in (None, self.request.headers.get("Authorization")):
            self.fail(401, 40101, "Unauthorized")

    def fail(self, status, code, message):
        self.set_status(status, "Trouble")
        self.finish({"error_code": code, "message": message})

    def words(self):
        return [unquote(word) for word in self.request.path[1:].split("/")]

    def answer(self, found):
        self.set_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.finish(json.dumps(found))

    def get(self, path):
        words = self.words()
        server = self.server
        if words == ["subjects"]:
            return self.answer(sorted(name for name in server.subjects
                                      if name.startswith(self.get_argument("subjectPrefix", ""))))
        if words[:2] in (["schemas", "ids"], ["schemas", "guids"]):
            for number, (guid, fields) in server.schemas.items():
                if words[2] == (str(number) if words[1] == "ids" else guid):
                    fields = dict(fields)
                    if self.get_argument("format", None) == "serialized":
                        fields["schema"] = server.serialized.get(fields["schema"], fields["schema"])
                    return self.answer(dict(fields, guid=guid) if server.guids else fields)
            return self.fail(404, 40403, "Schema not found")
        if words[0] == "config":
            subject = words[1] if len(words) > 1 else None
            if subject not in server.levels:
                return self.fail(404, 40408, "Subject '%s' does not have subject-level compatibility" % subject)
            return self.answer({"compatibilityLevel": server.levels[subject]})
        if words[0] == "subjects" and words[2] == "versions":
            versions = server.subjects.get(words[1], [])
            live = [number for number, (_, gone) in enumerate(versions, 1) if not gone]
            if not live:
                return self.fail(404, 40401, "Subject '%s' not found." % words[1])
            if len(words) == 3:
                return self.answer(live)
            number = live[-1] if words[3] == "latest" else int(words[3])
            if not 0 < number <= len(versions):
                return self.fail(404, 40402, "Version %d not found." % number)
            return self.answer(self.registered(words[1], versions[number - 1][0], number))
        self.fail(404, 404, "HTTP 404 Not Found")

    def registered(self, subject, number, version):
        guid, fields = self.server.schemas[number]
        found = dict(fields, subject=subject, version=version, id=number)
        return dict(found, guid=guid) if self.server.guids else found

    def post(self, path):
        words, server = self.words(), self.server
        fields = json.loads(self.request.body.decode("utf-8"))
        if fields.get("schemaType", "AVRO") != "PROTOBUF":
            try:
                json.loads(fields["schema"])
            except ValueError:
                return self.fail(422, 42201, "Invalid schema")
        if words[0] == "compatibility":
            fine = words[2] not in server.incompatible
            return self.answer({"is_compatible": fine, "messages": [] if fine else ["reader field missing default"]})
        if len(words) == 3:
            if words[1] in server.incompatible:
                return self.fail(409, 409, "Schema being registered is incompatible with an earlier schema")
            number = server.add(words[1], fields)
            if not server.guids:
                return self.answer({"id": number})
            return self.answer({"id": number, "guid": server.schemas[number][0]})
        for version, (number, _) in enumerate(server.subjects.get(words[1], []), 1):
            if server.schemas[number][1] == plain(fields):
                return self.answer(self.registered(words[1], number, version))
        known = words[1] in server.subjects
        self.fail(404, 40403 if known else 40401, "Schema not found" if known else "Subject not found")

    def put(self, path):
        words = self.words()
        level = json.loads(self.request.body.decode("utf-8"))["compatibility"]
        self.server.levels[words[1] if len(words) > 1 else None] = level
        self.answer({"compatibility": level})

    def delete(self, path):
        words = self.words()
        versions = self.server.subjects.get(words[1])
        if versions is None:
            return self.fail(404, 40401, "Subject '%s' not found." % words[1])
        if len(words) > 2:
            versions[int(words[3]) - 1][1] = True
            return self.answer(int(words[3]))
        del self.server.subjects[words[1]]
        self.answer(list(range(1, len(versions) + 1)))


#: how patient clients are in tests: as long as it takes; and where nothing is to come of it
QUICK = Backoff(first=0.005, most=0.01, deadline=20)
IMPATIENT = Backoff(first=0.005, most=0.01, deadline=0.03)


def with_registry(server=None, **settings):
    """Run a test with a `Server` and a `Registry` of it."""
    def decorate(test):
        def run():
            @gen.coroutine
            def body():
                found = Server(**(server or {}))
                try:
                    yield gen.coroutine(test)(found, Registry(found.url, **dict(dict(retry=QUICK), **settings)))
                finally:
                    found.stop()
            loop.run(body)
        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return run
    return decorate


class Own(threading.Thread):
    """The tests' own registry, on a loop and a thread of its own: other clients block theirs."""

    def __init__(self):
        super(Own, self).__init__()
        self.daemon = True
        self.url = self._loop = None
        self._ready = threading.Event()

    def run(self):
        self._loop = ioloop.IOLoop(make_current=True)
        server = Server(guids=True)
        self.url = server.url
        self._loop.add_callback(self._ready.set)
        self._loop.start()
        server.stop()
        self._loop.close()

    def __enter__(self):
        self.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *exc_info):
        self._loop.add_callback(self._loop.stop)
        self.join(10)
