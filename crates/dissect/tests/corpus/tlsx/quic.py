"""Conversations over QUIC between aioquic and itself: both versions, a Retry, a hello that takes several
packets, a name that is refused, a version that nobody speaks, and a server that is not there."""

import asyncio
import os
import ssl

from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion as V

HOST, PORT = "127.0.0.1", 4445


def client(versions, alpn=("h3",), **more):
    return QuicConfiguration(
        is_client=True, alpn_protocols=list(alpn), server_name="shop.example", verify_mode=ssl.CERT_NONE,
        supported_versions=versions, original_version=versions[0], **more)


async def talk(configuration):
    try:
        async with asyncio.timeout(3):
            async with connect(HOST, PORT, configuration=configuration) as connection:
                await connection.ping()
    except (ConnectionError, TimeoutError) as e:
        print(configuration.supported_versions, e)


async def main():
    def configuration(**more):
        server = QuicConfiguration(is_client=False, alpn_protocols=["h3"],
                                   supported_versions=[V.VERSION_1, V.VERSION_2], **more)
        server.load_cert_chain("rsa.pem", "rsa.key")
        return server

    running = await serve(HOST, PORT, configuration=configuration())
    await talk(client([V.VERSION_1]))
    await talk(client([V.VERSION_2]))
    # Its hello does not fit into one packet.
    await talk(client([V.VERSION_1], ["h3"] + [f"protocol-{i:03}-of-many" for i in range(100)]))
    await talk(client([V.VERSION_1], ["nothing"]))
    await talk(client([0x1A2A3A4A, V.VERSION_1]))
    running.close()
    await asyncio.sleep(0.2)
    running = await serve(HOST, PORT, configuration=configuration(), retry=True)
    await talk(client([V.VERSION_1]))
    running.close()
    await asyncio.sleep(0.2)
    await talk(client([V.VERSION_1]))


asyncio.run(main())
