#!/usr/bin/env python3
"""A WebSocket server and its clients for record.sh: `talk.py serve PORT`, `talk.py KIND PORT`."""
import asyncio
import sys

import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        if message == "bye":
            await socket.close(4000, "as asked")
        elif message == "fail":
            raise RuntimeError("the server closes with 1011")
        elif message == "ping":
            await (await socket.ping(b"from the server"))
        elif message == "pieces":
            async def pieces():
                for word in ["one ", "two ", "three"]:
                    yield word
            await socket.send(pieces())
        else:
            await socket.send(message)


async def main(kind, port):
    if kind == "serve":
        choose = lambda _, offered: "chat.v1" if "chat.v1" in offered else None
        options = {"select_subprotocol": choose, "origins": [None], "max_size": None, "ping_interval": None}
        async with serve(echo, "127.0.0.1", port, **options):
            await asyncio.get_running_loop().create_future()
    url = f"ws://127.0.0.1:{port}/{kind}?room=1"
    options = {"max_size": None, "ping_interval": None}
    if kind == "plain":
        async with connect(url, compression=None, subprotocols=["chat.v1"], **options) as socket:
            for message in ["hello", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sum\"}", bytes(range(256)), "grüße", "x" * 70_000]:
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["Hel", "lo in ", "pieces"])
            await socket.recv()
            await socket.send("pieces")
            assert await socket.recv() == "one two three"
            await (await socket.ping(b"from the client"))
            await socket.send("ping")
            await socket.send("after the ping")
            await socket.recv()
            await socket.close(1000, "done")
    elif kind == "deflate":
        async with connect(url, **options) as socket:
            for i in range(20):
                message = f"message {i}: the same words again and again" + ", and more" * i
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["pieces of ", "the same words ", "again"])
            await socket.recv()
    elif kind == "endings":
        for last in ["bye", "fail"]:
            async with connect(url, **options) as socket:
                await socket.send(last)
                try:
                    await socket.recv()
                except websockets.ConnectionClosed:
                    pass
        socket = await connect(url, **options)
        await socket.send("aborted")
        await socket.recv()
        socket.transport.abort()
        try:
            async with connect(url, origin="http://other.example", **options):
                pass
        except websockets.InvalidHandshake:
            pass


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
