"""A server that speaks Cassandra's native protocol, versions 3 to 5, well enough for the DataStax
driver: a few tables in memory, prepared statements, batches, errors, events, tracing, warnings.

usage: stub.py PORT [auth]   (listens on 127.0.0.1; stops when its standard input ends)
"""
import hashlib, io, os, socket, struct, sys, threading, time, uuid
import lz4.block, snappy
from cassandra.segment import SegmentCodec

AUTH = len(sys.argv) > 2
ASCII, BIGINT, BLOB, BOOLEAN, DECIMAL, DOUBLE, INT, TIMESTAMP, UUID, VARCHAR, INET, DATE = 1, 2, 3, 4, 6, 7, 9, 11, 12, 13, 16, 17
HOST = uuid.UUID(int=0x1234)


def lz4_pack(data):
    return struct.pack(">I", len(data)) + lz4.block.compress(data, store_size=False)


def lz4_unpack(data):
    return lz4.block.decompress(data[4:], uncompressed_size=struct.unpack(">I", data[:4])[0])


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack(">H", len(s)) + s


def value(v):
    return struct.pack(">i", -1) if v is None else struct.pack(">i", len(v)) + v


def specs(ks, table, columns):
    out = string(ks) + string(table)
    for name, kind in columns:
        out += string(name) + (kind if isinstance(kind, bytes) else struct.pack(">H", kind))
    return out


def rows(ks, table, columns, data, skip=False, paging=None, count=None):
    flags = (4 if skip else 1) | (2 if paging else 0)
    out = struct.pack(">iii", 2, flags, len(columns)) + (value(paging) if paging else b"")
    if not skip:
        out += specs(ks, table, columns)
    return 8, out + struct.pack(">i", len(data)) + b"".join(value(v) for row in data for v in row)


SET_TEXT = struct.pack(">HH", 0x22, VARCHAR)
LOCAL = [("key", VARCHAR), ("cluster_name", VARCHAR), ("data_center", VARCHAR), ("rack", VARCHAR), ("partitioner", VARCHAR),
         ("release_version", VARCHAR), ("rpc_address", INET), ("listen_address", INET), ("broadcast_address", INET),
         ("host_id", UUID), ("schema_version", UUID), ("tokens", SET_TEXT)]
USERS = [("id", INT), ("name", VARCHAR), ("visits", BIGINT), ("active", BOOLEAN), ("score", DOUBLE), ("balance", DECIMAL),
         ("joined", TIMESTAMP), ("ref", UUID), ("address", INET), ("born", DATE), ("photo", BLOB), ("tags", SET_TEXT)]


def user(n):
    return [struct.pack(">i", n), ("caf\u00e9 %d" % n).encode(), struct.pack(">q", n * 10**10), b"\1", struct.pack(">d", n + 0.5),
            struct.pack(">i", 2) + struct.pack(">h", 1250 + n), struct.pack(">q", 1709209845678), HOST.bytes,
            socket.inet_aton("192.0.2.7"), struct.pack(">I", 2**31 + 19000), b"\0\xff", None]


def error(code, text, more=b""):
    return 0, struct.pack(">i", code) + string(text) + more


PREPARED, KEYSPACE = {}, {}


def query(text, version, skip=False):
    words = text.split()
    if "system.local" in text:
        host = socket.inet_aton("127.0.0.1")
        return rows("system", "local", LOCAL, [[b"local", b"stub", b"dc1", b"r1", b"org.apache.cassandra.dht.Murmur3Partitioner",
                    b"4.1.0", host, host, host, HOST.bytes, HOST.bytes, None]])
    if "peers" in text:
        return error(0x2200, "unconfigured table peers_v2") if "v2" in text else rows("system", "peers", LOCAL[2:], [])
    if words[0].upper() == "USE":
        return 8, struct.pack(">i", 3) + string(words[1].strip('";'))
    if words[0].upper() == "CREATE" and words[1].upper() == "TABLE":
        return 8, struct.pack(">i", 5) + string("CREATED") + string("TABLE") + string("shop") + string("users")
    if "timeout" in text:
        return error(0x1200, "Operation timed out - received only 0 responses.", struct.pack(">HiiB", 1, 0, 1, 0))
    if "nothing_here" in text:
        return error(0x2200, "unconfigured table nothing_here")
    if words[0].upper() == "SELEC":
        return error(0x2000, "line 1:0 no viable alternative at input 'SELEC'")
    if words[0].upper() == "SELECT":
        n = 60 if "everyone" in text else 3
        return rows("shop", "users", USERS, [user(i) for i in range(n)], skip, paging=b"next" if "page" in text else None)
    return 8, struct.pack(">i", 1)


def prepare(text, version):
    id = hashlib.md5(text.encode()).digest()
    PREPARED[id] = text
    bound = [c for c in USERS[:3]][: text.count("?")]
    out = struct.pack(">i", 4) + string(id)
    if version >= 5:
        out += string(b"m" * 16)
    out += struct.pack(">ii", 1 if bound else 0, len(bound))
    if version >= 4:
        out += struct.pack(">i", 1 if bound else 0) + (struct.pack(">H", 0) if bound else b"")
    if bound:
        out += specs("shop", "users", bound)
    if text.upper().startswith("SELECT"):
        out += struct.pack(">ii", 1, len(USERS)) + specs("shop", "users", USERS)
    else:
        out += struct.pack(">ii", 4, 0)
    return 8, out


class Connection:
    def __init__(self, c):
        self.c, self.compression, self.frames, self.lock = c, None, None, threading.Lock()
        self.buffer = b""

    def read(self, n):
        while len(self.buffer) < n:
            more = self.c.recv(65536)
            if not more:
                raise EOFError
            self.buffer += more
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def envelopes(self):
        """The messages of the client."""
        large = b""
        while True:
            if not self.frames:
                head = self.read(9)
                version, flags, stream, opcode, n = struct.unpack(">BBhBi", head)
                body = self.read(n)
                if flags & 1:
                    body = (snappy.uncompress if self.compression == "snappy" else lz4_unpack)(body)
                yield version, flags, stream, opcode, body
                continue
            head = self.read(self.frames.header_length_with_crc)
            header = self.frames.decode_header(io.BytesIO(head))
            sent = self.read(header.payload_length + 4)
            segment = self.frames.decode(io.BytesIO(sent), header)
            large += segment.payload
            while len(large) >= 9:
                version, flags, stream, opcode, n = struct.unpack(">BBhBi", large[:9])
                if len(large) < 9 + n:
                    break
                body, large = large[9:9 + n], large[9 + n:]
                yield version, flags, stream, opcode, body

    def send(self, version, stream, opcode, body, flags=0):
        if self.compression and not self.frames and version < 5:
            body, flags = (snappy.compress if self.compression == "snappy" else lz4_pack)(body), flags | 1
        data = struct.pack(">BBhBi", 0x80 | version, flags, stream, opcode, len(body)) + body
        if self.frames:
            out = io.BytesIO()
            self.frames.encode(out, data)
            data = out.getvalue()
        with self.lock:
            self.c.sendall(data)

    def serve(self):
        for version, flags, stream, opcode, body in self.envelopes():
            version &= 0x7f
            if version > 5:
                self.send(5, stream, *error(10, "Invalid or unsupported protocol version (%d)" % version))
                continue
            if opcode == 5:
                out = struct.pack(">H", 2)
                for name, values in (("COMPRESSION", ["lz4", "snappy"]), ("CQL_VERSION", ["3.4.6"])):
                    out += string(name) + struct.pack(">H", len(values)) + b"".join(map(string, values))
                self.send(version, stream, 6, out)
            elif opcode == 1:
                if b"COMPRESSION" in body:
                    self.compression = "snappy" if b"snappy" in body else "lz4"
                compression, self.compression = self.compression, None
                self.send(version, stream, 3 if AUTH else 2, string("org.apache.cassandra.auth.PasswordAuthenticator") if AUTH else b"")
                self.compression = compression
                if version == 5:
                    self.frames = SegmentCodec(lz4.block.compress and (lambda d: lz4_pack(d)), lz4_unpack) if compression else SegmentCodec()
            elif opcode == 15:
                ok = b"wrong" not in body
                self.send(version, stream, *((16, struct.pack(">i", -1)) if ok else error(0x100, "Provided username alice and/or password are incorrect")))
            elif opcode == 11:
                self.send(version, stream, 2, b"")
                time.sleep(0.2)
                self.send(version, -1, 12, string("STATUS_CHANGE") + string("UP") + b"\4" + socket.inet_aton("192.0.2.9") + struct.pack(">i", 9042))
                self.send(version, -1, 12, string("SCHEMA_CHANGE") + string("UPDATED") + string("TABLE") + string("shop") + string("users"))
            elif opcode in (7, 9):
                n, = struct.unpack(">i", body[:4])
                text = body[4:4 + n].decode()
                op, out = query(text, version) if opcode == 7 else prepare(text, version)
                more = 0
                if flags & 2:
                    out, more = uuid.UUID(int=0xabc).bytes + (struct.pack(">H", 1) + string("Aggregation query used without partition key") if version > 3 else b"") + out, 2 | (8 if version > 3 else 0)
                self.send(version, stream, op, out, more)
            elif opcode == 10:
                n, = struct.unpack(">H", body[:2])
                text = PREPARED.get(body[2:2 + n])
                at = 2 + n + (18 if version >= 5 else 0) + 2
                query_flags = struct.unpack(">I", body[at:at + 4])[0] if version >= 5 else body[at]
                self.send(version, stream, *(query(text, version, bool(query_flags & 2)) if text else
                                             error(0x2500, "Prepared query not found", string(body[2:2 + n]))))
            elif opcode == 13:
                self.send(version, stream, 8, struct.pack(">i", 1))


def run(c):
    try:
        Connection(c).serve()
    except (EOFError, OSError):
        c.close()


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    threading.Thread(target=run, args=(listener.accept()[0],), daemon=True).start()
