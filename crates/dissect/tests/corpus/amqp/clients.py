"""What the captures of amqp/ say: pika, and frames by hand where pika does not say it."""
import json
import socket
import struct
import sys
import time

import pika

PORT = 5699


def connect(user="guest", password="guest", vhost="/"):
    return pika.BlockingConnection(pika.ConnectionParameters(
        "127.0.0.1", PORT, vhost, pika.PlainCredentials(user, password),
        client_properties={"product": "recorder", "connection_name": "orders-app"}, heartbeat=60))


def plain():
    c = connect()
    ch = c.channel()
    ch.exchange_declare("orders", "topic", durable=True, arguments={"alternate-exchange": "amq.fanout"})
    ch.queue_declare("jobs", durable=True, arguments={
        "x-message-ttl": 60000, "x-max-length": 100, "x-dead-letter-exchange": "amq.direct"})
    q = ch.queue_declare("", exclusive=True).method.queue
    ch.queue_bind("jobs", "orders", "order.*")
    ch.queue_bind(q, "orders", "#", arguments={"note": "all of them"})
    ch.basic_qos(prefetch_count=10)
    ch.basic_publish("orders", "order.created", b'{"order":17,"item":"shoes"}', pika.BasicProperties(
        content_type="application/json", content_encoding="utf-8", delivery_mode=2, priority=3,
        correlation_id="c-17", reply_to="answers", expiration="60000", message_id="m-17", timestamp=1700000000,
        type="order", user_id="guest", app_id="shop",
        headers={"trace": "4bf92f35", "attempt": 2, "flags": [1, "two", True, None], "deep": {"a": {"b": -7}},
                 "big": 1 << 40, "off": False, "none": None}))
    ch.basic_publish("", "jobs", b"by the default exchange")
    ch.basic_publish("orders", "order.empty", b"")
    ok, props, body = ch.basic_get("jobs")
    ch.basic_ack(ok.delivery_tag)
    ok, props, body = ch.basic_get("jobs")
    ch.basic_nack(ok.delivery_tag, requeue=False)
    ok, props, body = ch.basic_get("jobs")
    ch.basic_reject(ok.delivery_tag, requeue=True)
    got = []

    def each(ch_, method, props_, body_):
        got.append(body_)
        ch_.basic_ack(method.delivery_tag)
    tag = ch.basic_consume(q, each, consumer_tag="worker-1")
    while len(got) < 2:
        c.process_data_events(0.1)
    ch.basic_cancel(tag)
    ch.basic_get("jobs", auto_ack=True)
    ch.basic_get("jobs", auto_ack=True)
    ch.queue_purge("jobs")
    ch.basic_recover(True)
    ch.queue_unbind("jobs", "orders", "order.*")
    ch.exchange_declare("inner", "fanout", auto_delete=True)
    ch.exchange_bind("inner", "orders", "x")
    ch.exchange_unbind("inner", "orders", "x")
    ch.exchange_delete("inner", if_unused=True)
    ch.queue_delete("jobs")
    ch.exchange_delete("orders")
    ch.close()
    c.close()


def confirms():
    c = connect()
    ch = c.channel()
    ch.queue_declare("small", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    ch.confirm_delivery()
    ch.basic_publish("", "small", b"first")
    try:
        ch.basic_publish("", "small", b"one too many")
    except pika.exceptions.NackError:
        pass
    try:
        ch.basic_publish("amq.direct", "nowhere", b"lost", mandatory=True)
    except pika.exceptions.UnroutableError:
        pass
    tx = c.channel()
    tx.tx_select()
    tx.basic_publish("amq.fanout", "", b"in a transaction")
    tx.tx_commit()
    tx.tx_rollback()
    ch.queue_delete("small")
    c.close()


def errors():
    try:
        connect(password="wrong")
    except pika.exceptions.AMQPConnectionError:
        pass
    try:
        connect(vhost="/nothing")
    except pika.exceptions.AMQPError:
        pass
    c = connect()
    for what in (lambda ch: ch.queue_declare("missing", passive=True),
                 lambda ch: ch.exchange_declare("amq.topic", "direct"),
                 lambda ch: ch.basic_ack(99),
                 lambda ch: ch.basic_publish("missing", "key", b"nobody takes it"),
                 lambda ch: ch.basic_consume("missing", print)):
        ch = c.channel()
        try:
            what(ch)
            c.process_data_events(0.2)
        except pika.exceptions.AMQPError:
            pass
    # Its queue goes away under a consumer, of which the server tells it.
    a, b = c.channel(), c.channel()
    a.queue_declare("doomed")
    a.basic_consume("doomed", print, consumer_tag="doomed-1")
    b.queue_delete("doomed")
    c.process_data_events(0.2)
    c.close()
    # A connection that speaks nonsense is closed with a reason.
    s = socket.create_connection(("127.0.0.1", PORT))
    s.sendall(b"AMQP\x00\x00\x09\x01")
    s.recv(65536)
    s.sendall(frame(1, 0, struct.pack(">HH", 10, 11) + struct.pack(">I", 0) + short("PLAIN")
                    + long("\0guest\0guest") + short("en_US")))
    s.recv(65536)
    s.sendall(frame(1, 0, struct.pack(">HHHIH", 10, 31, 2047, 131072, 2)))
    s.sendall(frame(1, 0, struct.pack(">HH", 10, 40) + short("/") + short("") + b"\0"))
    s.recv(65536)
    time.sleep(1.5)
    s.sendall(frame(8, 0, b""))
    s.sendall(frame(1, 7, struct.pack(">HHH", 50, 10, 0) + short("q") + b"\0" + struct.pack(">I", 0)))
    s.recv(65536)
    s.sendall(frame(1, 0, struct.pack(">HH", 10, 51)))
    s.close()
    # A version that the server does not speak.
    s = socket.create_connection(("127.0.0.1", PORT))
    s.sendall(b"AMQP\x00\x01\x00\x00")
    s.recv(100)
    s.close()


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def short(text):
    return struct.pack(">B", len(text)) + text.encode()


def long(text):
    return struct.pack(">I", len(text)) + text.encode()


def pipelined():
    """Frames of several channels in between, requests that nobody waits for, publishes in a row."""
    c = connect()
    chans = [c.channel() for _ in range(3)]
    for i, ch in enumerate(chans):
        ch.queue_declare(f"q{i}", auto_delete=True)
        ch.confirm_delivery()
    raw = c._impl._transport._sock
    out = b""
    for n in range(5):
        parts = []
        for i in range(3):
            body = f"body {n} of {i} ".encode() * (1 + 40 * n)
            parts.append([
                frame(1, i + 1, struct.pack(">HHH", 60, 40, 0) + short("") + short(f"q{i}") + b"\0"),
                frame(2, i + 1, struct.pack(">HHQH", 60, 0, len(body), 0x8000) + short("text/plain")),
                frame(3, i + 1, body[:5]), frame(3, i + 1, body[5:])])
        for step in range(4):
            for p in parts:
                out += p[step]
    # As one client that does not wait would send it.
    raw.sendall(out)
    time.sleep(1)
    # What pika does not know of it confirms nobody.
    raw.recv(65536)
    for i in range(3):
        raw.sendall(frame(1, i + 1, struct.pack(">HHH", 60, 70, 0) + short(f"q{i}") + b"\1"))
    time.sleep(0.5)
    raw.setblocking(True)
    raw.recv(1 << 20)
    raw.close()


def large():
    c = connect()
    ch = c.channel()
    ch.queue_declare("large", auto_delete=True)
    ch.basic_publish("", "large", b"0123456789" * 7_000)
    ch.basic_get("large", auto_ack=True)
    c.close()


globals()[sys.argv[1]]()
