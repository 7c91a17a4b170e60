// An HTTP/2 and gRPC client: node http2-load.js PORT ADDRESS ROUNDS. Twenty streams at a time on one
// connection. Prints a line of JSON for every call; one in each round is given up.
const http2 = require("http2");

const [port, address, rounds] = process.argv.slice(2);
const host = address.includes(":") ? `[${address}]` : address;
const session = http2.connect(`http://${host}:${port}`);

function call(headers, body, cancel) {
  return new Promise((done) => {
    const stream = session.request(headers, { endStream: body === undefined });
    const seen = { path: headers[":path"], status: null, grpc: null, received: 0, cancelled: Boolean(cancel) };
    stream.on("response", (h) => (seen.status = h[":status"]));
    stream.on("trailers", (h) => (seen.grpc = Number(h["grpc-status"])));
    stream.on("data", (part) => {
      seen.received += part.length;
      if (cancel) stream.close(http2.constants.NGHTTP2_CANCEL);
    });
    stream.on("error", () => {});
    stream.on("close", () => {
      console.log(JSON.stringify(seen));
      done();
    });
    if (body !== undefined) stream.end(body);
  });
}

function grpc(path, id, count) {
  const parts = Array.from({ length: count }, () => Buffer.from([0, 0, 0, 0, 2, 0x08, 0x01]));
  const headers = { ":path": `/shop.Shop/${path}`, ":method": "POST", te: "trailers", "x-id": id };
  return call({ ...headers, "content-type": "application/grpc", "grpc-timeout": "20S" }, Buffer.concat(parts));
}

async function main() {
  for (let round = 0; round < Number(rounds); round++) {
    const id = (n) => `${round}-${n}`;
    const calls = [grpc("Get", id("g"), 1), grpc("List", id("l"), 1), grpc("Put", id("p"), 3), grpc("Fail", id("f"), 1)];
    for (let n = 0; n < 12; n++) {
      calls.push(call({ ":path": `/size/${n * n * 97}/${id(n)}`, "x-id": id(n) }));
    }
    calls.push(call({ ":path": `/status/503/${id("b")}` }), call({ ":path": `/status/404/${id("m")}` }));
    calls.push(call({ ":path": `/post/${id("u")}`, ":method": "POST" }, Buffer.alloc(20000, "u")));
    calls.push(call({ ":path": `/hang/${id("h")}` }, undefined, true));
    await Promise.all(calls);
  }
  session.close();
}

main();
