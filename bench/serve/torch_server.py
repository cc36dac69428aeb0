"""RecommendationService as a careful team would write it in Python, around PyTorch.

  torch_server.py --checkpoint_dir=DIR --port_file=FILE [--form aio|threads] [--workers N]

Workers each score the calls which have come while all were busy, with the folded
first layer, topk, and seen items left out; calls wait in coroutines of grpc.aio,
or in threads of a pool. It does without what costs time and is not the
comparison's: deadlines, admission, metrics, reloading.
"""

import argparse
import asyncio
import concurrent.futures
import contextlib
import json
import os
import pathlib
import queue
import sys
import threading

import grpc
import grpc.aio
import numpy
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, os.environ.get("NEUMF_PYTHON_PROTO_DIR",
                                  str(ROOT / "build" / "release" / "proto" / "python")))

from neumf.v1 import recommendation_service_pb2 as pb  # noqa: E402
from neumf.v1 import recommendation_service_pb2_grpc as pb_grpc  # noqa: E402

MAX_BATCH_USERS = 32
# (user, item) pairs that one operation takes: few keep activations in the cache.
PAIRS_PER_STEP = 8192
POOL_THREADS = 64
DTYPES = {"F32": numpy.float32, "U32": numpy.uint32, "U64": numpy.uint64, "U8": numpy.uint8}


def read_tensors(directory):
    """The newest checkpoint's, by name; docs/checkpoint_format.md has the bytes."""
    path = max(pathlib.Path(directory).glob("*.safetensors"), key=lambda file: int(file.stem))
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, about in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        values = numpy.frombuffer(data[start + begin:start + end], DTYPES[about["dtype"]])
        tensors[name] = values.reshape(about["shape"])
    return tensors


def ids(tensors, kind):
    offsets = tensors[f"{kind}.id.offsets"].tolist()
    text = tensors[f"{kind}.id.bytes"].tobytes()
    return [text[begin:end].decode() for begin, end in zip(offsets, offsets[1:])]


class Model:
    def __init__(self, tensors):
        def tensor(name):
            return torch.from_numpy(tensors[name].copy())

        self.user_rows = {user: row for row, user in enumerate(ids(tensors, "user"))}
        self.item_ids = ids(tensors, "item")
        self._user_gmf, self._user_tower = tensor("user.gmf"), tensor("user.tower")
        self._item_gmf, self._item_tower = tensor("item.gmf").t(), tensor("item.tower")
        self._layers = []
        while f"tower.{len(self._layers) + 2}.weight" in tensors:
            name = f"tower.{len(self._layers) + 2}"
            self._layers.append((tensor(f"{name}.bias"), tensor(f"{name}.weight").t().contiguous()))
        self._head = tensor("head.weight")
        self._head_bias = tensor("head.bias") if "head.bias" in tensors else 0
        self._seen = [None] * len(self.user_rows)
        if "seen.items" in tensors:
            offsets = tensors["seen.offsets"].tolist()
            items = torch.from_numpy(tensors["seen.items"].astype(numpy.int64))
            self._seen = [items[begin:end] for begin, end in zip(offsets, offsets[1:])]

    def eligible(self, row):
        return len(self.item_ids) - (0 if self._seen[row] is None else len(self._seen[row]))

    @torch.inference_mode()
    def rank(self, rows, k):
        """The best k of each user as lists: scores, item rows."""
        step = max(1, PAIRS_PER_STEP // len(self.item_ids))
        scores = torch.cat([self._tower(rows[i:i + step]) for i in range(0, len(rows), step)])
        scores.addmm_(self._user_gmf[rows], self._item_gmf)
        scores += self._head_bias
        for place, row in enumerate(rows):
            if self._seen[row] is not None:
                scores[place].index_fill_(0, self._seen[row], -float("inf"))
        best, items = scores.topk(k)
        return best.tolist(), items.tolist()

    def _tower(self, rows):
        hidden = (self._user_tower[rows].unsqueeze(1) + self._item_tower).relu_()
        hidden = hidden.view(-1, self._item_tower.shape[1])
        for bias, weight in self._layers:
            hidden = torch.addmm(bias, hidden, weight).relu_()
        return torch.mv(hidden, self._head).view(len(rows), -1)


class Batcher:
    """Scores what waits, on threads of its own. `deliver` sets results, (scores, item
    rows), of a batch's futures: a list of pairs."""

    def __init__(self, model, workers, deliver):
        self._model = model
        self._deliver = deliver
        self._waiting = queue.SimpleQueue()
        for _ in range(workers):
            threading.Thread(target=self._run, daemon=True).start()

    def submit(self, row, k, future):
        self._waiting.put((row, k, future))

    def _run(self):
        while True:
            batch = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(batch) < MAX_BATCH_USERS:
                    batch.append(self._waiting.get_nowait())
            most = max(k for _, k, _ in batch)
            scores, items = self._model.rank([row for row, _, _ in batch], most)
            self._deliver([(future, (scores[place][:k], items[place][:k]))
                           for place, (_, k, future) in enumerate(batch)])


def set_results(results):
    for future, result in results:
        future.set_result(result)


class Service(pb_grpc.RecommendationServiceServicer):
    """For threads of a pool."""

    def __init__(self, model, workers):
        self._model = model
        self._batcher = Batcher(model, workers, set_results)

    def Recommend(self, request, context):
        row = self._model.user_rows.get(request.user_id)
        if row is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown user")
        future = concurrent.futures.Future()
        self._batcher.submit(row, request.k, future)
        return response(self._model, row, future.result())


class AioService(pb_grpc.RecommendationServiceServicer):
    """For coroutines. The loop is woken once a batch."""

    def __init__(self, model, workers):
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._batcher = Batcher(
            model, workers,
            lambda results: self._loop.call_soon_threadsafe(set_results, results))

    async def Recommend(self, request, context):
        row = self._model.user_rows.get(request.user_id)
        if row is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown user")
        future = self._loop.create_future()
        self._batcher.submit(row, request.k, future)
        return response(self._model, row, await future)


def response(model, row, ranking):
    return pb.RecommendResponse(
        items=[pb.ScoredItem(item_id=model.item_ids[item], score=score)
               for score, item in zip(*ranking)],
        model_version="1", served_from=pb.SERVED_FROM_MODEL,
        candidate_count=model.eligible(row))


def announce(path, port):
    with open(path + ".tmp", "w", encoding="ascii") as file:
        file.write(f"grpc=127.0.0.1:{port}\n")
    os.rename(path + ".tmp", path)  # whoever waits for it finds all of it


def serve_threads(model, workers, port_file):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(POOL_THREADS))
    pb_grpc.add_RecommendationServiceServicer_to_server(Service(model, workers), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    announce(port_file, port)
    server.wait_for_termination()


async def serve_aio(model, workers, port_file):
    server = grpc.aio.server()
    pb_grpc.add_RecommendationServiceServicer_to_server(AioService(model, workers), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    announce(port_file, port)
    await server.wait_for_termination()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint_dir", required=True)
    parser.add_argument("--port_file", required=True)
    parser.add_argument("--form", choices=("aio", "threads"), default="aio")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)  # of one operation
    model = Model(read_tensors(options.checkpoint_dir))
    arguments = model, options.workers, options.port_file
    if options.form == "aio":
        asyncio.run(serve_aio(*arguments))
    else:
        serve_threads(*arguments)


if __name__ == "__main__":
    main()
