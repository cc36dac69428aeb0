// The scoring function as an ONNX graph: the folded first layer, the layers, the
// product part, what is seen removed, TopK. A model file is a protobuf message;
// the few fields that it needs are written here by hand, with their numbers from
// onnx.proto.

const FLOAT = 1, INT64 = 7;  // TensorProto.DataType
const ATTRIBUTE_INT = 2;     // AttributeProto.AttributeType

// The wire format: a tag (field number, wire type), then a varint or a length
// and that many bytes.
function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
const integer = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
function bytes(field, ...parts) {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([varint(field << 3 | 2), varint(content.length), content]);
}

// A constant. `values` is a Float32Array or a BigInt64Array.
function tensor(name, dims, values) {
  const type = values instanceof Float32Array ? FLOAT : INT64;
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(5, ...dims.map((dim) => integer(1, dim)), integer(2, type),
               bytes(8, name), bytes(9, raw));
}

function node(type, inputs, output, attributes = {}) {
  const encoded = Object.entries(attributes).map(([name, value]) =>
      bytes(5, bytes(1, name), integer(3, value), integer(20, ATTRIBUTE_INT)));
  return bytes(1, ...inputs.map((input) => bytes(1, input)),
               ...[output].flat().map((name) => bytes(2, name)), bytes(4, type), ...encoded);
}

// An input or output of the graph. A dimension that is a text may be any size.
function port(field, name, type, dims) {
  const shape = dims.map((dim) => typeof dim === 'string' ? bytes(1, bytes(2, dim))
                                                          : bytes(1, integer(1, dim)));
  return bytes(field, bytes(1, name),
               bytes(2, bytes(1, integer(1, type), bytes(2, ...shape))));
}
const input = (...args) => port(11, ...args);
const output = (...args) => port(12, ...args);

// model: what model.json says; read(name) gives a table as a Float32Array.
// Inputs: user_tower [B, 1, H], user_gmf [B, G], seen [B, S], and seen_scores
// [B, S], which is what seen items score. Outputs: scores and rows [B, K].
export function scoringGraph(model, read) {
  const [H, ...widths] = model.tower_widths;
  const G = model.gmf_width, I = model.num_items;
  const parts = [
    input('user_tower', FLOAT, ['B', 1, H]), input('user_gmf', FLOAT, ['B', G]),
    input('seen', INT64, ['B', 'S']), input('seen_scores', FLOAT, ['B', 'S']),
    output('scores', FLOAT, ['B', 'K']), output('rows', INT64, ['B', 'K']),
    tensor('item_tower', [I, H], read('item.tower')),
    tensor('item_gmf', [I, G], read('item.gmf')),
    tensor('pairs', [2], BigInt64Array.of(-1n, BigInt(H))),
    tensor('users', [2], BigInt64Array.of(-1n, BigInt(I))),
    tensor('k', [1], BigInt64Array.of(BigInt(model.k))),
    node('Add', ['user_tower', 'item_tower'], 'sum1'),
    node('Relu', ['sum1'], 'h_by_user'),
    node('Reshape', ['h_by_user', 'pairs'], 'h1'),
  ];
  // Gemm and Relu become one operation in the runtime.
  widths.forEach((width, index) => {
    const layer = index + 2, before = model.tower_widths[index];
    parts.push(
        tensor(`w${layer}`, [width, before], read(`tower.${layer}.weight`)),
        tensor(`b${layer}`, [width], read(`tower.${layer}.bias`)),
        node('Gemm', [`h${index + 1}`, `w${layer}`, `b${layer}`], `sum${layer}`, {transB: 1}),
        node('Relu', [`sum${layer}`], `h${layer}`));
  });
  parts.push(
      tensor('head', [1, model.tower_widths.at(-1)], read('head.weight')),
      tensor('head_bias', [1], Float32Array.of(model.head_bias)),
      node('Gemm', [`h${widths.length + 1}`, 'head', 'head_bias'], 'tower_by_pair', {transB: 1}),
      node('Reshape', ['tower_by_pair', 'users'], 'tower_scores'),
      node('Gemm', ['user_gmf', 'item_gmf', 'tower_scores'], 'all_scores', {transB: 1}),
      node('ScatterElements', ['all_scores', 'seen', 'seen_scores'], 'eligible', {axis: 1}),
      node('TopK', ['eligible', 'k'], ['scores', 'rows'], {axis: 1}));

  const opset = bytes(8, integer(2, 13));
  return Buffer.concat([integer(1, 8), opset, bytes(7, ...parts, bytes(2, 'scoring'))]);
}
