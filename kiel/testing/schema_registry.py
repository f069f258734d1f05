"""A real schema registry on loopback, in memory: Apicurio Registry, which speaks Confluent's API."""
from __future__ import absolute_import

import os

from six.moves.urllib.request import urlopen

from kiel.testing import java, maven, ports, processes

#: what is fetched, once: about 160 MB
ARTIFACT = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
#: the first Java that runs it
LEAST = 21
#: where it speaks Confluent's API
PATH = "/apis/ccompat/v7"


class SchemaRegistry(object):
    """
    One registry, as a context manager or by :meth:`start` and :meth:`stop`, which also drops all it has.

    ``url`` is what clients take, such as :class:`kiel.schemas.Registry`. It needs Java 21 or later, which is looked for
    in ``/usr/lib/jvm`` too; where there is none, :class:`MissingToolError` says so.
    """

    def __init__(self, host="127.0.0.1"):
        self.host = host
        self.port = self._other_port = None
        self.directory = None
        self._process = None

    @property
    def url(self):
        """Where Confluent's API is."""
        return "http://%s:%d%s" % (self.host, self.port, PATH)

    def start(self):
        """Start it; return self when it answers."""
        program = java.newer("A schema registry", LEAST)
        place = maven.unpacked(ARTIFACT, "Apicurio Registry", 160)
        self.directory = processes.temporary_directory("registry")
        self.port, self._other_port = ports.take(2)
        self._process = processes.Process("registry", self.directory)
        processes.own(self)
        self._process.start(
            [program, "-Xmx512m"] + list(java.FAST_JVM) + [
                "-Dquarkus.http.host=" + self.host, "-Dquarkus.http.port=%d" % self.port,
                "-Dquarkus.management.host=" + self.host, "-Dquarkus.management.port=%d" % self._other_port,
                "-Dquarkus.log.console.level=WARN", "-jar", os.path.join(place, "quarkus-run.jar")],
            env=dict(os.environ, APICURIO_STORAGE_KIND="sql"))
        try:
            self._process.wait_ready(self._answers, 90, "Apicurio Registry")
        except BaseException:
            self.stop()
            raise
        return self

    def _answers(self):
        try:
            urlopen(self.url + "/subjects", timeout=5).close()
        except (EnvironmentError, ValueError):
            return False
        return True

    def stop(self):
        """End it; all that was registered is gone."""
        if self._process is not None:
            self._process.kill()  # in good order it takes seconds, and there is nothing to be kept
            self._process = None
            processes.disown(self)
            processes.remove_directory(self.directory)
            ports.give_back([self.port, self._other_port])

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc_info):
        self.stop()
