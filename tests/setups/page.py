"""The page of wrong set-ups, docs/setups.rst."""
from __future__ import absolute_import

HEAD = """Wrong set-ups
=============

What kiel says to {0} mistakes in TLS, logins, proxies and addresses: the errors of constructors, and of ``connect()``
at scripted brokers that answer as Kafka does. ``make setups`` writes this page, and a test compares it with reality.
"[OpenSSL's words]" stands for what that library says, which differs from release to release. Python 2.7 and 3.6 know
less of it: their advice on certificates is to check the host name, the dates, and the authorities.

A ``NoBrokersError`` may pass by itself; all others have to be mended.
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
