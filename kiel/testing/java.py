"""Finding Java and the other programs, and running a Java program of a single source file."""
from __future__ import absolute_import

import glob
import os
import re
import subprocess

from kiel.testing import errors, processes


#: Quick to start and small: a broker under test serves a few messages, for a minute.
FAST_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")

INSTALL = {
    "java": "a Java runtime, 17 or later: on Debian or Ubuntu `apt-get install openjdk-17-jre-headless`, on Fedora"
            " `dnf install java-17-openjdk-headless`, on macOS `brew install openjdk@17`; or set JAVA_HOME",
    "javac": "a JDK (the compiler), 17 or later: on Debian or Ubuntu `apt-get install openjdk-17-jdk-headless`,"
             " on Fedora `dnf install java-17-openjdk-devel`, on macOS `brew install openjdk@17`; or set JAVA_HOME",
    "keytool": "a Java runtime, which brings keytool: on Debian or Ubuntu `apt-get install openjdk-17-jre-headless`",
    "mvn": "Apache Maven: on Debian or Ubuntu `apt-get install maven`, on Fedora `dnf install maven`, on macOS"
           " `brew install maven`",
    "openssl": "OpenSSL's command: on Debian or Ubuntu `apt-get install openssl`",
}

#: where Linux keeps its Javas
PLACES = "/usr/lib/jvm"

_versions = {}


def which(name):
    """Return the path of a program on the PATH, or None."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def tool(name, purpose):
    """
    Return the path of a program that is needed.

    Java's own programs are looked for in ``JAVA_HOME`` first. Raises :class:`MissingToolError`,
    which says what to install.
    """
    path = None
    home = os.environ.get("JAVA_HOME")
    if home and name in ("java", "javac", "keytool"):
        path = os.path.join(home, "bin", name)
        path = path if os.access(path, os.X_OK) else None
    path = path or which(name)
    if path is None:
        raise errors.MissingToolError("%s needs `%s`, which is not there. Install %s." % (purpose, name, INSTALL[name]))
    return path


def java_text(path):
    """Return what a ``java`` program says of its version."""
    if path not in _versions:
        process = subprocess.Popen([path, "-version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = process.communicate()[0].decode("utf-8", "replace")
        if process.returncode:
            raise errors.MissingToolError("%s does not run: %s" % (path, text.strip()))
        _versions[path] = text
    return _versions[path]


def java_version(path):
    """Return the feature release of a ``java`` program as a number: 8, 11, 17 ..."""
    found = re.search(r'version "(?:1\.)?(\d+)', java_text(path))
    if not found:
        raise errors.MissingToolError("%s does not say what Java it is: %s" % (path, java_text(path).strip()))
    return int(found.group(1))


def java(purpose, least=8):
    """Return the path of a ``java`` of at least the given release, or :class:`MissingToolError`."""
    path = tool("java", purpose)
    version = java_version(path)
    if version < least:
        raise errors.MissingToolError("%s needs Java %d or later, and %s is Java %d. Install %s." % (
            purpose, least, path, version, INSTALL["java"]))
    return path


def newer(purpose, least):
    """
    Return the path of a ``java`` of at least the given release.

    Where the one that :func:`java` finds is older, one beside it does; :class:`MissingToolError` where there is none.
    """
    try:
        return java(purpose, least)
    except errors.MissingToolError:
        for path in sorted(glob.glob(os.path.join(PLACES, "*", "bin", "java"))):
            if os.access(path, os.X_OK) and java_version(path) >= least:
                return path
        raise


def options(release_options=(), least=8):
    """Return the JVM options that every process of the harness gets, then those of the release."""
    # --add-opens is not known to Java 8, and not needed there.
    modern = java_version(java("Kafka", least)) >= 9
    return list(FAST_JVM) + [option for option in release_options if modern or not option.startswith("--add-opens")]


def java_helper(source_path, classpath, *args):
    """
    Run a Java program that is one source file, and give its process with pipes for input, output
    and errors.

    ``classpath`` is a list of jars, as :func:`kiel.testing.jars` gives it. The process ends with
    this one, as brokers do. Raises :class:`MissingToolError` when there is no JDK: a plain runtime
    has no compiler.
    """
    tool("javac", "Running %s" % os.path.basename(source_path))
    command = [java("Running %s" % os.path.basename(source_path), 11), "-Xmx256m"] + options()
    command += ["-cp", os.pathsep.join(classpath), source_path] + [str(arg) for arg in args]
    return processes.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
