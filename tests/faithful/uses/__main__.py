"""
Runs the uses on the kiel that this Python has, a line of JSON for each: ``{"name": ..., "error": null or text}``.

    FAITHFUL_BROKERS=host:port FAITHFUL_ZOOKEEPER=host:port python -m uses [NAME ...]
"""
from __future__ import absolute_import, print_function

import json
import os
import sys
import traceback

from . import load
from .running import run


def main():
    brokers = os.environ.get("FAITHFUL_BROKERS", "").split(",")
    zk_hosts = os.environ.get("FAITHFUL_ZOOKEEPER", "").split(",")
    uses = load()
    for name in sys.argv[1:] or sorted(uses):
        try:
            run(uses[name][2], brokers, zk_hosts)
        except Exception as error:
            text = "%s: %s\n%s" % (type(error).__name__, error, traceback.format_exc())
        else:
            text = None
        print(json.dumps({"name": name, "error": text}))
        sys.stdout.flush()
    sys.stdout.flush()
    os._exit(0)  # threads of a client that a failed use left behind keep no process


if __name__ == "__main__":
    main()
