"""Ports of 127.0.0.1: one that is free, and whether somebody listens."""

import random
import socket

from waiting import PATIENCE


def free_port():
    """A port below those that the kernel gives to outgoing connections, so that it stays free."""
    while True:
        with socket.socket() as probe:
            try:
                port = random.randrange(12000, 32000)
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def is_open(port):
    """Does somebody accept connections there?"""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        return True
    except OSError:
        return False
