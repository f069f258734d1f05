"""Kafkas whose brokers keep what clients push: compiled against the release's own classes."""
from __future__ import absolute_import

import base64
import io
import os
import subprocess
import zipfile

from kiel import testing
from kiel.testing import java

from tests.telemetry.reading import Numbers

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "java", "FileTelemetry.java")


def settings_of(version, directory):
    """
    Return the arguments of a `kiel.testing.Kafka` that keeps what it is told in a directory.

    :param version: the release
    """
    jar = os.path.join(directory, "telemetry.jar")
    classes = os.path.join(directory, "classes")
    os.makedirs(classes)
    process = subprocess.Popen([
        java.tool("javac", "A plugin of the brokers"), "-nowarn", "-d", classes, "-cp",
        os.pathsep.join(testing.jars("org.apache.kafka:kafka-clients:" + version)), SOURCE
    ], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = process.communicate()[0]
    assert process.returncode == 0, out.decode("utf-8", "replace")
    with zipfile.ZipFile(jar, "w") as archive:
        for name in os.listdir(classes):
            archive.write(os.path.join(classes, name), name)
    return dict(jars=[jar], settings={
        "metric.reporters": "FileTelemetry", "file.telemetry.path": path_in(directory)})


def path_in(directory):
    """Return where the pushes are."""
    return os.path.join(directory, "pushes")


class Pushed(object):
    """One push that brokers have handed to the plugin: ``instance``, ``last``, ``client_id`` and `numbers`."""

    def __init__(self, line):
        self.instance, last, self.client_id, self.content_type, data = line.split(" ")
        self.last = last == "true"
        self.numbers = Numbers(base64.b64decode(data))


def pushed(directory, client_id):
    """Return all that a client has pushed, oldest first."""
    if not os.path.exists(path_in(directory)):
        return []
    with io.open(path_in(directory), encoding="utf-8") as lines:
        found = [line for line in lines.read().split("\n")[:-1] if line.split(" ")[2] == client_id]
    return [Pushed(line) for line in found]
