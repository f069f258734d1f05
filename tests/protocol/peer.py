"""Kafka's own encoder: a Java process that answers line by line."""
from __future__ import absolute_import

import binascii
import json
import os

from kiel import testing
from tests.protocol import definitions


class Peer(object):
    """A running ``Codec.java`` with the classes of one release."""

    def __init__(self, release):
        self.release = release
        self.process = testing.java_helper(
            os.path.join(definitions.JAVA, "Codec.java"), definitions.class_path(release))

    def ask(self, *words):
        """Sends a line and gives the answer; an error that Java tells is a ValueError."""
        self.process.stdin.write(" ".join(words).encode("ascii") + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode("utf-8").rstrip("\n")
        if not answer:
            raise RuntimeError("Java is gone: %s" % self.process.stderr.read().decode("utf-8", "replace"))
        state, _, rest = answer.partition(" ")
        if state != "ok":
            raise ValueError(rest)
        return rest

    def write(self, class_name, version, message):
        """The bytes of a message, given as JSON, in that version."""
        return binascii.unhexlify(self.ask("write", class_name, str(version), json.dumps(message)))

    def headers(self, api_key, version):
        """(request header version, response header version)"""
        return tuple(int(word) for word in self.ask("headers", str(api_key), str(version)).split())

    def close(self):
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
