"""Drives the stub server: with PyMongo, and by hand where no driver of today sends such messages.

usage: clients.py PORT NAME
"""
import datetime, socket, struct, sys
import bson, pymongo
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo.cursor_shared import CursorType
from pymongo.write_concern import WriteConcern

PORT, NAME = int(sys.argv[1]), sys.argv[2]


def client(**options):
    return pymongo.MongoClient("127.0.0.1", PORT, directConnection=True, appname="shop", retryWrites=False, **options)


def attempt(f):
    try:
        return f()
    except pymongo.errors.PyMongoError as e:
        print(type(e).__name__, e)


def work(c):
    orders = c.shop.orders
    orders.insert_one({"_id": 1, "item": "tea", "price": Decimal128("3.50"), "qty": 2})
    orders.insert_many([{"_id": n, "item": "item %d" % n, "qty": n * 1.5} for n in range(2, 300)])
    attempt(lambda: orders.insert_many([{"_id": 1}, {"_id": 500}], ordered=False))
    orders.update_one({"_id": 1}, {"$set": {"qty": 3}})
    orders.update_many({"_id": {"$lt": 3}}, {"$set": {"seen": True}})
    orders.delete_one({"_id": 2})
    print(orders.find_one({"_id": 1}))
    print(len(list(orders.find({"_id": {"$gte": 10}}, batch_size=100))))
    cursor = orders.find({}, batch_size=5)
    next(cursor)
    cursor.close()
    print(list(orders.aggregate([{"$group": {"_id": None, "n": {"$sum": 1}}}])))
    attempt(lambda: orders.find_one({"$nonsense": 1}))
    attempt(lambda: orders.update_one({"_id": 1}, {"$inc": {"qty": 1}}))
    attempt(lambda: c.shop.command("frobnicate", 1))
    attempt(lambda: c.shop.get_collection("orders", write_concern=WriteConcern(w=3)).insert_one({"_id": 600}))
    c.shop.get_collection("orders", write_concern=WriteConcern(w=0)).insert_one({"_id": 700})
    c.shop.command("ping")


def types(c):
    c.shop.types.insert_one({
        "_id": ObjectId("65f0a1b2c3d4e5f601020304"), "double": 1.5, "whole": 2.0, "tiny": 1e-300, "nan": float("nan"),
        "inf": float("-inf"), "text": "caf\u00e9 \"quoted\"\n", "doc": {"a": {"b": [1, "two", None, []]}}, "empty": {},
        "bytes": Binary(b"\x00\x01\xfe\xff", 0), "uuid": Binary(bytes(range(16)), 4), "yes": True,
        "date": datetime.datetime(2024, 2, 29, 12, 30, 45, 678000), "old": bson.datetime_ms.DatetimeMS(-1),
        "epoch": datetime.datetime(1970, 1, 1), "null": None, "regex": Regex("^a.b$", "im"), "code": Code("f()"),
        "int": -7, "long": Int64(2**62), "stamp": Timestamp(1700000000, 5), "min": MinKey(), "max": MaxKey(),
        "d1": Decimal128("12.50"), "d2": Decimal128("1E+3"), "d3": Decimal128("-0.00001"), "d4": Decimal128("NaN"),
        "d5": Decimal128("1.234E-10"), "d6": Decimal128("-Infinity"), "d7": Decimal128("9999999999999999999999999999999999"),
    })
    c.shop.types.find_one({})


def raw(*messages):
    """Sends messages by hand; after those that are answered one reply is read."""
    s = socket.create_connection(("127.0.0.1", PORT))
    for opcode, body, answered in messages:
        raw.id += 1
        s.sendall(struct.pack("<iiii", 16 + len(body), raw.id, 0, opcode) + body)
        if answered:
            n, = struct.unpack("<i", s.recv(4, socket.MSG_WAITALL))
            s.recv(n - 4, socket.MSG_WAITALL)
    s.close()


raw.id = 0

if NAME == "crud":
    with client() as c:
        work(c)
elif NAME == "types":
    with client() as c:
        types(c)
elif NAME in ("snappy", "zlib", "zstd"):
    with client(compressors=NAME) as c:
        work(c)
elif NAME == "exhaust":
    with client(serverMonitoringMode="stream", heartbeatFrequencyMS=500) as c:
        c.shop.many.insert_many([{"_id": n} for n in range(50)])
        print(len(list(c.shop.many.find({}, cursor_type=CursorType.EXHAUST, batch_size=10))))
elif NAME == "auth":
    for password in ("hunter2-pass", "wrong-pass"):
        with client(username="alice", password=password, authMechanism="PLAIN") as c:
            attempt(lambda: c.shop.command("ping"))
            if password == "hunter2-pass":
                c.admin.command("createUser", "bob", pwd="hunter2-too", roles=[])
elif NAME == "old":
    doc = bson.encode
    ns = b"shop.orders\0"
    ping = doc({"ping": 1, "$db": "shop"})
    insert = doc({"insert": "orders", "$db": "shop"})
    sequence = b"documents\0" + doc({"_id": 801}) + doc({"_id": 802})
    section = struct.pack("<i", 4 + len(sequence)) + sequence
    raw(
        (2004, struct.pack("<i", 0) + b"admin.$cmd\0" + struct.pack("<ii", 0, -1) + doc({"isMaster": 1}), True),
        (2004, struct.pack("<i", 0) + b"shop.$cmd\0" + struct.pack("<ii", 0, -1) + doc({"frobnicate": 1}), True),
        (2002, struct.pack("<i", 0) + ns + doc({"_id": 900}) + doc({"_id": 901}), False),
        (2001, struct.pack("<i", 0) + ns + struct.pack("<i", 2) + doc({"_id": 900}) + doc({"$set": {"x": 1}}), False),
        (2006, struct.pack("<i", 0) + ns + struct.pack("<i", 1) + doc({"_id": 901}), False),
        (2007, struct.pack("<iiq", 0, 1, 1234567), False),
        # A checksum (of which nobody makes use here), and the sequence in front of the body.
        (2013, struct.pack("<I", 1) + b"\0" + ping + b"\1\2\3\4", True),
        (2013, struct.pack("<I", 0) + b"\1" + section + b"\0" + insert, True),
    )
