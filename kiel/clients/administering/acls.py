"""Access control lists: who may do what (KIP-140, KIP-290)."""
from __future__ import absolute_import

import collections

import six
from tornado import gen

from kiel import exc
from kiel.protocol import create_acls, delete_acls, describe_acls

#: the words of a rule, by the numbers on the wire
RESOURCES = {
    1: "any", 2: "topic", 3: "group", 4: "cluster", 5: "transactional_id", 6: "delegation_token", 7: "user",
}
OPERATIONS = {
    1: "any", 2: "all", 3: "read", 4: "write", 5: "create", 6: "delete", 7: "alter", 8: "describe", 9: "cluster_action",
    10: "describe_configs", 11: "alter_configs", 12: "idempotent_write", 13: "create_tokens", 14: "describe_tokens",
    15: "two_phase_commit",
}
PERMISSIONS = {1: "any", 2: "deny", 3: "allow"}
PATTERNS = {1: "any", 2: "match", 3: "literal", 4: "prefixed"}

#: what only a filter may say
WILD = ("any", "match")

#: the name of the one resource of type "cluster"
CLUSTER = "kafka-cluster"

#: the first version that knows patterns
PATTERNED = 1


class Rule(collections.namedtuple("Rule", "resource name principal operation permission host pattern")):
    """
    Lets a principal do something, or forbids it.

    :param resource: "topic", "group", "cluster", "transactional_id", "delegation_token" or "user"
    :param name: the resource's name; ``"*"`` for all, `CLUSTER` for the cluster
    :param principal: who, such as ``"User:alice"``; ``"User:*"`` for everybody
    :param operation: "read", "write", "describe", "create" ..., or "all"; see `OPERATIONS`
    :param permission: "allow" or "deny"; what is denied is so whatever else is allowed
    :param host: the address of the client, ``"*"`` for all
    :param pattern: "literal", or "prefixed" where ``name`` is the beginning of names (Kafka 2.0)
    :raises ValueError: for a word that Kafka does not know here
    """

    __slots__ = ()

    def __new__(cls, resource, name, principal, operation, permission="allow", host="*", pattern="literal"):
        for word, words, what in (
            (resource, RESOURCES, "resource"), (operation, OPERATIONS, "operation"),
            (permission, PERMISSIONS, "permission"), (pattern, PATTERNS, "pattern")
        ):
            _number(words, word, what, but=WILD)
        _checked("name", name)
        _checked("host", host)
        if ":" not in _checked("principal", principal):
            raise ValueError("principal has to be a type and a name, such as 'User:%s', not %r" % (
                principal, principal))
        return super(Rule, cls).__new__(cls, resource, name, principal, operation, permission, host, pattern)


class Filter(collections.namedtuple("Filter", "resource name principal operation permission host pattern")):
    """
    Selects rules: those that match it in every field.

    The words are those of a `Rule`. "any", or None for name, principal and host, lets everything through. With the
    pattern "match", rules count that cover ``name`` in whatever way: by the name itself, a beginning of it, or ``"*"``.
    """

    __slots__ = ()

    def __new__(cls, resource="any", name=None, principal=None, operation="any", permission="any", host=None,
                pattern="any"):
        for word, words, what in (
            (resource, RESOURCES, "resource"), (operation, OPERATIONS, "operation"),
            (permission, PERMISSIONS, "permission"), (pattern, PATTERNS, "pattern")
        ):
            _number(words, word, what)
        for what, value in (("name", name), ("principal", principal), ("host", host)):
            if value is not None:
                _checked(what, value)
        return super(Filter, cls).__new__(cls, resource, name, principal, operation, permission, host, pattern)


class Deleted(collections.namedtuple("Deleted", "rules errors")):
    """The result of one filter: the list of rules deleted, and ``{Rule: KielError}`` for those that could not be."""

    __slots__ = ()


class Acls(object):
    """
    Describes, creates and deletes rules.

    :param brokers: the `kiel.clients.administering.any_broker.AnyBroker` to ask
    """

    def __init__(self, brokers):
        self.brokers = brokers

    def describe(self, wanted):
        """Return a Future of the sorted list of rules that match a filter."""
        if not isinstance(wanted, Filter):
            raise TypeError("rules are described by a kiel.clients.administering.acls.Filter, not %r" % (wanted,))

        def make(broker):
            request = describe_acls.DescribeAclsRequest(**_fields(broker, "describe_acls", wanted))
            return _asking(broker, request, [wanted])
        return self.brokers.ask(make, self, "describing ACLs")

    def handle_describe_acls_response(self, response):
        """Return the rules, or the error."""
        error = exc.for_code(response.error_code, _about("ACLs", response.error_message), response.api)
        return error or sorted(_rule(resource, acl) for resource in response.resources for acl in resource.acls)

    @gen.coroutine
    def create(self, rules):
        """Create rules; return ``{Rule: True or KielError}``."""
        rules = _listed(rules, Rule)

        def make(broker):
            return _asking(broker, create_acls.CreateAclsRequest(creations=[create_acls.Creation(
                resource_type=_number(RESOURCES, rule.resource), resource_name=rule.name,
                resource_pattern_type=_number(PATTERNS, rule.pattern), principal=rule.principal, host=rule.host,
                operation=_number(OPERATIONS, rule.operation), permission_type=_number(PERMISSIONS, rule.permission)
            ) for rule in rules]), rules)
        results = yield self.brokers.ask(make, self, "creating ACLs")
        raise gen.Return(dict(
            (rule, exc.for_code(result.error_code, _about(rule, result.error_message), "create_acls") or True)
            for rule, result in _paired(rules, results)
        ))

    def handle_create_acls_response(self, response):
        """Return the results, in the order of the rules."""
        return list(response.results)

    @gen.coroutine
    def delete(self, filters):
        """Delete all rules that match one of the filters; return ``{Filter: Deleted or KielError}``."""
        filters = _listed(filters, Filter)

        def make(broker):
            return _asking(broker, delete_acls.DeleteAclsRequest(filters=[
                delete_acls.Filter(**_fields(broker, "delete_acls", each)) for each in filters
            ]), filters)
        results = yield self.brokers.ask(make, self, "deleting ACLs")
        raise gen.Return(dict(
            (each, exc.for_code(
                result.error_code, _about(each, result.error_message), "delete_acls"
            ) or _deleted(result))
            for each, result in _paired(filters, results)
        ))

    def handle_delete_acls_response(self, response):
        """Return the results, in the order of the filters."""
        return list(response.filter_results)


def _deleted(result):
    """Return the `Deleted` of one filter's result."""
    rules, errors = [], {}
    for match in result.matching_acls:
        rule = _rule(match, match)
        if match.error_code:
            errors[rule] = exc.for_code(match.error_code, _about(rule, match.error_message), "delete_acls")
        else:
            rules.append(rule)
    return Deleted(sorted(rules), errors)


def _rule(resource, acl):
    """Return the `Rule` of an answer, whose words may be of a newer Kafka."""
    return tuple.__new__(Rule, (
        _word(RESOURCES, resource.resource_type), resource.resource_name, acl.principal,
        _word(OPERATIONS, acl.operation), _word(PERMISSIONS, acl.permission_type), acl.host,
        _word(PATTERNS, resource.pattern_type)
    ))


def _fields(broker, api, wanted):
    """Return the fields of a filter; before Kafka 2.0 "any" pattern means literal, the only one that there was."""
    pattern = _number(PATTERNS, wanted.pattern)
    if wanted.pattern in WILD and not broker.reaches(api, PATTERNED):
        pattern = _number(PATTERNS, "literal")
    return dict(
        resource_type_filter=_number(RESOURCES, wanted.resource), resource_name_filter=wanted.name,
        pattern_type_filter=pattern, principal_filter=wanted.principal, host_filter=wanted.host,
        operation=_number(OPERATIONS, wanted.operation), permission_type=_number(PERMISSIONS, wanted.permission)
    )


def _asking(broker, request, items):
    """Return the request, kept to versions that can tell it."""
    if any(item.pattern == "prefixed" for item in items):
        if broker.reaches(request.api, 0) and not broker.reaches(request.api, PATTERNED):
            raise exc.UnsupportedVersionError("ACLs for prefixes of names need Kafka 2.0 or later")
        request.narrow = PATTERNED, request.version_range[1]
    return request


def _listed(items, kind):
    """Return an argument as a list, which must not be empty."""
    items = [items] if isinstance(items, kind) else list(items)
    for item in items:
        if not isinstance(item, kind):
            raise TypeError("%r is not a kiel.clients.administering.acls.%s" % (item, kind.__name__))
    if not items:
        raise ValueError("no %s is given" % kind.__name__)
    return items


def _paired(items, results):
    """Return pairs of what was asked for and its result."""
    if len(results) != len(items):
        raise exc.ProtocolError("%d results came for %d ACLs" % (len(results), len(items)))
    return zip(items, results)


def _number(words, word, what="", but=()):
    """Return the number of a word."""
    for number, each in words.items():
        if each == word and word not in but:
            return number
    raise ValueError("%s %r is none of %s" % (
        what, word, ", ".join(words[number] for number in sorted(words) if words[number] not in but)
    ))


def _word(words, number):
    """Return the word of a number; newer brokers may have further ones."""
    return words.get(number) or "unknown_%d" % number


def _checked(what, value):
    """Return a text that is not empty."""
    if not isinstance(value, six.string_types) or not value:
        raise ValueError("%s is a text, not %r" % (what, value))
    return value


def _about(what, message):
    """Return what an error is about, with the broker's words where it has any."""
    return "%s: %s" % (what, message) if message else str(what)


__all__ = ["Acls", "CLUSTER", "Deleted", "Filter", "OPERATIONS", "PATTERNS", "PERMISSIONS", "RESOURCES", "Rule"]
