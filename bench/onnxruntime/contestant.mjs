// ONNX Runtime, on one thread, as the other side of scoring_contestant.cc: the
// same commands on stdin, the same answers.
//
//   node contestant.mjs DIRECTORY   (which holds what ExportModel() wrote)
//
// A batch is answered user by user: that was faster than a batched run, whose
// activations fit no cache.

import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import ort from 'onnxruntime-node';
import {scoringGraph} from './graph.mjs';

const directory = process.argv[2];
const model = JSON.parse(fs.readFileSync(path.join(directory, 'model.json')));

function read(name) {
  const bytes = fs.readFileSync(path.join(directory, `${name}.f32`));
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

// The inputs of each user, made once.
function users() {
  const tower = read('user.tower'), gmf = read('user.gmf');
  const H = model.tower_widths[0], G = model.gmf_width;
  return model.seen.map((seen, user) => ({
    user_tower: new ort.Tensor('float32', tower.slice(user * H, (user + 1) * H), [1, 1, H]),
    user_gmf: new ort.Tensor('float32', gmf.slice(user * G, (user + 1) * G), [1, G]),
    seen: new ort.Tensor('int64', BigInt64Array.from(seen.map(BigInt)), [1, seen.length]),
    seen_scores: new ort.Tensor('float32', new Float32Array(seen.length).fill(-Infinity),
                                [1, seen.length]),
  }));
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function main() {
  const session = await ort.InferenceSession.create(scoringGraph(model, read), {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  const queries = users();

  async function rank() {
    const rankings = [];
    for (const query of queries) {
      const {scores, rows} = await session.run(query);
      rankings.push({rows: Array.from(rows.data, Number), scores: Array.from(scores.data)});
    }
    return rankings;
  }

  let next = 0;
  async function runBatch(batch) {
    for (let i = 0; i < batch; ++i) {
      await session.run(queries[next]);
      next = (next + 1) % queries.length;
    }
  }

  async function runWindow(seconds, batch) {
    await runBatch(batch);
    const cpu = process.cpuUsage(), start = process.hrtime.bigint();
    const times = [];
    for (let now = start; Number(now - start) < seconds * 1e9;) {
      await runBatch(batch);
      const end = process.hrtime.bigint();
      times.push(Number(end - now) / 1e3);
      now = end;
    }
    const {user, system} = process.cpuUsage(cpu);
    const wall = Number(process.hrtime.bigint() - start) / 1e3;
    return {us: median(times), cpu_over_wall: (user + system) / wall};
  }

  console.log('ready');
  for await (const line of readline.createInterface({input: process.stdin})) {
    const [command, seconds, batch] = line.split(' ');
    const answer =
        command === 'rank' ? await rank() : await runWindow(Number(seconds), Number(batch));
    console.log(JSON.stringify(answer));
  }
}

await main();
