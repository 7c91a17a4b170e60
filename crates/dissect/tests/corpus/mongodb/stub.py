"""A server that speaks MongoDB's wire protocol well enough for PyMongo: commands on documents held
in memory, cursors, exhaust streams, OP_COMPRESSED, SASL PLAIN.

usage: stub.py PORT   (listens on 127.0.0.1; stops when its standard input ends)
"""
import os, socket, struct, sys, threading, time, zlib
import bson
from bson import Int64, ObjectId
from bson.son import SON
import snappy, zstandard

DATA, CURSORS, LOCK = {}, {}, threading.Lock()
PROCESS = ObjectId()
COMPRESSORS = {1: (snappy.compress, snappy.decompress), 2: (zlib.compress, zlib.decompress),
               3: (zstandard.ZstdCompressor().compress, zstandard.ZstdDecompressor().decompress)}
NAMES = {"snappy": 1, "zlib": 2, "zstd": 3}


def error(code, name, text):
    return SON(ok=0.0, errmsg=text, code=code, codeName=name)


def matches(doc, query):
    for key, want in (query or {}).items():
        have = doc.get(key)
        if isinstance(want, dict) and any(k.startswith("$") for k in want):
            if "$gte" in want and not (have is not None and have >= want["$gte"]):
                return False
            if "$lt" in want and not (have is not None and have < want["$lt"]):
                return False
        elif have != want:
            return False
    return True


def batch(ns, docs, size, first=True):
    size = size or 101
    now, later = docs[:size], docs[size:]
    cursor = Int64(0)
    if later:
        cursor = Int64(struct.unpack("<q", os.urandom(8))[0] & (2**62 - 1))
        CURSORS[cursor] = (ns, later)
    return SON(cursor=SON([("firstBatch" if first else "nextBatch", now), ("id", cursor), ("ns", ns)]), ok=1.0)


def write(collection, kind, op):
    """One write: how many documents it concerned, or an error."""
    if kind == "insert":
        if any(d["_id"] == op["_id"] for d in collection):
            return 0, SON(index=0, code=11000, errmsg="E11000 duplicate key error collection: shop.orders "
                          "index: _id_ dup key: { _id: %r }" % op["_id"], keyPattern={"_id": 1}, keyValue={"_id": op["_id"]})
        collection.append(op)
        return 1, None
    found = [d for d in collection if matches(d, op["q"])]
    if kind == "delete":
        found = found[:1] if op.get("limit") else found
        for d in found:
            collection.remove(d)
        return len(found), None
    for d in found if op.get("multi") else found[:1]:
        if "$set" not in op["u"]:
            return 0, SON(index=0, code=9, errmsg="Unknown modifier. Expected a valid update modifier")
        d.update(op["u"]["$set"])
    return len(found), None


def command(cmd):
    name = next(iter(cmd))
    value, db = cmd[name], cmd.get("$db", "admin")
    ns = "%s.%s" % (db, value)
    if name in ("hello", "isMaster", "ismaster"):
        compression = [c for c in cmd.get("compression", []) if c in NAMES]
        return SON([("helloOk", True), ("isWritablePrimary", True), ("ismaster", True),
                    ("topologyVersion", SON(processId=PROCESS, counter=Int64(0))),
                    ("maxBsonObjectSize", 16777216), ("maxMessageSizeBytes", 48000000), ("maxWriteBatchSize", 100000),
                    ("logicalSessionTimeoutMinutes", 30), ("connectionId", 7), ("minWireVersion", 0),
                    ("maxWireVersion", 21), ("readOnly", False), ("compression", compression), ("ok", 1.0)])
    if name in ("insert", "update", "delete"):
        collection = DATA.setdefault(ns, [])
        n, errors = 0, []
        for i, op in enumerate(cmd[{"insert": "documents", "update": "updates", "delete": "deletes"}[name]]):
            done, fault = write(collection, name, op)
            n += done
            if fault:
                fault["index"] = i
                errors.append(fault)
        reply = SON(n=n)
        if name == "update":
            reply["nModified"] = n
        if errors:
            reply["writeErrors"] = errors
        if cmd.get("writeConcern", {}).get("w", 1) not in (0, 1, "majority"):
            reply["writeConcernError"] = SON(code=100, codeName="UnsatisfiableWriteConcern",
                                             errmsg="Not enough data-bearing nodes")
        reply["ok"] = 1.0
        return reply
    if name == "find":
        if any(k.startswith("$") for k in cmd.get("filter", {})):
            return error(2, "BadValue", "unknown top level operator: " + next(iter(cmd["filter"])))
        docs = [d for d in DATA.get(ns, []) if matches(d, cmd.get("filter"))]
        return batch(ns, docs[: cmd.get("limit") or None], cmd.get("batchSize"))
    if name == "aggregate":
        return batch(ns, [SON(_id=None, n=len(DATA.get(ns, [])))], None)
    if name == "count":
        return SON(n=len(DATA.get(ns, [])), ok=1.0)
    if name == "getMore":
        if value not in CURSORS:
            return error(43, "CursorNotFound", "cursor id %d not found" % value)
        ns, docs = CURSORS.pop(value)
        now, later = docs[: cmd.get("batchSize") or 101], docs[cmd.get("batchSize") or 101:]
        if later:
            CURSORS[value] = (ns, later)
        return SON(cursor=SON([("nextBatch", now), ("id", Int64(value if later else 0)), ("ns", ns)]), ok=1.0)
    if name == "killCursors":
        for c in cmd["cursors"]:
            CURSORS.pop(c, None)
        return SON(cursorsKilled=cmd["cursors"], cursorsNotFound=[], cursorsAlive=[], cursorsUnknown=[], ok=1.0)
    if name == "saslStart":
        if b"wrong" in cmd["payload"]:
            return error(18, "AuthenticationFailed", "Authentication failed.")
        return SON(conversationId=1, done=True, payload=b"server final: s3cret-proof", ok=1.0)
    if name in ("ping", "endSessions", "createUser", "abortTransaction"):
        return SON(ok=1.0)
    if name == "listCollections":
        return batch(db + ".$cmd.listCollections", [SON(name="orders", type="collection")], None)
    return error(59, "CommandNotFound", "no such command: '%s'" % name)


def receive(c, n):
    data = b""
    while len(data) < n:
        more = c.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def reply(c, answer_to, doc, compressor=None, flags=0, opcode=2013):
    receive_id = reply.id = reply.id + 1
    if opcode == 1:
        body = struct.pack("<iqii", 8, 0, 0, 1) + bson.encode(doc)
    else:
        body = struct.pack("<I", flags) + b"\0" + bson.encode(doc)
    if compressor:
        body = struct.pack("<iiB", opcode, len(body), compressor) + COMPRESSORS[compressor][0](body)
        opcode = 2012
    c.sendall(struct.pack("<iiii", 16 + len(body), receive_id, answer_to, opcode) + body)
    return receive_id


reply.id = 1000


def serve(c):
    try:
        while True:
            length, request, _, opcode = struct.unpack("<iiii", receive(c, 16))
            body = receive(c, length - 16)
            compressor = None
            if opcode == 2012:
                opcode, _, compressor = struct.unpack("<iiB", body[:9])
                body = COMPRESSORS[compressor][1](body[9:])
            if opcode == 2004:
                end = body.index(b"\0", 4)
                cmd = bson.decode(body[end + 9:], bson.CodecOptions(document_class=SON))
                with LOCK:
                    reply(c, request, command(cmd), compressor, opcode=1)
                continue
            if opcode != 2013:
                continue
            flags, = struct.unpack("<I", body[:4])
            at, end, cmd, rest = 4, len(body) - (4 if flags & 1 else 0), None, {}
            while at < end:
                kind, size = body[at], struct.unpack("<i", body[at + 1:at + 5])[0]
                if kind == 0:
                    cmd = bson.decode(body[at + 1:at + 1 + size], bson.CodecOptions(document_class=SON))
                else:
                    name_end = body.index(b"\0", at + 5)
                    docs = bson.decode_all(body[name_end + 1:at + 1 + size], bson.CodecOptions(document_class=SON))
                    rest[body[at + 5:name_end].decode()] = docs
                at += 1 + size
            cmd.update(rest)
            if flags & 2:
                with LOCK:
                    command(cmd)
                continue
            exhaust = flags & 0x10000
            if exhaust and "maxAwaitTimeMS" in cmd:
                # Streaming hello: two replies more, then the last.
                answer_to = request
                for more in (2, 2, 0):
                    answer_to = reply(c, answer_to, command(cmd), compressor, more)
                    time.sleep(0.05)
                continue
            with LOCK:
                answer = command(cmd)
            answer_to = request
            while exhaust and answer.get("cursor", {}).get("id"):
                answer_to = reply(c, answer_to, answer, compressor, 2)
                with LOCK:
                    answer = command(SON(getMore=answer["cursor"]["id"], collection=cmd.get("collection"),
                                         batchSize=cmd.get("batchSize", 0)))
            reply(c, answer_to, answer, compressor)
    except (EOFError, OSError):
        c.close()


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
