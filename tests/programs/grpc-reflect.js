// A gRPC service with server reflection, and its client: node grpc-reflect.js PORT SET ROUNDS. SET is the
// descriptor set of what is served. Calls without having asked for descriptors, asks, and calls again while
// the question stays open, as grpcurl does. Prints a line of JSON for every call to the service.
const fs = require("fs");
const http2 = require("http2");

const [port, file, rounds] = process.argv.slice(2);
const set = fs.readFileSync(file);
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const ECHO = "/remora.typed.Typed/Echo";

function varint(n) {
  return n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)];
}

function message(bytes) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

// file_descriptor_response: its files are a descriptor set.
const told = message(Buffer.concat([Buffer.from([0x22, ...varint(set.length)]), set]));

const server = http2.createServer();
server.on("stream", (stream, headers) => {
  stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  if (headers[":path"] === REFLECTION) {
    stream.once("data", () => stream.write(told));
    stream.on("end", () => stream.end());
  } else {
    stream.pipe(stream);
  }
});

function open(session, path) {
  return session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
}

// Field 14 is a string, 3 a number, 16 an enum.
function echo(session, n, named) {
  const name = Buffer.from(`item ${n}`);
  const bytes = Buffer.concat([Buffer.from([0x18, n, 0x72, name.length]), name, Buffer.from([0x80, 1, 1])]);
  return new Promise((done) => {
    const stream = open(session, ECHO);
    stream.resume();
    stream.on("close", () => {
      const shown = named
        ? JSON.stringify({ anInt32: n, aString: `item ${n}`, color: "COLOR_RED" })
        : `3: ${n} 14: "item ${n}" 16: 1`;
      console.log(JSON.stringify({ body: shown }));
      done();
    });
    stream.end(message(bytes));
  });
}

server.listen(Number(port), "127.0.0.1", async () => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  for (let n = 1; n <= rounds; n++) await echo(session, n, false);
  const question = open(session, REFLECTION);
  const answered = new Promise((done) => {
    let size = 0;
    question.on("data", (part) => (size += part.length) === told.length && done());
  });
  question.write(message(Buffer.from([0x3a, 0])));
  await answered;
  for (let n = 1; n <= rounds; n++) await echo(session, n, true);
  question.end();
  question.on("close", () => {
    session.close();
    server.close();
  });
});
