"""What the controller is asked about topics and their settings."""
from __future__ import absolute_import

from kiel.testing.fake.answers import shape
from kiel.testing.fake.topics import DEFAULTS, NAME

TOPIC, BROKER = 2, 4  # types of a resource

OFFSET_OUT_OF_RANGE, INVALID_TOPIC, EXISTS, INVALID_PARTITIONS, INVALID_REPLICATION = 1, 17, 36, 37, 38
INVALID_CONFIG, INVALID_REQUEST, NOT_FOUND = 40, 42, 91

#: where a setting's value comes from
OF_TOPIC, DEFAULT = 1, 5


def create_topics(call):
    """Answer a CreateTopics."""
    return dict(topics=[_create(call, asked) for asked in call.request.topics])


def _create(call, asked):
    code, text = _unfit(call, asked)
    if code:
        return dict(name=asked.name, error_code=code, error_message=text)
    count = len(asked.assignments) or max(asked.num_partitions, 1)
    fields = dict(name=asked.name, error_code=0, error_message=None, num_partitions=count,
                  replication_factor=max(asked.replication_factor, 1), configs=[])
    if not call.request.validate_only:
        topic = call.cluster.topics.create(
            asked.name, count, [(config.name, config.value) for config in asked.configs])
        fields["topic_id"] = topic.id
        call.cluster.elect()
    return fields


def _unfit(call, asked):
    """Return the error code and text for a topic that can't be made, 0 for one that can."""
    if call.code(asked.name):
        return call.code(asked.name), None
    if not NAME.match(asked.name) or asked.name in (".", ".."):
        return INVALID_TOPIC, "Topic name is invalid: %s" % asked.name
    if asked.name in call.cluster.topics.by_name:
        return EXISTS, "Topic '%s' already exists." % asked.name
    if asked.assignments:
        return 0, None
    if asked.num_partitions == 0 or asked.num_partitions < -1:
        return INVALID_PARTITIONS, "Number of partitions must be larger than 0."
    if asked.replication_factor not in [-1] + list(range(1, len(call.cluster.brokers) + 1)):
        return INVALID_REPLICATION, "%d replicas on %d brokers" % (
            asked.replication_factor, len(call.cluster.brokers))
    return 0, None


def delete_topics(call):
    """Answer a DeleteTopics."""
    out = []
    for asked in call.request.topics or call.request.topic_names:
        topic = call.cluster.topics.find(asked)
        name = topic.name if topic is not None else getattr(asked, "name", asked)
        missing = shape.UNKNOWN_TOPIC if name is not None else shape.UNKNOWN_TOPIC_ID
        code = call.code(name) or (missing if topic is None else 0)
        if not code:
            call.cluster.topics.delete(name)
            call.cluster.groups.forget_topic(name)
            call.cluster.written.happen()
        out.append(dict(name=name, error_code=code))
        if topic is not None:
            out[-1]["topic_id"] = topic.id
    return dict(topics=out)


def create_partitions(call):
    """Answer a CreatePartitions."""
    out = []
    for asked in call.request.topics:
        topic, text = call.cluster.topics.find(asked), None
        code = call.code(asked.name) or (shape.UNKNOWN_TOPIC if topic is None else 0)
        if not code and asked.count <= len(topic.partitions):
            code, text = INVALID_PARTITIONS, "The topic currently has %d partition(s); %d would not be an increase." % (
                len(topic.partitions), asked.count)
        if not code and not call.request.validate_only:
            call.cluster.topics.grow(topic, asked.count)
            call.cluster.elect()
        out.append(dict(name=asked.name, error_code=code, error_message=text))
    return dict(results=out)


def delete_records(call):
    """Answer a DeleteRecords."""
    def answer(name, asked, log):
        code = shape.leads(call, log)
        if not code:
            offset = log.end if asked.offset == -1 else asked.offset
            if not 0 <= offset <= log.end:
                code = OFFSET_OUT_OF_RANGE
            else:
                log.truncate(offset)
        return dict(error_code=code, low_watermark=-1 if code else log.start)
    return dict(topics=shape.each_partition(call, answer))


def describe_configs(call):
    """Answer a DescribeConfigs: what a topic's settings are; a broker tells none."""
    out = []
    for asked in call.request.resources:
        fields = dict(error_code=call.code(), error_message=None, resource_type=asked.resource_type,
                      resource_name=asked.resource_name, configs=[])
        topic = call.cluster.topics.find(asked.resource_name)
        if asked.resource_type == TOPIC and topic is None:
            fields["error_code"] = fields["error_code"] or shape.UNKNOWN_TOPIC
        elif asked.resource_type == TOPIC:
            fields["configs"] = _configs(topic, asked.configuration_keys)
        elif asked.resource_type != BROKER:
            fields["error_code"] = INVALID_REQUEST
        out.append(fields)
    return dict(results=out)


def _configs(topic, wanted):
    """Return a topic's settings; ``wanted`` are their names, or None for all."""
    return [
        dict(name=name, value=topic.config(name), documentation=None,
             config_source=OF_TOPIC if name in topic.configs else DEFAULT)
        for name in sorted(set(DEFAULTS) | set(topic.configs)) if wanted is None or name in wanted]


def incremental_alter_configs(call):
    """Answer an IncrementalAlterConfigs: topics' settings can be set and unset."""
    out = []
    for asked in call.request.resources:
        topic = call.cluster.topics.find(asked.resource_name) if asked.resource_type == TOPIC else None
        code = call.code(asked.resource_name) or (shape.UNKNOWN_TOPIC if topic is None else 0)
        for config in asked.configs if not code else ():
            if config.config_operation == 0:
                topic.configs[config.name] = config.value
            elif config.config_operation == 1:
                topic.configs.pop(config.name, None)
            else:
                code = INVALID_CONFIG
        out.append(dict(error_code=code, error_message=None, resource_type=asked.resource_type,
                        resource_name=asked.resource_name))
    return dict(responses=out)
