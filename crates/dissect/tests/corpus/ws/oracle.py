#!/usr/bin/env python3
"""Writes beside each capture what tshark says of it: sender, opcode, number of frames, bytes of
payload, text and close code of every message."""
import pathlib
import subprocess

FIELDS = ["tcp.dstport", "websocket.opcode", "websocket.fin", "websocket.payload_length",
          "websocket.payload_length_ext_16", "websocket.payload_length_ext_64", "websocket.payload.text",
          "websocket.payload.close.status_code"]
NAMES = {1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}

for capture in sorted(pathlib.Path(__file__).parent.glob("*.pcap")):
    command = ["tshark", "-r", str(capture), "-d", "tcp.port==8090,http", "-d", "tcp.port==8091,http2",
               "-Y", "websocket", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=\x1e"]
    for field in FIELDS:
        command += ["-e", field]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines, open_messages = [], {}
    for line in out.splitlines():
        values = [v.split("\x1e") if v else [] for v in line.split("\t")]
        port, opcodes, fins, short, wide, long, texts, codes = values
        sender = "client" if port[0] in ("8090", "8091") else "server"
        for opcode, fin, length in zip(opcodes, fins, short):
            opcode, length = int(opcode), int(length)
            if length == 126:
                length = int(wide.pop(0))
            elif length == 127:
                length = int(long.pop(0))
            if opcode >= 8:
                code = codes.pop(0) if opcode == 8 and length >= 2 else ""
                lines.append([sender, NAMES[opcode], 1, length, "", code])
                continue
            message = open_messages.setdefault(sender, [sender, NAMES.get(opcode), 0, 0, "", ""])
            message[2] += 1
            message[3] += length
            if fin in ("1", "True"):
                message[4] = texts.pop(0)[:64] if texts and message[1] == "text" else ""
                lines.append(open_messages.pop(sender))
    capture.with_suffix(".tshark").write_text("".join("\t".join(map(str, l)) + "\n" for l in lines))
