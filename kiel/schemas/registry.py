"""The client of a schema registry: asks once for each schema, and keeps it."""
from __future__ import absolute_import

import uuid

from tornado import gen

from kiel import arguments
from kiel.events import outcome_of
from kiel.retry import Backoff, monotonic
from kiel.schemas import schema as values
from kiel.schemas.errors import RegistryError, SchemaNotFoundError
from kiel.schemas.flights import Flights
from kiel.schemas.http import Transport

#: seconds for which an id that a registry does not know is not asked for again
UNKNOWN_FOR = 5.0

#: how deep references of references may go
MOST_DEEP = 32

LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")


class Registry(object):
    """
    A schema registry that speaks Confluent's API: Confluent's own, Apicurio, Karapace, Redpanda ...

    Methods return Futures. What never changes is asked for once: a schema by its id, a numbered version, a schema's id
    in a subject. Callers that want the same at the same time share one request. One object serves any number of
    serializers and deserializers; there is nothing to connect or close.

    :param urls: an address, such as "http://localhost:8081", or several, which are tried one after the other. A login
        may be in it. Apicurio's ends in ``/apis/ccompat/v7``
    :param username: of HTTP Basic; with Confluent Cloud the API key
    :param password: text, or a function or coroutine function that is asked for it
    :param token: of HTTP Bearer, as ``password``; `kiel.oidc.ClientCredentials` is such a function
    :param ssl: as that of clients: `kiel.ssl`, an `ssl.SSLContext`; default: the system's authorities
    :param headers: a dict of more headers, such as Confluent Cloud's ``target-sr-cluster``
    :param timeout: seconds for one request
    :param retry: a `kiel.retry.Backoff`: how long it is tried again where no address answers, or one answers with 5xx,
        408 or 429
    :param http_client: a `tornado.httpclient.AsyncHTTPClient` of the application's, such as one that knows a proxy
    :raises TypeError: for a setting of a wrong type
    :raises ValueError: if an address is not valid
    """

    def __init__(self, urls, username=None, password=None, token=None, ssl=None, headers=None, timeout=5, retry=None,
                 http_client=None):
        retry = Backoff(first=0.1, most=2.0, deadline=15) if retry is None else retry
        self._transport = Transport(urls, username, password, token, ssl, headers, timeout, retry, http_client)
        self._flights = Flights()
        #: id or GUID -> Schema, and (subject, version) or (subject, "register", Schema, normalize) -> Registered
        self._schemas, self._registered = {}, {}
        #: id -> (until when it is not asked for again, the error)
        self._unknown = {}

    def __repr__(self):
        return "Registry(%s)" % ", ".join(repr(url) for url in self._transport.urls)

    # -- schemas --

    def get(self, name):
        """
        Return a `Schema` by its id, a number, or by its GUID, as text.

        :raises kiel.schemas.SchemaNotFoundError: where there is none; that is remembered for some seconds
        """
        found = self._schemas.get(name)
        if found is not None:
            return outcome_of(found)
        return self._flights.join(name, lambda: self._get(name))

    @gen.coroutine
    def _get(self, name):
        until, error = self._unknown.get(name, (0, None))
        if monotonic() < until:
            raise error
        if isinstance(name, (str, type(u""))):
            path = ("schemas", "guids", str(uuid.UUID(name)))
        else:
            path = ("schemas", "ids", "%d" % name)
        try:
            answer = yield self._transport.send("GET", path)
        except SchemaNotFoundError as error:
            if len(self._unknown) > 1000:  # poison has ids without end
                self._unknown.clear()
            self._unknown[name] = monotonic() + UNKNOWN_FOR, error
            raise
        self._unknown.pop(name, None)
        found = values.registered(answer).schema
        if found is None:
            raise RegistryError("%r returned no schema" % self)
        self._schemas[name] = found
        raise gen.Return(found)

    @gen.coroutine
    def serialized(self, name):
        """
        Return the text of a Protobuf schema as a descriptor in base64, as Confluent's registry translates it.

        :param name: as in `get`
        """
        kind = "guids" if isinstance(name, (str, type(u""))) else "ids"
        answer = yield self._transport.send("GET", ("schemas", kind, str(name)), {"format": "serialized"},
                                            patient=False)
        raise gen.Return(answer["schema"])

    def get_version(self, subject, version="latest"):
        """
        Return a version of a subject as a `Registered`; deleted ones are found by their number.

        :param version: a number, or "latest", which is asked for each time
        """
        key = arguments.text("subject", subject), version
        found = self._registered.get(key)
        if found is not None:
            return outcome_of(found)
        return self._flights.join(key, lambda: self._get_version(*key))

    @gen.coroutine
    def _get_version(self, subject, version):
        latest = version in ("latest", -1)
        number = "latest" if latest else str(arguments.integer("version", version, 1))
        answer = yield self._transport.send("GET", ("subjects", subject, "versions", number),
                                            None if latest else {"deleted": "true"})
        found = values.registered(answer, subject)
        if not latest:
            self._registered[subject, version] = found
        raise gen.Return(found)

    def register(self, subject, schema, normalize=False):
        """
        Have a subject have a schema, as a new version unless it is there; return it as a `Registered`.

        :param schema: a `Schema`; text, or a dict, is Avro's
        :param normalize: whether the registry brings it into a form of its own first
        :raises kiel.schemas.IncompatibleSchemaError: where the subject's rules do not allow it
        :raises kiel.schemas.InvalidSchemaError: where it is no schema
        """
        return self._place("register", subject, schema, normalize)

    def lookup(self, subject, schema, normalize=False):
        """
        Return a schema as the subject has it, as a `Registered`.

        :raises kiel.schemas.SchemaNotFoundError: where it has not
        """
        return self._place("lookup", subject, schema, normalize)

    def _place(self, action, subject, schema, normalize):
        """Return what `register` or `lookup` do."""
        key = arguments.text("subject", subject), action, values.of(schema), bool(normalize)
        found = self._registered.get(key)
        if found is not None:
            return outcome_of(found)
        return self._flights.join(key, lambda: self._ask_place(*key))

    @gen.coroutine
    def _ask_place(self, subject, action, schema, normalize):
        path = ("subjects", subject) + (("versions",) if action == "register" else ())
        answer = yield self._transport.send(
            "POST", path, {"normalize": "true"} if normalize else None, schema.to_json())
        if answer.get("id") is None:
            raise RegistryError("%r returned no id" % self)
        found = self._registered[subject, action, schema, normalize] = values.registered(answer, subject, schema)
        raise gen.Return(found)

    @gen.coroutine
    def resolve(self, schema):
        """
        Return what a schema refers to, directly and by others: a list of ``(name, Registered)``.

        Each comes before what needs it.

        :raises kiel.schemas.SchemaNotFoundError: where one is missing
        """
        found = []
        yield self._resolve(values.of(schema), found, 0)
        raise gen.Return(found)

    @gen.coroutine
    def _resolve(self, schema, found, depth):
        if depth > MOST_DEEP:
            raise RegistryError("references of references go more than %d deep" % MOST_DEEP)
        for reference in schema.references:
            if any(name == reference.name for name, _ in found):
                continue
            needed = yield self.get_version(reference.subject, reference.version)
            yield self._resolve(needed.schema, found, depth + 1)
            found.append((reference.name, needed))

    # -- subjects --

    def subjects(self, prefix=None, deleted=False):
        """Return the names of all subjects: a list."""
        query = {"deleted": "true"} if deleted else {}
        if prefix is not None:
            query["subjectPrefix"] = prefix
        return self._transport.send("GET", ("subjects",), query)

    def versions(self, subject, deleted=False):
        """Return the numbers of a subject's versions: a list."""
        return self._transport.send("GET", ("subjects", arguments.text("subject", subject), "versions"),
                                    {"deleted": "true"} if deleted else None)

    def referenced_by(self, subject, version):
        """Return the ids of the schemas that refer to a version of a subject: a list."""
        return self._transport.send("GET", ("subjects", subject, "versions", str(version), "referencedby"))

    @gen.coroutine
    def delete(self, subject, version=None, permanent=False):
        """
        Delete a version of a subject, or all; return the numbers of those: a list.

        Messages that were written by them can be read as long as they are not deleted permanently, which needs a first
        deletion that is not.
        """
        path = ("subjects", arguments.text("subject", subject))
        if version is not None:
            path += ("versions", str(version))
        try:
            answer = yield self._transport.send("DELETE", path, {"permanent": "true"} if permanent else None)
        finally:
            for key in [key for key in self._registered if key[0] == subject]:
                del self._registered[key]
        raise gen.Return(answer if isinstance(answer, list) else [answer])

    # -- compatibility --

    @gen.coroutine
    def check(self, subject, schema, version="latest", normalize=False):
        """
        Return whether a subject would take a schema, as a `Compatibility`: true or not, with the registry's reasons.

        :param version: the one that it is held against; None: all that the subject's rule is about
        """
        path = ("compatibility", "subjects", arguments.text("subject", subject), "versions")
        if version is not None:
            path += (str(version),)
        query = {"verbose": "true"}
        if normalize:
            query["normalize"] = "true"
        answer = yield self._transport.send("POST", path, query, values.of(schema).to_json())
        raise gen.Return(values.Compatibility(bool(answer.get("is_compatible")), answer.get("messages") or []))

    @gen.coroutine
    def compatibility(self, subject=None):
        """Return the rule of a subject, where it has one of its own, or that of all: a word such as "BACKWARD"."""
        answer = yield self._transport.send("GET", ("config",) if subject is None else ("config", subject))
        raise gen.Return(answer.get("compatibilityLevel") or answer.get("compatibility"))

    @gen.coroutine
    def set_compatibility(self, level, subject=None):
        """Set the rule of a subject, or that of all."""
        level = arguments.one_of("level", level, LEVELS)
        yield self._transport.send("PUT", ("config",) if subject is None else ("config", subject),
                                   body={"compatibility": level})

    # -- anything else --

    def send(self, method, path, query=None, body=None):
        """
        Send a request for which there is no method here; return the JSON of its response, parsed.

        :param path: the words of the path, such as ``("mode", subject)``
        """
        return self._transport.send(method, path, query, body)
