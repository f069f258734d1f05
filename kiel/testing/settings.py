"""
The broker settings that make a cluster quick to start and fit for tests, as a table, and the file
that comes of it.
"""
from __future__ import absolute_import

from kiel.testing import releases


NEVER = (99,)

# What a row writes may use: {id} {data} {replicas} {host} {port} {listeners} {advertised} {zookeeper} {voters} {roles}
SETTINGS = (
    # from       before   mode     setting                                          value
    ((0,),       NEVER,   "zk",    "broker.id",                                     "{id}"),
    ((0,),       NEVER,   "zk",    "zookeeper.connect",                             "{zookeeper}"),
    ((0,),       NEVER,   "zk",    "zookeeper.session.timeout.ms",                  "6000"),
    ((0,),       NEVER,   "zk",    "zookeeper.connection.timeout.ms",               "15000"),
    ((0,),       NEVER,   "kraft", "node.id",                                       "{id}"),
    ((0,),       NEVER,   "kraft", "process.roles",                                 "{roles}"),
    ((0,),       NEVER,   "kraft", "controller.quorum.voters",                      "{voters}"),
    ((0,),       NEVER,   "kraft", "controller.listener.names",                     "CONTROLLER"),
    # A broker that restarts sooner than this waits for its old session to run out.
    ((0,),       NEVER,   "kraft", "broker.session.timeout.ms",                     "6000"),
    ((0,),       NEVER,   "kraft", "broker.heartbeat.interval.ms",                  "1000"),
    ((0,),       NEVER,   None,    "log.dirs",                                      "{data}"),
    ((0,),       (0, 9),  None,    "host.name",                                     "{host}"),
    ((0,),       (0, 9),  None,    "advertised.host.name",                          "{host}"),
    ((0,),       (0, 9),  None,    "port",                                          "{port}"),
    ((0,),       (0, 9),  None,    "advertised.port",                               "{port}"),
    ((0, 9),     NEVER,   None,    "listeners",                                     "{listeners}"),
    ((0, 9),     NEVER,   None,    "advertised.listeners",                          "{advertised}"),
    ((0, 9),     NEVER,   None,    "security.inter.broker.protocol",                "PLAINTEXT"),
    ((0,),       (0, 9),  None,    "controlled.shutdown.enable",                    "true"),
    ((0,),       (1, 0),  None,    "delete.topic.enable",                           "true"),
    # The default of 50 partitions takes seconds to make.
    ((0, 8, 2),  NEVER,   None,    "offsets.topic.num.partitions",                  "4"),
    ((0, 8, 2),  NEVER,   None,    "offsets.topic.replication.factor",              "{replicas}"),
    ((0, 11),    NEVER,   None,    "transaction.state.log.num.partitions",          "4"),
    ((0, 11),    NEVER,   None,    "transaction.state.log.replication.factor",      "{replicas}"),
    ((0, 11),    NEVER,   None,    "transaction.state.log.min.isr",                 "1"),
    ((4, 0),     NEVER,   None,    "share.coordinator.state.topic.num.partitions",  "4"),
    ((4, 0),     NEVER,   None,    "share.coordinator.state.topic.replication.factor", "{replicas}"),
    ((4, 0),     NEVER,   None,    "share.coordinator.state.topic.min.isr",         "1"),
    # The default delays each first join of a group by 3 s.
    ((0, 11),    NEVER,   None,    "group.initial.rebalance.delay.ms",              "0"),
    # The default of 128 MB does not suit a small heap.
    ((0, 8, 1),  NEVER,   None,    "log.cleaner.dedupe.buffer.size",                "20971520"),
    ((0,),       NEVER,   None,    "num.network.threads",                           "2"),
    ((0,),       NEVER,   None,    "num.io.threads",                                "4"),
)  # noqa: E241

SECURITY_MAP = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"


def broker_settings(version, mode, values):
    """The settings of a broker, as a dict of texts, by the rows of the table that hold for the release and mode."""
    numbers = releases.numbers(version)
    return dict(
        (key, value.format(**values)) for since, before, only, key, value in SETTINGS
        if since <= numbers < before and only in (None, mode))


def write(path, settings):
    """Write settings as a Java properties file."""
    with open(path, "w") as target:
        for key in sorted(settings):
            value = settings[key]
            value = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
            target.write("%s=%s\n" % (key, str(value).replace("\\", "\\\\")))
