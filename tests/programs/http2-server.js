// An HTTP/2 server without TLS that also answers as gRPC does:
// node http2-server.js LOG PORT ADDRESS...
// Writes a line of JSON for every stream that it has answered to its end.
const fs = require("fs");
const http2 = require("http2");

const [log, port, ...addresses] = process.argv.slice(2);

// The gRPC protocol's Length-Prefixed-Message.
function message(bytes) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

function answer(stream, headers, body) {
  const path = headers[":path"];
  const note = (status, sent, grpc) =>
    fs.appendFileSync(
      log,
      JSON.stringify({ path, method: headers[":method"], status, received: body.length, sent, grpc }) + "\n",
    );
  const [, what, argument] = path.split("/");
  if (headers["content-type"] === "application/grpc") {
    const failed = what === "shop.Shop" && argument === "Fail";
    const count = failed ? 0 : argument === "List" ? 5 : 1;
    const messages = Array.from({ length: count }, (_, i) => message(Buffer.from([0x08, i])));
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => {
      stream.sendTrailers(failed ? { "grpc-status": "5", "grpc-message": "no%20such%20item" } : { "grpc-status": "0" });
    });
    messages.forEach((m) => stream.write(m));
    stream.end();
    note(200, Buffer.concat(messages).length, failed ? 5 : 0);
  } else if (what === "hang") {
    stream.respond({ ":status": 200 });
    stream.write("half");
  } else {
    const status = what === "status" ? Number(argument) : 200;
    const size = what === "size" ? Number(argument) : 2;
    stream.respond({ ":status": status, "content-type": "text/plain" });
    stream.end(Buffer.alloc(size, "x"));
    note(status, size);
  }
}

for (const address of addresses) {
  const server = http2.createServer();
  server.on("stream", (stream, headers) => {
    const parts = [];
    stream.on("error", () => {});
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => answer(stream, headers, Buffer.concat(parts)));
  });
  server.listen(Number(port), address);
}
