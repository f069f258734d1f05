"""
What each Kafka release needs to run on a current Java, as a table, and the rules for releases that
are not in it.

Every row was run for real. ``python -m kiel.testing versions`` prints the table.
"""
from __future__ import absolute_import

import collections

from kiel.testing import errors


Release = collections.namedtuple("Release", "version scala modes zookeeper java megabytes extras pins jvm")

#: The logging of the years before Kafka 4: reload4j stands in for log4j 1.2, which has known holes.
RELOAD4J = "org.slf4j:slf4j-reload4j:1.7.36"
SLF4J = "org.slf4j:slf4j-api:1.7.36"
#: javax.xml.bind left the JDK with Java 11, but 0.10.2 and 0.11 parse base 64 with it.
JAXB = "javax.xml.bind:jaxb-api:2.3.1"
#: ZooKeeper's client 3.4.13 and 3.4.14 fail on Java 14 and later with UnresolvedAddressException.
OLD_ZOOKEEPER = "org.apache.zookeeper:zookeeper:3.4.10"
#: snappy-java 1.0.5 loads its library through a protected method of the class loader.
OPENS_LANG = "--add-opens=java.base/java.lang=ALL-UNNAMED"


def LOG4J(version):
    """Return the logging of Kafka 4: Log4j 2 behind slf4j 1.7."""
    return (
        "org.apache.logging.log4j:log4j-core:" + version,
        "org.apache.logging.log4j:log4j-slf4j-impl:" + version,
    )


#: Each Kafka that is known. modes: the first is the default; java: the least Java release; megabytes: of jars, for
#: showing how far a fetch is.
RELEASES = tuple(Release(*row) for row in (
    # version    Scala   modes            ZooKeeper  Java MB  extra jars                  pinned        JVM
    ("0.8.1.1",  "2.10", ("zk",),         "3.3.4",    8,  13, (RELOAD4J,),                (SLF4J,),     (OPENS_LANG,)),
    ("0.8.2.2",  "2.10", ("zk",),         "3.4.6",    8,  15, (RELOAD4J,),                (SLF4J,),     ()),
    ("0.9.0.1",  "2.11", ("zk",),         "3.4.6",    8,  16, (RELOAD4J,),                (SLF4J,),     ()),
    ("0.10.0.1", "2.11", ("zk",),         "3.4.6",    8,  16, (RELOAD4J,),                (SLF4J,),     ()),
    ("0.10.2.2", "2.11", ("zk",),         "3.4.9",    8,  15, (RELOAD4J, JAXB),           (SLF4J,),     ()),
    ("0.11.0.3", "2.11", ("zk",),         "3.4.10",   8,  17, (RELOAD4J, JAXB),           (SLF4J,),     ()),
    ("1.1.1",    "2.11", ("zk",),         "3.4.10",   8,  25, (RELOAD4J,),                (SLF4J,),     ()),
    ("2.0.1",    "2.12", ("zk",),         "3.4.10",   8,  21, (RELOAD4J, OLD_ZOOKEEPER),  (SLF4J,),     ()),
    ("2.3.1",    "2.12", ("zk",),         "3.4.10",   8,  27, (RELOAD4J, OLD_ZOOKEEPER),  (SLF4J,),     ()),
    ("2.4.1",    "2.13", ("zk",),         "3.5.7",    8,  30, (RELOAD4J,),                (SLF4J,),     ()),
    ("2.8.2",    "2.13", ("zk",),         "3.5.9",    8,  36, (RELOAD4J,),                (SLF4J,),     ()),
    ("3.4.1",    "2.13", ("kraft", "zk"), "3.6.4",    8,  37, (RELOAD4J,),                (SLF4J,),     ()),
    ("3.7.2",    "2.13", ("kraft", "zk"), "3.8.4",    8,  46, (RELOAD4J,),                (SLF4J,),     ()),
    ("3.9.1",    "2.13", ("kraft", "zk"), "3.8.4",    8,  47, (RELOAD4J,),                (SLF4J,),     ()),
    ("4.0.2",    "2.13", ("kraft",),      None,      17,  43, LOG4J("2.24.3"),            (),           ()),
    ("4.1.2",    "2.13", ("kraft",),      None,      17,  44, LOG4J("2.24.3"),            (),           ()),
    ("4.3.1",    "2.13", ("kraft",),      None,      17,  45, LOG4J("2.25.4"),            (),           ()),
    ("4.4.0",    "2.13", ("kraft",),      None,      17,  44, LOG4J("2.25.4"),            (),           ()),
))  # noqa: E241

#: The releases that kiel's own test matrix covers.
SUPPORTED = (
    "0.8.2.2", "0.9.0.1", "0.10.0.1", "0.10.2.2", "0.11.0.3", "1.1.1", "2.4.1", "2.8.2", "3.9.1", "4.0.2", "4.3.1",
    "4.4.0",
)
DEFAULT = "4.4.0"

#: Not served any more, not needed, or replaced by an extra above; kept out of every class path.
EXCLUDED = (
    "com.sun.jmx:jmxri", "com.sun.jdmk:jmxtools", "javax.jms:jms", "javax.mail:mail", "junit:junit",
    "log4j:log4j", "org.slf4j:slf4j-log4j12", "ch.qos.logback:logback-classic", "ch.qos.logback:logback-core",
    "jline:jline",
)

#: The tools of Kafka (3.5 and later) name Connect and its web server, which are large, and which they do not need.
TOOLS_EXCLUDED = EXCLUDED + (
    "org.apache.kafka:connect-api", "org.apache.kafka:connect-json", "org.apache.kafka:connect-runtime",
    "org.eclipse.jetty:*", "org.eclipse.jetty.ee10:*",
)

#: What a ZooKeeper on its own needs beside its jar: from 3.6 on its pom calls the first two provided.
ZOOKEEPER_DEFAULT = "3.8.4"
ZOOKEEPER_EXTRAS = (
    # from           artifacts
    ((3, 6), ("io.dropwizard.metrics:metrics-core:4.1.12.1", "org.xerial.snappy:snappy-java:1.1.10.5")),
    ((0,), (RELOAD4J,)),
)


def numbers(version):
    """Return the version as a tuple of numbers, to be compared: ``"0.10.2.2"`` gives ``(0, 10, 2, 2)``."""
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError:
        raise errors.HarnessError(
            "%r is no Kafka release; known ones: %s" % (version, ", ".join(row.version for row in RELEASES)))


def find(version):
    """
    Return what the given release needs, as a row of the table.

    A short version (``"4.0"``) is the newest known of that line. A full version that is not in the
    table takes the needs of the nearest earlier row: best effort.
    """
    wanted = numbers(version)
    line = [row for row in RELEASES if numbers(row.version)[:len(wanted)] == wanted]
    if line:
        return line[-1]
    if len(wanted) < (4 if wanted[0] == 0 else 3):
        raise errors.HarnessError("No release of Kafka %s is known here; give the full version (known: %s)" % (
            version, ", ".join(row.version for row in RELEASES)))
    earlier = [row for row in RELEASES if numbers(row.version) < wanted] or [RELEASES[0]]
    return earlier[-1]._replace(version=version)


def kafka_artifacts(release):
    """Return the Maven coordinates of a release's broker and of what it needs beside it."""
    return ("org.apache.kafka:kafka_%s:%s" % (release.scala, release.version),) + release.extras


def zookeeper_artifacts(version):
    """Return the Maven coordinates of a ZooKeeper server of the given version."""
    extras = ()
    for since, artifacts in ZOOKEEPER_EXTRAS:
        if numbers(version) >= since:
            extras += artifacts
    return ("org.apache.zookeeper:zookeeper:" + version,) + extras
