#!/usr/bin/env python3
"""Models of three published layouts, trained in PyTorch and imported, score
what PyTorch says.

Each is trained a few steps, so that weights are not what anybody drew; its
state dict is written as safetensors by the lines below, imported by
`neumf-train import`, and the published checkpoint is scored by numpy alone.
"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["NEUMF_SOURCE_DIR"])
PROGRAM = pathlib.Path(os.environ["NEUMF_BIN_DIR"]) / "neumf-train"
sys.path.insert(0, str(SOURCE / "tests" / "support" / "python"))

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: python3-torch is missing; scripts/setup torch installs it")
    sys.exit(77)

import numpy as np  # noqa: E402

import neumf_checkpoint  # noqa: E402
import oracle  # noqa: E402

USERS, ITEMS = 23, 17
TOLERANCE = 1e-5
torch.set_num_threads(1)  # the models are tiny


class Book(nn.Module):
    """NeuMF of "Dive into Deep Learning": rows are ids - 1."""

    def __init__(self, factors, hidden):
        super().__init__()
        self.P = nn.Embedding(USERS, factors)
        self.Q = nn.Embedding(ITEMS, factors)
        self.U = nn.Embedding(USERS, factors)
        self.V = nn.Embedding(ITEMS, factors)
        self.mlp = nn.Sequential()
        for before, width in zip([2 * factors, *hidden], hidden):
            self.mlp.append(nn.Linear(before, width))
            self.mlp.append(nn.ReLU())
        self.prediction_layer = nn.Linear(factors + hidden[-1], 1, bias=False)

    def forward(self, users, items):
        product = self.P(users) * self.Q(items)
        tower = self.mlp(torch.cat([self.U(users), self.V(items)], dim=-1))
        both = torch.cat([product, tower], dim=-1)
        return self.prediction_layer(both)[:, 0]


class Paper(nn.Module):
    """NCF: the tower's tables are wider, dropout stands before each layer."""

    def __init__(self, factors, num_layers, rows=0):
        super().__init__()
        wide = factors * 2 ** (num_layers - 1)
        self.embed_user_GMF = nn.Embedding(USERS + rows, factors)
        self.embed_item_GMF = nn.Embedding(ITEMS + rows, factors)
        self.embed_user_MLP = nn.Embedding(USERS + rows, wide)
        self.embed_item_MLP = nn.Embedding(ITEMS + rows, wide)
        layers = []
        for n in range(num_layers):
            width = 2 * wide // 2**n
            layers += [nn.Dropout(0.2), nn.Linear(width, width // 2), nn.ReLU()]
        self.MLP_layers = nn.Sequential(*layers)
        self.predict_layer = nn.Linear(2 * factors, 1)

    def forward(self, users, items):
        product = self.embed_user_GMF(users) * self.embed_item_GMF(items)
        pair = [self.embed_user_MLP(users), self.embed_item_MLP(items)]
        tower = self.MLP_layers(torch.cat(pair, dim=-1))
        return self.predict_layer(torch.cat([product, tower], dim=-1)).view(-1)


class WalkThrough(nn.Module):
    """A linear layer behind the tower brings it to the product's width."""

    def __init__(self, width, layers):
        super().__init__()
        self.MF_Embedding_User = nn.Embedding(USERS, width)
        self.MF_Embedding_Item = nn.Embedding(ITEMS, width)
        self.MLP_Embedding_User = nn.Embedding(USERS, layers[0] // 2)
        self.MLP_Embedding_Item = nn.Embedding(ITEMS, layers[0] // 2)
        self.dnn_network = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip(layers[:-1], layers[1:])
        )
        self.linear = nn.Linear(layers[-1], width)
        self.linear2 = nn.Linear(2 * width, 1)

    def forward(self, users, items):
        product = self.MF_Embedding_User(users) * self.MF_Embedding_Item(items)
        tower = torch.cat(
            [self.MLP_Embedding_User(users), self.MLP_Embedding_Item(items)], -1
        )
        for layer in self.dnn_network:
            tower = torch.relu(layer(tower))
        both = torch.cat([product, self.linear(tower)], dim=-1)
        return self.linear2(both).view(-1)


def make_events(seed):
    """Rows of users and items: 5 of each user, and each item at least once."""
    rng = np.random.default_rng(seed)
    events = [(user, item) for user in range(USERS)
              for item in rng.choice(ITEMS, size=5, replace=False)]
    known = {item for _, item in events}
    return events + [(0, item) for item in range(ITEMS) if item not in known]


def train(model, events, first_row, steps=30):
    """Against random negatives, by Adam; leaves the model ready to be asked."""
    generator = torch.Generator().manual_seed(1)
    users, items = torch.tensor(events).T + first_row
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        others = torch.randint(ITEMS, items.shape, generator=generator)
        margin = model(users, items) - model(users, others + first_row)
        loss = nn.functional.softplus(-margin).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    return model


SAFETENSORS_TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


def write_safetensors(path, state_dict):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in state_dict.items():
        # numpy has no bfloat16; these bits are those of any type.
        raw = tensor.contiguous()
        raw = raw.view(torch.int16) if raw.element_size() == 2 else raw
        content = raw.numpy().tobytes()
        header[name] = {
            "dtype": SAFETENSORS_TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


class ImportTest(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(3)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.events = make_events(seed=2)

    def write_events(self, first_id):
        lines = [f"{user + first_id}\t{item + first_id}\t5\t{time}\n"
                 for time, (user, item) in enumerate(self.events)]
        (self.path / "u.data").write_text("".join(lines))

    def run_import(self, layout, *flags):
        return subprocess.run(
            [PROGRAM, "import", "--weights", self.path / "weights.safetensors",
             "--layout", layout, "--data", self.path, "--format", "ml-100k",
             "--out", self.path / "out", *flags],
            capture_output=True, text=True)

    def imported(self, layout, state_dict, first_id, *flags):
        """The checkpoint that comes out of it."""
        self.write_events(first_id)
        write_safetensors(self.path / "weights.safetensors", state_dict)
        run = self.run_import(layout, *flags)
        self.assertEqual(run.returncode, 0, run.stderr)
        return neumf_checkpoint.read_checkpoint(run.stdout.strip())

    def assert_same_function(self, model, checkpoint, first_id, first_row=0):
        self.assertEqual(len(checkpoint.user_ids), USERS)
        self.assertEqual(len(checkpoint.item_ids), ITEMS)
        items = torch.tensor([int(i) - first_id for i in checkpoint.item_ids])
        worst = 0.0
        for row, user_id in enumerate(checkpoint.user_ids):
            user = torch.full_like(items, int(user_id) - first_id)
            with torch.no_grad():
                expected = model(user + first_row, items + first_row).numpy()
            scores = oracle.scores(checkpoint, row)
            error = np.abs(scores - expected) / np.maximum(1, np.abs(expected))
            worst = max(worst, error.max())
        self.assertLessEqual(worst, TOLERANCE)

    def test_book(self):
        model = train(Book(10, [10, 10, 10]), self.events, 0)
        checkpoint = self.imported("d2l", model.state_dict(), 1)
        self.assert_same_function(model, checkpoint, 1)
        self.assertEqual(checkpoint.manifest["model_kind"], "neumf")
        metrics = checkpoint.manifest["metrics"]
        self.assertEqual(metrics["protocol"], "d2l")
        self.assertEqual(metrics["evaluated_users"], USERS)

    def test_paper(self):
        model = train(Paper(8, 3), self.events, 0)
        checkpoint = self.imported("ncf", model.state_dict(), 0)
        self.assert_same_function(model, checkpoint, 0)

    def test_paper_with_ids_that_are_rows(self):
        model = train(Paper(4, 2, rows=1), self.events, 1)
        checkpoint = self.imported("ncf", model.state_dict(), 1)
        self.assert_same_function(model, checkpoint, 1, first_row=1)

    def test_walk_through(self):
        model = train(WalkThrough(8, [16, 64, 32, 16, 8]), self.events, 0)
        checkpoint = self.imported("blog", model.state_dict(), 0, "--split",
                                   "none")
        self.assert_same_function(model, checkpoint, 0)
        self.assertEqual(checkpoint.manifest["metrics"], {})

    def test_weights_of_any_float_type(self):
        model = train(Book(6, [8, 4]), self.events, 0)
        for dtype in SAFETENSORS_TYPES:
            rounded = {name: tensor.to(dtype)
                       for name, tensor in model.state_dict().items()}
            model.load_state_dict(rounded)
            checkpoint = self.imported("d2l", rounded, 1)
            self.assert_same_function(model, checkpoint, 1)

    def test_parallel_model_has_a_prefix(self):
        model = train(Book(6, [8, 4]), self.events, 0)
        parallel = nn.DataParallel(model)
        checkpoint = self.imported("d2l", parallel.state_dict(), 1)
        self.assert_same_function(model, checkpoint, 1)

    def test_nothing_is_published_for_other_data(self):
        self.write_events(1)
        write_safetensors(self.path / "weights.safetensors",
                          Paper(8, 3).state_dict())
        run = self.run_import("ncf")  # ids from 1 on, rows from 0 on
        self.assertEqual(run.returncode, 1)
        self.assertIn("has no row in embed_user_GMF.weight", run.stderr)
        self.assertEqual(list((self.path / "out").iterdir()), [])

    def test_wrong_layout_is_told(self):
        self.write_events(1)
        write_safetensors(self.path / "weights.safetensors",
                          Paper(8, 3).state_dict())
        run = self.run_import("d2l")
        self.assertEqual(run.returncode, 1)
        self.assertIn("no state dict of --layout d2l", run.stderr)


if __name__ == "__main__":
    unittest.main()
