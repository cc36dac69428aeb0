"""Compares a server's answers with a float64 evaluation of the whole catalog."""

import paths  # noqa: F401

import numpy as np
import oracle
from protos import recommendation_pb as pb

# Both absolute. Items whose float64 scores are closer than this may change
# places.
SWAP_TOLERANCE = 1e-5
SCORE_TOLERANCE = 1e-4


class Truth:
    """What is right for one checkpoint, whoever wrote it."""

    def __init__(self, checkpoint):
        self.checkpoint = checkpoint
        self._row_of = {
            item_id: row for row, item_id in enumerate(checkpoint.item_ids)
        }

    def of_user(self, user_row):
        return UserTruth(self, oracle.scores(self.checkpoint, user_row), user_row)

    def item_rows(self, response):
        return np.array(
            [self._row_of[item.item_id] for item in response.items],
            dtype=np.int64,
        )


class UserTruth:
    """The scores of one user, against which answers are held."""

    def __init__(self, truth, scores, user_row):
        self._truth = truth
        self._scores = scores
        self._user_row = user_row

    def check(self, case, response, k, excluded=(), seen="drop"):
        """Fails the unittest.TestCase `case` unless `response` is right."""
        eligible = oracle.eligible_rows(
            self._truth.checkpoint, self._user_row, excluded, seen
        )
        case.assertEqual(response.candidate_count, len(eligible))
        short = (
            pb.SHORTFALL_REASON_ELIGIBLE_ITEMS
            if len(eligible) < k
            else pb.SHORTFALL_REASON_UNSPECIFIED
        )
        case.assertEqual(response.shortfall_reason, short)
        rows = self._truth.item_rows(response)
        self._check_items(case, rows, eligible, k)
        scores = np.array([item.score for item in response.items])
        wrong = self._far(rows, scores, SCORE_TOLERANCE)
        case.assertFalse(wrong.any(), "a score is wrong")
        check_order(case, rows, scores)

    def _check_items(self, case, rows, eligible, k):
        want = oracle.rank(self._scores, eligible, k)
        case.assertEqual(len(rows), len(want))
        case.assertEqual(len(set(rows)), len(rows), "an item is there twice")
        case.assertLessEqual(set(rows), set(eligible), "not eligible")
        far = self._far(rows, self._scores[want], SWAP_TOLERANCE)
        misplaced = np.flatnonzero((rows != want) & far)
        case.assertEqual(misplaced.tolist(), [], "items stand at wrong ranks")

    def _far(self, rows, values, tolerance):
        return np.abs(self._scores[rows] - values) >= tolerance


def check_order(case, rows, scores):
    """Scores descend, and equal ones stand by row."""
    falls = scores[:-1] > scores[1:]
    ties = (scores[:-1] == scores[1:]) & (rows[:-1] < rows[1:])
    case.assertTrue((falls | ties).all(), "the order is wrong")
