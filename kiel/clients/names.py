"""Names of arguments that a constructor does not have: what may have been meant."""
from __future__ import absolute_import

import difflib
import inspect

import six

#: names of other clients' arguments -> what stands for them here
ELSEWHERE = {
    "acks": "required_acks",
    "auto_commit": "autocommit",
    "auto_offset_reset": "start= of consume(), and offset_reset",
    "batch_num_messages": "batch_size (a number of messages)",
    "bootstrap_servers": "brokers",
    "broker_list": "brokers",
    "buffer_memory": "buffer_bytes",
    "client_rack": "rack_id",
    "compression_codec": "compression",
    "compression_type": "compression",
    "connections_max_idle_ms": None,
    "consumer_group": "group",
    "default_topic_config": None,
    "enable_auto_commit": "autocommit",
    "enable_idempotence": "idempotent",
    "fetch_max_bytes": "max_bytes",
    "fetch_max_wait_ms": "max_wait_time (milliseconds)",
    "fetch_min_bytes": "min_bytes",
    "fetch_wait_max_ms": "max_wait_time (milliseconds)",
    "group_id": "group",
    "group_name": "group",
    "host": "brokers",
    "hosts": "brokers",
    "key_serializer": "key_maker, or key= of produce()",
    "max_batch_size": "max_request_bytes, and batch_size (a number of messages)",
    "max_in_flight_requests_per_connection": None,
    "max_partition_fetch_bytes": "max_bytes",
    "max_poll_records": "max_records",
    "max_request_size": "max_request_bytes",
    "message_max_bytes": "max_request_bytes",
    "partition_assignment_strategy": "assignors",
    "queue_buffering_max_kbytes": "buffer_bytes (bytes)",
    "queue_buffering_max_ms": "linger (seconds)",
    "receive_message_max_bytes": "max_bytes",
    "request_required_acks": "required_acks",
    "retries": "retry, and delivery_timeout (seconds)",
    "retry_backoff": "retry",
    "sasl_kerberos_service_name": "sasl",
    "sasl_mechanism": "sasl",
    "sasl_mechanisms": "sasl",
    "sasl_oauth_token_provider": "sasl",
    "sasl_password": "sasl",
    "sasl_plain_password": "sasl",
    "sasl_plain_username": "sasl",
    "sasl_username": "sasl",
    "security_protocol": "ssl and sasl",
    "servers": "brokers",
    "ssl_ca_location": "ssl=kiel.ssl(cafile=...)",
    "ssl_cafile": "ssl=kiel.ssl(cafile=...)",
    "ssl_certfile": "ssl=kiel.ssl(certfile=...)",
    "ssl_certificate_location": "ssl=kiel.ssl(certfile=...)",
    "ssl_check_hostname": "ssl=kiel.ssl(...)",
    "ssl_context": "ssl",
    "ssl_key_location": "ssl=kiel.ssl(keyfile=...)",
    "ssl_keyfile": "ssl=kiel.ssl(keyfile=...)",
    "ssl_password": "ssl=kiel.ssl(password=...)",
    "key_deserializer": "records' keys, which are bytes as they came",
    "value_deserializer": "deserializer",
    "value_serializer": "serializer",
    "zookeeper_connect": "zk_hosts",
    "zookeeper_hosts": "zk_hosts",
}

#: names that need nothing here, with the reason
NEEDLESS = {
    "api_version": "versions are agreed on with each broker",
    "api_version_auto_timeout_ms": "versions are agreed on with each broker",
    "broker_version_fallback": "versions are agreed on with each broker",
    "auto_commit_interval_ms": "what is handed out is committed as autocommit says",
    "io_loop": "connect() takes the loop that runs",
    "loop": "connect() takes the loop that runs",
    "topic": "produce() and consume() name it",
}


def accepted(cls):
    """Return the names of the arguments that a class of kiel's takes, with those that it hands on."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.startswith("kiel.") and "__init__" in vars(base):
            names.update(_arguments(vars(base)["__init__"]))
    return names


def _arguments(function):
    """Return the names of a method's arguments."""
    if six.PY2:
        return inspect.getargspec(function).args[1:]
    spec = inspect.getfullargspec(function)
    return spec.args[1:] + spec.kwonlyargs


def check(cls, given, others=()):
    """
    Refuse arguments that a class does not take; one with a constructor of an application's own says so itself.

    :param given: their names
    :param others: the classes of which one may be meant
    :raises TypeError: which names the class, each argument, and what may be meant
    """
    if given and cls.__init__.__module__.startswith("kiel."):
        unknown = sorted(set(given).difference(accepted(cls)))
        if unknown:
            raise refusal(cls, unknown, others)


def refusal(cls, unknown, others=()):
    """Return the TypeError of arguments that a class does not take."""
    return TypeError("%s takes no %s" % (cls.__name__, "; and no ".join(
        "%s: %s" % (name, _meant(cls, name, others)) for name in unknown)))


def _meant(cls, name, others):
    """Return what may be meant by a name."""
    plain = name.replace(".", "_").replace("-", "_").lower()
    takes = accepted(cls)
    if plain in NEEDLESS:
        return NEEDLESS[plain]
    for candidate in (plain, plain[:-len("_ms")] if plain.endswith("_ms") else None):
        if candidate is None:
            continue
        found = ELSEWHERE.get(candidate, candidate if candidate in takes and candidate != name else None)
        if found is not None:
            if found in takes and plain.endswith("_ms"):
                return "here it is %s, in %s" % (found, "milliseconds" if found in MILLISECONDS else "seconds")
            if found not in takes and found.split("=")[0].split(" ")[0].rstrip(",") not in takes:
                owner = _owner(found, others)
                if owner is not None:
                    return "that is %s of %s" % (found, owner)
            return "here it is %s" % found
    owner = _owner(name, others)
    if owner is not None:
        return "that is an argument of %s" % owner
    near = difflib.get_close_matches(plain, sorted(takes), 1)
    if near:
        return "%s is meant, perhaps" % near[0]
    return "it takes %s" % ", ".join(sorted(takes))


#: arguments in milliseconds; all other times are in seconds
MILLISECONDS = ("ack_timeout", "max_wait_time")


def _owner(name, others):
    """Return the names of the classes that take an argument, as text; None where there is none."""
    owners = sorted(other.__name__ for other in others if name in accepted(other))
    return " and ".join(owners) or None
