"""The addresses that clients connect to, and what belongs to each of them.

    test_listening.py RONDO [NAME...]

Runs every test whose name contains one of NAME, or all.
"""

import os
import sys

sys.dont_write_bytecode = True  # the source directory stays as it is

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
sys.path.insert(0, LIBRARY)

from clients import ask  # noqa: E402
from ports import free_port  # noqa: E402
from world import run_tests  # noqa: E402

WITHOUT_IPV6 = (sys.executable, os.path.join(LIBRARY, "without_ipv6.py"))

# ---- a machine without IPv6


def test_all_addresses_are_those_of_ipv4_where_there_is_no_ipv6(world):
    admin = free_port()
    text = f'admin = {{ http = "*:{admin}"; }};\n'
    with world.start(text, listen="*:0", prefix=WITHOUT_IPV6) as daemon:
        daemon.wait_log(r"\*:0 is IPv4 alone: this machine has no IPv6")
        daemon.wait_log(rf"admin.http: listening on 0\.0\.0\.0:{admin}: this machine has no IPv6")
        assert ask(daemon)[0] == 200
        assert ask(admin, "/healthz", host="127.0.0.1")[0] == 200
        said = daemon.count_log("no IPv6")
        daemon.reload()
        daemon.succeed()
        assert ask(daemon)[0] == 200
        assert daemon.count_log(r"\*:0 is IPv4 alone") <= 2, "said again by the reload"
        assert said == 2, said


if __name__ == "__main__":
    sys.exit(run_tests(__doc__, globals()))
