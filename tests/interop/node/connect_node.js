'use strict';
// @connectrpc/connect-node, with messages that @bufbuild/protobuf makes of the
// descriptors that protoc wrote.

const fs = require('node:fs');
const {createFileRegistry, fromBinary, toBinary} = require('@bufbuild/protobuf');
const {FileDescriptorSetSchema} = require('@bufbuild/protobuf/wkt');
const {ConnectError} = require('@connectrpc/connect');
const {compressionGzip, createGrpcTransport} = require('@connectrpc/connect-node');
const {settings, tlsFiles, encode, decode, run} = require('./session');

const registry = createFileRegistry(fromBinary(
    FileDescriptorSetSchema, fs.readFileSync(settings.descriptor_set)));
const recommend = registry.getService('neumf.v1.RecommendationService').method.recommend;
const detailTypes = registry.getFile('google/rpc/error_details.proto').messages;

const tls = tlsFiles();
const transport = createGrpcTransport({
  baseUrl: `${tls ? 'https' : 'http'}://${settings.address}`,
  nodeOptions: tls,
  sendCompression: settings.gzip ? compressionGzip : undefined,
});

// One that the server lacks is called with the messages of Recommend.
function methodAt(path) {
  const [typeName, name] = path.slice(1).split('/');
  const known = registry.getService(typeName)?.methods.find((method) => method.name === name);
  return known ?? {...recommend, name, parent: {...recommend.parent, typeName}};
}

async function* only(message) {
  yield message;
}

// Yields the messages of the answer.
async function* call(method, signal, {request, timeout_ms, metadata}) {
  const argument = fromBinary(method.input, decode(request));
  const how = [method, signal, timeout_ms ?? undefined, metadata];
  if (method.methodKind === 'unary') {
    yield (await transport.unary(...how, argument)).message;
  } else {
    yield* (await transport.stream(...how, only(argument))).message;
  }
}

// The details of google.rpc.Status, decoded and encoded again.
function detailsOf(error) {
  return detailTypes.flatMap((type) => error.findDetails(type).map(
      (message) => ({type: type.typeName, value: encode(toBinary(type, message))})));
}

run((command, report) => {
  const controller = new AbortController();
  const method = methodAt(command.path);
  (async () => {
    try {
      for await (const message of call(method, controller.signal, command)) {
        report({response: encode(toBinary(method.output, message))});
      }
      report({code: 0, message: '', details: [], trailers: {}});
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      report({code: error.code, message: error.rawMessage, details: detailsOf(error),
              trailers: Object.fromEntries(error.metadata)});
    }
  })();
  return () => controller.abort();
});
