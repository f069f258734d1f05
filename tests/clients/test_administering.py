"""Rules and tokens: what is refused before a broker is asked, and brokers that are too old or say odd things."""
from __future__ import absolute_import

import pytest

from kiel import exc
from kiel.clients.administering import acls, tokens

from tests import loop
from tests.clients.test_admin import NEWEST, OLDEST, with_admin

KNOWN = dict(NEWEST, describe_acls=(0, 3), create_acls=(0, 3), delete_acls=(0, 3), create_delegation_token=(0, 3),
             renew_delegation_token=(0, 2), expire_delegation_token=(0, 2), describe_delegation_token=(0, 3))
FIRST = dict(KNOWN, describe_acls=(0, 0), create_acls=(0, 0), delete_acls=(0, 0), create_delegation_token=(0, 0))

RULE = acls.Rule("topic", "colors", "User:alice", "write")


@pytest.mark.parametrize("given,words", [
    (("topics", "t", "User:a", "read"), "resource 'topics' is none of topic, group"),
    (("any", "t", "User:a", "read"), "resource 'any'"),
    (("topic", "", "User:a", "read"), "name"),
    (("topic", None, "User:a", "read"), "name"),
    (("topic", "t", "alice", "read"), "User:alice"),
    (("topic", "t", "User:a", "Read"), "operation 'Read' is none of all, read"),
    (("topic", "t", "User:a", "any"), "operation 'any'"),
    (("topic", "t", "User:a", "read", "allowed"), "permission 'allowed' is none of deny, allow"),
    (("topic", "t", "User:a", "read", "allow", "*", "match"), "pattern 'match' is none of literal, prefixed"),
])
def test_rules_are_checked(given, words):
    with pytest.raises(ValueError) as failed:
        acls.Rule(*given)
    assert words in str(failed.value).replace("u'", "'")


def test_filters_are_checked():
    assert acls.Filter() == acls.Filter("any", None, None, "any", "any", None, "any")
    for wrong in dict(resource="topics"), dict(operation="none"), dict(name=""), dict(principal=7):
        with pytest.raises(ValueError):
            acls.Filter(**wrong)


@with_admin(versions=KNOWN)
def test_arguments(cluster, admin):
    for call, kind in (
        (lambda: admin.describe_acls("topic"), TypeError), (lambda: admin.create_acls(["topic"]), TypeError),
        (lambda: admin.delete_acls([RULE]), TypeError), (lambda: admin.create_acls([]), ValueError),
        (lambda: admin.create_delegation_token(renewers="User:a"), ValueError),
        (lambda: admin.create_delegation_token(renewers=["a"]), ValueError),
        (lambda: admin.create_delegation_token(max_lifetime=-1), ValueError),
        (lambda: admin.renew_delegation_token("no base64 at all!"), ValueError),
        (lambda: admin.expire_delegation_token(""), ValueError),
        (lambda: admin.describe_delegation_tokens("User:a"), ValueError),
    ):
        with pytest.raises(kind):
            yield call()


@with_admin(versions=OLDEST)
def test_brokers_that_are_too_old(cluster, admin):
    for call, since in ((admin.describe_acls(), "0.11"), (admin.create_acls([RULE]), "0.11"),
                        (admin.delete_acls([acls.Filter()]), "0.11"), (admin.create_delegation_token(), "1.1"),
                        (admin.renew_delegation_token("YQ=="), "1.1"), (admin.describe_delegation_tokens(), "1.1")):
        failed = yield loop.raises(exc.UnsupportedVersionError, call)
        assert "needs Kafka %s or later" % since in str(failed)


@with_admin(versions=FIRST)
def test_the_first_version_knows_no_patterns_and_no_owners(cluster, admin):
    cluster[1].on("describe_acls", dict(error_code=0, error_message=None, resources=[]))
    assert (yield admin.describe_acls()) == []
    prefixed = acls.Rule("topic", "c", "User:a", "read", pattern="prefixed")
    for call in (admin.create_acls([RULE, prefixed]), admin.describe_acls(acls.Filter(pattern="prefixed")),
                 admin.create_delegation_token(owner="User:a")):
        failed = yield loop.raises(exc.UnsupportedVersionError, call)
        assert "or later" in str(failed)


@with_admin(versions=KNOWN)
def test_what_passes_is_tried_again_and_words_of_newer_brokers_are_shown(cluster, admin):
    cluster[1].on("describe_acls", dict(error_code=7, error_message="later"), times=1)
    cluster[1].on("describe_acls", dict(error_code=0, error_message=None, resources=[dict(
        resource_type=99, resource_name="n", pattern_type=3, acls=[
            dict(principal="User:a", host="*", operation=77, permission_type=3)])]))
    rule, = yield admin.describe_acls()
    assert (rule.resource, rule.operation) == ("unknown_99", "unknown_77")


@with_admin(versions=KNOWN)
def test_fewer_results_than_rules(cluster, admin):
    cluster[1].on("create_acls", dict(results=[]))
    failed = yield loop.raises(exc.ProtocolError, admin.create_acls([RULE]))
    assert "0 results" in str(failed)


def test_a_token_does_not_show_its_secret():
    token = tokens.Token("id", "c2VjcmV0", "User:a", None, [], 1, 2, 3)
    assert "c2VjcmV0" not in repr(token) + str(token) + "%s" % (token,) and "id" in repr(token)
