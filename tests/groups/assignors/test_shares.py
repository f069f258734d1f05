"""What must hold of every assignor, on random groups; against Java's: test_java.py."""
from __future__ import absolute_import

import itertools
import os
import random
import time

import pytest

from kiel import allocation
from kiel.groups import assignors
from kiel.groups.assignors import Member, by_name
from kiel.groups.assignors.sticky import PreviousAssignment, PreviousGeneration, claims
from kiel.protocol.consumer_protocol import Subscription, TopicAssignment
from tests.groups.assignors import shares as measure


def seeded():
    seed = int(os.environ.get("KIEL_SEED") or random.randrange(10 ** 9))
    print("KIEL_SEED=%d" % seed)
    return random.Random(seed)


def naive(members, partitions):
    """What "naive" gives, as an assignor."""
    return assignors.from_function(allocation.naive_allocator).assign(members, partitions)


@pytest.mark.parametrize("name", ["range", "roundrobin", "sticky", "function"])
def test_everything_wanted_is_shared_out(name):
    rnd = seeded()
    assign = naive if name == "function" else by_name[name].assign
    for _ in range(300):
        members, partitions = measure.random_group(rnd)
        measure.check_valid(assign(members, partitions), members, partitions)


@pytest.mark.parametrize("name", sorted(by_name))
def test_the_order_in_which_members_come_does_not_matter(name):
    rnd = seeded()
    for _ in range(50):
        members, partitions = measure.random_group(rnd)
        items = list(members.items())
        rnd.shuffle(items)
        assert by_name[name].assign(dict(items), partitions) == by_name[name].assign(members, partitions)


def all_ways(members, partitions):
    """Every way to share out, as shares: the slow twin."""
    keys = [(topic, partition) for topic, ids in sorted(partitions.items()) for partition in ids
            if any(topic in member.topics for member in members.values())]
    choices = [[m for m in sorted(members) if topic in members[m].topics] for topic, _ in keys]
    for owners in itertools.product(*choices):
        found = dict((member_id, {}) for member_id in members)
        for (topic, partition), owner in zip(keys, owners):
            found[owner].setdefault(topic, []).append(partition)
        yield found


def test_sticky_is_the_best_of_all_ways():
    rnd = seeded()
    tried = 0
    while tried < 60:
        members, partitions = measure.random_group(rnd, alike=False, biggest=4)
        if len(members) ** sum(len(ids) for ids in partitions.values()) > 5000:
            continue
        tried += 1
        owners = claims(members, partitions)

        def worth(found):
            return measure.unevenness(found), measure.moves(owners, found)

        assert worth(by_name["sticky"].assign(members, partitions)) == min(
            worth(found) for found in all_ways(members, partitions))


def test_sticky_leaves_an_even_share_alone():
    rnd = seeded()
    for _ in range(100):
        members, partitions = measure.random_group(rnd)
        for name in ("sticky", "cooperative-sticky"):
            assign = by_name[name].assign
            found = measure.settle(lambda now: assign(now, partitions), members, partitions, name != "sticky")[-1]
            assert assign(measure.next_round(members, found, 99), partitions) == found


def test_cooperative_gives_nobody_what_another_has_to_give_up():
    rnd = seeded()
    for _ in range(200):
        members, partitions = measure.random_group(rnd)
        assign = by_name["cooperative-sticky"].assign
        rounds = measure.settle(lambda now: assign(now, partitions), members, partitions)
        assert len(rounds) <= 2
        measure.check_valid(rounds[-1], members, partitions)
        assert rounds[-1] == by_name["sticky"].assign(members, partitions) or rounds[1:] and (
            measure.unevenness(rounds[-1]) == measure.unevenness(by_name["sticky"].assign(members, partitions)))


def test_of_two_that_claim_a_partition_the_later_is_believed():
    partitions = {"t": [0, 1]}
    members = {"a": Member(["t"], {"t": [0, 1]}, 7), "b": Member(["t"], {"t": [0]}, 8)}
    assert claims(members, partitions) == {("t", 0): "b", ("t", 1): "a"}
    assert by_name["cooperative-sticky"].assign(members, partitions) == {"a": {"t": [1]}, "b": {"t": [0]}}


def test_of_two_that_claim_a_partition_in_one_generation_both_give_it_up():
    partitions = {"t": [0, 1]}
    members = {"a": Member(["t"], {"t": [0, 1]}, 8), "b": Member(["t"], {"t": [0]}, 8)}
    assert claims(members, partitions) == {("t", 1): "a"}
    assert by_name["cooperative-sticky"].assign(members, partitions) == {"a": {"t": [1]}, "b": {}}
    assert by_name["sticky"].assign(members, partitions) == {"a": {"t": [1]}, "b": {"t": [0]}}


def test_what_a_member_no_longer_wants_waits_until_it_is_given_up():
    members = {"a": Member(["u"], {"t": [0]}, 8), "b": Member(["t"], {}, 8)}
    assert by_name["cooperative-sticky"].assign(members, {"t": [0], "u": [0]}) == {"a": {"u": [0]}, "b": {}}


def test_what_is_given_up_is_of_all_topics_alike():
    partitions = {"t": list(range(10)), "u": list(range(10))}
    members = {"a": Member(["t", "u"], partitions, 8), "b": Member(["t", "u"], {}, 8)}
    found = by_name["sticky"].assign(members, partitions)
    assert dict((topic, len(ids)) for topic, ids in found["a"].items()) == {"t": 5, "u": 5}


def big_group(topics, alike):
    """100 members and 10,000 partitions; half the members are new, a third of those that were there are gone."""
    rnd = random.Random(7)
    partitions = dict(("t%d" % number, list(range(10000 // topics))) for number in range(topics))
    members = {}
    for number in range(100):
        wanted = partitions if alike else rnd.sample(sorted(partitions), max(1, topics // 2))
        members["m%03d" % number] = Member(wanted, {}, 3)
    old = sorted(members)[:75]
    owned = dict((member_id, {}) for member_id in old)
    for topic, ids in partitions.items():
        for partition in ids:
            owned[rnd.choice(old)].setdefault(topic, []).append(partition)
    for member_id in old[:50]:
        members[member_id] = members[member_id]._replace(owned=dict(
            (topic, ids) for topic, ids in owned[member_id].items() if topic in members[member_id].topics))
    return members, partitions


@pytest.mark.parametrize("name", sorted(by_name))
@pytest.mark.parametrize("topics,alike", [(1, True), (1000, True), (100, False)])
def test_a_big_group_takes_no_time(name, topics, alike):
    members, partitions = big_group(topics, alike)
    begun = time.time()
    found = by_name[name].assign(members, partitions)
    took = time.time() - begun
    print("%s: %.2f s" % (name, took))
    assert sum(len(ids) for share in found.values() for ids in share.values()) > (0 if "coop" in name else 9000)
    assert took < 5  # less than one where nothing else runs


# -- metadata --

def test_owned_partitions_travel_with_cooperative_sticky_only():
    owned = {"t": [2, 0], "u": []}
    for name, assignor in by_name.items():
        for version in range(4):
            sent = Subscription.unpack(assignor.metadata({"u", "t"}, owned, 5, version, "r").encode())
            assert sent.version == version and sent.topics == ["t", "u"]
            assert bool(sent.owned_partitions) == (name == "cooperative-sticky" and version > 0)
            assert sent.rack_id == ("r" if version > 2 else None)
            found = assignor.member(sent, "i")
            assert (found.topics, found.instance_id) == (frozenset(["t", "u"]), "i")
            if name == "sticky" or name == "cooperative-sticky" and version > 0:
                assert (found.owned, found.generation) == ({"t": [0, 2]}, 5)
            else:
                assert found.owned == {}


def test_user_data_of_every_kind_is_read():
    topics = [TopicAssignment(name="t", partitions=[1])]
    v0 = PreviousAssignment(previous_assignment=topics).encode(0)
    v1 = PreviousAssignment(previous_assignment=topics, generation=9).encode(1)
    sticky, cooperative = by_name["sticky"], by_name["cooperative-sticky"]
    for data, owned, generation in ((v0, {"t": [1]}, -1), (v1, {"t": [1]}, 9), (b"", {}, -1), (None, {}, -1),
                                    (b"\x7f\xff\xff\xff", {}, -1), (b"junk!", {}, -1)):
        found = sticky.member(Subscription(version=0, topics=["t"], user_data=data))
        assert (found.owned, found.generation) == (owned, generation)
    for data, generation in ((PreviousGeneration(generation=4).encode(0), 4), (v1, 9), (None, -1), (b"junk!", -1)):
        found = cooperative.member(Subscription(version=1, topics=["t"], owned_partitions=topics, user_data=data))
        assert (found.owned, found.generation) == ({"t": [1]}, generation)


def test_kafka_python_s_user_data_is_read():
    """It has a version before it, unlike Java's: bytes of kafka-python 3.0.12."""
    data = b"\0\1" + PreviousAssignment(
        previous_assignment=[TopicAssignment(name="t", partitions=[0, 3])], generation=7).encode(1)
    found = by_name["sticky"].member(Subscription(version=0, topics=["t"], user_data=data))
    assert (found.owned, found.generation) == ({"t": [0, 3]}, 7)


def test_members_that_do_not_tell_their_generation_settle_too():
    """As those of kafka-python, which writes version 1 of the subscription without user data."""
    rnd = seeded()
    assign = by_name["cooperative-sticky"].assign
    for _ in range(100):
        members, partitions = measure.random_group(rnd)
        silent = set(member_id for member_id in members if rnd.random() < .5)

        def as_told(now):
            return dict((member_id, member._replace(generation=-1) if member_id in silent else member)
                        for member_id, member in now.items())

        # what both claim is believed of the one that tells: so the others have to see that they lost it
        found = measure.settle(lambda now: assign(as_told(now), partitions), members, partitions, False)[-1]
        measure.check_valid(found, members, partitions)


# -- Java's order, functions --

def test_static_members_come_first_in_the_order_of_their_names():
    members = {"a": Member(["t"]), "b": Member(["t"], instance_id="z"), "c": Member(["t"], instance_id="y")}
    assert by_name["range"].assign(members, {"t": [0, 1, 2]}) == {"c": {"t": [0]}, "b": {"t": [1]}, "a": {"t": [2]}}


def test_text_is_ordered_by_utf_16_as_in_java():
    early, late = u"\U0001F600", u"\uFB00"
    members = {early: Member([u"t"]), late: Member([u"t"])}
    assert by_name["range"].assign(members, {u"t": [0]})[early] == {u"t": [0]}


def test_a_function_is_called_for_each_set_of_subscribers():
    calls = []

    def mine(members, partitions):
        """All to the first; and what nobody asked for."""
        calls.append((members, partitions))
        return {members[0]: dict(allocation.group(partitions), stranger=[1]), "stranger": {"t": [0]}}

    assignor = assignors.from_function(mine)
    assert assignor.name == "mine" and not assignor.cooperative
    assert assignors.from_function(mine, "theirs").name == "theirs"
    assert assignors.from_function(assignor) is assignor
    members = {"b": Member(["t", "u"]), "a": Member(["t", "u", "v"]), "c": Member(["w"])}
    found = assignor.assign(members, {"t": [0, 1], "u": [0], "v": [0], "x": [0]})
    assert found == {"a": {"t": [0, 1], "u": [0], "v": [0]}, "b": {}, "c": {}}
    assert sorted(calls) == [(["a"], ["v:0"]), (["a", "b"], ["t:0", "t:1", "u:0"])]


def test_nothing_to_share_or_nobody():
    for assignor in by_name.values():
        assert assignor.assign({"a": Member(["t"])}, {}) == {"a": {}}
        assert assignor.assign({"a": Member(["t"])}, {"t": []}) == {"a": {}}
        assert assignor.assign({"a": Member()}, {"t": [0]}) == {"a": {}}
        assert assignor.assign({}, {"t": [0]}) == {}
