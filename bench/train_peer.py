"""NCF's NeuMF in PyTorch, as one side of a comparison between processes.

  python3 bench/train_peer.py THREADS

Reads ids that train_contestant drew beforehand, so that drawing costs nothing
here. Each line of stdin is a command, answered by a line of JSON:
  load FOLDER             weights and batches of --export; starts all models anew
  check OPTIMIZER COUNT   trains a model of its own: {"losses": [...]}
  run OPTIMIZER SECONDS   {"examples", "seconds", "cpu_over_wall", "loss": mean}
OPTIMIZER is adam, adam-foreach (both dense) or sparse-adam, which gives the
embeddings sparse gradients and leaves the dense layers to Adam.
"""

import json
import pathlib
import sys
import time

import torch
from torch import nn

OPTIMIZERS = ("adam", "adam-foreach", "sparse-adam")


class NeuMf(nn.Module):
    def __init__(self, shapes, sparse):
        super().__init__()
        self.user_gmf = nn.Embedding(*shapes["user.gmf"], sparse=sparse)
        self.item_gmf = nn.Embedding(*shapes["item.gmf"], sparse=sparse)
        self.user_tower = nn.Embedding(*shapes["user.tower"], sparse=sparse)
        self.item_tower = nn.Embedding(*shapes["item.tower"], sparse=sparse)
        width = shapes["user.tower"][1] + shapes["item.tower"][1]
        self.tower = nn.Sequential()
        number = 1
        while f"tower.{number}.bias" in shapes:
            next_width = shapes[f"tower.{number}.bias"][1]
            self.tower.append(nn.Linear(width, next_width))
            self.tower.append(nn.ReLU())
            width = next_width
            number += 1
        self.head = nn.Linear(shapes["user.gmf"][1] + width, 1)

    def forward(self, users, items):
        product = self.user_gmf(users) * self.item_gmf(items)
        tower = self.tower(torch.cat([self.user_tower(users), self.item_tower(items)], dim=-1))
        return self.head(torch.cat([product, tower], dim=-1)).squeeze(-1)

    def embeddings(self):
        return [self.user_gmf, self.item_gmf, self.user_tower, self.item_tower]

    @torch.no_grad()
    def start_from(self, blocks):
        """The first layer's weights and the head's are in two blocks each."""
        for name in ("user_gmf", "item_gmf", "user_tower", "item_tower"):
            getattr(self, name).weight.copy_(blocks[name.replace("_", ".")])
        for place, layer in enumerate(self.tower[::2]):
            name = f"tower.{place + 1}"
            layer.bias.copy_(blocks[f"{name}.bias"][0])
            layer.weight.copy_(blocks[f"{name}.weight"] if place else torch.cat(
                [blocks[f"{name}.user_weight"], blocks[f"{name}.item_weight"]], dim=1))
        self.head.weight.copy_(torch.cat([blocks["head.gmf"], blocks["head.tower"]], dim=1))
        self.head.bias.copy_(blocks["head.bias"][0])


def optimizers_of(name, model, settings):
    options = {"lr": float(settings["learning_rate"]),
               "betas": (float(settings["beta1"]), float(settings["beta2"])),
               "eps": float(settings["epsilon"])}
    if name != "sparse-adam":
        return [torch.optim.Adam(model.parameters(), foreach=name == "adam-foreach", **options)]
    return [torch.optim.SparseAdam([table.weight for table in model.embeddings()], **options),
            torch.optim.Adam([*model.tower.parameters(), *model.head.parameters()], **options)]


class Training:
    """A model with its optimizer, somewhere in the batches."""

    def __init__(self, task, optimizer):
        self.batches = task.batches
        self.model = NeuMf(task.shapes, sparse=optimizer == "sparse-adam")
        self.model.start_from(task.blocks)
        self.optimizers = optimizers_of(optimizer, self.model, task.settings)
        self.loss = nn.BCEWithLogitsLoss()
        self.next = 0

    def step(self):
        users, items, labels = self.batches[self.next]
        self.next = (self.next + 1) % len(self.batches)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(users, items), labels)
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        return loss.detach()

    def run(self, seconds):
        losses = []
        cpu_start, start = time.process_time(), time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            losses.append(self.step())
        cpu = time.process_time() - cpu_start
        return {"examples": len(losses) * len(self.batches[0][0]), "seconds": elapsed,
                "cpu_over_wall": cpu / elapsed, "loss": torch.stack(losses).mean().item()}


def read(path, dtype):
    return torch.frombuffer(bytearray(path.read_bytes()), dtype=dtype)


class Task:
    def __init__(self, folder):
        model = json.loads((folder / "model.json").read_text(encoding="ascii"))
        self.settings = model["settings"]
        self.shapes = {name: block["shape"] for name, block in model["blocks"].items()}
        weights = read(folder / "weights.f32", torch.float32)
        self.blocks = {}
        for name, block in model["blocks"].items():
            rows, cols = block["shape"]
            flat = weights[block["offset"]:block["offset"] + rows * cols]
            self.blocks[name] = flat.view(rows, cols)
        self.batches = self.read_batches(folder, model["batches"])
        self.trainings = {}

    def read_batches(self, folder, count):
        """Each as ids of users, ids of items, and what is true of the pair: [examples]."""
        group = 1 + int(self.settings["negatives"])
        users = read(folder / "users.i32", torch.int32).long().view(count, -1, 1)
        users = users.expand(-1, -1, group).reshape(count, -1)
        items = read(folder / "items.i32", torch.int32).long().view(count, -1)
        labels = torch.zeros(items.shape[1])
        labels[::group] = 1
        return [(users[i], items[i], labels) for i in range(count)]

    def training(self, optimizer):
        if optimizer not in self.trainings:
            self.trainings[optimizer] = Training(self, optimizer)
        return self.trainings[optimizer]


def has_openblas():
    return "openblas" in pathlib.Path("/proc/self/maps").read_text(encoding="utf-8")


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_flush_denormal(True)
    print(json.dumps({"version": torch.__version__, "optimizers": OPTIMIZERS,
                      "has_openblas": has_openblas()}), flush=True)
    task = None
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "load":
            task = Task(pathlib.Path(arguments[0]))
            answer = {"batches": len(task.batches)}
        elif command == "check":
            training = Training(task, arguments[0])
            answer = {"losses": [training.step().item() for _ in range(int(arguments[1]))]}
        else:
            answer = task.training(arguments[0]).run(float(arguments[1]))
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
