"""
Free ports that stay ours.

A port given out by the kernel (bind to 0) can be taken by any outgoing connection before a broker
binds it, or while it is down between two starts. So ports are chosen outside the range of outgoing
connections, and a lock file on each, held as long as this process lives, keeps other runs of the
harness off.
"""
from __future__ import absolute_import

import errno
import fcntl
import os
import random
import socket
import tempfile
import threading

from kiel.testing import errors, processes


_held = {}
_lock = threading.Lock()


def _candidates():
    low, high = 32768, 60999
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as source:
            low, high = [int(word) for word in source.read().split()]
    except (IOError, OSError, ValueError):
        pass
    ports = [port for port in range(15000, 65000) if not low <= port <= high]
    if len(ports) < 1000:
        ports = list(range(15000, 65000))
    random.SystemRandom().shuffle(ports)
    return ports


def _free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")):
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except (OSError, socket.error):
            continue
        try:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java's server sockets do
            probe.bind((host, port))
        except (OSError, socket.error) as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
        finally:
            probe.close()
    return True


def _claim(port):
    folder = os.path.join(tempfile.gettempdir(), "kiel-ports-%d" % os.getuid())
    if not os.path.isdir(folder):
        try:
            os.makedirs(folder)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
    claim = open(os.path.join(folder, str(port)), "a")
    processes.close_on_exec(claim.fileno())
    try:
        fcntl.flock(claim.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (IOError, OSError):
        claim.close()
        return None
    return claim


def take(count=1):
    """A list of ``count`` free ports, kept from other runs until :func:`give_back` or the end of this process."""
    taken = []
    with _lock:
        for port in _candidates():
            if len(taken) == count:
                break
            if port in _held or not _free(port):
                continue
            claim = _claim(port)
            if claim is not None:
                _held[port] = claim
                taken.append(port)
    if len(taken) < count:
        raise errors.HarnessError("No free port was found for a broker")
    return taken


def claim(port):
    """
    Take one port, which somebody has chosen.

    :raises kiel.testing.HarnessError: when it is not free
    """
    with _lock:
        held = None if port in _held or not _free(port) else _claim(port)
        if held is None:
            raise errors.HarnessError("Port %d is not free: another program listens there, or another Kafka of"
                                      " kiel.testing has it" % port)
        _held[port] = held


def give_back(ports):
    """Let others have these ports."""
    with _lock:
        for port in ports:
            claim = _held.pop(port, None)
            if claim is not None:
                claim.close()
