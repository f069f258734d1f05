"""
Jars, through Maven, once, into a cache that every run shares.

The cache (``KIEL_CACHE``, else ``XDG_CACHE_HOME/kiel``, else ``~/.cache/kiel``) holds a local Maven
repository and, for each set of artifacts, a file with its class path. When that file and all its
jars are there, Maven is not asked and nothing goes over the network. Where Maven gets things from
is the business of the user's Maven settings.
"""
from __future__ import absolute_import

import contextlib
import errno
import fcntl
import hashlib
import io
import os
import re
import subprocess
import tempfile
import time

from kiel.testing import errors, java, processes, releases


PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>kiel.testing</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencyManagement><dependencies>%s</dependencies></dependencyManagement>
  <dependencies>%s</dependencies>
</project>
"""
DEPENDENCY = "\n    <dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version>%s</dependency>"
EXCLUSION = "<exclusion><groupId>%s</groupId><artifactId>%s</artifactId></exclusion>"


def cache_directory():
    """Return the directory where jars are kept: ``KIEL_CACHE``, else ``kiel`` in the user's cache directory."""
    chosen = os.environ.get("KIEL_CACHE")
    if chosen:
        return os.path.abspath(os.path.expanduser(chosen))
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "kiel")


def make_directory(path):
    """Make a directory and its parents, unless it is there."""
    try:
        os.makedirs(path)
    except OSError as error:
        if error.errno != errno.EEXIST or not os.path.isdir(path):
            raise


def pom(artifacts, pins=(), excluded=releases.EXCLUDED):
    """Return the text of a Maven project that depends on the artifacts (``group:artifact:version``)."""
    exclusions = "".join(EXCLUSION % tuple(name.split(":")) for name in excluded)
    exclusions = exclusions and "<exclusions>%s</exclusions>" % exclusions
    return POM % (
        "".join(DEPENDENCY % (tuple(pin.split(":")) + ("",)) for pin in pins),
        "".join(DEPENDENCY % (tuple(artifact.split(":")) + (exclusions,)) for artifact in artifacts))


def classpath(artifacts, pins=(), name="jars", megabytes=None, excluded=releases.EXCLUDED):
    """
    Return the jars of the artifacts and of all they need at run time, as a list of paths; fetched when
    they are not in the cache.

    ``name`` and ``megabytes`` are for telling how far a fetch is.
    """
    text = pom(artifacts, pins, excluded)
    root = cache_directory()
    key = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-").lower()
    key = "%s-%s" % (key, hashlib.sha1(text.encode("utf-8")).hexdigest()[:10])
    found = _cached(root, key)
    if found is None:
        make_directory(os.path.join(root, "sets"))
        with _locked(root):
            found = _cached(root, key)  # another process may have fetched it meanwhile
            if found is None:
                _fetch(root, key, text, name, megabytes)
                found = _cached(root, key)
    if found is None:
        raise errors.FetchError("Maven ended well, but the jars of %s are not in %s" % (name, root))
    return found


def _cached(root, key):
    try:
        with io.open(os.path.join(root, "sets", key), encoding="utf-8") as source:
            paths = [os.path.join(root, line) for line in source.read().split("\n") if line]
    except IOError:
        return None
    return paths if paths and all(os.path.isfile(path) for path in paths) else None


@contextlib.contextmanager
def _locked(root):
    with open(os.path.join(root, "lock"), "a") as lock:
        processes.close_on_exec(lock.fileno())
        try:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            processes.tell("waiting for another process that is fetching jars into %s" % root)
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
        yield  # closing the file lets go of the lock


def _fetch(root, key, text, name, megabytes):
    mvn = java.tool("mvn", "Fetching %s" % name)
    java.java("Fetching %s" % name)
    about = " (about %d MB)" % megabytes if megabytes else ""
    processes.tell("fetching %s%s into %s, once" % (name, about, root))
    work = tempfile.mkdtemp(prefix="fetch-", dir=root)
    try:
        with io.open(os.path.join(work, "pom.xml"), "w", encoding="utf-8") as target:
            target.write(text if isinstance(text, type(u"")) else text.decode("utf-8"))
        listing = os.path.join(work, "classpath")
        _run_maven([
            mvn, "-B", "-U", "-f", os.path.join(work, "pom.xml"), "-Dmaven.repo.local=" + os.path.join(root, "maven"),
            PLUGIN + ":build-classpath", "-Dmdep.outputFile=" + listing, "-DincludeScope=runtime",
        ], name, megabytes)
        with io.open(listing, encoding="utf-8") as source:
            paths = [path for path in source.read().strip().split(os.pathsep) if path]
        relative = os.path.join(work, "relative")
        with io.open(relative, "w", encoding="utf-8") as target:
            for path in paths:
                target.write(u"%s\n" % os.path.relpath(path, root))
        os.rename(relative, os.path.join(root, "sets", key))
    finally:
        processes.remove_directory(work)


def _run_maven(command, name, megabytes):
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               close_fds=True)
    process.stdin.close()
    lines, files, size = [], 0, 0.0
    began = told = time.time()
    try:
        for line in iter(process.stdout.readline, b""):
            line = line.decode("utf-8", "replace").rstrip()
            got = re.match(r"\[INFO\] Downloaded from .*\.jar \(([\d.]+) ([kM]?)B", line)
            if got:
                files += 1
                size += float(got.group(1)) / {"": 1e6, "k": 1e3, "M": 1}[got.group(2)]
            elif "Downloading from" not in line and "Downloaded from" not in line:
                lines.append(line)
            if time.time() - told > 2:
                told = time.time()
                far = "%d files, %.0f" % (files, size) + (" of about %d MB" % megabytes if megabytes else " MB")
                processes.tell("fetching %s: %s after %d s" % (name, far, told - began))
    except BaseException:  # Ctrl-C too
        process.kill()
        process.wait()
        raise
    finally:
        process.stdout.close()
    if process.wait() != 0:
        raise errors.FetchError("Maven could not fetch %s. The end of what it printed:\n%s" % (
            name, "\n".join(lines[-15:])))
    if time.time() - began > 2:
        processes.tell("fetched %s in %d s" % (name, time.time() - began))


def unpacked(artifact, name, megabytes=None):
    """
    Return the directory of what an archive holds, ``"group:artifact:version:type:classifier"``.

    It is fetched when it is not in the cache.

    ``name`` and ``megabytes`` are for telling how far a fetch is.
    """
    root = cache_directory()
    place = os.path.join(root, "unpacked", re.sub(r"[^A-Za-z0-9.]+", "-", artifact))
    if os.path.isdir(place):
        return place
    make_directory(os.path.dirname(place))
    with _locked(root):
        if not os.path.isdir(place):  # another process may have fetched it meanwhile
            mvn = java.tool("mvn", "Fetching %s" % name)
            processes.tell("fetching %s%s into %s, once" % (
                name, " (about %d MB)" % megabytes if megabytes else "", root))
            work = tempfile.mkdtemp(prefix="fetch-", dir=root)
            try:
                with io.open(os.path.join(work, "pom.xml"), "w", encoding="utf-8") as target:
                    target.write(u"%s" % pom(()))
                _run_maven([
                    mvn, "-B", "-f", os.path.join(work, "pom.xml"),
                    "-Dmaven.repo.local=" + os.path.join(root, "maven"), PLUGIN + ":unpack", "-Dartifact=" + artifact,
                    "-DoutputDirectory=" + os.path.join(work, "content"),
                ], name, megabytes)
                os.rename(os.path.join(work, "content"), place)
            finally:
                processes.remove_directory(work)
    return place


def kafka_classpath(release):
    """Return the class path of a broker of the given release (a row of :data:`kiel.testing.releases.RELEASES`)."""
    return classpath(releases.kafka_artifacts(release), release.pins, "Kafka " + release.version, release.megabytes)


def tools_classpath(release):
    """Return the class path of a release's Java tools: from 3.5 on they are in an artifact of their own."""
    if releases.numbers(release.version) < (3, 5):
        return kafka_classpath(release)
    artifacts = releases.kafka_artifacts(release) + ("org.apache.kafka:kafka-tools:" + release.version,)
    return classpath(artifacts, release.pins, "the tools of Kafka " + release.version,
                     excluded=releases.TOOLS_EXCLUDED)


def zookeeper_classpath(version):
    """Return the class path of a ZooKeeper server on its own."""
    return classpath(releases.zookeeper_artifacts(version), (releases.SLF4J,), "ZooKeeper " + version, 5)


def jars(*artifacts):
    """
    Return the class path (a list of jars) for a Java program that uses the given artifacts, each
    ``"group:artifact:version"``.

    What the artifacts need comes with them. From the same cache as the brokers' jars.
    """
    return classpath(artifacts, name=" and ".join(artifact.split(":")[1] for artifact in artifacts), excluded=())
