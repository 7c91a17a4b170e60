"""A client of PostgreSQL over TLS, because libpq writes no key log: two queries, of which one fails."""

import os
import socket
import ssl
import struct


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


def until_ready(s, rest=b""):
    while not rest.endswith(b"Z\0\0\0\x05I"):
        got = s.recv(65536)
        if not got:
            raise EOFError(rest)
        rest += got
    return rest


plain = socket.create_connection(("127.0.0.1", 5439))
plain.sendall(struct.pack("!II", 8, 80877103))
assert plain.recv(1) == b"S"
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
context.keylog_filename = os.environ["SSLKEYLOGFILE"]
s = context.wrap_socket(plain)
startup = struct.pack("!I", 196608) + b"user\0app\0database\0postgres\0application_name\0shop\0\0"
s.sendall(message(b"", startup))
until_ready(s)
for query in [b"select 6*7 as answer", b"select nothing"]:
    s.sendall(message(b"Q", query + b"\0"))
    until_ready(s)
s.sendall(message(b"X", b""))
s.close()
