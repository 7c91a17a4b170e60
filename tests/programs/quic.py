"""QUIC with aioquic: `quic.py serve PORT CERTIFICATE KEY`, and `quic.py ask PORT NAME VERSION ALPN...`, which prints
what was agreed upon, or why nothing was, as an object of JSON."""

import asyncio
import json
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted
from aioquic.quic.packet import QuicProtocolVersion as V


async def serving(port, certificate, key):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["h3"], supported_versions=[V.VERSION_1, V.VERSION_2])
    configuration.load_cert_chain(certificate, key)
    await serve("127.0.0.1", int(port), configuration=configuration)
    await asyncio.Event().wait()


class Watched(QuicConnectionProtocol):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.said = {}

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            self.said["alpn"] = event.alpn_protocol
        elif isinstance(event, ConnectionTerminated) and event.error_code:
            self.said["error"] = event.error_code


async def asking(port, name, version, *alpn):
    versions = [{"1": V.VERSION_1, "2": V.VERSION_2}[version]]
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=list(alpn), server_name=name, verify_mode=ssl.CERT_NONE,
        supported_versions=versions, original_version=versions[0])
    said = {}
    try:
        async with connect("127.0.0.1", int(port), configuration=configuration, create_protocol=Watched,
                           wait_connected=False) as connection:
            said = connection.said
            connection.transmit()
            await connection.wait_connected()
            await connection.ping()
    except ConnectionError:
        pass
    print(json.dumps(said))


asyncio.run({"serve": serving, "ask": asking}[sys.argv[1]](*sys.argv[2:]))
