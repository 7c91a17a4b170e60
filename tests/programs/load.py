"""Makes HTTP calls of many kinds and prints one JSON object for each that was answered.

Arguments: host, nginx port, node port, python port, prefix of every id, size of the run.
"""
import hashlib
import http.client
import json
import socket
import sys
import time
import zlib

host, nginx, node, python, run, size = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5], int(sys.argv[6])


def tell(method, path, status, raw, encoding=None, us=None, sent=0):
    body = zlib.decompress(raw, 47) if encoding == "gzip" and raw else raw
    print(json.dumps({"method": method, "path": path, "status": status, "size": len(raw),
                      "length": len(body), "sha": hashlib.sha256(body).hexdigest(), "us": us, "sent": sent}))


def ask(connection, method, path, body=None, headers={}):
    start = time.monotonic_ns()
    connection.request(method, path, body, headers, encode_chunked="Transfer-Encoding" in headers)
    answer = connection.getresponse()
    raw = answer.read()
    us = (time.monotonic_ns() - start) // 1000
    tell(method, path, answer.status, raw, answer.headers.get("content-encoding"), us,
         len(body) if isinstance(body, bytes) else 0)


def keep_alive():
    kinds = [("GET", "/file/small/", None), ("GET", "/file/medium/", None), ("GET", "/gzip/medium/", None),
             ("GET", "/missing/", None), ("GET", "/broken/", None), ("HEAD", "/file/small/", None),
             ("POST", "/post/", b"x=1&y=2" * 300), ("GET", "/file/empty/", None)]
    connection = http.client.HTTPConnection(host, nginx)
    for n in range(size):
        method, path, body = kinds[n % len(kinds)]
        headers = {"Accept-Encoding": "gzip"} if path.startswith("/gzip") else {}
        ask(connection, method, f"{path}{run}-keep-{n}", body, headers)
    for n in range(size // 40):
        ask(connection, "GET", f"/file/large/{run}-large-{n}")
    connection.close()
    kinds = [("GET", "/chunked/", None), ("POST", "/echo/", b"{\"text\": \"\xc3\xa4 body\"}" * 40),
             ("PUT", "/echo/", b"put"), ("DELETE", "/error/", None), ("GET", "/wait/", None),
             ("GET", "/gzipped/", None)]
    connection = http.client.HTTPConnection(host, node)
    for n in range(size // 2):
        method, path, body = kinds[n % len(kinds)]
        ask(connection, method, f"{path}{run}-node-{n}", body)
    # A request in chunks: a body without a known length is sent so.
    for n in range(size // 20):
        ask(connection, "POST", f"/echo/{run}-upload-{n}", iter([b"one ", b"two ", b"three"]),
            {"Transfer-Encoding": "chunked"})
    connection.close()


def until_close():
    for n in range(size // 10):
        connection = http.client.HTTPConnection(host, python)
        ask(connection, "GET", f"/close/{run}-close-{n}")
        connection.close()


def pipelined():
    batch = 20
    stream = socket.create_connection((host, nginx))
    answers = stream.makefile("rb")
    for first in range(0, size, batch):
        paths = [f"/file/small/{run}-pipe-{n}" for n in range(first, min(first + batch, size))]
        stream.sendall(b"".join(f"GET {p} HTTP/1.1\r\nHost: {run}\r\n\r\n".encode() for p in paths))
        for path in paths:
            status = int(answers.readline().split()[1])
            length = 0
            while (line := answers.readline().strip()):
                name, value = line.split(b":", 1)
                length = int(value) if name.lower() == b"content-length" else length
            tell("GET", path, status, answers.read(length))
    stream.close()


keep_alive()
until_close()
pipelined()
