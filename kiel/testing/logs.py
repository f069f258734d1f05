"""How a broker logs: to its standard output, which the harness keeps in a file."""
from __future__ import absolute_import

import os


RELOAD4J = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""
LOG4J2 = """<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
  <Loggers><Root level="INFO"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def options(directory, log4j2):
    """Write the logging configuration into the directory and give the JVM options that point to it."""
    name, text, option = (
        ("log4j2.xml", LOG4J2, "-Dlog4j2.configurationFile=") if log4j2
        else ("log4j.properties", RELOAD4J, "-Dlog4j.configuration=file:"))
    path = os.path.join(directory, name)
    with open(path, "w") as target:
        target.write(text)
    return [option + path]
