"""Rules and tokens: what is refused before a broker is asked, and brokers that are too old or say odd things."""
from __future__ import absolute_import

import collections

import pytest

from kiel import exc
from kiel.clients.administering import acls, tokens
from kiel.clients.administering.configs import Append, Resource, Subtract
from kiel.clients.administering.topics import NewTopic
from kiel.clients.administering.transactions import ActiveProducer
from kiel.clients.administering.users import Credential

from tests import loop
from tests.clients.test_admin import NEWEST, OLDEST, with_admin

KNOWN = dict(NEWEST, describe_acls=(0, 3), create_acls=(0, 3), delete_acls=(0, 3), create_delegation_token=(0, 3),
             renew_delegation_token=(0, 2), expire_delegation_token=(0, 2), describe_delegation_token=(0, 3))
KNOWN.update(
    create_topics=(2, 7), delete_topics=(1, 6), create_partitions=(0, 3), delete_records=(0, 2),
    describe_configs=(1, 4), incremental_alter_configs=(0, 1), elect_leaders=(0, 2),
    alter_partition_reassignments=(0, 1), describe_cluster=(0, 2), describe_log_dirs=(1, 5), update_features=(0, 2),
    alter_user_scram_credentials=(0, 0), list_transactions=(0, 2), describe_transactions=(0, 0),
    describe_producers=(0, 0), write_txn_markers=(1, 2)
)
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


# -- whom a question goes to, and what is asked again --

def topics(call, **codes):
    """An answer to CreateTopics or DeleteTopics, with an error for each topic that is named."""
    asked = [topic.name for topic in call.request.topics]
    return dict(topics=[dict(name=name, error_code=codes.get(name, 0), error_message=None) for name in asked])


def names(calls):
    return [sorted(topic.name for topic in call.request.topics) for call in calls]


def controlled_by(broker_id):
    """Metadata that names a controller."""
    def answer(call):
        return dict(brokers=[dict(broker_id=each.id, host=each.host, port=each.port)
                             for each in call.cluster.brokers.values()],
                    cluster_id="fake", controller_id=broker_id, topics=[])
    return answer


def control(cluster, broker_id):
    for broker in cluster.brokers.values():
        broker.on("identity", controlled_by(broker_id))


def asked(broker, api):
    return [call for call in broker.requests if call.api == api]


@with_admin(versions=KNOWN, brokers=2)
def test_the_controller_is_asked_and_looked_up_again_when_it_moves(cluster, admin):
    control(cluster, 2)
    for broker in cluster.brokers.values():
        broker.on("delete_topics", topics)
    assert (yield admin.delete_topics(["a"])) == {"a": True}
    assert (cluster[1].count("delete_topics"), cluster[2].count("delete_topics")) == (0, 1)

    def moved(call):
        control(cluster, 1)
        return topics(call, b=41, c=41)
    cluster[2].on("delete_topics", moved)
    assert (yield admin.delete_topics(["b", "c"])) == {"b": True, "c": True}
    assert names(asked(cluster[1], "delete_topics")) == [["b", "c"]]


@with_admin(versions=KNOWN)
def test_only_what_failed_in_passing_is_asked_again(cluster, admin):
    control(cluster, 1)
    codes = [dict(slow=7, there=36, denied=29), {}]
    cluster[1].on("create_topics", lambda call: topics(call, **codes.pop(0)))
    outcome = yield admin.create_topics(["slow", "there", "denied", "new"])
    assert names(asked(cluster[1], "create_topics")) == [["denied", "new", "slow", "there"], ["slow"]]
    assert outcome["slow"].name == "slow" and outcome["new"].partitions is None
    assert isinstance(outcome["there"], exc.TopicAlreadyExistsError)
    assert "Create on topic denied" in str(outcome["denied"])


@with_admin(versions=KNOWN)
def test_an_item_has_its_last_error_at_the_deadline(cluster, admin):
    control(cluster, 1)
    cluster[1].on("create_topics", lambda call: topics(call, slow=7))
    outcome = yield admin.create_topics(["slow", "new"], timeout=0.2)
    assert isinstance(outcome["slow"], exc.RequestTimedOutError) and outcome["new"].name == "new"
    assert [call.request.timeout for call in asked(cluster[1], "create_topics")][0] == 200


@with_admin(versions=KNOWN)
def test_what_is_about_all_is_raised(cluster, admin):
    control(cluster, -1)
    failed = yield loop.raises(exc.NotControllerError, admin.delete_topics(["a", "b"], timeout=0.1))
    assert "no controller" in str(failed)
    control(cluster, 1)
    cluster[1].on("alter_partition_reassignments", dict(error_code=31, error_message="no", topics=[]))
    failed = yield loop.raises(exc.ClusterAuthorizationFailedError, admin.alter_reassignments({("t", 0): [1]}))
    assert "Alter on the cluster" in str(failed)


@with_admin(versions=KNOWN, brokers=2)
def test_each_leader_is_asked_about_its_partitions(cluster, admin):
    def done(call):
        topic, = call.request.topics
        return dict(topics=[dict(name=topic.name, partitions=[
            dict(partition_id=each.partition_id, low_watermark=each.offset, error_code=0) for each in topic.partitions
        ])])

    def moved(call):
        cluster.log("t", 0).leader = 2
        return dict(topics=[dict(name="t", partitions=[dict(partition_id=0, low_watermark=-1, error_code=6)])])
    cluster[1].on("delete_records", moved)
    cluster[2].on("delete_records", done)
    outcome = yield admin.delete_records({("t", 0): 5, ("t", 1): 7, ("t", 9): 1})
    assert (outcome["t", 0], outcome["t", 1]) == (5, 7)
    assert isinstance(outcome["t", 9], exc.UnknownTopicOrPartitionError)


@with_admin(versions=KNOWN, brokers=2)
def test_every_broker_is_asked_and_one_that_is_down_does_not_hide_the_other(cluster, admin):
    cluster[1].on("describe_log_dirs", dict(error_code=0, results=[dict(
        error_code=56, log_dir="/d", topics=[], total_bytes=-1, usable_bytes=-1)]))
    cluster[2].on("describe_log_dirs", dict(error_code=31, results=[]))
    found = yield admin.describe_log_dirs()
    assert isinstance(found[1]["/d"].error, exc.KafkaStorageError) and found[1]["/d"].total_bytes is None
    assert "Describe on the cluster" in str(found[2])
    cluster[2].on("list_transactions", dict(error_code=0, unknown_state_filters=[], transaction_states=[]))
    cluster[1].on("list_transactions", dict(error_code=15, unknown_state_filters=[], transaction_states=[]))
    yield loop.raises(exc.CoordinatorNotAvailableError, admin.list_transactions(timeout=0.1))


@with_admin(versions=KNOWN, brokers=2)
def test_settings_of_a_broker_are_its_own(cluster, admin):
    def changed(call):
        return dict(responses=[dict(error_code=0, error_message=None, resource_type=each.resource_type,
                                    resource_name=each.resource_name) for each in call.request.resources])
    for broker in cluster.brokers.values():
        broker.on("incremental_alter_configs", changed)
    outcome = yield admin.alter_configs({
        ("broker", 1): {"a": 1.5}, ("broker", "2"): {"b": False},
        ("topic", "t"): {"x": Append(["p", "q"]), "y": Subtract(["r"]), "z": None}
    })
    assert outcome == {Resource("broker", 1): True, Resource("broker", 2): True, Resource("topic", "t"): True}
    changes = {}
    for broker in cluster.brokers.values():
        for call in asked(broker, "incremental_alter_configs"):
            for each in call.request.resources:
                changes[each.resource_name] = broker.id, [
                    (config.name, config.config_operation, config.value) for config in each.configs]
    assert changes["1"] == (1, [("a", 0, "1.5")]) and changes["2"] == (2, [("b", 0, "false")])
    assert changes["t"][1] == [("x", 2, "p,q"), ("y", 3, "r"), ("z", 1, None)]


OLD = dict((api, served) for api, served in KNOWN.items() if api != "incremental_alter_configs")


def setting(name, value, source=5, secret=False):
    return dict(name=name, value=value, read_only=False, config_source=source, is_sensitive=secret, synonyms=[])


def as_of_0_11(name, value, default):
    return dict(name=name, value=value, read_only=False, is_default=default, is_sensitive=False)


def has(*configs):
    """An answer to DescribeConfigs: each resource has these settings."""
    return lambda call: dict(results=[dict(
        error_code=0, error_message=None, resource_type=each.resource_type, resource_name=each.resource_name,
        configs=list(configs)) for each in call.request.resources])


def written(call):
    return dict(responses=[dict(
        error_code=0, error_message=None, resource_type=each.resource_type, resource_name=each.resource_name
    ) for each in call.request.resources])


@with_admin(versions=dict(OLD, alter_configs=(0, 1)))
def test_before_2_3_all_settings_are_written_back(cluster, admin):
    topic = "topic", "t"
    cluster[1].on("describe_configs", has(
        setting("cleanup.policy", "delete"), setting("a", "1", 1), setting("b", "2", 1), setting("c", "3", 4)))
    cluster[1].on("alter_configs", written)
    assert (yield admin.alter_configs({topic: {
        "b": None, "d": 4, "cleanup.policy": Append(["compact", "delete"])}})) == {topic: True}
    whole, = asked(cluster[1], "alter_configs")[0].request.resources
    assert [(each.name, each.value) for each in whole.configs] == [
        ("a", "1"), ("cleanup.policy", "delete,compact"), ("d", "4")]
    yield admin.alter_configs({topic: {"cleanup.policy": Subtract(["delete"])}}, validate_only=True)
    call = asked(cluster[1], "alter_configs")[1].request
    assert call.validate_only and ("cleanup.policy", "") in [
        (each.name, each.value) for each in call.resources[0].configs]
    refused = yield admin.alter_configs({topic: {"a": Append(["2"])}, ("topic", "u"): {"a": 3}})
    assert refused["topic", "u"] is True and "a is no list" in str(refused[topic])
    assert isinstance(refused[topic], exc.UnsupportedVersionError)
    failed = yield loop.raises(exc.UnsupportedVersionError, admin.alter_configs({("group", "g"): {"a": 1}}))
    assert "2.3 or later" in str(failed)


@with_admin(versions=dict(OLD, alter_configs=(0, 1)))
def test_before_2_3_no_secret_is_forgotten(cluster, admin):
    cluster[1].on("describe_configs", has(
        setting("ssl.key.password", None, 2, True), setting("of.the.file", None, 4, True), setting("a", "1", 2),
        setting("of.all", "1", 3)))
    cluster[1].on("alter_configs", written)
    broker = Resource("broker", 1)
    refused = yield admin.alter_configs({broker: {"a": 2}})
    assert "broker 1 has ssl.key.password" in str(refused[broker])
    assert not asked(cluster[1], "alter_configs")
    assert (yield admin.alter_configs({broker: {"a": 2, "ssl.key.password": "new"}})) == {broker: True}
    assert [(each.name, each.value) for each in asked(cluster[1], "alter_configs")[0].request.resources[0].configs] == [
        ("a", "2"), ("ssl.key.password", "new")]


@with_admin(versions=dict(OLD, describe_configs=(0, 0), alter_configs=(0, 0)))
def test_before_1_1_what_is_no_default_is_the_topics_own(cluster, admin):
    gone = dict(error_code=3, error_message="gone", resource_type=2, resource_name="gone", configs=[])
    cluster[1].on("describe_configs", lambda call: dict(results=has(
        as_of_0_11("a", "1", False), as_of_0_11("b", "2", True))(call)["results"][:1] + [gone]))
    cluster[1].on("alter_configs", written)
    outcome = yield admin.alter_configs(
        collections.OrderedDict([(("topic", "t"), {"c": 3}), (("topic", "gone"), {"c": 3})]))
    assert outcome["topic", "t"] is True
    assert isinstance(outcome["topic", "gone"], exc.UnknownTopicOrPartitionError)
    whole, = asked(cluster[1], "alter_configs")[0].request.resources
    assert [(each.name, each.value) for each in whole.configs] == [("a", "1"), ("c", "3")]


@with_admin(versions=dict(KNOWN, create_topics=(0, 0), elect_leaders=(0, 0), update_features=(0, 0),
                          list_transactions=(0, 0), describe_cluster=(0, 1)))
def test_what_came_with_later_versions(cluster, admin):
    control(cluster, 1)
    for call, since in (
        (lambda: admin.create_topics(["t"], validate_only=True), "0.10.2"),
        (lambda: admin.elect_leaders([("t", 0)], unclean=True), "2.4"),
        (lambda: admin.update_features({"f": 1}, validate_only=True), "3.3"),
        (lambda: admin.list_transactions(longer_than=5), "3.8"), (lambda: admin.list_transactions(pattern="a"), "4.1"),
        (lambda: admin.describe_cluster(fenced=True), "4.0"),
    ):
        failed = yield loop.raises(exc.UnsupportedVersionError, call())
        assert "Kafka %s or later" % since in str(failed)
    cluster[1].on("create_topics", topics)
    yield admin.create_topics([NewTopic("t")])
    topic, = asked(cluster[1], "create_topics")[0].request.topics
    assert (topic.num_partitions, topic.replication_factor) == (1, 1)


@with_admin(versions=KNOWN)
def test_a_password_is_sent_as_a_hash_only(cluster, admin):
    control(cluster, 1)
    cluster[1].on("alter_user_scram_credentials", lambda call: dict(results=[
        dict(user=each.name, error_code=0, error_message=None) for each in call.request.upsertions]))
    credential = Credential("alice", "of-the-tests")
    assert "of-the-tests" not in repr(credential) + str(credential) + "%s" % (credential,)
    assert (yield admin.alter_scram_users([credential, Credential("alice", "x", "SCRAM-SHA-256")])) == {"alice": True}
    first, second = asked(cluster[1], "alter_user_scram_credentials")
    assert b"of-the-tests" not in first.payload and repr(first.request.upsertions[0].salt) not in repr(first.request)
    assert [each.request.upsertions[0].mechanism for each in (first, second)] == [2, 1]


@with_admin(versions=KNOWN)
def test_an_abort_that_is_refused_is_raised(cluster, admin):
    cluster[1].on("write_txn_markers", lambda call: dict(markers=[dict(producer_id=7, topics=[dict(
        name="t", partitions=[dict(partition_id=0, error_code=52)])])]))
    producer = ActiveProducer(7, 1, 0, 0, -1, 5)
    yield loop.raises(exc.TransactionCoordinatorFencedError, admin.abort_transaction(("t", 0), producer))
    marker, = asked(cluster[1], "write_txn_markers")[0].request.markers
    assert (marker.producer_id, marker.producer_epoch, marker.coordinator_epoch) == (7, 1, 0)
    assert not marker.transaction_result
