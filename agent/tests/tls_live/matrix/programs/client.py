# HTTPS clients by several libraries: python3 client.py LIBRARY PORT h1|h2
# It begins when a line comes in, so that there is time to look at it.
import socket, sys, threading

LIBRARY, PORT, VERSION = sys.argv[1], int(sys.argv[2]), sys.argv[3]
PAGE, BIG = open("page", "rb").read(), open("big", "rb").read()
TEXT = {"Content-Type": "text/plain"}


def plan(n):
    yield "GET", f"/page?{n}.0", None
    yield "POST", f"/post?{n}.1", PAGE
    yield "GET", f"/big?{n}.2", None
    yield "POST", f"/post?{n}.3", BIG
    yield "GET", f"/page?{n}.4", None


def with_ssl():
    import http.client, ssl

    context = ssl._create_unverified_context()

    def connection(n):
        client = http.client.HTTPSConnection("127.0.0.1", PORT, context=context)
        for method, path, body in plan(n):
            client.request(method, path, body, TEXT if body else {})
            assert client.getresponse().read()
        client.close()

    return connection


def with_curl_cffi():
    from curl_cffi import CurlHttpVersion, requests

    version = CurlHttpVersion.V1_1 if VERSION == "h1" else CurlHttpVersion.V2_0

    def connection(n):
        with requests.Session(verify=False, http_version=version) as session:
            for method, path, body in plan(n):
                url = f"https://127.0.0.1:{PORT}{path}"
                answer = session.request(method, url, data=body, headers=TEXT if body else {})
                assert answer.content

    return connection


def http1(send, receive, n):
    """Requests on one connection, of which `send` and `receive` carry the bytes."""
    for method, path, body in plan(n):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if body:
            head += f"Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        send(head.encode() + b"\r\n" + (body or b""))
        got = b""
        while b"\r\n\r\n" not in got:
            got += receive()
        head, _, got = got.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        parts = [got]
        while sum(map(len, parts)) < length:
            parts.append(receive())


def with_pyopenssl():
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_METHOD)

    def connection(n):
        client = SSL.Connection(context, socket.create_connection(("127.0.0.1", PORT)))
        client.set_connect_state()
        client.do_handshake()
        http1(client.sendall, lambda: client.recv(16384), n)
        client.shutdown()
        client.close()

    return connection


def with_libssl():
    """Looks at what it reads before it reads it, and reads and writes in odd little pieces."""
    import ctypes, itertools

    lib = ctypes.CDLL("libssl.so.3")
    for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    make, connect = ctypes.c_void_p, ctypes.c_void_p
    lib.SSL_CTX_new.argtypes = [make]
    lib.SSL_new.argtypes = [make]
    lib.SSL_set_fd.argtypes = [connect, ctypes.c_int]
    for name in ("SSL_connect", "SSL_shutdown", "SSL_free"):
        getattr(lib, name).argtypes = [connect]
    for name in ("SSL_read", "SSL_peek", "SSL_write"):
        getattr(lib, name).argtypes = [connect, ctypes.c_char_p, ctypes.c_int]
    context = lib.SSL_CTX_new(lib.TLS_client_method())

    def connection(n):
        sock = socket.create_connection(("127.0.0.1", PORT))
        ssl = lib.SSL_new(context)
        assert lib.SSL_set_fd(ssl, sock.fileno()) == 1 and lib.SSL_connect(ssl) == 1
        sizes = itertools.cycle([1, 2, 3, 7, 100, 5_000, 17, 40_000])
        look, room = ctypes.create_string_buffer(20_000), ctypes.create_string_buffer(40_000)

        def send(data):
            while data:
                wrote = lib.SSL_write(ssl, data[:1_000_000], min(len(data), next(sizes) * 25))
                assert wrote > 0
                data = data[wrote:]

        def receive():
            saw = lib.SSL_peek(ssl, look, 20_000)
            got = lib.SSL_read(ssl, room, next(sizes))
            assert saw > 0 and got > 0, (saw, got)
            both = min(saw, got)
            assert look.raw[:both] == room.raw[:both]
            return room.raw[:got]

        http1(send, receive, n)
        lib.SSL_shutdown(ssl)
        lib.SSL_free(ssl)
        sock.close()

    return connection


def with_awscrt():
    from awscrt import http, io

    group = io.EventLoopGroup(1)
    bootstrap = io.ClientBootstrap(group, io.DefaultHostResolver(group))
    options = io.TlsContextOptions()
    options.verify_peer = False
    options.alpn_list = ["http/1.1" if VERSION == "h1" else "h2"]
    tls = io.ClientTlsContext(options)

    def connection(n):
        connect = tls.new_connection_options()
        connect.set_server_name("localhost")
        client = http.HttpClientConnection.new("127.0.0.1", PORT, bootstrap, tls_connection_options=connect)
        client = client.result(20)
        for method, path, body in plan(n):
            import io as streams

            headers = [("host", "localhost")]
            if body:
                headers += [("content-type", "text/plain"), ("content-length", str(len(body)))]
            request = http.HttpRequest(
                method, path, http.HttpHeaders(headers), streams.BytesIO(body) if body else None
            )
            stream = client.request(request)
            stream.activate()
            stream.completion_future.result(20)
        client.close().result(20)

    return connection


connection = globals()["with_" + LIBRARY]()
sys.stdin.readline()
failed = []


def run(n):
    try:
        connection(n)
    except BaseException as error:
        failed.append(repr(error))


threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
sys.exit(repr(failed) if failed else 0)
