"""The page of wrong set-ups, docs/setups.rst."""
from __future__ import absolute_import

HEAD = """Wrong set-ups
=============

The error that each of {0} mistakes in TLS, logins, proxies and addresses leads to. It is raised by a constructor, or
by ``connect()``; the brokers are scripted, and answer as Kafka does. ``make setups`` writes this page, and a test
compares it with the errors that are really raised. "[OpenSSL's words]" stands for OpenSSL's own message, which
differs from release to release. On Python 2.7 and 3.6 it says less about the cause: whatever is wrong with a
certificate, the advice there is to check the host name, the dates and the authorities.

A ``NoBrokersError`` may be temporary; after any other error the set-up has to be corrected.
"""


def table(rows):
    """Return the page of rows: ``(area, mistake, seconds, text)``."""
    areas = []
    for area, _, _, _ in rows:
        if area not in areas:
            areas.append(area)
    lines = [HEAD.format(len(rows))]
    for area in areas:
        lines += [area, "-" * len(area), "", ".. list-table::", "   :header-rows: 1", "   :widths: 30 70", "",
                  "   * - mistake", "     - error"]
        for _, mistake, _, text in [row for row in rows if row[0] == area]:
            lines += ["   * - " + mistake, "     - ``%s``" % text]
        lines.append("")
    return "\n".join(lines)
