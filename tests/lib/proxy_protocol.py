"""Headers of the PROXY protocol, as a proxy in front of rondo writes them."""

import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
CRC32C, NOOP, TLS = 0x03, 0x04, 0x20
OVER_TLS = (TLS, b"\x01\0\0\0\0")  # PP2_CLIENT_SSL


def version_1(client="192.0.2.7", server="203.0.113.1", port=12345):
    family = ipaddress.ip_address(client).version
    return f"PROXY TCP{family} {client} {server} {port} 443\r\n".encode()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def version_2(client="192.0.2.7", server="203.0.113.1", port=12345, command=PROXY, tlvs=(), checksum=False):
    """`client` None: none is named. `tlvs` are pairs of type and value."""
    family, addresses = 0x00, b""
    if client:
        family = 0x11 if ipaddress.ip_address(client).version == 4 else 0x21
        addresses = ipaddress.ip_address(client).packed + ipaddress.ip_address(server).packed
        addresses += struct.pack("!HH", port, 443)
    rest = addresses + b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in tlvs)
    if checksum:
        rest += struct.pack("!BHI", CRC32C, 4, 0)
    header = SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest
    return header[:-4] + struct.pack("!I", crc32c(header)) if checksum else header
