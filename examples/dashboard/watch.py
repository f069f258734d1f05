"""The clients behind the page, and what they and the brokers tell."""
from __future__ import absolute_import

import random
import time

from tornado import gen

from kiel import clients, exc
from kiel.clients.administering.topics import NewTopic
from kiel.metrics import Metrics
from kiel.retry import Backoff
from kiel.worker import Reject, Worker

#: seconds between two snapshots
INTERVAL = 0.5

#: what of a worker's numbers is shown, the sum over all workers
NUMBERS = ("in_flight", "waiting", "done", "retried", "dead")


@gen.coroutine
def handle(record):
    """What a worker does with an order: some waiting, and now and then a failure."""
    yield gen.sleep(random.uniform(0.01, 0.05))
    if record.value["amount"] is None:
        raise Reject("an order without an amount")  # trying again does not help: a dead letter
    if random.random() < 0.01:
        raise IOError("the database is busy")  # tried again


class Watch(object):
    """
    A producer, some workers of one group, and an `Admin` that asks the brokers how far all that is.

    :param brokers: list of "host:port"
    :param topic: where orders go; those that fail for good go to the topic of that name with ".dead"
    :param group: the workers' group
    :param members: how many workers there are
    """

    def __init__(self, brokers, topic, group, members):
        self.topic = topic
        self.group = group
        self.producer = clients.Producer(brokers, linger=0.005, client_id="dashboard", hooks=[Metrics()])
        self.admin = clients.Admin(brokers, retry=Backoff(deadline=2), request_timeout=3)
        self.workers = [self._worker(brokers, "worker-%d" % (number + 1)) for number in range(members)]
        self.clients = [self.producer] + self.workers
        #: the newest answers of the brokers, and the error that came instead of newer ones, else None
        self.lag, self.members, self.state, self.error = {}, [], "", None
        #: partition -> messages written per second, and when and where its end was last looked at
        self.rates, self._ends = {}, {}
        self.made = 0
        self.closing = False

    def _worker(self, brokers, name):
        consumer = clients.GroupedConsumer(
            brokers, self.group, topics=[self.topic], autocommit=False, client_id=name, retry=Backoff(deadline=None))
        return Worker(consumer, handle, retry=Backoff(first=0.2, deadline=10), dead_letters=self.topic + ".dead")

    @gen.coroutine
    def run(self, partitions, rate, show):
        """Connects all clients, and then calls ``show`` with a snapshot, again and again, until `close`."""
        yield [self.admin.connect(timeout=60), self.producer.connect(timeout=60)]
        topics = [NewTopic(self.topic, partitions), NewTopic(self.topic + ".dead", 1)]
        made = yield self.admin.create_topics(topics)
        for outcome in made.values():
            if isinstance(outcome, exc.KielError) and not isinstance(outcome, exc.TopicAlreadyExistsError):
                raise outcome
        work = [worker.run() for worker in self.workers] + [self._trickle(rate)]
        looking = None
        while not self.closing and not any(one.done() for one in work):
            if looking is None or looking.done():
                looking = self._look()
            show(self.snapshot())
            yield gen.sleep(INTERVAL)
        yield work

    @gen.coroutine
    def close(self):
        """Ends the workers, when what they have at hand is done, and then the rest."""
        self.closing = True
        yield [worker.drain(10) for worker in self.workers]
        yield [self.producer.close(timeout=5), self.admin.close()]

    # -- producing --

    @gen.coroutine
    def produce(self, count):
        """Writes so many orders; done when the brokers have them. Raises `kiel.exc.KielError` where they do not."""
        orders, keys = [], []
        for _ in range(count):
            self.made += 1
            keys.append("customer-%d" % random.randrange(100))
            orders.append({"order": self.made, "amount": None if self.made % 50 == 0 else random.randrange(1, 100)})
        deliveries = yield self.producer.produce_many(self.topic, orders, keys=keys)
        yield deliveries

    @gen.coroutine
    def _trickle(self, rate):
        """Writes some orders all the time, so that there is something to see."""
        while not self.closing:
            yield gen.sleep(1.0 / rate if rate else INTERVAL)
            if rate and self.error is None:
                try:
                    yield self.produce(1)
                except exc.KielError as error:
                    self.error = error

    # -- looking --

    @gen.coroutine
    def _look(self):
        """Asks the brokers how far the group is, and who is in it."""
        try:
            lag, groups = yield [self.admin.lag(self.group, [self.topic]), self.admin.describe_groups([self.group])]
        except exc.KielError as error:
            self.error, self.rates = error, {}
            return
        now, self.error, self.lag = time.time(), None, dict((key[1], lag[key]) for key in lag)
        self.state, self.members = groups[self.group].state, groups[self.group].members
        for partition, found in self.lag.items():
            if found.end is not None:
                before, end = self._ends.get(partition, (now, found.end))
                self.rates[partition] = (found.end - end) / (now - before) if now > before else 0.0
                self._ends[partition] = now, found.end

    def snapshot(self):
        """What there is to see now, fit for JSON."""
        numbers = [worker.numbers for worker in self.workers]
        sent = sum(self.producer.metrics().get("sent_records", {}).values())
        shown = dict([(name, sum(one[name] for one in numbers)) for name in NUMBERS], sent=sent)
        return {
            "time": time.time(), "topic": self.topic, "group": self.group, "state": self.state, "numbers": shown,
            "trouble": self._trouble(),
            "partitions": [
                {"id": partition, "end": found.end, "committed": found.committed, "lag": found.lag,
                 "rate": self.rates.get(partition), "member": found.member and found.member.client_id}
                for partition, found in sorted(self.lag.items())],
            "members": [
                {"name": member.client_id, "host": member.host, "partitions": member.assignment.get(self.topic, [])}
                for member in self.members],
        }

    def _trouble(self):
        """What is wrong at present, and for how many seconds it has been so; None while all is well."""
        everybody = self.clients + [self.admin]
        errors = [health for health in [client.health() for client in everybody] if health["error"]]
        if not errors and self.error is None:
            return None
        away = max(client.metrics()["outage_seconds"] for client in [self.admin, self.producer])
        text = errors[0]["error"] if errors else str(self.error)
        return {"text": "Kafka does not answer: " + text if away else text,
                "seconds": max([away] + [health["error_since"] or 0 for health in errors])}
