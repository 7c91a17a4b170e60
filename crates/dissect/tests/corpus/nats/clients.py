"""What the captures of nats/ say: nats-py, and lines by hand where it does not say them."""
import asyncio
import json
import socket
import sys

import nats
from nats.js.errors import NotFoundError

PORT = int(sys.argv[2])


async def connect(name, **more):
    return await nats.connect(f"nats://127.0.0.1:{PORT}", name=name, user="ada", password="sesame",
                              allow_reconnect=False, **more)


async def core():
    shop = await connect("shop")
    billing = await connect("billing")

    async def answer(m):
        await m.respond(b"total of " + m.data)
    await billing.subscribe("bills.*", queue="workers", cb=answer)
    await billing.flush()
    print((await shop.request("bills.17", b"order 17", timeout=2)).data)
    await shop.publish("news", b"nobody listens")
    await shop.publish("news", b"with headers", headers={"traceparent": "00-4bf9-01", "shop": "7"})
    news = await billing.subscribe("news")
    await billing.flush()
    await shop.publish("news", b'{"order":17}', headers={"kind": "json"})
    await shop.publish("news", b"")
    await shop.flush()
    print((await news.next_msg()).data)
    try:
        await shop.request("nobody", b"is there anybody", timeout=1)
    except nats.errors.NoRespondersError:
        pass
    await news.unsubscribe(limit=1)
    await shop.close()
    await billing.close()


async def jetstream():
    c = await connect("warehouse")
    js = c.jetstream()
    await js.add_stream(name="ORDERS", subjects=["orders.*"])
    for n in range(3):
        await js.publish(f"orders.{n}", f"order {n}".encode(), headers={"Nats-Msg-Id": f"m-{n}"})
    pull = await js.pull_subscribe("orders.*", "packers")
    for m in await pull.fetch(2, timeout=2):
        await m.ack()
    (m,) = await pull.fetch(1, timeout=2)
    await m.nak()
    (m,) = await pull.fetch(1, timeout=2)
    await m.term()
    try:
        await pull.fetch(1, timeout=0.5)
    except nats.errors.TimeoutError:
        pass
    push = await js.subscribe("orders.*", durable="mailers")
    m = await push.next_msg()
    await m.ack_sync()
    await js.stream_info("ORDERS")
    try:
        await js.stream_info("MISSING")
    except NotFoundError:
        pass
    await js.delete_stream("ORDERS")
    await c.close()


def hear(s, until):
    got = b""
    while until not in got:
        more = s.recv(65536)
        if not more:
            break
        got += more
    return got


def errors_raw():
    def start(options):
        s = socket.create_connection(("127.0.0.1", PORT))
        s.settimeout(5)
        hear(s, b"\r\n")
        s.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        return s
    login = {"user": "ada", "pass": "sesame", "name": "by-hand"}
    s = start({**login, "pass": "wrong", "verbose": False})
    hear(s, b"-ERR")
    # Verbose, and not allowed everything.
    s = start({**login, "verbose": True, "headers": True, "no_responders": True})
    hear(s, b"+OK")
    for line, until in [(b"PING\r\n", b"PONG"), (b"sub open.> 1\r\n", b"+OK"), (b"PUB open.a 2\r\nhi\r\n", b"hi\r\n"),
                        (b"SUB secret.> 2\r\n", b"-ERR"), (b"PUB secret.a 2\r\nno\r\n", b"-ERR"),
                        (b"SUB _INBOX.* 3\r\n", b"+OK"),
                        (b"HPUB open.q _INBOX.x 22 27\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhello\r\n", b"hello\r\n"),
                        (b"UNSUB 1\r\n", b"+OK"), (b"PUB void _INBOX.y 2\r\n??\r\n", b"503"),
                        (b"NONSENSE\r\n", b"-ERR")]:
        s.sendall(line)
        hear(s, until)
    hear(s, b"never")
    s = start({**login, "verbose": False})
    s.sendall(b"PING\r\n")
    hear(s, b"PONG")
    s.sendall(b"PUB large 70000\r\n" + b"0123456789" * 7000 + b"\r\nPING\r\n")
    hear(s, b"PONG")
    s.close()


if sys.argv[1] == "errors":
    errors_raw()
else:
    asyncio.run(globals()[sys.argv[1]]())
