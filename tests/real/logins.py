"""Logins by NTLM, with curl: who has logged in on a connection is the user of all that comes on it later."""

import base64
import contextlib
import struct
import subprocess

from backends import Backend
from peer import value
from rondo import Rondo

# A challenge of a server, as far as a client looks at it: Unicode, NTLM, always sign. MS-NLMP, 2.2.1.2.
CHALLENGE = b"NTLMSSP\0" + struct.pack("<IHHII", 2, 0, 0, 40, 0x8201) + b"12345678" + bytes(8)
ANSWER = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s"


def name_in(message):
    """Who a message of the third kind says it is from."""
    length, _, begin = struct.unpack("<HHI", message[36:44])
    return message[begin:begin + length].replace(b"\0", b"")


def serve(peer, number):
    user = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            head = peer.read_head()
            if value(head, b"expect"):
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            peer.read(int(value(head, b"content-length") or 0))
            token = base64.b64decode((value(head, b"authorization") or b"").removeprefix(b"NTLM "))
            is_begun = token[8:12] == b"\1\0\0\0"
            if token[8:12] == b"\3\0\0\0":
                user = name_in(token)
            if user is None or is_begun:
                challenge = b" " + base64.b64encode(CHALLENGE) if is_begun else b""
                peer.send(ANSWER % (b"401 Unauthorized", b"WWW-Authenticate: NTLM%s\r\n" % challenge, 0, b""))
                continue
            content = b"%s@%d " % (user, number)
            peer.send(ANSWER % (b"200 OK", b"", len(content), content))


def curl(*words):
    return subprocess.run(["curl", "--silent", "--max-time", "60", "--write-out", "%{http_code} ", *words],
                          stdout=subprocess.PIPE, text=True, check=False).stdout


def play(binary, report):
    if "NTLM" not in curl("--version"):
        report.skip("logins", "curl has no NTLM")
        return
    uploads = ["-H", "Expect: 100-continue", "-T", __file__, "-T", __file__]
    for settings in ([], ["timeouts.backend_idle=0"]):
        with Backend(serve) as first, Backend(serve) as second, Rondo(binary, [first, second], settings) as rondo:
            url = f"http://127.0.0.1:{rondo.port}/"
            for number, words in enumerate(([], ["-d", "form"], uploads)):
                name = f"user{number}"
                said = curl("--ntlm", "--user", f"{name}:secret", *words, url + "a", url + "b").split()
                # Who, on which connection, and the status: the same twice.
                is_good = len(said) == 4 and said[0].startswith(name + "@") and said[1] == "200" and said[:2] == said[2:]
                report.check(" ".join(["two of curl --ntlm", *words[:2], *settings]), "" if is_good else f"{said}")
                said = curl(url)
                report.check("and nobody else is that user", "" if said == "401 " else said)
            report.check("rondo in front of logins stops cleanly", rondo.end())
