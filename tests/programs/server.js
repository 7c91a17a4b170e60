// A server that answers in ways nginx does not, and logs each call as one JSON object.
// Arguments: log file, port, addresses to listen on.
'use strict';
const http = require('http');
const fs = require('fs');
const zlib = require('zlib');

const [log, port, ...hosts] = process.argv.slice(2);
const file = fs.openSync(log, 'a');

function handle(request, answer) {
  const start = process.hrtime.bigint();
  const parts = [];
  let waited = 0;
  answer.on('close', () => {
    fs.writeSync(file, JSON.stringify({ method: request.method, path: request.url,
      status: answer.statusCode, finished: answer.writableFinished, waited }) + '\n');
  });
  request.on('data', (bytes) => parts.push(bytes));
  request.on('end', () => {
    const kind = request.url.split('/')[1];
    if (kind === 'chunked') {
      answer.writeHead(200, { 'Content-Type': 'text/plain' });
      for (let n = 0; n < 5; n++) answer.write(`part ${n} of ${request.url}\n`.repeat(n + 1));
      answer.end();
    } else if (kind === 'echo') {
      answer.writeHead(201, { 'Content-Type': 'text/plain' });
      answer.end(Buffer.concat(parts));
    } else if (kind === 'gzipped') {
      const body = zlib.gzipSync(`compressed for ${request.url}\n`.repeat(50));
      answer.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Encoding': 'gzip' });
      answer.end(body);
    } else if (kind === 'wait') {
      setTimeout(() => {
        waited = Number((process.hrtime.bigint() - start) / 1000n);
        answer.end('waited\n');
      }, 5);
    } else if (kind === 'drip') {
      answer.writeHead(200, { 'Content-Type': 'text/plain' });
      let left = 20;
      const drop = () => (left-- > 0 ? (answer.write('.'), setTimeout(drop, 50)) : answer.end());
      drop();
    } else if (kind === 'endless') {
      answer.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 1000000 });
      answer.write('the beginning');
    } else if (kind === 'reset') {
      answer.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': 1000 });
      answer.write('half of it', () => setTimeout(() => request.socket.resetAndDestroy(), 100));
    } else if (kind === 'never') {
      // No answer while the client waits.
    } else {
      answer.writeHead(503, { 'Content-Type': 'application/json' });
      answer.end('{"error":"unavailable"}');
    }
  });
}

for (const host of hosts) http.createServer({ requestTimeout: 0 }, handle).listen(Number(port), host);
