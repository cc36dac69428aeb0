"""Checkpoints that Python wrote, served and held against float64, user by user."""

import itertools
import tempfile
import unittest

import paths  # noqa: F401

import models
import numpy as np
import oracle
from answers import Truth
from daemon import Daemon, neumfctl
from protos import recommendation_pb as pb

TIMEOUT = 20
KS = (1, 10, 100, 1000)
SEEN_POLICIES = {
    "drop": pb.SEEN_POLICY_DROP,
    "keep": pb.SEEN_POLICY_KEEP,
    "only": pb.SEEN_POLICY_ONLY,
}

# Ids in many scripts, of every length in bytes that is a border somewhere.
IDS = [
    "a",
    "Ω",
    "映画",
    "فيلم",
    "סרט",
    "हिन्दी",
    "👩‍👩‍👧‍👦",
    "e\u0301",  # two characters that look like one
    "\u00e9",  # the same look, another id
    " ",
    "a b\tc",
    '"quoted", \\',
    "\u200b",
    "\U0010ffff",
    "x" * 255,
    "x" * 256,
    "😀" * 64,
    "0",
    "00",
    "-1",
]


class OracleTest(unittest.TestCase):
    """The oracle itself, against loops over single numbers."""

    def test_is_the_formula(self):
        for activation in oracle.ACTIVATIONS:
            model = models.random_model(
                seed=5,
                users=3,
                items=7,
                gmf=2,
                tower=(4, 3, 2),
                activation=activation,
            )
            for user, item in itertools.product(range(3), range(7)):
                self.assertAlmostEqual(
                    oracle.scores(model.checkpoint, user)[item],
                    self.score(model, user, item),
                    places=12,
                )

    def score(self, model, user, item):
        tensors = {
            name: tensor.astype(np.float64).tolist()
            for name, tensor in model.tensors.items()
            if tensor.dtype == np.float32
        }
        activate = oracle.ACTIVATIONS[model.activation]
        values = [
            activate(u + i)
            for u, i in zip(
                tensors["user.tower"][user], tensors["item.tower"][item]
            )
        ]
        for layer in (2, 3):
            values = [
                activate(sum(w * v for w, v in zip(row, values)) + bias)
                for row, bias in zip(
                    tensors[f"tower.{layer}.weight"],
                    tensors[f"tower.{layer}.bias"],
                )
            ]
        score = tensors["head.bias"][0] + tensors["item.bias"][item]
        score += sum(w * v for w, v in zip(tensors["head.weight"], values))
        return score + sum(
            u * i
            for u, i in zip(tensors["user.gmf"][user], tensors["item.gmf"][item])
        )

    def test_ranks_by_score_and_then_by_row(self):
        scores = np.array([1.0, 3.0, 2.0, 3.0, 0.0])
        rows = np.array([0, 1, 3, 4])
        self.assertEqual(oracle.rank(scores, rows, 3).tolist(), [1, 3, 0])

    def test_leaves_out_what_was_seen_or_excluded(self):
        model = models.random_model(seed=6, users=3, items=9)
        seen = set(model.checkpoint.seen(1))
        self.assertTrue(seen)
        excluded = {model.item_ids[row] for row in (0, 8)} | {"no such item"}
        self.assertEqual(
            set(oracle.eligible_rows(model.checkpoint, 1, excluded)),
            set(range(9)) - seen - {0, 8},
        )


class ServedModelTest(unittest.TestCase):
    """One server a model; every user, k and policy in one go."""

    def check(self, **options):
        model = models.random_model(**options)
        with tempfile.TemporaryDirectory() as directory:
            # Probes, so that the programs hold numpy's answers against theirs.
            path = model.publish(directory, 1, probes=model.probes(5, 10))
            verified = neumfctl("checkpoint", "verify", path)
            self.assertEqual(verified.returncode, 0, verified.stderr)
            with Daemon(directory) as daemon:
                self.check_users(model, daemon.recommendations())

    def check_users(self, model, stub):
        truth = Truth(model.checkpoint)
        rng = np.random.default_rng(0)
        item_ids = model.item_ids
        for row, user_id in enumerate(model.user_ids):
            expected = truth.of_user(row)
            some = rng.choice(item_ids, size=len(item_ids) // 3).tolist()
            for k, excluded, seen in itertools.product(
                KS, ([], some + ["no such item"]), SEEN_POLICIES
            ):
                response = stub.Recommend(
                    pb.RecommendRequest(
                        user_id=user_id,
                        k=k,
                        exclude_item_ids=excluded,
                        seen_policy=SEEN_POLICIES[seen],
                    ),
                    timeout=TIMEOUT,
                )
                with self.subTest(user=row, k=k, seen=seen):
                    self.assertEqual(response.model_version, "1")
                    self.assertEqual(response.served_from, pb.SERVED_FROM_MODEL)
                    expected.check(self, response, k, excluded, seen)

    def test_neumf_over_a_catalog_of_more_than_a_thousand(self):
        self.check(seed=10, users=12, items=1501, gmf=8, tower=(32, 16, 8))

    def test_no_tower(self):
        self.check(seed=11, gmf=16, tower=())

    def test_no_dot_product(self):
        self.check(seed=12, gmf=0, tower=(16, 8))

    def test_odd_widths(self):
        self.check(seed=13, items=131, gmf=3, tower=(7, 5, 3))

    def test_widths_of_one(self):
        self.check(seed=14, gmf=1, tower=(1, 1))

    def test_every_depth(self):
        for depth in range(1, 6):
            with self.subTest(depth=depth):
                self.check(seed=15, users=5, gmf=4, tower=(12,) * depth)

    def test_tanh_and_sigmoid(self):
        for activation in ("tanh", "sigmoid"):
            with self.subTest(activation=activation):
                self.check(seed=16, users=8, items=99, activation=activation)

    def test_one_item(self):
        self.check(seed=17, items=1)

    def test_one_user(self):
        self.check(seed=18, users=1)

    def test_nobody_has_seen_anything(self):
        self.check(seed=19, seen=False)

    def test_no_item_bias(self):
        self.check(seed=20, item_bias=False)

    def test_no_popularity(self):
        self.check(seed=21, users=5, popularity=False)

    def test_ids_in_any_script(self):
        for user_hash in (False, True):
            with self.subTest(user_hash=user_hash):
                self.check(
                    seed=22,
                    user_ids=IDS,
                    item_ids=list(reversed(IDS)),
                    user_hash=user_hash,
                )

    def test_users_in_the_order_of_their_hashes(self):
        self.check(seed=23, users=60, user_hash=True)


if __name__ == "__main__":
    unittest.main()
