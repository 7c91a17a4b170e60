// Talks to a server that echoes lines, over WebSocket: websocket.js LOG PORT COUNT. Writes what it
// sent and got as lines of JSON.
'use strict';
const fs = require('fs');
const [log, port, count] = process.argv.slice(2);
const socket = new WebSocket(`ws://127.0.0.1:${port}/lines?of=shop`);
const text = (i) => `message ${i} ${'x'.repeat(i % 7 === 0 ? 3000 : i % 100)}`;
const say = (what) => fs.appendFileSync(log, JSON.stringify(what) + '\n');
let sent = 0;

function send() {
    say({ sender: 'client', text: text(sent) });
    socket.send(text(sent));
}

socket.addEventListener('open', send);
socket.addEventListener('message', (event) => {
    say({ sender: 'server', text: event.data });
    if (event.data !== text(sent)) throw new Error(`got ${event.data}`);
    sent += 1;
    if (sent < Number(count)) send();
    else socket.close(1000, 'done');
});
socket.addEventListener('error', (event) => { throw event.error ?? new Error('failed'); });
socket.addEventListener('close', (event) => say({ closed: event.code }));
