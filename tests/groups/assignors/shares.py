"""Random groups, and what their shares are worth: for the tests of assignors."""
from __future__ import absolute_import

from kiel.groups.assignors import Member
from kiel.groups.assignors.sticky import claims


def random_group(rnd, alike=None, biggest=8):
    """
    (members, partitions): each with a history that may be old, contradictory, or about what is gone.

    :param alike: whether all subscribe to the same; None: as it comes
    """
    partitions = dict(
        (u"t%d" % number, list(range(rnd.randint(1, biggest)))) for number in range(rnd.randint(1, 5)))
    known = sorted(partitions) + [u"gone"]
    alike = rnd.random() < .5 if alike is None else alike
    common = rnd.sample(known, rnd.randint(1, len(known)))
    members = {}
    for number in range(rnd.randint(1, 7)):
        topics = common if alike else rnd.sample(known, rnd.randint(1, len(known)))
        instance = u"i%d" % rnd.randint(0, 10 ** 6) if rnd.random() < .3 else None
        members[u"m%d" % rnd.randint(0, 10 ** 6)] = Member(topics, {}, -1, instance)
    if rnd.random() < .8:
        give_history(rnd, members, partitions)
    return members, partitions


def give_history(rnd, members, partitions):
    """Most partitions get an owner of the last generation, in place; now and then two claim one."""
    owned = dict((member_id, {}) for member_id in members)
    favourites = rnd.sample(sorted(members), rnd.randint(1, len(members)))
    stale = set(member_id for member_id in members if rnd.random() < .1)
    for topic, ids in partitions.items():
        for partition in ids:
            if rnd.random() < .85:
                owned[rnd.choice(favourites)].setdefault(topic, []).append(partition)
    for member_id in sorted(stale):
        for topic, ids in owned[rnd.choice(favourites)].items():
            owned[member_id][topic] = sorted(set(owned[member_id].get(topic, []) + ids[:2]))
    for member_id, member in list(members.items()):
        members[member_id] = member._replace(owned=owned[member_id], generation=6 if member_id in stale else 7)


def pairs(shares):
    """Member id -> topic -> ids as (topic, id) -> member id; nothing may be in there twice."""
    owners = {}
    for member_id, topics in shares.items():
        for topic, ids in topics.items():
            for partition in ids:
                assert (topic, partition) not in owners, "%s:%s has two owners" % (topic, partition)
                owners[topic, partition] = member_id
    return owners


def unevenness(shares):
    """Java's measure: the sum of the differences of all pairs of members."""
    sizes = [sum(len(ids) for ids in topics.values()) for topics in shares.values()]
    return sum(abs(one - other) for at, one in enumerate(sizes) for other in sizes[:at])


def moves(owners, shares):
    """How many partitions went from a member that had them to another."""
    now = pairs(shares)
    return sum(1 for key, member_id in owners.items() if now.get(key, member_id) != member_id)


def check_valid(shares, members, partitions):
    """Every partition that somebody wants is with one who wants it; all members are there."""
    assert set(shares) == set(members)
    owners = pairs(shares)
    wanted = set((topic, partition) for member in members.values() for topic in member.topics
                 for partition in partitions.get(topic, ()))
    assert set(owners) == wanted
    for (topic, _), member_id in owners.items():
        assert topic in members[member_id].topics
    for topics in shares.values():
        assert all(ids and ids == sorted(ids) for ids in topics.values())


def next_round(members, shares, generation):
    """The members as they join again, keeping their shares."""
    return dict((member_id, member._replace(owned=shares[member_id], generation=generation))
                for member_id, member in members.items())


def settle(assign, members, partitions, strict=True, most=6):
    """
    Rebalances cooperatively until nobody has to join again; gives the shares after each round.

    :param strict: a member may take on only what nobody else has at that time: anything else fails
    """
    rounds, generation = [], max(member.generation for member in members.values())
    while len(rounds) < most:
        shares = assign(members)
        now = pairs(shares)
        for member_id, member in members.items():
            for topic, ids in member.owned.items():
                for partition in ids:
                    other = now.get((topic, partition), member_id)
                    if strict and other != member_id:
                        assert claims(members, partitions).get((topic, partition)) == other, "taken before given up"
        rounds.append(shares)
        again = any(set(ids).difference(shares[member_id].get(topic, ()))
                    for member_id, member in members.items() for topic, ids in member.owned.items())
        generation += 1
        members = next_round(members, shares, generation)
        if not again:
            return rounds
    raise AssertionError("%d rounds and not settled" % most)
