"""Groups seen from outside, against a scripted broker: what real ones can't be made to say at a test's wish."""
from __future__ import absolute_import

import pytest
from tornado import gen

from kiel import exc
from kiel.clients.admin import Admin
from kiel.clients.administering import groups
from kiel.clients.offsets import BEGINNING, END
from kiel.protocol import consumer_group_describe as next_gen
from kiel.protocol import consumer_protocol
from kiel.retry import Backoff

from tests import loop
from tests.clients.grouping.members import requests
from tests.fake import CLOSE, VERSIONS, with_cluster

#: what a broker of 4.4 serves, and what the oldest that knows groups does
NEWEST = dict(VERSIONS["4.4"], list_groups=(0, 5), describe_groups=(0, 6), consumer_group_describe=(0, 1),
              consumer_group_heartbeat=(0, 1), delete_groups=(0, 3), offset_delete=(0, 0))
MIDDLE = dict(VERSIONS["2.8"], list_groups=(0, 4), describe_groups=(0, 5), delete_groups=(0, 2), offset_delete=(0, 0))
OLDEST = dict(VERSIONS["0.10"], list_groups=(0, 0), describe_groups=(0, 0))


def with_admin(versions=NEWEST, brokers=1, topics=None, **settings):
    """Runs the test with a cluster and a connected `Admin`."""
    def decorate(test):
        @with_cluster(versions=versions, brokers=brokers, topics=topics or {"t": 2})
        def run(cluster):
            made = dict(connect_timeout=0.5, request_timeout=0.5, retry=Backoff(first=0.01, most=0.05, deadline=1))
            admin = Admin(cluster.bootstrap, **dict(made, **settings))
            yield admin.connect()
            try:
                yield gen.coroutine(test)(cluster, admin)
            finally:
                yield admin.close()
        run.__name__ = test.__name__
        return run
    return decorate


def listing(*groups):
    """An answer to ListGroups."""
    return dict(error_code=0, groups=[
        dict(group_id=name, protocol_type="consumer", group_state=state, group_type=kind)
        for name, state, kind in groups
    ])


def classic(call, state="Stable", code=0, members=None):
    """An answer to DescribeGroups."""
    if members is None:
        subscription = consumer_protocol.Subscription(version=1, topics=["t"])
        share = consumer_protocol.TopicAssignment(name="t", partitions=[1, 0])
        assignment = consumer_protocol.Assignment(topics=[share])
        members = [dict(member_id="m2", client_id="b", client_host="/h", metadata=b"", assignment=b""),
                   dict(member_id="m1", client_id="a", client_host="/h", metadata=subscription.encode(),
                        assignment=assignment, group_instance_id="one" if call.version >= 4 else None)]
    return dict(groups=[dict(error_code=code, group_id=call.request.groups[0], state=state, protocol_type="consumer",
                             protocol="range", members=members)])


def empty(call):
    return classic(call, "Empty", members=[])


def refused(call, code=69):
    """An answer to ConsumerGroupDescribe about a group that is none of the next generation."""
    return dict(groups=[dict(error_code=code, group_id=call.request.group_ids[0], error_message="no")])


def modern(call):
    """An answer to ConsumerGroupDescribe."""
    def share(*ids):
        return next_gen.Assignment(topic_partitions=[
            next_gen.TopicPartitions(topic_id=b"1" * 16, topic_name="t", partitions=list(ids))])
    return dict(groups=[dict(
        error_code=0, group_id=call.request.group_ids[0], group_state="Reconciling", group_epoch=7, assignment_epoch=7,
        assignor_name="uniform", members=[next_gen.Member(
            member_id="m", instance_id=None, rack_id="r", member_epoch=6, client_id="c", client_host="/h",
            subscribed_topic_names=["t"], assignment=share(1), target_assignment=share(1, 0), member_type=1)])])


# -- describing --

@with_admin()
def test_a_next_generation_group(cluster, admin):
    cluster[1].on("consumer_group_describe", modern)
    group = (yield admin.describe_groups(["g"]))["g"]
    assert group._replace(members=None) == ("g", "consumer", "consumer", "Reconciling", "uniform", 7, 1, None)
    assert group.members == [("m", None, "c", "/h", "r", ["t"], {"t": [1]}, {"t": [0, 1]}, 6, "consumer")]
    assert not cluster.count("describe_groups")


@pytest.mark.parametrize("code", [69, 35])
def test_a_classic_group_where_both_are_served(code):
    @with_admin()
    def check(cluster, admin):
        cluster[1].on("consumer_group_describe", lambda call: refused(call, code))
        cluster[1].on("describe_groups", classic)
        group = (yield admin.describe_groups(["g"]))["g"]
        assert group._replace(members=None) == ("g", "classic", "consumer", "Stable", "range", None, 1, None)
        assert [member.client_id for member in group.members] == ["a", "b"]
        assert group.members[0] == ("m1", "one", "a", "/h", None, ["t"], {"t": [0, 1]}, None, None, "classic")
        assert group.members[1].topics == [] and group.members[1].assignment == {}
    check()


@with_admin()
def test_a_group_that_is_not_there(cluster, admin):
    cluster[1].on("consumer_group_describe", refused)
    cluster[1].on("describe_groups", lambda call: classic(call, "", 69, []))
    assert (yield admin.describe_groups(["g"]))["g"] == ("g", None, "", "Dead", "", None, 1, [])


@with_admin(OLDEST)
def test_members_of_something_else_than_consumers(cluster, admin):
    def connect(call):
        answer = classic(call, members=[dict(member_id="m", client_id="c", client_host="/h", metadata=b"\xff\xff",
                                             assignment=b"\x00")])
        answer["groups"][0]["protocol_type"] = "connect"
        return answer
    cluster[1].on("describe_groups", connect)
    group = (yield admin.describe_groups(["g"]))["g"]
    assert group.protocol_type == "connect" and group.members[0].assignment == {}


@with_admin(MIDDLE, brokers=2)
def test_a_coordinator_that_moves_is_looked_up_again(cluster, admin):
    def moved(call):
        cluster.coordinator = 2
        return classic(call, "", 16, [])
    cluster[1].on("describe_groups", moved)
    cluster[2].on("describe_groups", empty)
    assert (yield admin.describe_groups(["g"]))["g"].coordinator == 2


@with_admin(MIDDLE)
def test_what_passes_is_tried_again_and_what_stays_is_raised_in_time(cluster, admin):
    cluster[1].on("describe_groups", lambda call: classic(call, "", 15, []))
    begun = admin.io_loop.time()
    yield loop.raises(exc.CoordinatorNotAvailableError, admin.describe_groups(["g"]), 4)
    assert admin.io_loop.time() - begun < 3.5
    assert cluster.count("describe_groups") > 3
    cluster[1].on("describe_groups", lambda call: classic(call, "", 30, []))
    yield loop.raises(exc.GroupAuthorizationFailedError, admin.describe_groups(["g", "h"]))


# -- listing --

@with_admin(brokers=2)
def test_all_brokers_are_asked(cluster, admin):
    cluster[1].on("list_groups", listing(("b", "Stable", "Classic")))
    cluster[2].on("list_groups", listing(("a", "Empty", "Consumer"), ("s", "Empty", "Share")))
    assert (yield admin.list_groups()) == [
        ("a", "consumer", "Empty", "consumer"), ("b", "consumer", "Stable", "classic"),
        ("s", "consumer", "Empty", "share")]
    assert [each.group for each in (yield admin.list_groups(states=["EMPTY"]))] == ["a", "s"]
    assert [each.group for each in (yield admin.list_groups(types=["classic", "consumer"]))] == ["a", "b"]


@with_admin(OLDEST)
def test_states_come_from_describing_where_lists_have_none(cluster, admin):
    cluster[1].on("list_groups", listing(("a", "", ""), ("b", "", "")))
    cluster[1].on("describe_groups", lambda call: classic(call, "Stable" if call.request.groups == ["a"] else "Empty"))
    assert (yield admin.list_groups(["stable"])) == [("a", "consumer", "Stable", "classic")]


@with_admin(brokers=2)
def test_a_list_with_a_broker_missing_is_no_list(cluster, admin):
    cluster[1].on("list_groups", listing(("a", "Empty", "Classic")))
    cluster[2].on("list_groups", CLOSE)
    yield loop.raises(exc.BrokerConnectionError, admin.list_groups())

    def later(call):
        cluster[2].on("list_groups", listing(("b", "Empty", "Classic")))
        return CLOSE
    cluster[2].on("list_groups", later)
    assert [each.group for each in (yield admin.list_groups())] == ["a", "b"]


# -- offsets --

@with_admin(topics={"t": 2, "u": 1})
def test_all_that_a_group_has(cluster, admin):
    answer = dict(groups=[dict(group_id="g", topics=[
        dict(name="t", partitions=[dict(partition_id=1, offset=4, metadata=""), dict(partition_id=0, offset=-1)]),
        dict(name="gone", partitions=[dict(partition_id=0, offset=9, metadata="")])])])
    cluster[1].on("offset_fetch", answer)
    assert (yield admin.committed_offsets("g")) == {("t", 1): 4, ("gone", 0): 9}
    call, = requests(cluster, "offset_fetch")
    assert call.request.groups[0].topics is None and call.version == 9

    answer["groups"][0]["error_code"] = 30
    yield loop.raises(exc.GroupAuthorizationFailedError, admin.committed_offsets("g"))


@with_admin(dict(OLDEST, offset_fetch=(0, 1)), topics={"t": 2, "u": 1})
def test_all_that_a_group_has_where_partitions_must_be_named(cluster, admin):
    cluster.kafka_offsets["g", "u", 0] = 3, ""
    cluster.zookeeper_offsets["g", "u", 0] = 5, ""
    assert (yield admin.committed_offsets("g")) == {("u", 0): 3}
    admin.zookeeper_offsets = True
    assert (yield admin.committed_offsets("g")) == {("u", 0): 5}
    assert (yield admin.committed_offsets("g", ["t"])) == {("t", 0): None, ("t", 1): None}


@with_admin(MIDDLE)
def test_lag_shows_members_without_offsets_and_what_can_not_be_known(cluster, admin):
    cluster[1].on("describe_groups", classic)
    cluster[1].on("offset_fetch", dict(topics=[
        dict(name="t", partitions=[dict(partition_id=0, offset=1, metadata="")]),
        dict(name="gone", partitions=[dict(partition_id=0, offset=9, metadata="")])]))
    cluster.log("t", 0).put(b"a", b"b", b"c")
    cluster.log("t", 1).put(b"d")
    lag = yield admin.lag("g")
    assert set(lag) == {("t", 0), ("t", 1), ("gone", 0)}
    assert lag["t", 0][:3] == (1, 3, 2) and lag["t", 0].member.member_id == "m1"
    assert lag["t", 1][:3] == (None, 1, None) and lag["t", 1].member.member_id == "m1"
    assert lag["gone", 0][:3] == (9, None, None) and lag["gone", 0].member is None
    assert isinstance(lag["gone", 0].error, exc.UnknownTopicOrPartitionError)


@with_admin(MIDDLE)
def test_lag_of_a_partition_without_leader(cluster, admin):
    usual, groups.LAG_TIME = groups.LAG_TIME, 0.2
    try:
        cluster[1].on("describe_groups", empty)
        cluster.kafka_offsets["g", "t", 0] = cluster.kafka_offsets["g", "t", 1] = 0, ""
        cluster.log("t", 1).leader = -1
        yield admin.cluster.heal()
        lag = yield admin.lag("g", "t")
    finally:
        groups.LAG_TIME = usual
    assert lag["t", 0].lag == 0 and lag["t", 0].error is None
    assert isinstance(lag["t", 1].error, exc.LeaderNotAvailableError) and lag["t", 1].lag is None


# -- changing --

@with_admin(MIDDLE)
def test_a_live_group_is_not_reset(cluster, admin):
    cluster[1].on("describe_groups", classic)
    error = yield loop.raises(exc.NonEmptyGroupError, admin.reset_offsets("g", END, ["t"]))
    assert "2 live member(s): a at /h, b at /h" in str(error)
    # even while its members are only on their way
    cluster[1].on("describe_groups", lambda call: classic(call, "PreparingRebalance", members=[]))
    yield loop.raises(exc.NonEmptyGroupError, admin.reset_offsets("g", END, ["t"], dry_run=True))
    assert not cluster.count("offset_commit")


@pytest.mark.parametrize("code", [22, 25, 27])
def test_a_group_that_comes_alive_during_a_reset(code):
    @with_admin(MIDDLE)
    def check(cluster, admin):
        cluster[1].on("describe_groups", empty)
        cluster[1].on("offset_commit", dict(topics=[
            dict(name="t", partitions=[dict(partition_id=number, error_code=code) for number in (0, 1)])]))
        error = yield loop.raises(exc.NonEmptyGroupError, admin.reset_offsets("g", BEGINNING, ["t"]))
        assert "live members again" in str(error)
    check()


@with_admin(MIDDLE)
def test_a_dry_run_changes_nothing_and_says_what_would_be(cluster, admin):
    cluster[1].on("describe_groups", empty)
    cluster.log("t", 0).put(b"a", b"b")
    cluster.kafka_offsets["g", "t", 0] = 1, ""
    plan = yield admin.reset_offsets("g", {("t", 0): 2 ** 40, ("t", 1): 0}, dry_run=True)
    assert plan == {("t", 0): (1, 2), ("t", 1): (None, 0)}
    assert not cluster.count("offset_commit")
    assert (yield admin.reset_offsets("g", dict((key, move.after) for key, move in plan.items()))) == plan
    assert cluster.kafka_offsets["g", "t", 0][0] == 2
    assert all(call.request.generation == -1 and not call.request.consumer_id
               for call in requests(cluster, "offset_commit"))


@with_admin(MIDDLE)
def test_what_a_reset_does_not_understand(cluster, admin):
    for to in (None, True, "end", 1.5, -7):
        yield loop.raises(ValueError, admin.reset_offsets("g", to))
    yield loop.raises(ValueError, admin.reset_offsets("g", {("t", 0): 1}, topics=["t"]))
    cluster[1].on("describe_groups", empty)
    yield loop.raises(exc.UnknownTopicOrPartitionError, admin.reset_offsets("g", {("t", 9): 1}))
    yield loop.raises(exc.UnknownTopicOrPartitionError, admin.reset_offsets("g", END, ["nowhere"]))


@with_admin()
def test_the_brokers_words_on_a_deletion_are_shown(cluster, admin):
    def no(call):
        return dict(results=[dict(group_id="g", error_code=134, error_message="the disk is on fire")])
    cluster[1].on("delete_groups", no)
    error = yield loop.raises(exc.GroupDeletionFailedError, admin.delete_group("g"))
    assert "the disk is on fire" in str(error)
    cluster[1].on("delete_groups", dict(results=[dict(group_id="g", error_code=68)]))
    error = yield loop.raises(exc.NonEmptyGroupError, admin.delete_group("g"))
    assert "stop its members" in str(error)


@with_admin(MIDDLE)
def test_deleting_offsets_does_what_it_can(cluster, admin):
    cluster[1].on("offset_delete", dict(error_code=0, topics=[dict(name="t", partitions=[
        dict(partition_id=0, error_code=0), dict(partition_id=1, error_code=86)])]))
    error = yield loop.raises(exc.GroupSubscribedToTopicError, admin.delete_offsets("g", [("t", 0), ("t", 1)]))
    assert "t:1 of group g" in str(error)
    cluster[1].on("offset_delete", dict(error_code=69))
    yield loop.raises(exc.GroupIdNotFoundError, admin.delete_offsets("g", [("t", 0)]))


@with_admin(VERSIONS["0.11"])
def test_what_a_broker_is_too_old_for(cluster, admin):
    for future, words in ((admin.delete_group("g"), "needs Kafka 1.1"), (admin.delete_offsets("g", [("t", 0)]), "2.4"),
                          (admin.list_groups(), "0.9"), (admin.describe_groups(["g"]), "0.9")):
        error = yield loop.raises(exc.UnsupportedVersionError, future)
        assert words in str(error)
