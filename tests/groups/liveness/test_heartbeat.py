from __future__ import absolute_import

import contextlib
import functools
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import weakref

from tornado import gen, ioloop

from kiel import exc, sasl
from kiel.groups.liveness import heartbeat_thread, leaving
from kiel.groups.liveness.heartbeat import Heartbeat
from kiel.protocol.heartbeat import HeartbeatRequest
from kiel.protocol.join_group import JoinGroupRequest
from kiel.protocol.leave_group import LeaveGroupRequest
from kiel.protocol.sync_group import SyncGroupRequest
from kiel.retry import monotonic
from kiel.settings import Settings

from tests import fake, loop
from tests.groups.brokers import Brokers

MEMBER = "member-1"


def beat(generation=1):
    return HeartbeatRequest(group_id="g", generation_id=generation, member_id=MEMBER)


def same(request, response):
    """A `follow` that goes on while all is well."""
    if request is None or request.api != "heartbeat":
        return beat()
    return request if response.error_code in (0, 27) else None


def leave():
    return LeaveGroupRequest(group_id="g", member_id=MEMBER)


def ok(call):
    return dict(error_code=0)


def code(number):
    return lambda call: dict(error_code=number)


def block(seconds):
    """A handler that blocks by sleeping."""
    time.sleep(seconds)


def spin(seconds):
    """A handler that blocks by computing."""
    until = time.time() + seconds
    number = 0
    while time.time() < until:
        number = (number * 31 + 7) % 1000003
    return number


class World(object):
    """Brokers, a heartbeat, and what it told."""

    def __init__(self, brokers, **settings):
        self.brokers = brokers
        self.answers = []
        self.left_at = []
        for broker in brokers.cluster.brokers.values():
            broker.on("heartbeat", ok)
            broker.on("leave_group", ok)
        settings.setdefault("interval", 0.05)
        settings.setdefault("slow_callback", None)
        self.heartbeat = Heartbeat(Settings(client_id="heart"), ioloop.IOLoop.current(), "g", **settings)
        self.heartbeat.on_answer = lambda request, answer: self.answers.append((request, answer))
        self.heartbeat.on_left = lambda: self.left_at.append(monotonic())

    def start(self, first=True, follow=same, leave=leave, broker=1):
        addresses = [self.brokers.address(number) for number in self.brokers.cluster.brokers]
        self.heartbeat.start(
            self.brokers.address(broker), addresses, beat() if first is True else first, follow, leave
        )

    def generations(self, broker=1):
        # the brokers run on a thread of their own: one that has just come may not be decoded yet
        return [call.request.generation_id for call in list(self.brokers[broker].requests)
                if call.api == "heartbeat" and call.request is not None]

    def count(self, api="heartbeat", broker=1):
        return self.brokers[broker].count(api)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("kiel-heartbeat")]


def with_world(brokers=1, timeout=20, **settings):
    """Runs the test, a generator function of a `World`, on a loop; afterwards no thread may be left."""
    def decorate(test):
        @functools.wraps(test)
        def run():
            with Brokers(brokers=brokers) as cluster:
                @gen.coroutine
                def body():
                    world = World(cluster, **settings)
                    try:
                        yield gen.coroutine(test)(world)
                    finally:
                        yield loop.within(3, world.heartbeat.stop())
                    yield loop.until(lambda: not threads())
                loop.run(body, timeout)
        if hasattr(run, "__wrapped__"):
            del run.__wrapped__
        return run
    return decorate


@contextlib.contextmanager
def lines_of(name, level=logging.INFO):
    """The lines that a logger gets."""
    found = []
    handler = logging.Handler(level)
    handler.emit = lambda record: found.append(logging.Formatter("%(levelname)s %(message)s").format(record))
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


# --- beating ----------------------------------------------------------------------------------------------------

@with_world()
def test_the_first_beat_goes_out_at_once_and_others_follow(world):
    world.start()
    yield loop.until(lambda: len(world.answers) >= 3)
    assert all(answer.error_code == 0 for _, answer in world.answers)
    assert monotonic() - world.heartbeat.last_beat < 1
    assert not world.heartbeat.left and not world.heartbeat.ended


@with_world(interval=0.4)
def test_without_a_first_request_it_waits_one_interval(world):
    world.start(first=None)
    yield gen.sleep(0.2)
    assert world.count() == 0
    yield loop.until(lambda: world.count() == 1)


@with_world()
def test_it_beats_while_a_handler_sleeps(world):
    yield beats_during(world, block, 6)


@with_world()
def test_it_beats_while_a_handler_computes(world):
    # a busy loop on Python 2 lets other threads in by chance only
    yield beats_during(world, spin, 3)


@gen.coroutine
def beats_during(world, handler, least):
    world.start()
    yield loop.until(lambda: world.answers)
    before, told = world.count(), len(world.answers)
    handler(0.8)
    during = world.count() - before
    assert during >= least
    assert len(world.answers) == told  # nothing but the loop itself calls back
    yield gen.sleep(0.05)
    assert len(world.answers) >= told + during


@with_world()
def test_follow_adopts_a_new_epoch_while_the_loop_is_blocked(world):
    def follow(request, response):
        return beat(request.generation_id + 1)

    world.start(follow=follow)
    block(0.8)
    assert world.count() > 4
    generations = world.generations()
    assert generations == list(range(1, 1 + len(generations)))
    yield gen.sleep(0.05)
    told = [request.generation_id for request, _ in world.answers]
    assert told == list(range(1, 1 + len(told)))


@with_world()
def test_it_ends_when_nothing_follows_and_says_so_before_it_tells(world):
    world.brokers[1].on("heartbeat", code(25))
    world.start()
    block(0.5)
    assert world.heartbeat.ended and not world.answers
    assert world.count() == 1
    yield loop.until(lambda: world.answers)
    assert world.answers[0][1].error_code == 25
    assert world.heartbeat.last_beat is None
    world.brokers[1].on("heartbeat", ok)
    world.heartbeat.say(beat(2))
    assert not world.heartbeat.ended
    yield loop.until(lambda: world.generations()[-2:] == [2, 2])


@with_world(interval=30)
def test_say_interrupts_the_interval(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.heartbeat.say(beat(2))
    yield loop.until(lambda: len(world.answers) == 2, seconds=1)
    assert world.generations() == [1, 2]


@with_world(interval=0.3)
def test_what_is_said_during_a_beat_goes_out_after_it_made_from_its_answer(world):
    world.brokers[1].on("heartbeat", fake.delay(0.3, ok), times=1)
    made = []

    def follow(request, response):
        made.append(request.generation_id)
        return request

    def make(request, response):
        return beat(request.generation_id + 10)

    world.start(follow=follow)
    yield loop.until(lambda: world.count() == 1)
    world.heartbeat.say(make)
    yield loop.until(lambda: len(world.answers) >= 2)
    assert world.generations()[:2] == [1, 11]
    assert 1 not in made  # what came of the older one has no say


@with_world(interval=0.2)
def test_beat_goes_on_with_a_new_generation(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.heartbeat.beat(beat(7), same, leave)
    yield loop.until(lambda: 7 in world.generations())
    assert set(world.generations()[-1:]) == {7}
    world.heartbeat.beat(None, same, leave)
    yield gen.sleep(0.1)
    count = world.count()
    yield gen.sleep(0.5)
    assert world.count() == count


@with_world(interval=30)
def test_the_interval_may_be_set(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.heartbeat.interval = 0.05
    world.heartbeat.say(beat())
    yield loop.until(lambda: world.count() > 4, seconds=2)


@with_world()
def test_a_retriable_error_is_tried_again_with_the_same_request(world):
    asked = []

    def follow(request, response):
        asked.append(response.error_code)
        return request

    world.brokers[1].on("heartbeat", code(14), times=2)
    world.start(follow=follow)
    yield loop.until(lambda: asked)
    assert asked[0] == 0
    assert [answer.error_code for _, answer in world.answers][:3] == [14, 14, 0]


@with_world()
def test_a_follow_that_fails_ends_the_beats_with_a_line_in_the_log(world):
    def follow(request, response):
        raise ValueError("no")

    with lines_of("kiel.groups.liveness.heartbeat_thread") as lines:
        world.start(follow=follow)
        yield loop.until(lambda: world.answers)
    assert world.heartbeat.ended
    assert len(lines) == 1 and "ValueError: no" in lines[0]


@with_world()
def test_a_function_that_makes_nothing_or_fails_ends_the_beats(world):
    def fail(request, response):
        raise ValueError("no")

    for make, told in ((lambda request, response: None, 0), (fail, 1)):
        world.start()
        yield loop.until(lambda: world.answers)
        with lines_of("kiel.groups.liveness.heartbeat_thread") as lines:
            world.heartbeat.say(make)
            yield loop.until(lambda: world.heartbeat.ended)
            count = world.count()
            yield gen.sleep(0.2)
        assert world.count() == count and len(lines) == told
        world.heartbeat.say(beat(3))
        yield loop.until(lambda: world.generations()[-1] == 3)


@with_world()
def test_what_an_older_start_brings_is_not_told(world):
    world.brokers[1].on("heartbeat", fake.delay(0.3, ok), times=1)
    world.start(first=beat(1))
    yield loop.until(lambda: world.count() == 1)
    world.start(first=beat(2))
    yield loop.until(lambda: len(world.answers) >= 2)
    assert [request.generation_id for request, _ in world.answers] == [2] * len(world.answers)
    assert len(threads()) == 1


# --- the coordinator --------------------------------------------------------------------------------------------

@with_world(brokers=3)
def test_a_coordinator_that_moved_is_found_while_the_loop_is_blocked(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.brokers.cluster.coordinator = 2
    world.brokers[1].on("heartbeat", code(16))
    block(1.0)
    assert world.count(broker=2) > 3
    yield gen.sleep(0.05)
    assert 16 in [answer.error_code for _, answer in world.answers]


@with_world(brokers=3)
def test_a_coordinator_that_died_is_replaced_while_the_loop_is_blocked(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.brokers.cluster.coordinator = 3
    world.brokers.call(world.brokers[1].stop)
    block(1.2)
    assert world.count(broker=3) > 3
    yield gen.sleep(0.05)
    assert [answer for _, answer in world.answers if isinstance(answer, exc.BrokerConnectionError)]


@with_world()
def test_a_coordinator_that_comes_back_is_used_again(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.brokers.call(world.brokers[1].stop)
    yield gen.sleep(0.5)
    world.brokers.call(world.brokers[1].start)
    count = world.count()
    yield loop.until(lambda: world.count() > count + 2)
    assert 1 < len([answer for _, answer in world.answers if isinstance(answer, exc.KielError)]) < 8


@with_world(brokers=2)
def test_a_broker_that_is_mute_does_not_hold_up_the_look_up(world):
    world.brokers[2].on("accept", fake.MUTE)
    world.start(broker=1)
    yield loop.until(lambda: world.answers)
    world.brokers.call(world.brokers[1].hang_up)
    count = world.count()
    yield loop.until(lambda: world.count() > count)


@with_world()
def test_a_pause_that_the_broker_asks_for_is_no_silence(world):
    world.brokers[1].on("heartbeat", lambda call: dict(error_code=0, throttle_time=500), times=1)
    with patched(heartbeat_thread, PATIENCE=0.2):
        world.start()
        yield loop.until(lambda: len(world.answers) >= 3)
    assert [answer.error_code for _, answer in world.answers[:3]] == [0, 0, 0]
    times = [call.time for call in world.brokers[1].requests if call.api == "heartbeat"]
    assert times[1] - times[0] > 0.4


@with_world()
def test_it_logs_in_as_the_application_does(world):
    world.brokers.cluster.versions = dict(
        world.brokers.cluster.versions, sasl_handshake=(0, 1), sasl_authenticate=(0, 2)
    )
    world.brokers.cluster.users["alice"] = "secret"
    world.heartbeat.settings.sasl = sasl.Plain("alice", "secret")
    world.start()
    yield loop.until(lambda: world.answers)
    assert world.answers[0][1].error_code == 0
    assert world.count("sasl_authenticate") == 1
    # a login refused later is tried again, but not in haste
    world.brokers.cluster.users["alice"] = "other"
    world.heartbeat.interval = 0.3
    world.brokers.call(world.brokers[1].hang_up)
    yield loop.until(lambda: isinstance(world.answers[-1][1], exc.AuthenticationError))
    yield gen.sleep(0.5)
    assert world.count("sasl_authenticate") < 8
    world.brokers.cluster.users["alice"] = "secret"
    count = world.count()
    yield loop.until(lambda: world.count() > count)


# --- no progress ------------------------------------------------------------------------------------------------

@with_world(max_poll_interval=0.3)
def test_it_leaves_by_itself_when_the_loop_is_blocked_too_long(world):
    world.start()
    yield loop.until(lambda: world.answers)
    with lines_of("kiel.groups.liveness.heartbeat_thread") as lines:
        block(0.8)
        assert world.heartbeat.left
        assert world.count("leave_group") == 1
        beats = world.count()
        block(0.2)
        assert world.count() == beats
        assert not world.left_at
    assert len(lines) == 1 and lines[0].startswith("WARNING") and "max_poll_interval" in lines[0]
    yield loop.until(lambda: world.left_at)
    # and it comes back
    world.start(first=beat(2))
    assert not world.heartbeat.left
    yield loop.until(lambda: world.generations()[-2:] == [2, 2])
    assert len(world.left_at) == 1


@with_world(max_poll_interval=0.4)
def test_it_leaves_when_the_application_does_not_ask_for_more(world):
    with lines_of("kiel.groups.liveness.heartbeat_thread") as lines:
        world.start()
        world.heartbeat.working = True
        for _ in range(7):
            world.heartbeat.progress()
            yield gen.sleep(0.1)
        assert not world.heartbeat.left
        yield loop.until(lambda: world.left_at, seconds=2)
    assert world.heartbeat.left and world.count("leave_group") == 1
    assert "consume() was not called" in lines[0]


@with_world(max_poll_interval=0.3)
def test_one_that_waits_for_messages_may_wait_for_ever(world):
    world.start()
    world.heartbeat.working = False
    yield gen.sleep(0.6)
    assert not world.heartbeat.left
    # and its time begins when it has work in hand
    world.heartbeat.working = True
    yield gen.sleep(0.1)
    assert not world.heartbeat.left
    with lines_of("kiel.groups.liveness.heartbeat_thread"):
        yield loop.until(lambda: world.left_at, seconds=2)


@with_world(max_poll_interval=0.3)
def test_a_static_member_leaves_without_a_word(world):
    world.start(leave=lambda: None)
    yield loop.until(lambda: world.answers)
    with lines_of("kiel.groups.liveness.heartbeat_thread"):
        block(0.7)
    yield loop.until(lambda: world.left_at)
    assert world.heartbeat.left and not world.count("leave_group")


@with_world(brokers=2, max_poll_interval=0.4)
def test_leaving_finds_a_coordinator_that_moved(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.brokers.cluster.coordinator = 2
    world.brokers[1].on("leave_group", code(16))
    with lines_of("kiel.groups.liveness.heartbeat_thread"):
        block(0.9)
    assert world.count("leave_group", broker=2) == 1
    yield loop.until(lambda: world.left_at)


@with_world(max_poll_interval=0.4)
def test_leaving_is_given_up_in_time(world):
    world.start()
    yield loop.until(lambda: world.answers)
    world.brokers[1].on("leave_group", fake.CLOSE)
    with lines_of("kiel.groups.liveness.heartbeat_thread"):
        with patched(leaving, LEAVE_TIME=0.2):
            block(1.0)
            yield loop.until(lambda: world.left_at)
    assert world.count("leave_group") > 1


@with_world(max_poll_interval=0.4)
def test_leaving_does_not_wait_for_a_join_that_waits_for_others(world):
    world.brokers[1].on("join_group", fake.delay(30, dict(error_code=0)))
    join = JoinGroupRequest(group_id="g", member_id=MEMBER, rebalance_timeout=60000, session_timeout=60000)
    world.start(first=join)
    yield loop.until(lambda: world.count("join_group"))
    with lines_of("kiel.groups.liveness.heartbeat_thread"):
        block(1.0)
    assert world.count("leave_group") == 1
    yield loop.until(lambda: world.left_at)
    assert isinstance(world.answers[0][1], exc.BrokerConnectionError)


@with_world()
def test_a_coordinator_that_is_mute_is_given_up_after_a_while(world):
    with patched(heartbeat_thread, PATIENCE=0.3):
        world.start()
        yield loop.until(lambda: world.answers)
        world.brokers[1].on("heartbeat", fake.MUTE, times=1)
        yield loop.until(lambda: any(isinstance(answer, exc.RequestTimeoutError) for _, answer in world.answers))
        count = world.count()
        yield loop.until(lambda: world.count() > count)


@with_world()
def test_what_waits_for_other_members_has_its_time(world):
    world.brokers[1].on("sync_group", fake.delay(0.8, dict(error_code=0)))
    with patched(heartbeat_thread, PATIENCE=0.2):
        world.start(first=SyncGroupRequest(group_id="g", generation_id=1, member_id=MEMBER))
        yield loop.until(lambda: world.answers)
    assert world.answers[0][1].error_code == 0
    assert world.count("sync_group") == 1


@with_world(max_poll_interval=0.4)
def test_no_member_does_not_leave(world):
    world.brokers[1].on("heartbeat", code(25))
    world.start()
    block(0.7)
    yield gen.sleep(0.1)
    assert world.heartbeat.ended and not world.heartbeat.left and not world.left_at
    assert not world.count("leave_group")


@contextlib.contextmanager
def patched(module, **values):
    before = dict((name, getattr(module, name)) for name in values)
    for name, value in values.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


# --- the end ----------------------------------------------------------------------------------------------------

@with_world(brokers=2)
def test_stop_from_any_state(world):
    def started():
        world.start()

    def idle():
        world.start()
        return loop.until(lambda: len(threads()) == 1 and world.answers)

    def connecting():
        world.brokers[1].on("accept", fake.MUTE, times=1)
        world.start()
        return gen.sleep(0.1)

    def waiting():
        world.brokers[1].on("heartbeat", fake.MUTE, times=1)
        count = world.count()
        world.start()
        return loop.until(lambda: world.count() > count)

    def looking():
        world.brokers[1].on("heartbeat", code(16), times=1)
        world.brokers[2].on("accept", fake.MUTE, times=1)
        world.start()
        return gen.sleep(0.15)

    def ended():
        world.brokers[1].on("heartbeat", code(25), times=1)
        world.start()
        return loop.until(lambda: world.heartbeat.ended)

    for state in (lambda: None, started, idle, connecting, waiting, looking, ended):
        del world.answers[:]
        yield state() or gen.moment
        begun = monotonic()
        first, second = world.heartbeat.stop(), world.heartbeat.stop()
        yield loop.within(2, first)
        yield loop.within(2, second)
        yield loop.until(lambda: not threads())
        assert monotonic() - begun < 1
        told = len(world.answers)
        yield gen.sleep(0.15)
        assert len(world.answers) == told
    assert not world.count("leave_group")
    gc.collect()


@with_world(max_poll_interval=0.2)
def test_stop_while_it_leaves(world):
    world.brokers[1].on("leave_group", fake.MUTE)
    world.start()
    yield loop.until(lambda: world.answers)
    with lines_of("kiel.groups.liveness.heartbeat_thread"):
        block(0.6)
    yield loop.within(2, world.heartbeat.stop())
    yield gen.sleep(0.1)
    assert world.heartbeat.left and not world.left_at


@with_world()
def test_it_starts_again_after_stop(world):
    for generation in (1, 2, 3):
        world.start(first=beat(generation))
        yield loop.until(lambda: world.generations()[-1:] == [generation])
        stopped = world.heartbeat.stop()
    world.start(first=beat(4))  # before the end of the one before
    yield loop.until(lambda: world.generations()[-1:] == [4])
    yield loop.within(2, stopped)
    yield loop.until(lambda: len(threads()) == 1)


def test_a_loop_closed_under_it_ends_the_thread_and_the_membership():
    with Brokers() as brokers:
        own = ioloop.IOLoop(make_current=False)
        worlds = []

        @gen.coroutine
        def body():
            worlds.append(World(brokers))
            worlds[0].start()
            yield loop.until(lambda: worlds[0].answers)

        own.run_sync(body)
        assert len(threads()) == 1
        own.close()
        until = time.time() + 5
        while threads() and time.time() < until:
            time.sleep(0.02)
        assert not threads()
        assert worlds[0].count("leave_group") == 1
        assert worlds[0].heartbeat.left


@with_world()
def test_a_dropped_heartbeat_leaves(world):
    world.start()
    yield loop.until(lambda: world.answers)
    gone = weakref.ref(world.heartbeat)
    world.heartbeat.on_answer = world.heartbeat.on_left = None
    world.heartbeat = None
    gc.collect()
    assert gone() is None
    yield loop.until(lambda: world.count("leave_group") == 1 and not threads(), 8)
    world.heartbeat = Heartbeat(Settings(client_id="heart"), ioloop.IOLoop.current(), "g", 1)


def test_a_process_that_forgets_it_ends_without_noise():
    code = (
        "from tornado import gen, ioloop\n"
        "from tests.groups.brokers import Brokers\n"
        "from tests.groups.liveness.test_heartbeat import World\n"
        "from tests import loop\n"
        "import logging\n"
        "logging.getLogger('kiel.groups.liveness.loop_watchdog').disabled = True\n"  # the machine may be busy
        "@gen.coroutine\n"
        "def body():\n"
        "    world = World(brokers, slow_callback=0.02)\n"
        "    world.start()\n"
        "    yield loop.until(lambda: world.answers)\n"
        "brokers = Brokers()\n"
        "with brokers:\n"
        "    ioloop.IOLoop.current().run_sync(body)\n"
        "print('end')\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = process.communicate()
    assert process.returncode == 0 and out.strip() == b"end"
    assert err == b""
