"""
Loaded classes kept from one run for the next, which halves the work of starting a broker.

Java can write the classes that a process has loaded into an archive when it ends in good order, and
map them into later ones. The first cluster of a release does so for its first broker when it stops;
later ones find the archive in the cache, by class path and Java. An archive that does not fit is
passed over by Java itself.
"""
from __future__ import absolute_import

import hashlib
import os
import shutil

from kiel.testing import java, maven


#: The first Java that archives an application's classes at exit.
SINCE = 13
QUIET = "-Xlog:cds=error"


def path(classpath):
    """Return where the archive of a class path is kept for the Java in use; None when that Java makes none."""
    program = java.java("Kafka")
    if java.java_version(program) < SINCE:
        return None
    key = "\n".join([os.path.realpath(program), java.java_text(program)] + list(classpath))
    name = hashlib.sha1(key.encode("utf-8")).hexdigest()[:16] + ".jsa"
    return os.path.join(maven.cache_directory(), "classes", name)


def options(classpath):
    """Return the JVM options that use the archive; none when there is none yet."""
    kept = path(classpath)
    return [QUIET, "-XX:SharedArchiveFile=" + kept] if kept and os.path.isfile(kept) else []


def making(classpath, target):
    """The JVM options that write the archive to ``target`` when the process ends; none when there is one already."""
    kept = path(classpath)
    return [QUIET, "-XX:ArchiveClassesAtExit=" + target] if kept and not os.path.isfile(kept) else []


def keep(classpath, made):
    """Put an archive that a process has written into the cache; other runs see it whole or not at all."""
    kept = path(classpath)
    if kept and os.path.isfile(made):
        maven.make_directory(os.path.dirname(kept))
        part = "%s.%d" % (kept, os.getpid())
        shutil.move(made, part)
        os.rename(part, kept)
