"""Clients for record.sh: `ask.py mcp|plain PORT`. The plain one prints the bodies it was answered with, an object of
JSON per line."""
import asyncio
import json
import sys


async def mcp(port):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with streamablehttp_client(f"http://127.0.0.1:{port}/mcp") as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            await session.list_tools()
            await session.call_tool("add", {"a": 1, "b": 2})
            await session.call_tool("fail", {})
            await session.read_resource("shop://stock")
            try:
                await session.read_resource("shop://nothing")
            except Exception as e:
                print(e)


async def plain(port):
    import httpx

    async def write_down(response):
        await response.aread()
        print(json.dumps({"path": response.url.path, "status": response.status_code, "body": response.text}))

    hooks = {"response": [write_down]}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", event_hooks=hooks) as client:
        call = {"jsonrpc": "2.0", "id": 1, "method": "sum", "params": [1, 2, 3]}
        await client.post("/rpc", json=call)
        await client.post("/rpc", json={**call, "id": "two", "method": "product"})
        await client.post("/rpc", json={"jsonrpc": "2.0", "method": "notify"})
        await client.post("/rpc", json=[call, {**call, "id": 2, "method": "product"}, {"jsonrpc": "2.0", "method": "notify"}])
        await client.post("/rpc", content=b"{\"jsonrpc\": \"2.0\", \"method\"", headers={"content-type": "application/json"})
        await client.get("/events")


asyncio.run({"mcp": mcp, "plain": plain}[sys.argv[1]](int(sys.argv[2])))
