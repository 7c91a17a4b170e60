#!/usr/bin/env python3
"""A WebSocket client over HTTP/2 (RFC 8441) for record.sh: `http2.py PORT`."""
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

port = int(sys.argv[1])
sock = socket.create_connection(("127.0.0.1", port))
http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
http.initiate_connection()
sock.sendall(http.data_to_send())


def wait(kind):
    """Reads until an event of that kind; gives it and the content that came."""
    content = b""
    while True:
        data = sock.recv(65536)
        if not data:
            raise SystemExit(f"no {kind.__name__}")
        found = None
        for event in http.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                content += event.data
                http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, kind):
                found = event
        sock.sendall(http.data_to_send())
        if found:
            return found, content


wait(h2.events.RemoteSettingsChanged)
assert http.remote_settings.enable_connect_protocol
stream = http.get_next_available_stream_id()
http.send_headers(stream, [
    (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/chat?over=http2"),
    (":authority", f"shop.example:{port}"), ("sec-websocket-version", "13"),
])
sock.sendall(http.data_to_send())
wait(h2.events.ResponseReceived)
ws = Connection(ConnectionType.CLIENT)
for message in ["over HTTP/2", "and once more", "y" * 3000]:
    http.send_data(stream, ws.send(TextMessage(message)))
    sock.sendall(http.data_to_send())
    _, content = wait(h2.events.DataReceived)
    ws.receive_data(content)
    list(ws.events())
http.send_data(stream, ws.send(CloseConnection(1000, "enough")))
sock.sendall(http.data_to_send())
wait(h2.events.DataReceived)
http.end_stream(stream)
http.close_connection()
sock.sendall(http.data_to_send())
