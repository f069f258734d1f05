"""
Settings of topics, brokers, groups and the like: described, and changed one by one (KIP-133, KIP-339).

Brokers before 2.3 can only be told all settings of a resource at once: see `kiel.clients.administering.whole_configs`.
"""
from __future__ import absolute_import

import collections

from tornado import gen

from kiel import arguments, exc
from kiel.clients.administering import whole_configs
from kiel.clients.administering.routes import Reader, named, settled
from kiel.clients.administering.topics import setting
from kiel.protocol import alter_configs, describe_configs, incremental_alter_configs

#: the kinds of resources, by the numbers on the wire
KINDS = {2: "topic", 4: "broker", 8: "broker_logger", 16: "client_metrics", 32: "group"}
NUMBERS = dict((kind, number) for number, kind in KINDS.items())

#: kinds of which each broker has its own
OF_A_BROKER = ("broker", "broker_logger")

#: where a value comes from, by the numbers on the wire
SOURCES = {
    1: "topic", 2: "broker", 3: "all_brokers", 4: "file", 5: "default", 6: "broker_logger", 7: "client_metrics",
    8: "group",
}

TYPES = {
    1: "boolean", 2: "string", 3: "int", 4: "short", 5: "long", 6: "double", 7: "list", 8: "class", 9: "password",
}

SET, DELETE, APPEND, SUBTRACT = whole_configs.OPERATIONS


class Resource(collections.namedtuple("Resource", "kind name")):
    """
    What has settings.

    :param kind: "topic", "broker", "broker_logger" (Kafka 2.4), "client_metrics" (3.7) or "group" (4.0)
    :param name: its name: a broker's id; ``""`` of kind "broker" for what all brokers share
    """

    __slots__ = ()

    def __new__(cls, kind, name):
        arguments.one_of("kind", kind, sorted(NUMBERS))
        if kind in OF_A_BROKER:
            if name in ("", None) and kind == "broker":
                name = ""
            elif not str(name).isdigit() or isinstance(name, bool):
                raise ValueError("name of a %s has to be a broker's id, not %r" % (kind, name))
            return super(Resource, cls).__new__(cls, kind, str(name))
        return super(Resource, cls).__new__(cls, kind, arguments.text("name", name))

    @property
    def broker_id(self):
        """The broker that has to be asked itself; None where any will do."""
        return int(self.name) if self.kind in OF_A_BROKER and self.name else None


class Config(collections.namedtuple("Config", "value source read_only sensitive synonyms type documentation")):
    """
    A setting.

    ``value`` is text, None where it is secret or there is none. ``source`` is where it comes from: "topic", "group",
    "client_metrics", "broker_logger", "broker" (set for that broker while it ran), "all_brokers" (set for all of them),
    "file" (the broker's own) or "default"; None where the broker does not tell (before Kafka 1.1, but for "default").
    ``read_only`` is whether it can't be changed while the broker runs, ``sensitive`` whether it is secret. ``synonyms``
    are `Synonym` of all places that have a value, the one that counts first, where they were asked for (Kafka 1.1).
    ``type`` is "string", "list", "int" ..., None before 2.6; ``documentation`` is there where it was asked for (2.6).
    """

    __slots__ = ()


class Synonym(collections.namedtuple("Synonym", "name value source")):
    """A value that a setting has at one level of the configuration."""

    __slots__ = ()


class Append(tuple):
    """In a change: adds to a list, such as ``Append(["compact"])``."""

    __slots__ = ()


class Subtract(tuple):
    """In a change: removes from a list, such as ``Subtract(["compact"])``."""

    __slots__ = ()


class Configs(object):
    """
    Describes and changes settings.

    :param routes: the `kiel.clients.administering.routes.Routes` to ask by
    """

    def __init__(self, routes):
        self.routes = routes

    def describe(self, resources, names, synonyms, documentation, timeout):
        """Return a Future of ``{Resource: {name: Config} or KielError}``."""
        resources = _resources(resources)
        names = None if names is None else arguments.texts("names", names)
        return self._ask(resources, self._describing(names, synonyms, documentation),
                         Reader(describe_configs.api_name, _read_described), "describing settings", timeout)

    @staticmethod
    def _describing(names=None, synonyms=False, documentation=False):
        """Return a function that makes the request to describe resources."""
        def make(broker, wanted):
            request = describe_configs.DescribeConfigsRequest(resources=[describe_configs.ResourceRequest(
                resource_type=NUMBERS[resource.kind], resource_name=resource.name, configuration_keys=names
            ) for resource in wanted])
            # what a broker is too old to tell is left out of its answer, and that is what `Config` says of it
            request.include_synonyms = bool(synonyms) and broker.reaches(request.api, 1)
            request.include_documentation = bool(documentation) and broker.reaches(request.api, 3)
            return request
        return make

    @gen.coroutine
    def alter(self, changes, validate_only, timeout):
        """Return a Future of ``{Resource: True or KielError}``."""
        changes = dict(
            (_resource(resource), [_change(name, value) for name, value in sorted(arguments.mapping(
                "changes", named_values).items())])
            for resource, named_values in arguments.mapping("changes", changes).items()
        )
        if not all(changes.values()):
            raise ValueError("changes has a resource without any change")
        answers = yield [
            self._alter(broker_id, dict((resource, changes[resource]) for resource in group), validate_only, timeout)
            for broker_id, group in _by_broker(changes).items()
        ]
        raise gen.Return(_together(answers))

    @gen.coroutine
    def _alter(self, broker_id, changes, validate_only, timeout):
        """Change settings of resources that the same broker is asked about."""
        def make(broker, wanted):
            return incremental_alter_configs.IncrementalAlterConfigsRequest(resources=[
                incremental_alter_configs.ResourceRequest(
                    resource_type=NUMBERS[resource.kind], resource_name=resource.name, configs=changes[resource]
                ) for resource in wanted
            ], validate_only=bool(validate_only))
        try:
            outcome = yield self._route(broker_id, changes, make, Reader(
                incremental_alter_configs.api_name, _read_altered), "changing settings", timeout)
            raise gen.Return(outcome)
        except exc.UnsupportedVersionError:
            if any(resource.kind not in whole_configs.KINDS for resource in changes):
                raise
        outcome = yield self._alter_whole(broker_id, changes, validate_only, timeout)
        raise gen.Return(outcome)

    @gen.coroutine
    def _alter_whole(self, broker_id, changes, validate_only, timeout):
        """The same on brokers before 2.3: read all that each resource has, and write it back with the changes."""
        outcome = yield self._route(broker_id, changes, self._describing(), Reader(
            describe_configs.api_name, _read_described), "changing settings", timeout)
        wholes = {}
        for resource, found in list(outcome.items()):
            if isinstance(found, exc.KielError):
                continue
            try:
                wholes[resource] = whole_configs.merged(resource, found, changes[resource])
            except exc.UnsupportedVersionError as error:
                outcome[resource] = error

        def make(broker, wanted):
            return alter_configs.AlterConfigsRequest(resources=[alter_configs.ResourceRequest(
                resource_type=NUMBERS[resource.kind], resource_name=resource.name,
                configs=[alter_configs.Config(name=name, value=value)
                         for name, value in sorted(wholes[resource].items())],
            ) for resource in wanted], validate_only=bool(validate_only))
        if wholes:
            outcome.update((yield self._route(broker_id, wholes, make, Reader(
                alter_configs.api_name, _read_altered), "changing settings", timeout)))
        raise gen.Return(outcome)

    @gen.coroutine
    def _ask(self, resources, make, reader, what, timeout):
        """Ask each broker about what is its own, and any about the rest."""
        answers = yield [
            self._route(broker_id, group, make, reader, what, timeout)
            for broker_id, group in _by_broker(resources).items()
        ]
        raise gen.Return(_together(answers))

    def _route(self, broker_id, resources, make, reader, what, timeout):
        """Ask one broker, or any where it is None."""
        if broker_id is None:
            return self.routes.by_any(resources, make, reader, what, timeout)
        return self.routes.by_one(broker_id, resources, make, reader, what, timeout)


def _by_broker(resources):
    """Return ``{broker id or None: [Resource]}``: who has to be asked about what."""
    groups = collections.defaultdict(list)
    for resource in resources:
        groups[resource.broker_id].append(resource)
    return groups


def _together(answers):
    result = {}
    for answer in answers:
        result.update(answer)
    return result


def _read_described(response):
    return dict((resource, error or dict(
        (config.name, _config(config)) for config in result.configs
    )) for resource, error, result in _results(response.results, response.api))


def _read_altered(response):
    return dict((resource, error or True) for resource, error, _ in _results(response.responses, response.api))


def _results(results, api):
    """Return ``(Resource, its error or None, its result)`` of each."""
    found = []
    for result in results:
        kind = KINDS.get(result.resource_type, "unknown_%d" % result.resource_type)
        where = "%s %s" % (kind, result.resource_name)
        error = settled(named(result.error_code, result.error_message, where, api, topic=result.resource_name))
        found.append((tuple.__new__(Resource, (kind, result.resource_name)), error, result))
    return found


def _config(config):
    source = SOURCES.get(config.config_source, "default" if config.is_default else None)
    return Config(
        config.value, source, config.read_only, config.is_sensitive,
        [Synonym(each.name, each.value, SOURCES.get(each.source)) for each in config.synonyms],
        TYPES.get(config.config_type), config.documentation or None
    )


def _resource(given):
    """Return a `Resource`, which may be given as a plain pair."""
    if isinstance(given, Resource):
        return given
    if not isinstance(given, tuple) or len(given) != 2:
        raise TypeError("a resource is a kind and a name, such as ('topic', 'colors'), not %r" % (given,))
    return Resource(*given)


def _resources(given):
    """Return a list of `Resource`; one alone will do."""
    if isinstance(given, Resource) or (isinstance(given, tuple) and len(given) == 2 and given[0] in NUMBERS):
        given = [given]
    found = [_resource(each) for each in arguments.items("resources", given)]
    if len(set(found)) != len(found):
        raise ValueError("resources names one twice")
    return found


def _change(name, value):
    """Return the part of a request that changes one setting."""
    operation = SET
    if value is None:
        operation = DELETE
    elif isinstance(value, (Append, Subtract)):
        operation = APPEND if isinstance(value, Append) else SUBTRACT
        value = ",".join(setting("changes", each) for each in value)
    else:
        value = setting("changes", value)
    return incremental_alter_configs.Config(
        name=arguments.text("changes", name), config_operation=operation, value=value)


__all__ = ["Append", "Config", "Configs", "Resource", "Subtract", "Synonym"]
