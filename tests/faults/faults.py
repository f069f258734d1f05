"""
The faults, each a coroutine that waits for requests to be under way, strikes, and mends what it broke.

`FAULTS` is the table: name -> `Fault`. A fault gets the `tests.faults.world.World`.
"""
from __future__ import absolute_import

import collections
import subprocess

from tornado import gen

#: name, what it does, the coroutine function, "zk", "kraft" or "" for both, what is done before anything is produced,
#: and what goes on meanwhile: "messages", "transactions" or "exactly-once"
Fault = collections.namedtuple("Fault", "name text run mode prepare work")

FAULTS = collections.OrderedDict()


def fault(name, text, mode="", prepare=None, work="messages"):
    """Enters a coroutine function into `FAULTS`."""
    def enter(function):
        FAULTS[name] = Fault(name, text, gen.coroutine(function), mode, prepare, work)
        return function
    return enter


@fault("leader-killed", "kill -9 of a leader, started again after 4 s")
def leader_killed(world):
    leader = world.leader()
    yield world.strike()
    leader.kill()
    yield gen.sleep(4)
    yield world.thread(leader.start)


@fault("leader-paused", "SIGSTOP of a leader for 10 s, past every time-out, then SIGCONT")
def leader_paused(world):
    leader = world.leader()
    yield world.strike()
    yield world.thread(leader.pause)
    yield gen.sleep(10)
    yield world.thread(leader.resume)
    yield gen.sleep(2)


@fault("rolling-restart", "SIGTERM and start of each broker in turn")
def rolling_restart(world):
    for broker in world.kafka.brokers:
        yield world.strike()
        yield world.thread(broker.stop)
        yield world.thread(broker.start)
        yield world.thread(world.kafka.wait_whole, [world.topic], 60)


@fault("links-cut", "for 5 s, every 0.5 s all connections cut in the middle of a frame")
def links_cut(world):
    yield world.strike()
    for _ in range(10):
        world.links("cut")
        yield gen.sleep(0.1)
        world.links("pass")
        yield gen.sleep(0.4)


@fault("links-slow", "for 5 s, 40 KB/s and, for 5 s more, 400 ms of delay on every link")
def links_slow(world):
    yield world.strike()
    world.links("slow", rate=40000)
    yield gen.sleep(5)
    world.links("delay", seconds=0.4)
    yield gen.sleep(5)
    world.links("pass")


@fault("links-half-open", "for 6 s, one broker's connections stay open and carry nothing; 1 s of that for all brokers")
def links_half_open(world):
    leader = world.leader()
    yield world.strike()
    world.kafka.proxies[leader.id].set("hole")
    yield gen.sleep(6)
    world.kafka.proxies[leader.id].set("refuse")
    yield gen.sleep(1)
    world.links("hole")
    yield gen.sleep(1)
    # what fell into the hole is missing in the stream: such a connection can only be ended
    world.links("refuse")
    world.links("pass")


@fault("full-restart", "kill -9 of the whole cluster at once, started again after 3 s")
def full_restart(world):
    yield world.strike()
    for node in world.kafka.nodes:
        node.kill()
    yield gen.sleep(3)
    yield world.thread(world.kafka.restart)


def move_leaders(kafka, topic):
    """Before anything is produced: a restart moves leaderships off one broker, for something to move back."""
    kafka.brokers[0].stop()
    kafka.brokers[0].start()
    kafka.wait_whole([topic])


@fault("leaders-moved", "preferred leaders are elected while other replicas lead", prepare=move_leaders)
def leaders_moved(world):
    yield world.strike()
    yield world.thread(world.kafka.elect_preferred, world.topic, list(range(world.partitions)))
    yield gen.sleep(2)


@fault("partitions-added", "three partitions added to the topic while its links are cut once")
def partitions_added(world):
    count = len(world.kafka.metadata()[1][world.topic])
    yield world.strike()
    world.links("cut")
    yield world.thread(world.kafka.create_partitions, world.topic, count + 3)
    world.links("pass")
    yield gen.sleep(2)


@fault("coordinator-killed", "kill -9 of the consumers' group coordinator, started again after 4 s")
def coordinator_killed(world):
    victim = world.coordinator()
    yield world.strike()
    victim.kill()
    yield gen.sleep(4)
    yield world.thread(victim.start)


@fault("zookeeper-killed", "kill -9 of ZooKeeper, and 1 s later of a leader; both started again after 3 s", mode="zk")
def zookeeper_killed(world):
    leader = world.leader()
    yield world.strike()
    world.kafka.zookeeper.kill()
    yield gen.sleep(1)
    leader.kill()
    yield gen.sleep(3)
    yield world.thread(world.kafka.zookeeper.start)
    yield world.thread(leader.start)


@fault("zookeeper-expired", "the consumer's ZooKeeper session expired, and that of every broker: ZooKeeper stands "
                            "still for 8 s while brokers' time-out is 4 s", mode="zk")
def zookeeper_expired(world):
    yield world.strike()
    yield world.thread(world.expire_consumer)
    yield world.thread(world.kafka.zookeeper.pause)
    yield gen.sleep(8)
    yield world.thread(world.kafka.zookeeper.resume)
    yield gen.sleep(3)


@fault("disk-full", "a leader's files can't grow any more (EFBIG in place of ENOSPC); it is killed and started again "
                    "after 4 s")
def disk_full(world):
    leader = world.leader()
    yield world.strike()
    # a full disk can't be had without mounting one; the kernel's limit of a file's size hits the same code of Kafka's
    yield world.thread(
        subprocess.check_call, ["prlimit", "--pid", str(leader.pid), "--fsize=65536:unlimited"])
    yield gen.sleep(4)
    leader.kill()
    yield world.thread(leader.start)


@fault("transactions", "kill -9 of the transaction coordinator under a producer that commits three transactions of "
                       "four and aborts the fourth; then a leader killed, then all links cut", work="transactions")
def transactions(world):
    victim = world.transaction_coordinator()
    yield world.strike()
    victim.kill()
    yield gen.sleep(4)
    yield world.thread(victim.start)
    yield world.thread(world.kafka.wait_whole, [world.topic], 60)
    leader = world.leader()
    yield world.strike()
    leader.kill()
    yield gen.sleep(4)
    yield world.thread(leader.start)
    yield links_cut_once(world)


@fault("exactly-once", "the same under a loop that consumes, and produces to another topic with its offsets in the "
                       "transaction; the group coordinator killed in between", work="exactly-once")
def exactly_once(world):
    for victim in (world.transaction_coordinator(), world.coordinator(), world.leader()):
        yield world.strike()
        victim.kill()
        yield gen.sleep(4)
        yield world.thread(victim.start)
        yield world.thread(world.kafka.wait_whole, [world.topic], 60)
    yield links_cut_once(world)


@gen.coroutine
def links_cut_once(world):
    """All connections cut in the middle of a frame."""
    yield world.strike()
    world.links("cut")
    yield gen.sleep(0.3)
    world.links("pass")
    yield gen.sleep(1)


#: those that leave enough of the cluster alive to follow one upon the other at once
MIXABLE = ("leader-killed", "leader-paused", "links-cut", "links-slow", "links-half-open", "full-restart",
           "coordinator-killed", "zookeeper-killed", "partitions-added", "disk-full")


@gen.coroutine
def mixed(world, count=6):
    """Several faults, chosen by the run's seed, each begun while the cluster may still be busy with the one before."""
    names = [name for name in MIXABLE if FAULTS[name].mode in ("", world.kafka.mode)]
    for _ in range(count):
        name = world.rnd.choice(names)
        world.mixture.append(name)
        yield FAULTS[name].run(world)
        yield gen.sleep(world.rnd.random() * 2)


FAULTS["mixed"] = Fault("mixed", "six of these at random, in quick succession", mixed, "", None, "messages")
