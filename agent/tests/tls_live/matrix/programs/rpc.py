# gRPC with messages that are bytes: python3 rpc.py serve PORT LOG, python3 rpc.py ask PORT
# The server writes a line of JSON about each call; the client begins when a line comes in.
import hashlib, json, sys, threading
from concurrent import futures

import grpc

LOCK = threading.Lock()


def serve(port, log):
    def answer(request, context):
        client = context.peer().rsplit(":", 1)[1]
        method = dict(context.invocation_metadata())["method"]
        line = {"port": client, "url": method, "received": "", "sent": ""}
        with LOCK, open(log, "a") as out:
            out.write(json.dumps(line) + "\n")
        return request[::-1]

    class Handler(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(answer)

    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Handler(),), options=options)
    pair = (open("key.pem", "rb").read(), open("cert.pem", "rb").read())
    server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([pair]))
    server.start()
    server.wait_for_termination()


def ask(port):
    credentials = grpc.ssl_channel_credentials(open("cert.pem", "rb").read())
    page, big = open("page", "rb").read(), open("big", "rb").read()
    sys.stdin.readline()

    def connection(n):
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
        with grpc.secure_channel(f"localhost:{port}", credentials, options) as channel:
            for i, body in enumerate([page, big, page]):
                path = f"/shop.Shop/Ask{n}{i}"
                assert channel.unary_unary(path)(body, metadata=[("method", path)]) == body[::-1]

    with futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(connection, range(4)))


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3])
else:
    ask(sys.argv[2])
