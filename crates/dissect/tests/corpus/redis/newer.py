"""What redis/newer.pcap has: a cluster of two, blocking commands, functions, streams, sharded channels."""
import socket
import sys
import time


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))

    def ask(self, *args):
        self.send(*args)
        return self.read()

    def send(self, *args):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def read(self):
        """One answer, or what has come of it in a while."""
        self.socket.settimeout(0.3)
        try:
            return self.socket.recv(65536)
        except TimeoutError:
            return b""


def setup(a, b):
    one, two = Client(a), Client(b)
    one.ask("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
    two.ask("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
    one.ask("CLUSTER", "MEET", "127.0.0.1", b)
    while b"cluster_state:ok" not in one.ask("CLUSTER", "INFO") or b"cluster_state:ok" not in two.ask("CLUSTER", "INFO"):
        time.sleep(0.1)
    two = two.ask("CLUSTER", "MYID").split(b"\r\n")[1]
    # Slot 5061 ("bar") is on its way; "foo" is of the other one.
    one.ask("CLUSTER", "SETSLOT", 5061, "MIGRATING", two)


def call(a):
    c = Client(a)
    c.ask("HELLO", 3, "SETNAME", "tester")
    c.ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "b")
    c.ask("SET", "foo", 1)
    c.ask("GET", "bar")
    c.ask("MGET", "b1", "zz")
    c.ask("ASKING")
    c.ask("READONLY")
    c.ask("SET", "{b}1", "one")
    c.ask("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('twice', function(k, a) return 2 * a[1] end)")
    c.ask("FCALL", "twice", 1, "{b}1", 21)
    c.ask("FUNCTION", "LIST")
    c.ask("EVALSHA", "0" * 40, 0)
    c.ask("XGROUP", "CREATE", "{b}s", "g", "$", "MKSTREAM")
    c.ask("XADD", "{b}s", "1-1", "f", "v")
    c.ask("XREADGROUP", "GROUP", "g", "me", "COUNT", 1, "STREAMS", "{b}s", ">")
    c.ask("XACK", "{b}s", "g", "1-1")
    c.ask("XAUTOCLAIM", "{b}s", "g", "me", 0, "0")
    c.ask("XINFO", "STREAM", "{b}s")
    # Nothing comes in time, then something does.
    c.ask("BLPOP", "{b}q", "0.05")
    d = Client(a)
    c.send("BLPOP", "{b}q", 5)
    time.sleep(0.05)
    d.ask("RPUSH", "{b}q", "job")
    c.read()
    c.ask("SSUBSCRIBE", "{b}ch")
    d.ask("SPUBLISH", "{b}ch", "hello")
    c.read()
    c.ask("PING")
    c.ask("SUNSUBSCRIBE", "{b}ch")
    # A transaction that fails at once, one that fails later, one that was overtaken.
    c.send("MULTI")
    c.send("SET", "{b}1")
    c.send("EXEC")
    c.read()
    c.ask("WATCH", "{b}1")
    d.ask("SET", "{b}1", "two")
    c.ask("MULTI")
    c.ask("GET", "{b}1")
    c.ask("EXEC")
    d.ask("CLIENT", "NO-EVICT", "ON")
    d.ask("CLIENT", "UNBLOCK", 1)
    d.ask("CLUSTER", "SHARDS")
    d.ask("COMMAND", "COUNT")
    d.ask("ACL", "WHOAMI")
    d.ask("AUTH", "nobody", "wrong")
    d.ask("QUIT")


if sys.argv[1] == "setup":
    setup(int(sys.argv[2]), int(sys.argv[3]))
else:
    call(int(sys.argv[2]))
