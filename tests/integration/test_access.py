"""
Who may do what, on real brokers: rules and tokens that `Admin` makes, and what each denial says.

A cluster for each authorizer: KRaft's and ZooKeeper's.
"""
from __future__ import absolute_import

import uuid

import pytest
from tornado import gen

from kiel import clients, exc, sasl, testing
from kiel.clients.administering import acls
from kiel.retry import Backoff

from tests import loop
from tests.integration import peer

AUTHORIZERS = {
    "4.4.0": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "2.4.1": "kafka.security.authorizer.AclAuthorizer",
}
USERS = {"alice": "alice-secret", "admin": "admin-secret"}


@pytest.fixture(scope="module", params=peer.only("2.4.1", "4.4.0"))
def kafka(request):
    with testing.Kafka(request.param, sasl=["PLAIN", "SCRAM-SHA-256"], users=USERS, settings={
        "authorizer.class.name": AUTHORIZERS[request.param], "super.users": "User:ANONYMOUS;User:admin",
        "delegation.token.secret.key": "of-the-tests", "delegation.token.master.key": "of-the-tests",
    }) as cluster:
        yield cluster


def login(user="alice"):
    return sasl.Scram(user, USERS[user])


def run(kafka, body, mechanism=None):
    """Run a coroutine function with a connected `Admin`."""
    @gen.coroutine
    def main():
        admin = clients.Admin(kafka.bootstrap, sasl=mechanism or login("admin"))
        yield admin.connect()
        try:
            yield gen.coroutine(body)(admin)
        finally:
            yield admin.close()
    loop.run(main, timeout=30)


def unique(what):
    return "%s-%s" % (what, uuid.uuid4().hex[:8])


# -- rules --

@gen.coroutine
def allow(admin, *rules):
    """Make rules and wait until they are seen, which on several brokers may take a moment."""
    outcome = yield admin.create_acls(rules)
    assert set(outcome.values()) == {True}, outcome
    while not set(rules).issubset((yield admin.describe_acls())):
        yield gen.sleep(0.02)


def test_rules_are_made_described_and_deleted(kafka):
    topic, other = unique("topic"), unique("other")
    read = acls.Rule("topic", topic, "User:alice", "read")
    deny = acls.Rule("topic", topic, "User:bob", "write", "deny", "127.0.0.1")
    begin = acls.Rule("topic", topic[:8], "User:alice", "describe", pattern="prefixed")
    group = acls.Rule("group", other, "User:*", "all")

    def body(admin):
        yield allow(admin, read, deny, begin, group)
        yield allow(admin, read)  # twice does no harm
        assert (yield admin.describe_acls(acls.Filter("topic", topic))) == sorted([read, deny])
        found = yield admin.describe_acls(acls.Filter("topic", topic, pattern="match"))
        assert found == sorted([read, deny, begin])
        assert (yield admin.describe_acls(acls.Filter(principal="User:bob"))) == [deny]
        assert (yield admin.describe_acls(acls.Filter(operation="all", name=other))) == [group]
        nothing = acls.Filter("topic", unique("nothing"))
        mine = acls.Filter("topic", topic)
        outcome = yield admin.delete_acls([mine, nothing])
        assert outcome == {mine: acls.Deleted(sorted([read, deny]), {}), nothing: acls.Deleted([], {})}
        while (yield admin.describe_acls(mine)):
            yield gen.sleep(0.02)
        yield admin.delete_acls([acls.Filter("topic", topic[:8], pattern="prefixed"), acls.Filter("group", other)])
    run(kafka, body)


def test_each_rule_has_a_result_of_its_own(kafka):
    good = acls.Rule("topic", unique("topic"), "User:alice", "read")
    bad = acls.Rule("cluster", "no-such-cluster", "User:alice", "create")

    def body(admin):
        outcome = yield admin.create_acls([good, bad])
        assert outcome[good] is True
        assert isinstance(outcome[bad], exc.InvalidRequestError) and "no-such-cluster" in str(outcome[bad])
        yield admin.delete_acls([acls.Filter("topic", good.name)])
    run(kafka, body)


# -- tokens --

def test_a_token_logs_in_is_renewed_and_ends(kafka):
    def body(admin):
        token = yield admin.create_delegation_token(renewers=["User:alice"], max_lifetime=3600)
        assert token.owner == "User:admin" and token.renewers == ["User:alice"] and token.issued < token.expires
        assert token.latest - token.issued == 3600000
        assert token.hmac not in repr(token) + str(token)
        yield known(admin, token)
        found, = [each for each in (yield admin.describe_delegation_tokens(["User:admin"]))
                  if each.token_id == token.token_id]
        assert found == token
        assert (yield admin.describe_delegation_tokens(["User:nobody"])) == []
        assert (yield admin.renew_delegation_token(token, 600)) <= token.latest

        bearer = clients.Admin(kafka.bootstrap, sasl=sasl.Scram(token.token_id, token.hmac, tokenauth=True))
        yield connected(bearer)
        yield bearer.describe_acls()  # as admin
        failed = yield loop.raises(exc.DelegationTokenRequestNotAllowedError, bearer.create_delegation_token())
        assert "and not by a token" in str(failed)
        yield bearer.close()

        yield admin.expire_delegation_token(token)
        while (yield admin.describe_delegation_tokens(["User:admin"])):
            yield gen.sleep(0.02)
        failed = yield loop.raises(exc.DelegationTokenNotFoundError, admin.renew_delegation_token(token.hmac))
        assert "expired" in str(failed)
        bearer = clients.Admin(kafka.bootstrap, sasl=sasl.Scram(token.token_id, token.hmac, tokenauth=True))
        failed = yield loop.raises(exc.AuthenticationError, bearer.connect())
        assert "token" in str(failed) and token.hmac not in str(failed)
        yield bearer.close()
    run(kafka, body)


@gen.coroutine
def known(admin, token):
    """Wait until the broker has learnt of a token from the controller."""
    while token.token_id not in [each.token_id for each in (yield admin.describe_delegation_tokens())]:
        yield gen.sleep(0.02)


@gen.coroutine
def connected(client):
    """Connect with a token, which a broker may know a moment after the one that made it."""
    while True:
        try:
            yield client.connect()
            return
        except exc.AuthenticationError:
            yield gen.sleep(0.05)


def test_a_token_for_somebody_else(kafka):
    def body(admin):
        if peer.release(kafka) < (3, 3):
            failed = yield loop.raises(exc.UnsupportedVersionError, admin.create_delegation_token(owner="User:alice"))
            assert "3.3" in str(failed)
            return
        token = yield admin.create_delegation_token(["User:admin"], owner="User:alice")
        assert (token.owner, token.requester) == ("User:alice", "User:admin")
        yield known(admin, token)
        yield admin.expire_delegation_token(token)
    run(kafka, body)


# -- denials --

@gen.coroutine
def denied(call, kind, operation, resource, name=None):
    """A call ends in the error that names the missing right and the thing it is about."""
    failed = yield loop.raises(kind, call, 15)
    assert (failed.operation, failed.resource, failed.resource_name) == (operation, resource, name), failed
    text = "the user needs the right %s on %s" % (operation, resource if name is None else "%s %s" % (resource, name))
    assert text in str(failed), str(failed)


@gen.coroutine
def written(producer, topic, value=b"1"):
    yield (yield producer.produce(topic, value))


def consumed(consumer, topic):
    return consumer.consume(topic, max_wait_time=200)


@pytest.fixture
def place(kafka):
    """A topic, a group and a transactional id on which alice has no right yet."""
    name = uuid.uuid4().hex[:8]
    kafka.create_topic("topic-" + name)
    return "topic-" + name, "group-" + name, "id-" + name


def clients_of(kafka, made, user="alice"):
    """Return a function that makes a connected client of a user, to be closed at the end."""
    @gen.coroutine
    def start(cls, *args, **settings):
        client = cls(kafka.bootstrap, *args, **dict(dict(sasl=login(user), retry=Backoff(deadline=4)), **settings))
        made.append(client)
        yield client.connect()
        raise gen.Return(client)
    return start


def with_rights(kafka, body):
    """Run ``body(admin, start)``."""
    made = []

    def run_body(admin):
        try:
            yield gen.coroutine(body)(admin, clients_of(kafka, made))
        finally:
            yield [client.close() for client in made]
    run(kafka, run_body)


def test_a_topic_that_may_not_be_seen(kafka, place):
    topic = place[0]
    describe = "Describe, or Create where there is no such topic,"

    def body(admin, start):
        producer = yield start(clients.Producer, idempotent=False, serializer=bytes)
        yield denied(written(producer, topic), exc.TopicAuthorizationFailedError, describe, "topic", topic)
        consumer = yield start(clients.SingleConsumer, deserializer=bytes)
        yield denied(consumed(consumer, topic), exc.TopicAuthorizationFailedError, describe, "topic", topic)
    with_rights(kafka, body)


def test_a_topic_that_may_be_seen_and_no_more(kafka, place):
    topic = place[0]

    def body(admin, start):
        yield allow(admin, acls.Rule("topic", topic, "User:alice", "describe"))
        producer = yield start(clients.Producer, idempotent=False, serializer=bytes)
        yield denied(written(producer, topic), exc.TopicAuthorizationFailedError, "Write", "topic", topic)
        consumer = yield start(clients.SingleConsumer, deserializer=bytes)
        yield denied(consumed(consumer, topic), exc.TopicAuthorizationFailedError, "Read", "topic", topic)
    with_rights(kafka, body)


def test_an_id_for_an_idempotent_producer(kafka, place):
    topic = place[0]

    def body(admin, start):
        yield allow(admin, acls.Rule("topic", topic, "User:alice", "describe"))
        producer = yield start(clients.Producer, idempotent=True, serializer=bytes)
        yield denied(written(producer, topic), exc.ClusterAuthorizationFailedError, "IdempotentWrite", "the cluster")
    with_rights(kafka, body)


def test_a_transactional_id(kafka, place):
    topic, group, name = place

    def body(admin, start):
        yield allow(admin, acls.Rule("topic", topic, "User:alice", "write"))
        kind = exc.TransactionalIdAuthorizationFailedError

        @gen.coroutine
        def begun():
            producer = yield start(clients.Producer, transactional_id=name, serializer=bytes)
            yield producer.begin()
            raise gen.Return(producer)
        yield denied(begun(), kind, "Describe", "transactional id", name)
        yield allow(admin, acls.Rule("transactional_id", name, "User:alice", "describe"))
        yield denied(begun(), kind, "Write", "transactional id", name)
        yield allow(admin, acls.Rule("transactional_id", name, "User:alice", "write"))
        yield allow(admin, acls.Rule("topic", topic, "User:alice", "write", "deny"))
        producer = yield begun()
        failed = yield loop.raises(exc.KielError, written(producer, topic), 15)
        assert "the user needs the right Write on topic " + topic in str(failed)
    with_rights(kafka, body)


def test_a_group_that_may_not_be_joined(kafka, place):
    topic, group, _ = place

    def body(admin, start):
        yield allow(admin, acls.Rule("topic", topic, "User:alice", "read"))
        for right in (None, "describe"):
            if right is not None:
                yield allow(admin, acls.Rule("group", group, "User:alice", right))
            for protocol in ("classic",) if peer.release(kafka) < (4, 0) else ("classic", "consumer"):
                consumer = clients.GroupedConsumer(
                    kafka.bootstrap, group, topics=[topic], group_protocol=protocol, sasl=login(),
                    retry=Backoff(deadline=4))

                @gen.coroutine
                def joined():
                    yield consumer.connect()
                    while True:
                        yield consumed(consumer, topic)
                wanted = "Describe" if right is None else "Read"
                yield denied(joined(), exc.GroupAuthorizationFailedError, wanted, "group", group)
                yield consumer.close()
    with_rights(kafka, body)


def test_a_look_at_groups_and_their_offsets(kafka, place):
    topic, group, _ = place

    def body(admin, start):
        kind = exc.GroupAuthorizationFailedError
        yield admin.reset_offsets(group, {(topic, 0): 0})
        alice = yield start(clients.Admin)
        yield denied(alice.describe_groups([group]), kind, "Describe", "group", group)
        yield denied(alice.committed_offsets(group), kind, "Describe", "group", group)
        yield allow(admin, acls.Rule("group", group, "User:alice", "describe"))
        yield denied(alice.group(group).delete(), kind, "Delete", "group", group)
        outcome = yield alice.group(group).commit({(topic, 0): 0})
        error = outcome[topic, 0]
        assert (error.operation, error.resource, error.resource_name) == ("Read", "group", group), error
    with_rights(kafka, body)


def test_rules_that_may_not_be_seen_or_made(kafka, place):
    rule = acls.Rule("topic", place[0], "User:alice", "all")

    def body(admin, start):
        kind = exc.ClusterAuthorizationFailedError
        alice = yield start(clients.Admin)
        yield denied(alice.describe_acls(), kind, "Describe", "the cluster")
        outcome = yield gen.maybe_future(tried(alice.create_acls([rule])))
        assert outcome.operation == "Alter" and "on the cluster" in str(outcome)
        outcome = yield gen.maybe_future(tried(alice.delete_acls([acls.Filter("topic", place[0])])))
        assert outcome.operation == "Alter" and "on the cluster" in str(outcome)
    with_rights(kafka, body)


@gen.coroutine
def tried(call):
    """Return the error that a call raises, or has for its only item."""
    try:
        outcome = yield call
    except exc.KielError as error:
        raise gen.Return(error)
    result, = outcome.values()
    raise gen.Return(result)
