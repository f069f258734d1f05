"""A worker's arguments, checked: what can't work together is refused where the worker is made."""
from __future__ import absolute_import

from kiel import arguments, constants
from kiel.clients.consuming.offset_lookup import start_to_timestamp
from kiel.clients.grouped import GroupedConsumer
from kiel.clients.producer import Producer
from kiel.worker.commits import Offsets
from kiel.worker.dead_letters import DeadLetterCallback, DeadLettersInTransaction, DeadLetterTopic
from kiel.worker.transactions import Transactions, as_it_is
from kiel.worker.window import Window

#: values of ``order``
ORDERS = ("key", "partition", None)

#: messages that are taken ahead for each that may be at work, and at least in all
AHEAD, LEAST_AHEAD = 10, 100

#: how many messages a transaction is about at most, and seconds from a message being done to its beginning
MESSAGES, SECONDS = 1000, 0.2


class Settings(object):
    """
    How a worker works. The arguments are those of `kiel.worker.Worker`.

    :raises TypeError: for an argument of a wrong type
    :raises ValueError: for a value that there is not, and for what can't work together
    """

    def __init__(self, consumer, concurrency, order, retry, dead_letters, timeout, start, producer,
                 transaction_messages, transaction_seconds):
        #: the topics that are worked on
        self.topics = topics_of(consumer)
        if order not in ORDERS:
            raise ValueError("order has to be one of %r, not %r" % (ORDERS, order))
        self.order = order
        if retry is not None and not callable(getattr(retry, "start", None)):
            raise TypeError("retry has to be a kiel.retry.Backoff, not %r" % (retry,))
        self.retry = retry
        self.timeout = None if timeout is None else arguments.seconds("timeout", timeout, least=0.001)
        self.concurrency = arguments.integer("concurrency", concurrency, 1)
        if start is not None:
            start_to_timestamp(start)
        self.start = start
        #: where messages go that fail for good; None for nowhere
        self.dead_letters = dead_letters_of(dead_letters, consumer, self.topics, producer is not None)
        #: the messages that are taken ahead; of one partition there may be as many as of all
        ahead = max(LEAST_AHEAD, AHEAD * self.concurrency)
        most, delay = transaction_of(producer, transaction_messages, transaction_seconds)
        self.window = Window(ahead if producer is None else max(ahead, 2 * most), consumer, producer is not None)
        #: what commits
        self.store = Offsets(consumer)
        if producer is not None:
            refuse_unfit(producer, consumer)
            self.store = Transactions(producer, consumer, self.window, most, delay)


def topics_of(consumer):
    """
    Return the topics that a consumer takes part in.

    :raises TypeError: if it is not a consumer of a group
    :raises ValueError: for one that commits by itself, or was not told its topics
    """
    if not isinstance(consumer, GroupedConsumer):
        raise TypeError("consumer has to be a kiel.clients.GroupedConsumer, not %r" % (consumer,))
    if consumer.autocommit is not False:
        raise ValueError("the worker commits what is done: make its consumer with autocommit=False, not %r"
                         % (consumer.autocommit,))
    topics = sorted(consumer._subscription.wanted)
    if not topics:
        raise ValueError("make the worker's consumer with topics=[...]: those that it works on")
    return topics


def dead_letters_of(wanted, consumer, topics, transactional):
    """
    Return where messages go that fail for good; None for nowhere.

    :raises TypeError: if it is neither a topic nor a function
    :raises ValueError: for a topic that the worker itself reads; for a function, which no transaction has part in
    """
    if wanted is None:
        return None
    if callable(wanted):
        if transactional:
            raise ValueError("with a producer, dead letters are part of its transactions: name a topic, since what a "
                             "function does happens outside of them")
        return DeadLetterCallback(wanted)
    topic = arguments.text("dead_letters", wanted)
    if topic in topics:
        raise ValueError("dead_letters go to a topic that the worker itself reads, %s" % topic)
    return DeadLettersInTransaction(topic) if transactional else DeadLetterTopic(topic, consumer)


def transaction_of(producer, messages, seconds):
    """
    Return how many messages a transaction is about at most, and when it begins.

    :raises ValueError: where there are no transactions, and for numbers that are too small
    """
    if producer is None and not (messages is None and seconds is None):
        raise ValueError("transaction_messages and transaction_seconds are about transactions, which need a producer")
    return (MESSAGES if messages is None else arguments.integer("transaction_messages", messages, 1),
            SECONDS if seconds is None else arguments.seconds("transaction_seconds", seconds))


def refuse_unfit(producer, consumer):
    """
    Refuse what can't work exactly once.

    :raises TypeError: if it is not a producer
    :raises ValueError: for one without transactions, or that another worker has; for a consumer that reads what was
        aborted, or whose group keeps its offsets where no transaction reaches
    """
    if not isinstance(producer, Producer):
        raise TypeError("producer has to be a kiel.clients.Producer, not %r" % (producer,))
    if producer.identity.transactional_id is None:
        raise ValueError("exactly once needs transactions: make the worker's producer with a transactional_id that no "
                         "other running process has")
    if producer.serializer is as_it_is:
        raise ValueError("another worker has this producer: make one for each, with a transactional_id of its own")
    if consumer.isolation_level != constants.READ_COMMITTED:
        raise ValueError("make the worker's consumer with isolation_level=\"read_committed\": else it would work on "
                         "messages whose transaction is aborted")
    if consumer._committed.uses_zookeeper:
        raise ValueError("the consumer's group meets in ZooKeeper, and no transaction commits offsets that are kept "
                         "there: leave out zk_hosts")
