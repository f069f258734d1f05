"""Users: their credentials for SCRAM (KIP-554), and what they, client ids and addresses may use (KIP-546)."""
from __future__ import absolute_import

import collections
import hashlib
import numbers
import os

from tornado import gen

from kiel import arguments
from kiel.clients.administering.routes import Reader, named
from kiel.protocol import (
    alter_client_quotas, alter_user_scram_credentials, describe_client_quotas, describe_user_scram_credentials
)

#: SCRAM's mechanisms, by the numbers on the wire, and the hashes that they stand on
MECHANISMS = {1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}
NUMBERS = dict((name, number) for number, name in MECHANISMS.items())
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}

#: how often a password is hashed; Kafka takes 4096 to 16384
ITERATIONS = 8192

#: what an entity is made of, and Kafka's word for it
PARTS = (("user", "user"), ("client_id", "client-id"), ("ip", "ip"))


class _Word(object):
    """A value that is no text."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


#: stands for whoever has no quota of his own
DEFAULT = _Word("DEFAULT")

#: in a filter: whatever the name, or the default
ANY = _Word("ANY")

#: the ways in which a filter's component lets an entity through
EXACTLY, THE_DEFAULT, WHATEVER = 0, 1, 2


class Entity(collections.namedtuple("Entity", "user client_id ip")):
    """
    Whose quotas they are: a user, a client id, both together, or an address; each None for what it is not about.

    `DEFAULT` stands for all that have none of their own.
    """

    __slots__ = ()

    def __new__(cls, user=None, client_id=None, ip=None):
        given = dict(user=user, client_id=client_id, ip=ip)
        for name, value in given.items():
            if value is not None and value is not DEFAULT:
                arguments.text(name, value)
        if ip is not None and (user is not None or client_id is not None):
            raise ValueError("ip can't be combined: a quota is for an address, or for a user and client_id")
        if ip is user is client_id is None:
            raise ValueError("an entity has a user, a client_id or an ip")
        return super(Entity, cls).__new__(cls, user, client_id, ip)


class Credential(collections.namedtuple("Credential", "user password mechanism iterations")):
    """
    What a user shall be able to log in with, in place of what there is; ``repr`` does not show the password.

    :param user: the name
    :param password: text or bytes; only its hash is sent
    :param mechanism: "SCRAM-SHA-256" or "SCRAM-SHA-512"
    :param iterations: how often the password is hashed, 4096 to 16384
    """

    __slots__ = ()

    def __new__(cls, user, password, mechanism="SCRAM-SHA-512", iterations=ITERATIONS):
        secret = arguments.octets("password", password)
        if not secret:
            raise ValueError("password is empty")
        return super(Credential, cls).__new__(
            cls, arguments.text("user", user), secret, arguments.one_of("mechanism", mechanism, sorted(NUMBERS)),
            arguments.integer("iterations", iterations, least=4096, most=16384)
        )

    def __repr__(self):
        return "Credential(user=%r, password=..., mechanism=%r, iterations=%r)" % (
            self.user, self.mechanism, self.iterations)

    __str__ = __repr__


class NoCredential(collections.namedtuple("NoCredential", "user mechanism")):
    """What a user shall not be able to log in with any more."""

    __slots__ = ()

    def __new__(cls, user, mechanism="SCRAM-SHA-512"):
        return super(NoCredential, cls).__new__(
            cls, arguments.text("user", user), arguments.one_of("mechanism", mechanism, sorted(NUMBERS)))


class Users(object):
    """
    Describes and changes credentials and quotas.

    :param routes: the `kiel.clients.administering.routes.Routes` to ask by
    """

    def __init__(self, routes):
        self.routes = routes

    # -- SCRAM --

    @gen.coroutine
    def describe_scram(self, users, timeout):
        """Return ``{user: {mechanism: iterations} or KielError}``."""
        if users is not None:
            users = arguments.texts("users", users)

        def make(broker, wanted):
            return describe_user_scram_credentials.DescribeUserScramCredentialsRequest(
                users=None if users is None else [
                    describe_user_scram_credentials.User(name=name) for name in users])

        def read(response):
            return named(response.error_code, response.error_message, "users", response.api) or {"users": dict(
                (each.user, named(each.error_code, each.error_message, "user %s" % each.user, response.api) or dict(
                    (MECHANISMS.get(one.mechanism, "unknown_%d" % one.mechanism), one.iterations)
                    for one in each.credential_infos)) for each in response.results)}
        found = yield self.routes.alone("users", self.routes.by_any(
            ["users"], make, Reader(describe_user_scram_credentials.api_name, read),
            "describing users of SCRAM", timeout))
        raise gen.Return(found)

    @gen.coroutine
    def alter_scram(self, changes, timeout):
        """Return ``{user: True or KielError}``; Kafka takes one change of a user in a request."""
        kinds = (Credential, NoCredential)
        by_user = collections.defaultdict(list)
        for change in [changes] if isinstance(changes, kinds) else arguments.items("changes", changes):
            if not isinstance(change, kinds):
                raise TypeError("changes has to be a list of Credential and NoCredential, and has a %s" % (
                    type(change).__name__))
            by_user[change.user].append(change)
        outcome = {}
        for turn in range(max([len(each) for each in by_user.values()] or [0])):
            wave = dict((user, _change(each[turn])) for user, each in by_user.items()
                        if turn < len(each) and outcome.get(user, True) is True)
            outcome.update((yield self._alter_scram(wave, timeout)))
        raise gen.Return(outcome)

    def _alter_scram(self, parts, timeout):
        """Change the credentials of some users; ``parts`` is ``{user: its deletion or upsertion}``."""
        def make(broker, wanted):
            chosen = [parts[user] for user in wanted]
            return alter_user_scram_credentials.AlterUserScramCredentialsRequest(
                deletions=[each for each in chosen if isinstance(each, alter_user_scram_credentials.Deletion)],
                upsertions=[each for each in chosen if isinstance(each, alter_user_scram_credentials.Upsertion)])

        def read(response):
            return dict((each.user, named(
                each.error_code, each.error_message, "user %s" % each.user, response.api
            ) or True) for each in response.results)
        return self.routes.by_controller(
            parts, make, Reader(alter_user_scram_credentials.api_name, read), "changing users of SCRAM", timeout)

    # -- quotas --

    def describe_quotas(self, components, strict, timeout):
        """Return a Future of ``{Entity: {quota: value}}``."""
        words = dict(PARTS)
        parts = []
        for name, value in arguments.mapping("components", components or {}).items():
            arguments.one_of("components", name, sorted(words))
            kind = THE_DEFAULT if value is DEFAULT else WHATEVER if value is ANY else EXACTLY
            parts.append(describe_client_quotas.Component(
                entity_type=words[name], match_type=kind,
                match=None if kind != EXACTLY else arguments.text("components", value)))

        def make(broker, _):
            return describe_client_quotas.DescribeClientQuotasRequest(components=parts, strict=bool(strict))

        def read(response):
            return named(response.error_code, response.error_message, "quotas", response.api) or {"quotas": dict(
                (_entity(entry.entity), dict((each.key, each.value) for each in entry.values))
                for entry in response.entries or ())}
        return self.routes.alone("quotas", self.routes.by_any(
            ["quotas"], make, Reader(describe_client_quotas.api_name, read), "describing quotas", timeout))

    def alter_quotas(self, changes, validate_only, timeout):
        """Return a Future of ``{Entity: True or KielError}``."""
        entries = {}
        for entity, values in arguments.mapping("changes", changes).items():
            if not isinstance(entity, Entity):
                raise TypeError("changes has to be about kiel.clients.administering.users.Entity, not %r" % (entity,))
            entries[entity] = [_operation(name, value) for name, value in sorted(arguments.mapping(
                "changes", values).items())]
            if not entries[entity]:
                raise ValueError("changes has an entity without any change")

        def make(broker, wanted):
            return alter_client_quotas.AlterClientQuotasRequest(validate_only=bool(validate_only), entries=[
                alter_client_quotas.EntryRequest(entity=[
                    alter_client_quotas.Entity(entity_type=word, entity_name=None if name is DEFAULT else name)
                    for name, word in ((getattr(entity, part), word) for part, word in PARTS) if name is not None
                ], ops=entries[entity]) for entity in wanted
            ])

        def read(response):
            return dict((_entity(entry.entity), named(
                entry.error_code, entry.error_message, str(_entity(entry.entity)), response.api
            ) or True) for entry in response.entries)
        return self.routes.by_controller(
            entries, make, Reader(alter_client_quotas.api_name, read), "changing quotas", timeout)


def _change(change):
    """Return the part of a request that makes a credential, with the slow hash of the password, or deletes one."""
    if isinstance(change, NoCredential):
        return alter_user_scram_credentials.Deletion(name=change.user, mechanism=NUMBERS[change.mechanism])
    salt = os.urandom(24)
    return alter_user_scram_credentials.Upsertion(
        name=change.user, mechanism=NUMBERS[change.mechanism], iterations=change.iterations, salt=salt,
        salted_password=hashlib.pbkdf2_hmac(HASHES[change.mechanism], change.password, salt, change.iterations)
    )


def _entity(parts):
    """Return the `Entity` of an answer."""
    words = dict((word, part) for part, word in PARTS)
    found = dict.fromkeys(words.values())
    for part in parts:
        if part.entity_type in words:
            found[words[part.entity_type]] = DEFAULT if part.entity_name is None else part.entity_name
    return tuple.__new__(Entity, (found["user"], found["client_id"], found["ip"]))


def _operation(name, value):
    """Return the part of a request that sets a quota, or takes it away."""
    name = arguments.text("changes", name)
    if value is None:
        return alter_client_quotas.Operation(key=name, remove=True)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError("changes has to have numbers, or None to take a quota away, not %r" % (value,))
    return alter_client_quotas.Operation(key=name, value=float(value))


__all__ = ["ANY", "Credential", "DEFAULT", "Entity", "NoCredential", "Users"]
