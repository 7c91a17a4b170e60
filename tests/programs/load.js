// Makes HTTP calls over several kept connections at once and prints one JSON object for each.
// Arguments: host, nginx port, node port, prefix of every id, number of calls.
'use strict';
const http = require('http');
const crypto = require('crypto');

const [host, nginx, node, run, size] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const kinds = [
  [nginx, 'GET', '/file/small/'], [node, 'GET', '/chunked/'], [nginx, 'GET', '/missing/'],
  [node, 'POST', '/echo/', 'from node'], [nginx, 'HEAD', '/file/medium/'], [node, 'GET', '/error/'],
];

function ask(n) {
  const [port, method, prefix, body] = kinds[n % kinds.length];
  const path = `${prefix}${run}-js-${n}`;
  return new Promise((done, failed) => {
    const start = process.hrtime.bigint();
    const request = http.request({ host, port, method, path, agent }, (answer) => {
      const hash = crypto.createHash('sha256');
      let length = 0;
      answer.on('data', (bytes) => { hash.update(bytes); length += bytes.length; });
      answer.on('error', failed);
      answer.on('end', () => {
        const us = Number((process.hrtime.bigint() - start) / 1000n);
        console.log(JSON.stringify({ method, path, status: answer.statusCode, size: length, length,
          sha: hash.digest('hex'), us }));
        done();
      });
    });
    request.on('error', failed);
    request.end(body);
  });
}

async function worker(first) {
  for (let n = first; n < Number(size); n += 8) await ask(n);
}

Promise.all([...Array(8).keys()].map(worker)).then(() => agent.destroy());
