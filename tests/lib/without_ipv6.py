"""Runs a program in a world without IPv6: socket(AF_INET6, ...) fails as on a kernel that was started without it.

    without_ipv6.py COMMAND [ARGUMENT...]
"""

import ctypes
import errno
import os
import platform
import socket
import struct
import sys

SET_SECCOMP, FILTER_MODE, NO_NEW_PRIVILEGES = 22, 2, 38  # prctl(2)
NUMBERS = {"x86_64": 41, "aarch64": 198}  # of socket(2)
LOAD, IS_EQUAL, RETURN = 0x20, 0x15, 0x06  # BPF
FAIL, ALLOW = 0x00050000 | errno.EAFNOSUPPORT, 0x7FFF0000


class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def forbid():
    steps = [(LOAD, 0, 0, 0), (IS_EQUAL, 0, 3, NUMBERS[platform.machine()]),  # struct seccomp_data: nr, args[0]
             (LOAD, 0, 0, 16), (IS_EQUAL, 0, 1, socket.AF_INET6), (RETURN, 0, 0, FAIL), (RETURN, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    program = Program(len(steps), code)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER_MODE, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    forbid()
    os.execv(sys.argv[1], sys.argv[1:])
