"""Makes the network it runs in, a fresh one, fit for measuring, then becomes the command in its arguments.

Loopback is switched on. TCP takes the kernel's usual congestion control: bbr, where it is the system's choice, sets a
timer for every segment even here, and those would be most of what is measured.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from namespaces import raise_loopback  # noqa: E402

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
    raise_loopback()
    choose_control()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
