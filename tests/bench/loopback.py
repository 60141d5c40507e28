"""Makes the network it runs in, a fresh one, fit for measuring, then becomes the command in its arguments.

Loopback is switched on. TCP takes the kernel's usual congestion control: bbr, where it is the system's choice, sets a
timer for every segment even here, and those would be most of what is measured.
"""

import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS = 0x8914
IFF_UP_RUNNING = 0x41
CONTROL = "/proc/sys/net/ipv4/tcp_congestion_control"


def choose_control():
    for name in ("cubic", "reno"):
        try:
            with open(CONTROL, "w", encoding="ascii") as file:
                file.write(name)
            return
        except OSError:
            continue


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP_RUNNING, b""))
    choose_control()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
