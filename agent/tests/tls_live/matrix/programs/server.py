# An HTTPS server for HTTP/1 with a thread for each connection: python3 server.py PORT LOG
# It does what server.js does.
import hashlib, http.server, json, socketserver, ssl, sys, threading

FILES = {"/page": open("page", "rb").read(), "/big": open("big", "rb").read()}
LOCK = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, received, body):
        line = {
            "port": str(self.client_address[1]),
            "url": self.path,
            "received": received,
            "sent": hashlib.sha256(body).hexdigest(),
        }
        with LOCK, open(sys.argv[2], "a") as log:
            log.write(json.dumps(line) + "\n")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer("", FILES[self.path.split("?")[0]])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = hashlib.sha256(body).hexdigest()
        self.answer(received, received.encode())


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
