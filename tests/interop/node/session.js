'use strict';
// What the clients in this folder have in common: a test tells them on stdin what
// to call, and is told on stdout what came of it. One JSON object a line; messages
// are base64 of their bytes, which the client's own library reads and writes.
//
//   in   {"id", "path", "request", "timeout_ms", "metadata"}   start a call
//   in   {"id", "cancel": true}                                cancel it
//   out  {"id", "response"}                                    each message
//   out  {"id", "code", "message", "details", "trailers"}      the end
//
// The program's argument is a JSON object: "address", "proto_dirs" and
// "descriptor_set", "tls" with paths for "ca", "cert" and "key", "gzip" to compress
// requests, "options" of gRPC channels that say this and more.

const fs = require('node:fs');
const readline = require('node:readline');

const settings = JSON.parse(process.argv[2]);

// The PEM files to connect with; undefined for plain text.
function tlsFiles() {
  if (!settings.tls) return undefined;
  return Object.fromEntries(Object.entries(settings.tls).map(
      ([name, path]) => [name, fs.readFileSync(path)]));
}

const encode = (bytes) => Buffer.from(bytes).toString('base64');
const decode = (text) => Buffer.from(text, 'base64');

// `start(command, report)` begins a call and returns what cancels it.
async function run(start) {
  const cancels = new Map();
  for await (const line of readline.createInterface({input: process.stdin})) {
    const command = JSON.parse(line);
    const {id} = command;
    if (command.cancel) {
      cancels.get(id)();
      continue;
    }
    cancels.set(id, start(command, (event) => {
      process.stdout.write(JSON.stringify({id, ...event}) + '\n');
    }));
  }
  process.exit(0);  // nobody waits for calls that still run
}

module.exports = {settings, tlsFiles, encode, decode, run};
