"""What the fake broker says by itself: a function per api, `Call` in, fields of the response out."""
from __future__ import absolute_import

import importlib

from tornado import gen, ioloop

from kiel import constants
from kiel.protocol import fetch as fetch_api
from kiel.protocol import request as requests
from kiel.testing.fake.parts import build

MODULES = {"group_coordinator": "coordinator"}


def request_class(api):
    """The class that reads an api's requests."""
    importlib.import_module("kiel.protocol." + MODULES.get(api, api))
    return requests.classes[api]


def served(call, only=None):
    return [
        dict(api_key=constants.API_KEYS[api], min_version=low, max_version=high)
        for api, (low, high) in sorted(call.cluster.versions.items()) if only in (None, api)
    ]


def named(call, topic):
    """The name of a request's topic, which newer versions give by its id; None for an unknown one."""
    if getattr(topic, "name", None):
        return topic.name
    for name, topic_id in call.cluster.topic_ids.items():
        if topic_id == topic.topic_id:
            return name
    return None


def each_partition(call, answer, topics=None, by_id=False, by_number=False):
    """The usual shape of an answer: ``answer(topic name, partition request)`` for all that was asked."""
    out = []
    for topic in call.request.topics if topics is None else topics:
        name = named(call, topic)
        partitions = []
        for asked in topic.partitions:
            number = asked if by_number else asked.partition_id
            fields = dict(error_code=call.code(name, number), partition_id=number)
            if not fields["error_code"]:
                log = call.cluster.topics.get(name, {}).get(number)
                fields.update(answer(name, asked, log))
            partitions.append(fields)
        out.append(dict(topic_id=topic.topic_id) if by_id else dict(name=name))
        out[-1]["partitions"] = partitions
    return out


def leads(call, log):
    """An error code unless this broker leads the partition."""
    if log is None:
        return 3
    return 0 if log.leader == call.broker.id else 6


def fenced(log, asked):
    """An error code unless the reader knows the leader's epoch, or none."""
    known = getattr(asked, "current_leader_epoch", -1)
    return 0 if known in (-1, log.epoch) else 74 if known < log.epoch else 75


def offset_for_leader_epoch(call):
    def answer(name, asked, log):
        code = leads(call, log) or fenced(log, asked)
        if code:
            return dict(error_code=code)
        epoch, end = log.end_of(asked.leader_epoch)
        return dict(leader_epoch=epoch, end_offset=end)
    return dict(topics=each_partition(call, answer))


def api_versions(call):
    if call.cluster.release in ("0.8", "0.9"):
        return "mute" if call.cluster.release == "0.9" else "close"
    request = call.request
    other = call.version >= 5 and (
        request.cluster_id not in (None, call.cluster.cluster_id) or request.node_id not in (-1, call.broker.id)
    )
    return dict(error_code=129 if other else call.code(), api_keys=served(call), finalized_features=[
        dict(name=name, max_version_level=level, min_version_level=level)
        for name, level in call.cluster.features.items()
    ])


def metadata(call):
    cluster = call.cluster
    asked = call.request.topics
    # those of version 10 and later are parts, with a name or an id
    names = [name if isinstance(name, type(u"")) or isinstance(name, str) else named(call, name)
             for name in asked or ()]
    if not names and not (call.version >= 1 and asked is not None):  # an empty list of later versions is no topic
        names = list(cluster.topics)
    topics = []
    for name in names:
        missing = name not in cluster.topics
        made = missing and cluster.auto_create and (call.version < 4 or call.request.allow_auto_topic_creation)
        if made:
            cluster.create(name)  # the first answer still lacks it, as with real brokers
        code = call.code(name) or (5 if made else 3 if missing else 0)
        topic_id = cluster.topic_ids.get(name, b"\0" * 16)
        fields = dict(error_code=code, name=name, topic_id=topic_id, partitions=[])
        for number, log in cluster.topics[name].items() if not code else ():
            replicas = list(cluster.brokers)
            fields["partitions"].append(dict(
                error_code=5 if log.leader == -1 else 0, partition_id=number, leader=log.leader,
                leader_epoch=log.epoch, replicas=replicas, isrs=replicas,
            ))
        topics.append(fields)
    brokers = [(i, cluster[i].host, cluster[i].port) for i in cluster.listed]
    return dict(topics=topics, cluster_id=cluster.cluster_id, controller_id=-1, brokers=[
        dict(broker_id=i, host=host, port=port) for i, host, port in brokers + cluster.extra_brokers
    ])


def produce(call):
    def answer(name, asked, log):
        code = leads(call, log)
        if code:
            return dict(error_code=code, offset=-1)
        code, offset = log.accept(asked.message_set.data)
        return dict(error_code=code, offset=offset, log_start_offset=log.start)
    return dict(topics=each_partition(call, answer, by_id=call.version >= 13))


def init_producer_id(call):
    name = call.request.transactional_id
    if call.code():
        return dict(error_code=call.code(), producer_id=-1, producer_epoch=-1)
    if name is not None and name in call.cluster.transactions:
        call.cluster.transactions[name][1] += 1
        call.cluster.enlisted = []
        producer_id, epoch = call.cluster.transactions[name]
        return dict(error_code=0, producer_id=producer_id, producer_epoch=epoch)
    call.cluster.last_producer_id += 1
    if name is not None:
        call.cluster.transactions[name] = [call.cluster.last_producer_id, 0]
    return dict(error_code=0, producer_id=call.cluster.last_producer_id, producer_epoch=0)


def fencing(call):
    """An error code unless the request is signed by the newest producer of its transactional id."""
    known = call.cluster.transactions.get(call.request.transactional_id)
    if known is None or known[0] != call.request.producer_id:
        return 49
    if known[1] != call.request.producer_epoch:
        return 90 if call.version >= 2 else 47
    return 0


def add_partitions_to_txn(call):
    topics = []
    for topic in call.request.topics:
        codes = [call.code(topic.name, number) or fencing(call) for number in topic.partitions]
        call.cluster.enlisted.extend(
            (topic.name, number) for number, code in zip(topic.partitions, codes) if not code
        )
        topics.append(dict(name=topic.name, partitions=[
            dict(partition_id=number, error_code=code) for number, code in zip(topic.partitions, codes)
        ]))
    return dict(topics=topics)


def add_offsets_to_txn(call):
    code = call.code() or fencing(call)
    if not code:
        call.cluster.enlisted.append(call.request.group)
    return dict(error_code=code)


def txn_offset_commit(call):
    def answer(name, asked, log):
        if fencing(call):
            return dict(error_code=fencing(call))
        call.cluster.enlisted.append((call.request.group, name, asked.partition_id, asked.offset))
        return {}
    return dict(topics=each_partition(call, answer, by_id=call.version >= 6))


def end_txn(call):
    code = call.code() or fencing(call)
    if code:
        return dict(error_code=code, producer_id=-1, producer_epoch=-1)
    call.cluster.ended.append((call.request.committed, call.cluster.enlisted))
    call.cluster.enlisted = []
    known = call.cluster.transactions[call.request.transactional_id]
    if call.version >= 5:
        known[1] += 1
    return dict(error_code=0, producer_id=known[0], producer_epoch=known[1])


@gen.coroutine
def fetch(call):
    loop = ioloop.IOLoop.current()
    until = loop.time() + call.request.max_wait_time / 1000.0
    while True:
        answer, size, failed = _fetch(call)
        over = loop.time() >= until or call.stream.closed()
        if size >= call.request.min_bytes or failed or over:
            raise gen.Return(answer)
        yield gen.sleep(0.005)


def _fetch(call):
    total = [0, False]  # bytes, whether there was an error
    left = [call.request.max_bytes if call.version >= 3 else 0x7fffffff]

    def answer(name, asked, log):
        follows = log is not None and call.broker.id in log.followers
        code = 0 if follows else leads(call, log)
        code = code or fenced(log, asked)
        if not code and call.version >= 12 and asked.last_fetched_epoch >= 0:
            epoch, end = log.end_of(asked.last_fetched_epoch)
            if epoch < 0:
                code = 1
            elif epoch < asked.last_fetched_epoch or end < asked.offset:
                total[1] = True
                return dict(
                    highwater_mark_offset=-1, message_set=b"",
                    diverging_epoch=build(fetch_api.DivergingEpoch, dict(epoch=epoch, end_offset=end)),
                )
        if not code and not log.start <= asked.offset <= log.end:
            code = 1
        if code:
            total[1] = True
            return dict(error_code=code, highwater_mark_offset=-1, message_set=b"")
        if call.version >= 11 and log.preferred is not None and not follows and call.request.rack_id:
            total[1] = True
            return dict(highwater_mark_offset=log.end, message_set=b"", preferred_read_replica=log.preferred)
        # the first message that is there comes whole from version 3 on, older brokers cut it
        whole = call.version >= 3 and not total[0]
        until = log.stable if call.version >= 4 and call.request.isolation_level else None
        data = log.read(asked.offset, min(asked.max_bytes, left[0]), whole, until)
        total[0] += len(data)
        left[0] -= len(data)
        stable = log.end if log.stable is None else log.stable
        fields = dict(highwater_mark_offset=log.end, log_start_offset=log.start, message_set=data)
        if call.version >= 4:
            fields["last_stable_offset"] = stable
            if call.request.isolation_level == 1:
                fields["aborted_transactions"] = [
                    dict(producer_id=producer, first_offset=first)
                    for producer, first, last in log.aborted if last >= asked.offset
                ]
        return fields

    topics = each_partition(call, answer, by_id=call.version >= 13)
    for topic in topics:
        for partition in topic["partitions"]:
            if "message_set" not in partition:  # an error that the test asked for
                partition.update(highwater_mark_offset=-1, message_set=b"")
                total[1] = True
    return dict(topics=topics), total[0], total[1]


def offset(call):
    def answer(name, asked, log):
        code = leads(call, log) or fenced(log, asked)
        if code:
            return dict(error_code=code)
        found, timestamp = log.offset_at(asked.time)
        if asked.time == -1 and call.version >= 2 and call.request.isolation_level and log.stable is not None:
            found = log.stable
        if call.version == 0:
            return dict(offsets=[found] if found != -1 else [])
        return dict(offset=found, timestamp=timestamp)
    topics = each_partition(call, answer)
    for topic in topics:
        for partition in topic["partitions"]:
            if partition["error_code"]:
                partition.update(dict(offsets=[]) if call.version == 0 else dict(offset=-1, timestamp=-1))
    return dict(topics=topics)


def group_coordinator(call):
    code = call.code()
    broker = call.cluster[call.cluster.coordinator]
    where = (-1, "", -1) if code else (broker.id, broker.host, broker.port)
    if call.version >= 4:
        return dict(coordinators=[
            dict(key=key, coordinator_id=where[0], coordinator_host=where[1],
                 coordinator_port=where[2], error_code=code)
            for key in call.request.coordinator_keys
        ])
    return dict(
        error_code=code, coordinator_id=where[0], coordinator_host=where[1], coordinator_port=where[2]
    )


def _store(call):
    return call.cluster.kafka_offsets if call.version else call.cluster.zookeeper_offsets


def _coordinates(call):
    return call.version == 0 or call.cluster.coordinator == call.broker.id


def offset_commit(call):
    def answer(name, asked, log):
        if not _coordinates(call):
            return dict(error_code=16)
        key = (call.request.group, name, asked.partition_id)
        _store(call)[key] = (asked.offset, asked.metadata)
        call.cluster.committed_epochs[key] = asked.leader_epoch
        return {}
    return dict(topics=each_partition(call, answer, by_id=call.version >= 10))


def offset_fetch(call):
    groups = call.request.groups if call.version >= 8 else [call.request]
    answers = []
    for group in groups:
        name_of_group = group.group_id if call.version >= 8 else group.group_name

        def answer(name, number, log):
            if not _coordinates(call):
                return dict(error_code=16, offset=-1, metadata="")
            found = _store(call).get((name_of_group, name, number))
            if found is None:
                code = 3 if call.version == 0 else 0
                return dict(error_code=code, offset=-1, metadata="")
            key = (name_of_group, name, number)
            epoch = call.cluster.committed_epochs.get(key, -1) if call.version >= 5 else -1
            return dict(offset=found[0], metadata=found[1], leader_epoch=epoch)

        topics = each_partition(
            call, answer, topics=group.topics, by_id=call.version >= 10, by_number=True
        )
        for topic in topics:
            for partition in topic["partitions"]:
                partition.setdefault("offset", -1)
                partition.setdefault("metadata", "")
        answers.append(dict(group_id=name_of_group, topics=topics))
    return dict(groups=answers) if call.version >= 8 else dict(topics=answers[0]["topics"])


def login(cluster, token):
    """Whether a PLAIN message is right."""
    _, name, password = token.decode("utf-8").split(u"\0")
    return cluster.users.get(name) == password


def sasl_handshake(call):
    known = call.request.mechanism == "PLAIN"
    return dict(error_code=0 if known else 33, mechanisms=["PLAIN"])


def sasl_authenticate(call):
    if login(call.cluster, call.request.auth_bytes):
        return dict(error_code=0, auth_bytes=b"", session_lifetime=call.cluster.session_lifetime)
    return dict(error_code=58, error_message="Authentication failed: no", auth_bytes=b"")


def heartbeat(call):
    return dict(error_code=call.code())


def leave_group(call):
    return dict(error_code=call.code())
