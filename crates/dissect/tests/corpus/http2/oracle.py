#!/usr/bin/env python3
"""Writes down what tshark finds in the captures of HTTP/2, for tests/calls.rs to compare with.

One line per stream: connection, stream, method, path, status, grpc-status, bytes of content of the
request and of the response. Empty where tshark saw none.
"""

import pathlib
import subprocess
import xml.etree.ElementTree as xml

PORTS = [50071, 50072, 8071, 8072, 8073, 2379, 20035, 9001, 38888, 30035, 7000, 7070, 3550, 11800]


def streams(capture):
    ports = [a for p in PORTS for a in ("-d", f"tcp.port=={p},http2")]
    ports = [] if capture.stem == "upgrade" else ports
    command = ["tshark", "-r", str(capture), *ports, "-Y", "http2", "-T", "pdml"]
    out = subprocess.run(command, capture_output=True, check=True).stdout
    found = {}
    for packet in xml.fromstring(out):
        tcp = next(p for p in packet if p.get("name") == "tcp")
        connection = next(f.get("show") for f in tcp if f.get("name") == "tcp.stream")
        from_server = next(int(f.get("show")) for f in tcp if f.get("name") == "tcp.srcport") in PORTS
        for proto in packet.iter("proto"):
            if proto.get("name") != "http2":
                continue
            for frame in proto:
                if frame.get("name") != "http2.stream":
                    continue
                get = lambda name: next((f.get("show") for f in frame.iter("field") if f.get("name") == name), "")
                id, kind = get("http2.streamid"), get("http2.type")
                if id in ("", "0") or kind not in ("0", "1", "5", "9"):
                    continue
                names = {}
                for header in frame.iter("field"):
                    if header.get("name") == "http2.header":
                        part = {f.get("name"): f.get("show") for f in header}
                        names[part.get("http2.header.name")] = part.get("http2.header.value")
                if kind == "5":
                    id = get("http2.push_promise.promised_stream_id") or get("http2.pushed_stream_id") or id
                row = found.setdefault((int(connection), int(id)), ["", "", "", "", 0, 0])
                for i, name in enumerate((":method", ":path", ":status", "grpc-status")):
                    row[i] = names.get(name, row[i])
                if kind == "0":
                    row[4 + from_server] += int(get("http2.length")) - int(get("http2.padding") or 0)
    return found


here = pathlib.Path(__file__).parent
for capture in sorted([*here.glob("*.pcap"), *(here.parent / "deepflow/http2").glob("*.pcap")]):
    lines = ["\t".join(map(str, [*key, *row])) for key, row in sorted(streams(capture).items())]
    if lines:
        capture.with_suffix(".tshark").write_text("\n".join(lines) + "\n")
