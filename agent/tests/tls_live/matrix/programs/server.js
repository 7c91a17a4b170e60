// An HTTPS server for HTTP/1 and HTTP/2: node server.js PORT LOG
// It serves the files "page" and "big" of its directory, answers a POST with the hash of its body, and
// writes a line of JSON about each request.
const crypto = require("crypto");
const fs = require("fs");
const http2 = require("http2");

const [port, log] = process.argv.slice(2);
const sha = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");
const files = { "/page": fs.readFileSync("page"), "/big": fs.readFileSync("big") };
const identity = { key: fs.readFileSync("key.pem"), cert: fs.readFileSync("cert.pem"), allowHTTP1: true };

http2
  .createSecureServer(identity, (request, response) => {
    const client = request.socket.remotePort;
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const received = request.method === "POST" ? sha(Buffer.concat(parts)) : "";
      const body = files[request.url.split("?")[0]] ?? Buffer.from(received);
      response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": body.length });
      // First: the client may be gone once it has the answer.
      const line = { port: String(client), url: request.url, received, sent: sha(body) };
      fs.appendFileSync(log, JSON.stringify(line) + "\n");
      response.end(body);
    });
  })
  .listen(Number(port), "127.0.0.1");
