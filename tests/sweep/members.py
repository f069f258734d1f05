"""Members of a group in the sweep, with a coordinator that has one member: of the old kind, and of the next."""
from __future__ import absolute_import

from tornado import gen

from kiel import clients, exc
from kiel.groups import refusals
from kiel.protocol.consumer_group_heartbeat import Assignment, TopicPartitions
from kiel.retry import monotonic

from tests.fake import VERSIONS as RELEASES

VERSIONS = dict(RELEASES["4.4"], heartbeat=(0, 4), leave_group=(0, 5), join_group=(2, 9), sync_group=(0, 5),
                consumer_group_heartbeat=(0, 1))

#: kind of group -> the apis that its members use
APIS = {
    "classic": ("metadata", "group_coordinator", "join_group", "sync_group", "heartbeat", "offset_fetch",
                "offset_commit", "leave_group"),
    "consumer": ("group_coordinator", "consumer_group_heartbeat", "offset_fetch", "offset_commit"),
}

#: errors after which a member does not go on, as `kiel.groups.refusals` says, and the apis that tell them
FINAL = frozenset(type(exc.for_code(code)).__name__ for code in refusals.FINAL)
MEMBERSHIP = ("join_group", "sync_group", "heartbeat", "consumer_group_heartbeat")


#: seconds that closing may take
CLOSING = 10.0


class Coordinator(object):
    """As much of a group's coordinator as one member needs."""

    def __init__(self, cluster):
        self.generation = 0
        for api in ("join_group", "sync_group", "consumer_group_heartbeat"):
            cluster[1].on(api, getattr(self, api))

    def join_group(self, call):
        request = call.request
        self.generation += 1
        return dict(error_code=0, generation_id=self.generation, protocol_type="consumer",
                    protocol=request.group_protocols[0].name, leader_id="m", member_id="m", members=[
                        dict(member_id="m", metadata=request.group_protocols[0].metadata)])

    @staticmethod
    def sync_group(call):
        given = [each.assignment for each in call.request.assignments if each.member_id == "m"]
        return dict(error_code=0, protocol_type="consumer", protocol_name="range", assignment=(given + [b""])[0])

    def consumer_group_heartbeat(self, call):
        request = call.request
        if request.member_epoch < 0:
            return dict(error_code=0, member_id=request.member_id, member_epoch=request.member_epoch)
        if request.member_epoch == 0:
            self.generation += 1
        return dict(error_code=0, member_id=request.member_id, member_epoch=self.generation, heartbeat_interval=50,
                    assignment=Assignment(topic_partitions=[
                        TopicPartitions(topic_id=call.cluster.topic_ids["t"], partitions=[0])]))


def refusal(api, code):
    """What refuses a request, in the shape of the api's own answer; None where the fake knows how."""
    shapes = {
        "join_group": dict(generation_id=-1, protocol_type=None, protocol=None, leader_id="", member_id="m"),
        "sync_group": dict(protocol_type=None, protocol_name=None, assignment=b""),
        "consumer_group_heartbeat": dict(member_epoch=0, heartbeat_interval=50),
    }
    return (lambda call: dict(shapes[api], error_code=code)) if api in shapes else None


def stored(cluster):
    """The offset that the group has committed."""
    return cluster.kafka_offsets.get(("g", "t", 0), (0, ""))[0]


@gen.coroutine
def case(cluster, ledger, api, fault, protocol):
    """
    All messages are handed out, in their order, and what was committed is.

    One may come again where its commit failed; a member that can't go on raises that for good.
    """
    Coordinator(cluster)
    cluster.log("t", 0).put(b"1", b"2", b"3")
    member = clients.GroupedConsumer(
        cluster.bootstrap, "g", topics=["t"], deserializer=bytes, max_wait_time=200, autocommit=False,
        group_protocol=protocol, session_timeout=10, heartbeat_interval=0.05, max_records=1, **ledger.settings)
    late = api in ("heartbeat", "offset_commit")  # these come once it is in
    ended = None if late or api == "leave_group" else fault.begin(api)
    committed = 0
    final = False
    try:
        for _ in range(10):
            connected, _ = yield ledger.attempt(member.connect())
            if connected:
                break
            yield gen.sleep(0.1)
        for _ in range(80):
            if late and ledger.done:
                late, ended = False, fault.begin(api)
                yield gen.sleep(0.15 if api == "heartbeat" else 0)
            good, messages = yield ledger.attempt(member.consume("t", start=clients.BEGINNING))
            ledger.done.extend(messages or ())
            if ledger.done and int(ledger.done[-1]) > committed:  # what came now, or what could not be committed before
                good, _ = yield ledger.attempt(member.commit_offsets())
                committed = max(committed, int(ledger.done[-1])) if good else committed
            if not good:
                yield gen.sleep(0.05)
            final = api in MEMBERSHIP and bool(FINAL.intersection(ledger.raised))
            if committed == 3 or final:
                break
        yield ended or gen.moment
    finally:
        if api == "leave_group":
            ended = fault.begin(api)
        begun = monotonic()
        yield member.close()
        took = monotonic() - begun
    if took > CLOSING or (api == "leave_group" and not fault.refused):
        raise gen.Return("close() took %.1f s, %d requests were refused" % (took, fault.refused))
    if stored(cluster) < committed:
        raise gen.Return("committed %d, and it is not" % committed)
    values = sorted(set(ledger.done))
    if final:
        raise gen.Return(None)
    if committed < 3:
        raise gen.Return("does not recover: handed out %r, committed %d: %s" % (
            ledger.done, committed, ", ".join(sorted(set(ledger.raised)))))
    if values != [b"1", b"2", b"3"]:
        raise gen.Return("handed out %r" % ledger.done)
    if len(ledger.done) != 3 and not ledger.raised:
        raise gen.Return("handed out again with no word: %r" % ledger.done)
