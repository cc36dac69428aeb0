'use strict';
// @grpc/grpc-js, with messages that @grpc/proto-loader reads from .proto files.

const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const {settings, tlsFiles, encode, decode, run} = require('./session');

const RECOMMEND = '/neumf.v1.RecommendationService/Recommend';

const types = protoLoader.loadSync(
    ['neumf/v1/recommendation_service.proto', 'google/rpc/error_details.proto',
     'grpc/health/v1/health.proto'],
    {includeDirs: settings.proto_dirs, arrays: true});
const methods = new Map(Object.values(types).flatMap(Object.values)
    .filter((member) => member.path).map((method) => [method.path, method]));

function credentials() {
  const tls = tlsFiles();
  if (!tls) return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(tls.ca, tls.key, tls.cert);
}

const client = new grpc.Client(settings.address, credentials(), settings.options);

function metadataOf(pairs) {
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(pairs)) {
    metadata.add(key, key.endsWith('-bin') ? decode(value) : value);
  }
  return metadata;
}

// The details of google.rpc.Status, decoded and encoded again.
function detailsOf(metadata) {
  return metadata.get('grpc-status-details-bin').flatMap((bytes) =>
      types['google.rpc.Status'].deserialize(bytes).details.map((packed) => {
        const name = packed.type_url.split('/').pop();
        const message = types[name].deserialize(packed.value);
        return {type: name, value: encode(types[name].serialize(message))};
      }));
}

function endOf({code, details, metadata}) {
  const trailers = Object.fromEntries(Object.entries(metadata.getMap())
      .filter(([key]) => !key.endsWith('-bin')));
  return {code, message: details, details: detailsOf(metadata), trailers};
}

run(({path, request, timeout_ms, metadata}, report) => {
  const method = methods.get(path) ?? methods.get(RECOMMEND);
  const argument = method.requestDeserialize(decode(request));
  const options = timeout_ms === null ? {} : {deadline: Date.now() + timeout_ms};
  const received = (message) =>
      report({response: encode(method.responseSerialize(message))});
  const start = [path, method.requestSerialize, method.responseDeserialize,
                 argument, metadataOf(metadata), options];
  let call;
  if (method.responseStream) {
    call = client.makeServerStreamRequest(...start);
    call.on('data', received);
    call.on('error', () => {});  // the status says it, too
  } else {
    call = client.makeUnaryRequest(...start, (error, message) => {
      if (!error) received(message);
    });
  }
  // Messages that came before it may still be on their way to 'data'.
  call.on('status', (status) => setImmediate(() => report(endOf(status))));
  return () => call.cancel();
});
