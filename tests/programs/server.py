"""An HTTP/1.0 server whose bodies end with the connection; logs each call as one JSON object.

Arguments: log file, port, addresses to listen on.
"""
import http.server
import json
import socket
import sys
import threading

log = open(sys.argv[1], "a", buffering=1)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"until the end of {self.path}\n".encode() * 20)
        log.write(json.dumps({"method": "GET", "path": self.path, "status": 200}) + "\n")

    def log_message(self, *_):
        pass


class V6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


for host in sys.argv[3:]:
    kind = V6 if ":" in host else http.server.ThreadingHTTPServer
    threading.Thread(target=kind((host, int(sys.argv[2])), Handler).serve_forever).start()
