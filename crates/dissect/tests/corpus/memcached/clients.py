"""Drives a memcached: with pymemcache and python-binary-memcached, and by hand what they do not send.

usage: clients.py PORT NAME
"""
import socket, struct, sys, time
PORT, NAME = int(sys.argv[1]), sys.argv[2]


def talk(*steps):
    """Sends each text and reads until what ends its answer."""
    s = socket.create_connection(("127.0.0.1", PORT), timeout=3)
    for text, end in steps:
        s.sendall(text)
        got = b""
        while end and not got.endswith(end):
            more = s.recv(65536)
            if not more:
                return print("closed")
            got += more
        print(text[:40], got[:100])
    s.close()


def binary(opcode, key=b"", value=b"", extras=b"", opaque=0, cas=0):
    return struct.pack(">BBHBBHIIQ", 0x80, opcode, len(key), len(extras), 0, 0,
                       len(extras) + len(key) + len(value), opaque, cas) + extras + key + value


def send_binary(*steps):
    """Sends requests together and reads so many responses."""
    s = socket.create_connection(("127.0.0.1", PORT), timeout=3)
    for requests, answers in steps:
        s.sendall(b"".join(requests))
        for _ in range(answers):
            head = s.recv(24, socket.MSG_WAITALL)
            n, = struct.unpack(">I", head[8:12])
            print(head[:8].hex(), s.recv(n, socket.MSG_WAITALL)[:60] if n else b"")
    s.close()


if NAME == "text":
    from pymemcache.client.base import Client
    c = Client(("127.0.0.1", PORT), default_noreply=False, timeout=3)
    c.set("session:1", "alice", expire=60, flags=5)
    c.set("session:2", "caf\u00e9".encode())
    c.set("bytes", b"\x00\xff\r\nEND\r\n")
    print(c.get("session:1"), c.get("nothing"), c.get_many(["session:1", "none", "session:2", "bytes"]))
    c.add("session:1", "x"); c.add("new", "1"); c.replace("new", "2"); c.append("new", "3"); c.prepend("new", "0")
    value, cas = c.gets("new")
    c.cas("new", "10", cas); c.cas("new", "11", cas)
    print(c.gets_many(["new", "session:1"]))
    c.incr("new", 5); c.decr("new", 7); c.incr("nothing", 1)
    c.touch("new", 100); c.touch("nothing", 1)
    c.delete("new"); c.delete("new")
    c.set("quiet", "1", noreply=True); c.incr("quiet", 1, noreply=True); c.delete("quiet", noreply=True)
    c.version(); c.stats(); c.flush_all()
    c.set("big", "x" * 20_000)
    print(len(c.get("big")))
    c.quit()
elif NAME == "errors":
    talk((b"get k\r\n", b"END\r\n"), (b"frobnicate\r\n", b"\r\n"), (b"gat 30 k none\r\n", b"END\r\n"), (b"gats 30 k\r\n", b"END\r\n"), (b"set k 0 0 3\r\nabc\r\n", b"\r\n"), (b"incr k 1\r\n", b"\r\n"),
         (b"set k 0 0 abc\r\n", b"\r\n"), (b"get " + b"k" * 251 + b"\r\n", b"\r\n"),
         (b"get k\r\n", b"END\r\n"),
         (b"set k 0 0 3\r\nabcdef\r\n", b"\r\n"), (b"verbosity 1\r\n", b"OK\r\n"), (b"quit\r\n", b""))
elif NAME == "meta":
    talk((b"ms foo 3 T60 F7 c\r\nbar\r\n", b"\r\n"), (b"mg foo v f t c k\r\n", b"bar\r\n"), (b"mg none v\r\n", b"EN\r\n"),
         (b"mg foo\r\n", b"\r\n"), (b"ma num\r\n", b"NF\r\n"), (b"ms num 1 \r\n5\r\n", b"\r\n"), (b"ma num D3 v\r\n", b"8\r\n"),
         (b"md foo O77\r\n", b"\r\n"), (b"md foo\r\n", b"\r\n"), (b"me num\r\n", b"\r\n"), (b"me none\r\n", b"\r\n"),
         (b"ms q1 1 q\r\n1\r\nms q2 1 q\r\n2\r\nmg q1 v q k\r\nmg q9 v q k\r\nmg q2 v q k\r\nmn\r\n", b"MN\r\n"),
         (b"ms foo 3 MA\r\nxyz\r\n", b"\r\n"), (b"ms foo 1 C5\r\nx\r\n", b"\r\n"),
         (b"get q1 q2\r\nget q1\r\nincr num 1\r\n", b"9\r\n"), (b"mn\r\n", b"MN\r\n"))
elif NAME == "binary":
    import bmemcached
    c = bmemcached.Client(("127.0.0.1:%d" % PORT,))
    c.set("session:1", "alice", time=60)
    print(c.get("session:1"), c.get("none"), c.get_multi(["session:1", "none"]))
    c.set("n", "5"); c.incr("counter", 3); c.decr("counter", 1); c.delete("session:1"); c.delete("session:1")
    c.add("n", "1"); c.replace("zzz", "1"); c.gets("n"); c.stats(); c.flush_all()
    c.disconnect_all()
    zero = struct.pack(">II", 7, 0)
    send_binary(
        ([binary(1, b"a", b"one", zero, 1), binary(0, b"a", opaque=2)], 2),
        ([binary(0x11, b"q1", b"1", zero, 3), binary(0x11, b"q2", b"2", zero, 4), binary(0x0a, opaque=5)], 1),
        ([binary(0x0d, b"q1", opaque=6), binary(0x0d, b"none", opaque=7), binary(0x0d, b"q2", opaque=8), binary(0x0a, opaque=9)], 3),
        ([binary(2, b"a", b"x", zero, 10), binary(5, b"a", b"", struct.pack(">QQI", 1, 0, 0), 11)], 2),
        ([binary(5, b"c", b"", struct.pack(">QQI", 1, 41, 60), 12), binary(5, b"c", b"", struct.pack(">QQI", 1, 0, 60), 13)], 2),
        ([binary(0x0b, opaque=14), binary(0x1c, b"a", b"", struct.pack(">I", 90), 15), binary(0x0e, b"a", b"!", opaque=16)], 3),
        ([binary(0x21, b"PLAIN", b"\0bob\0hunter2-binary", opaque=17), binary(7, opaque=18)], 1))
elif NAME == "auth":
    talk((b"get k\r\n", b"\r\n"), (b"set k 0 0 17\r\nalice hunter2-txt\r\n", b"\r\n"), (b"get k\r\n", b"END\r\n"))
