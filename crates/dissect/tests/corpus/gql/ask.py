#!/usr/bin/env python3
"""Clients for record.sh: `ask.py http|http2|socket PORT`. Prints what it was answered, an object of JSON per line."""
import asyncio
import json
import sys

import httpx
from websockets.asyncio.client import connect


def write_down(response):
    try:
        answers = response.json()
    except ValueError:
        answers = None
    answers = answers if isinstance(answers, list) else [answers]
    errors = [e["message"] for a in answers if isinstance(a, dict) for e in a.get("errors") or []]
    print(json.dumps({"status": response.status_code, "errors": errors, "body": response.text}))


def ask(kind, port):
    url = f"http://127.0.0.1:{port}/graphql"
    hooks = {"response": [lambda response: (response.read(), write_down(response))]}
    with httpx.Client(http1=kind == "http", http2=kind == "http2", event_hooks=hooks) as client:
        get = "query Get($id: Int!) { thing: item(id: $id) { id name } count }"
        client.post(url, json={"query": get, "operationName": "Get", "variables": {"id": 7}})
        client.post(url, json={"query": get, "operationName": "Get", "variables": {"id": -1}})
        client.post(url, json={"query": "mutation Add { add(name: \"n\\u00fc\") { id } }"})
        client.post(url, json={"query": "{ missing }"})
        client.post(url, json={"query": "not graphql"})
        client.get(url, params={"query": "{ count }"})
        client.get(url, params={"query": get, "variables": json.dumps({"id": 8}), "operationName": "Get"})
        client.post(url, json=[{"query": "query A { count }"}, {"query": "query B { item(id: -2) { id } }"}])
        client.post(url, json={"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ecf4edb46db40b51"}}})
        operations = json.dumps({"query": "mutation Up { add(name: \"file\") { name } }", "variables": {}})
        client.post(url, files={"operations": (None, operations), "map": (None, "{}")})
        client.post(url, json={"search": "something else"})


async def socket(port):
    for protocol, start in [("graphql-transport-ws", "subscribe"), ("graphql-ws", "start")]:
        async with connect(f"ws://127.0.0.1:{port}/graphql", subprotocols=[protocol], ping_interval=None) as ws:
            await ws.send(json.dumps({"type": "connection_init"}))
            await ws.recv()
            operations = [("a", "subscription Two { ticks(until: 2) }"), ("b", "subscription Five { ticks(until: 5) }"),
                          ("c", "query One { count }"), ("d", "subscription Wrong { nothing }")]
            for id, query in operations:
                await ws.send(json.dumps({"id": id, "type": start, "payload": {"query": query}}))
            ended = set()
            while len(ended) < len(operations):
                message = json.loads(await ws.recv())
                print(json.dumps({"protocol": protocol, **message}))
                if message["type"] in ("complete", "error"):
                    ended.add(message["id"])


kind, port = sys.argv[1], int(sys.argv[2])
if kind == "socket":
    asyncio.run(asyncio.wait_for(socket(port), 20))
else:
    ask(kind, port)
