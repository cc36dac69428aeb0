#!/usr/bin/env python3
"""PyTorch on the same GPU, with the same models, users, seen items and K.

  torch_peer.py DIR [--seconds S]

DIR holds what `gpu_bench --measure=speed --export_to=DIR` wrote: for each tower a
model of 1m items, its users, and the scorer's answers. Four contestants rank all
items for the users of a batch and select the best K, seen items left out:

  eager_float32, eager_bfloat16   the forward of a model as it is written: the
                                  embeddings of each pair are looked up and
                                  concatenated, the first layer is not folded
  split_bfloat16                  first layer folded: relu(user + item), then
                                  matrix products, bfloat16 throughout
  compiled_bfloat16               the same through torch.compile

Each takes the step, in users at a time, in which it is fastest. One JSON object a
line: pairs a second (median), and which share of the scorer's answers it has. The
status is 1 when eager_float32 has less than 99 % of them.
"""

import argparse
import json
import math
import pathlib
import statistics
import sys
import time

import numpy as np
import torch

BATCH = 256
STEPS = (1, 2, 4, 8, 16)  # users at a time


def read(path, *shape):
    return torch.from_numpy(np.fromfile(path, dtype="<f4").reshape(shape)).cuda()


class Model:
    """What ExportModel() wrote, on the GPU."""

    def __init__(self, folder):
        info = json.loads((folder / "model.json").read_text())
        self.num_items, self.k, self.head_bias = info["num_items"], info["k"], info["head_bias"]
        widths, gmf = info["tower_widths"], info["gmf_width"]
        users = len(info["seen"])
        self.item_tower = read(folder / "item.tower.f32", self.num_items, widths[0])
        self.item_gmf = read(folder / "item.gmf.f32", self.num_items, gmf)
        self.user_tower = read(folder / "user.tower.f32", users, widths[0])
        self.user_gmf = read(folder / "user.gmf.f32", users, gmf)
        self.layers = [(read(folder / f"tower.{n}.weight.f32", widths[n - 1], widths[n - 2]),
                        read(folder / f"tower.{n}.bias.f32", widths[n - 1]))
                       for n in range(2, len(widths) + 1)]
        self.head = read(folder / "head.weight.f32", widths[-1])
        self.answers = json.loads((folder / "answers.json").read_text())
        self.seen = [torch.tensor(rows, dtype=torch.int64, device="cuda") for rows in info["seen"]]

    def cast(self, dtype):
        for name in ("item_tower", "item_gmf", "user_tower", "user_gmf", "head"):
            setattr(self, name, getattr(self, name).to(dtype))
        self.layers = [(weight.to(dtype), bias.to(dtype)) for weight, bias in self.layers]
        return self


class Eager:
    """As NeuMF's forward is written, over expanded pairs."""

    def __init__(self, model):
        m = self.model = model
        dtype, width = m.head.dtype, m.item_tower.shape[1]
        # Embeddings that the folded first layer came from: the sum of both is its input.
        eye = torch.eye(width, device="cuda").to(dtype)
        self.layers = [(torch.cat((eye, eye), dim=1), torch.zeros(width, dtype=dtype, device="cuda")),
                       *m.layers]
        ones = torch.ones(m.item_gmf.shape[1], dtype=dtype, device="cuda")
        self.last = torch.cat((ones, m.head)).unsqueeze(0)
        self.bias = torch.full((1,), m.head_bias, dtype=dtype, device="cuda")
        self.items = torch.arange(m.num_items, device="cuda")

    def __call__(self, first, count):
        m, linear = self.model, torch.nn.functional.linear
        users = torch.arange(first, first + count, device="cuda").repeat_interleave(m.num_items)
        users = users % len(m.seen)
        items = self.items.repeat(count)
        h = torch.cat((m.user_tower[users], m.item_tower[items]), dim=1)
        for weight, bias in self.layers:
            h = torch.relu(linear(h, weight, bias))
        products = m.user_gmf[users] * m.item_gmf[items]
        return linear(torch.cat((products, h), dim=1), self.last, self.bias).view(count, m.num_items)


class Split:
    """The first layer folded into the tables."""

    def __init__(self, model):
        self.model = model

    def __call__(self, first, count):
        m = self.model
        rows = torch.arange(first, first + count, device="cuda") % len(m.seen)
        return self.score(m.user_tower[rows], m.user_gmf[rows])

    def score(self, user_tower, user_gmf):
        m, linear = self.model, torch.nn.functional.linear
        h = torch.relu(user_tower[:, None, :] + m.item_tower[None])
        for weight, bias in m.layers:
            h = torch.relu(linear(h, weight, bias))
        return h @ m.head + user_gmf @ m.item_gmf.T + m.head_bias


def compiled(model):
    split = Split(model)
    split.score = torch.compile(split.score, dynamic=False)
    return split


def rank(model, score, users, step):
    """The best K rows of each user, seen ones left out."""
    best = []
    for first in range(0, users, step):
        scores = score(first, min(step, users - first))
        for i, row in enumerate(scores):
            row[model.seen[(first + i) % len(model.seen)]] = -math.inf
        best.append(torch.topk(scores, model.k, dim=1).indices)
    return torch.cat(best)


def seconds_of(call):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def fastest_step(model, score, steps):
    found = {}
    for step in steps:
        try:
            rank(model, score, step, step)  # compiles, allocates
            found[step] = min(seconds_of(lambda s=step: rank(model, score, 2 * s, s)) / (2 * step)
                              for _ in range(2))
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
    return min(found, key=found.get)


def overlap(model, best):
    """The share of the scorer's answers that `best` has, over the users exported."""
    same = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(model.answers, best.tolist()))
    return same / sum(map(len, model.answers))


def measure(name, model, score, steps, seconds):
    with torch.inference_mode():
        step = fastest_step(model, score, steps)
        best = rank(model, score, len(model.seen), step)
        times, until = [], time.monotonic() + seconds
        while len(times) < 3 or (time.monotonic() < until and len(times) < 15):
            times.append(seconds_of(lambda: rank(model, score, BATCH, step)))
    median = statistics.median(times)
    return {"name": name, "value": BATCH * model.num_items / median, "unit": "pairs/s",
            "same_items": overlap(model, best), "users_at_a_time": step, "rounds": len(times),
            "torch": torch.__version__, "gpu": torch.cuda.get_device_name()}


CONTESTANTS = (("eager_float32", torch.float32, Eager), ("eager_bfloat16", torch.bfloat16, Eager),
               ("split_bfloat16", torch.bfloat16, Split),
               ("compiled_bfloat16", torch.bfloat16, compiled))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=3, help="for each contestant")
    options = parser.parse_args()
    failed = False
    for folder in sorted(path.parent for path in options.models.glob("*/model.json")):
        steps = STEPS
        for contestant, dtype, make in CONTESTANTS:
            name = f"gpu.{folder.name}.1m.k100.b{BATCH}.torch_{contestant}"
            try:
                model = Model(folder).cast(dtype)
                figure = measure(name, model, make(model), steps, options.seconds)
            except Exception as error:  # one contestant must not stop the others
                print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
                failed = True
                continue
            print(json.dumps(figure), flush=True)
            if contestant == "split_bfloat16":  # each step takes a compilation
                steps = (figure["users_at_a_time"],)
            if contestant == "eager_float32" and figure["same_items"] < 0.99:
                print(f"{name}: only {figure['same_items']:.3f} of the answers", file=sys.stderr)
                failed = True
            del model
            torch.cuda.empty_cache()
    sys.exit(failed)


if __name__ == "__main__":
    main()
