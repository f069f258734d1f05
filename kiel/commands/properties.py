"""
Properties as Java's clients and librdkafka (kcat) call them: what each means to the command.

Each name is in one of three tables: it sets something, it is of no effect here, or it would make a difference that the
command does not make, and is refused. So is a name that is in none of them.
"""
from __future__ import absolute_import

import io
import logging
import re

from kiel.commands.showing import CommandError

log = logging.getLogger(__name__)

#: property -> what it sets here
MEANT = {
    "bootstrap.servers": "brokers", "metadata.broker.list": "brokers",
    "security.protocol": "protocol",
    "sasl.mechanism": "sasl", "sasl.mechanisms": "sasl", "sasl.username": "user", "sasl.password": "password",
    "sasl.jaas.config": "jaas", "sasl.kerberos.service.name": "login.serviceName",
    "sasl.kerberos.principal": "login.principal", "sasl.kerberos.keytab": "login.keyTab",
    "sasl.oauthbearer.token.endpoint.url": "login.token_url", "sasl.oauthbearer.method": "login.method",
    "sasl.oauthbearer.client.id": "login.clientId", "sasl.oauthbearer.client.secret": "login.clientSecret",
    "sasl.oauthbearer.client.credentials.client.id": "login.clientId",
    "sasl.oauthbearer.client.credentials.client.secret": "login.clientSecret", "sasl.oauthbearer.scope": "login.scope",
    "sasl.login.callback.handler.class": "handler", "sasl.client.callback.handler.class": "handler",
    "ssl.ca.location": "ca_file", "ssl.truststore.location": "ca_file", "ssl.truststore.type": "pem",
    "ssl.certificate.location": "cert", "ssl.keystore.location": "cert", "ssl.keystore.type": "pem",
    "ssl.key.location": "key", "ssl.key.password": "key_password",
    "ssl.endpoint.identification.algorithm": "host_check", "enable.ssl.certificate.verification": "verify",
    "client.id": "client_id", "client.rack": "rack_id", "proxy": "proxy",
    "enable.metrics.push": "metrics_push",
    "isolation.level": "isolation", "auto.offset.reset": "offset_reset", "group.instance.id": "group_instance_id",
    "group.protocol": "group_protocol",
    "compression.type": "compression", "compression.codec": "compression",
    "acks": "acks", "request.required.acks": "acks", "linger.ms": "linger", "queue.buffering.max.ms": "linger",
    "enable.idempotence": "idempotent", "transactional.id": "transactional_id", "partitioner": "partitioner",
    "schema.registry.url": "registry", "basic.auth.user.info": "registry_login",
    "schema.registry.basic.auth.user.info": "registry_login",
}

#: what kiel has an own way of, or does anyway, or what is about parts that a command does not have. ``group.id`` too:
#: a group is joined, and commits, where --group says so
NO_EFFECT = frozenset("""
allow.auto.create.topics api.version.fallback.ms api.version.request api.version.request.timeout.ms auto.commit.enable
auto.register.schemas basic.auth.credentials.source schema.registry.basic.auth.credentials.source
auto.commit.interval.ms batch.num.messages batch.size bootstrap.controllers bootstrap.resolve.timeout.ms
broker.address.family broker.address.ttl broker.version.fallback buffer.memory buffer.memory.allocation.strategy
builtin.features check.crcs client.dns.lookup compression.gzip.level compression.level compression.lz4.level
compression.zstd.level connections.max.idle.ms consume.callback.max.messages coordinator.query.interval.ms debug
default.api.timeout.ms delivery.report.only.error delivery.timeout.ms enable.auto.commit enable.auto.offset.store
enable.gapless.guarantee enable.partition.eof enable.random.seed exclude.internal.topics
fetch.error.backoff.ms fetch.max.bytes fetch.max.wait.ms fetch.message.max.bytes fetch.min.bytes fetch.wait.max.ms
group.id group.protocol.type group.remote.assignor heartbeat.interval.ms internal.termination.signal key.deserializer
key.serializer log_level max.block.ms max.in.flight max.in.flight.requests.per.connection max.partition.fetch.bytes
max.poll.interval.ms max.poll.records max.request.size message.copy.max.bytes message.max.bytes
message.send.max.retries message.timeout.ms metadata.cluster.check.enable metadata.max.age.ms metadata.max.idle.ms
metadata.recovery.rebootstrap.trigger.ms metadata.recovery.strategy metric.reporters metrics.num.samples
metrics.recording.level metrics.sample.window.ms offset.store.method offset.store.path offset.store.sync.interval.ms
partition.assignment.strategy partitioner.adaptive.partitioning.enable partitioner.availability.timeout.ms
partitioner.rack.aware produce.offset.report queue.buffering.backpressure.threshold queue.buffering.max.kbytes
queue.buffering.max.messages queued.max.messages.kbytes queued.min.messages queuing.strategy receive.buffer.bytes
receive.message.max.bytes reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms
retries retry.backoff.max.ms retry.backoff.ms send.buffer.bytes session.timeout.ms share.acknowledgement.mode
share.acquire.mode ssl.keystore.password ssl.truststore.password statistics.interval.ms sticky.partitioning.linger.ms
topic.blacklist transaction.timeout.ms transaction.two.phase.commit.enable value.deserializer value.serializer
""".split())

#: the same of all names that begin so
NO_EFFECT_FAMILIES = (
    "log.", "socket.", "topic.metadata.", "sasl.kerberos.", "sasl.oauthbearer.jwks.", "sasl.login.", "internal.throw.")

#: what would make a difference, of connections above all; so would what nobody knows
REFUSED = frozenset("""
config.providers enable.sasl.oauthbearer.unsecure.jwt interceptor.classes interceptors partitioner.class
partitioner.ignore.keys plugin.library.paths sasl.login.class security.providers ssl.ca.certificate.stores ssl.ca.pem
ssl.certificate.pem ssl.cipher.suites ssl.crl.location ssl.curves.list ssl.enabled.protocols ssl.engine.factory.class
ssl.engine.id ssl.engine.location ssl.key.pem ssl.keymanager.algorithm ssl.keystore.certificate.chain ssl.keystore.key
ssl.protocol ssl.provider ssl.providers ssl.secure.random.implementation ssl.sigalgs.list ssl.trustmanager.algorithm
ssl.truststore.certificates
""".split())

#: the same of all names that begin so: assertions instead of a secret, extensions, tokens that nobody signed
REFUSED_FAMILIES = ("sasl.oauthbearer.",)

#: what must not be on the command line, where everybody who sees the processes sees it
SECRET = re.compile(r"password|secret|user\.info|passphrase|jaas|\.key$|key\.pem$|oauthbearer\.config$")

#: how a keyed message finds its partition, as librdkafka says it -> by `kiel.partitioners.murmur2`
PARTITIONERS = ("murmur2", "murmur2_random")


def read(path):
    """
    Return ``(name, value)`` of each line of a file; a line that ends in a backslash goes on in the next one.

    :raises CommandError: for a file that can't be read
    """
    try:
        with io.open(path, encoding="utf-8") as source:
            text = source.read()
    except (EnvironmentError, UnicodeDecodeError) as error:
        raise CommandError("the configuration can't be read: %s" % error)
    found = []
    for number, line in enumerate(re.sub(r"\\\n\s*", "", text).splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#!":
            continue
        name, sign, value = line.partition("=")
        if not sign:
            raise CommandError("%s, line %d: expected name=value" % (path, number))
        found.append((str(name.strip()), value.strip()))
    return found


def note(found, name, value, where):
    """
    Take a property over.

    :param found: ``{what it sets: value}``
    :param where: where it was found, for the text of an error
    :raises CommandError: for one that is refused
    """
    # kcat's older files say so which are about topics
    bare = name[len("topic."):] if name.startswith("topic.") and name[len("topic."):] in MEANT else name
    if bare in MEANT:
        found[MEANT[bare]] = value
    elif bare in NO_EFFECT or bare.startswith(NO_EFFECT_FAMILIES):
        log.info("%s%s has no effect here", where, name)
    elif bare in REFUSED or bare.startswith(REFUSED_FAMILIES):
        raise CommandError("%s%s is a property that this command does not support" % (where, name))
    else:
        raise CommandError("%s%s is a property that kiel does not know" % (where, name))


def truth(found, name, default):
    """
    Take a property out that is true or false.

    :raises CommandError: for another value
    """
    text = found.pop(name, default).lower()
    if text not in ("true", "false"):
        raise CommandError("%s is true or false, not %s" % (
            " or ".join(sorted(each for each, meant in MEANT.items() if meant == name)), text))
    return text == "true"


__all__ = [
    "MEANT", "NO_EFFECT", "NO_EFFECT_FAMILIES", "PARTITIONERS", "REFUSED", "REFUSED_FAMILIES", "SECRET", "note", "read",
    "truth"
]
