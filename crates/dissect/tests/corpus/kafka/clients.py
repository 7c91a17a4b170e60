"""Speaks Kafka: librdkafka and aiokafka against the mock broker of librdkafka, which answers in the
real protocol. `clients.py NAME` runs one conversation. Needs confluent-kafka and aiokafka.
"""
import json
import sys
import time

from confluent_kafka import Consumer, Producer, TopicPartition

TOPIC = "orders"


def broker():
    """A mock cluster of one broker, and its address. It lives as long as its owner."""
    owner = Producer({"test.mock.num.brokers": 1, "client.id": "owner"})
    (node,) = owner.list_topics(timeout=10).brokers.values()
    return owner, f"{node.host}:{node.port}"


def produce(address, count=3, **settings):
    p = Producer({"bootstrap.servers": address, "client.id": "payment-processor", "linger.ms": 50} | settings)
    failed = []
    for n in range(count):
        p.produce(
            TOPIC,
            key=f"order-{n}",
            value=json.dumps({"order": n, "text": "shoes " * 20}),
            headers=[("trace", f"t{n}".encode()), ("empty", None)],
            partition=n % 2,
            on_delivery=lambda e, m: failed.append(e) if e else None,
        )
    assert p.flush(20) == 0 and not failed, failed
    return p


def consume(address, count, **settings):
    c = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "billing",
            "client.id": "invoices",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
        }
        | settings
    )
    c.subscribe([TOPIC])
    got = 0
    deadline = time.time() + 30
    while got < count and time.time() < deadline:
        m = c.poll(1)
        if m is not None and not m.error():
            got += 1
    assert got >= count, got
    c.commit(asynchronous=False)
    c.close()


def codecs(address):
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        produce(address, **{"compression.type": codec})
    produce(address, acks=0)
    consume(address, 15)


def transactions(address):
    p = Producer({"bootstrap.servers": address, "transactional.id": "payments-1", "client.id": "payments"})
    p.init_transactions(20)
    p.begin_transaction()
    p.produce(TOPIC, b"paid", b"\xff\x00binary", partition=0)
    p.flush(20)
    p.commit_transaction(20)
    p.begin_transaction()
    p.produce(TOPIC, b"unpaid", b"order-2", partition=0)
    p.flush(20)
    p.abort_transaction(20)
    produce(address, **{"enable.idempotence": True})


def aio(address):
    """A client of older versions, without flexible ones."""
    import asyncio

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    async def talk():
        p = AIOKafkaProducer(bootstrap_servers=address, client_id="py-producer", compression_type="gzip")
        await p.start()
        for n in range(3):
            await p.send_and_wait(TOPIC, b"value %d" % n, key=b"py-%d" % n, partition=n % 2, headers=[("h", b"v")])
        await p.stop()
        c = AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=address,
            group_id="py-group",
            client_id="py-consumer",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await c.start()
        for _ in range(5):
            await asyncio.wait_for(c.getone(), 20)
        await c.commit()
        await c.stop()

    asyncio.run(talk())


def large(address):
    """Batches far beyond the payload limit."""
    p = Producer({"bootstrap.servers": address, "client.id": "bulk", "batch.size": 400_000, "linger.ms": 200})
    for n in range(16):
        p.produce(TOPIC, key=f"big-{n}", value="x" * 5_000, partition=0)
    assert p.flush(20) == 0
    consume(address, 16)


def errors(address):
    """Topics and offsets that are not there."""
    p = Producer({"bootstrap.servers": address, "client.id": "lost"})
    c = Consumer({"bootstrap.servers": address, "group.id": "nobody", "client.id": "lost"})
    c.assign([TopicPartition(TOPIC, 0, 1_000)])
    c.poll(2)
    try:
        c.get_watermark_offsets(TopicPartition("missing", 7), timeout=2)
    except Exception as e:
        print(e)
    c.close()
    p.flush(1)


if __name__ == "__main__":
    owner, address = broker()
    if sys.argv[1] not in ("codecs", "large"):
        produce(address, 2)
    globals()[sys.argv[1]](address)
