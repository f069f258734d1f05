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
