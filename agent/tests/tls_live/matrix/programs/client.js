// An HTTPS client: node client.js PORT h1|h2
// It begins when a line comes in, so that there is time to look at it.
const fs = require("fs");
const http2 = require("http2");
const https = require("https");

const [port, version] = process.argv.slice(2);
const page = fs.readFileSync("page");
const big = fs.readFileSync("big");
const authority = `https://127.0.0.1:${port}`;
const plan = (n) => [
  ["GET", `/page?${n}.0`],
  ["POST", `/post?${n}.1`, page],
  ["GET", `/big?${n}.2`],
  ["POST", `/post?${n}.3`, big],
  ["GET", `/page?${n}.4`],
];

function h1(agent, [method, path, body]) {
  return new Promise((done, failed) => {
    const headers = body ? { "Content-Type": "text/plain", "Content-Length": body.length } : {};
    const request = https.request(authority + path, { method, agent, headers }, (answer) => {
      answer.on("data", () => {});
      answer.on("end", done);
    });
    request.on("error", failed);
    request.end(body);
  });
}

function h2(session, [method, path, body]) {
  return new Promise((done, failed) => {
    const headers = { ":method": method, ":path": path };
    if (body) headers["content-type"] = "text/plain";
    const stream = session.request(headers);
    stream.on("data", () => {});
    stream.on("end", done);
    stream.on("error", failed);
    stream.end(body);
  });
}

async function connection(n) {
  if (version === "h1") {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    for (const one of plan(n)) await h1(agent, one);
    agent.destroy();
  } else {
    const session = http2.connect(authority, { rejectUnauthorized: false });
    await Promise.all(plan(n).map((one) => h2(session, one)));
    session.close();
  }
}

process.stdin.once("data", async () => {
  await Promise.all([0, 1, 2, 3].map(connection));
  process.exit(0);
});
