"""Several rankings of the same things, joined into one.

Reciprocal rank fusion: Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and
individual rank learning methods", SIGIR 2009. A thing's score is the sum of weight / (k + rank) over the
rankings it is in; k = 60 is the paper's, and damps what stands at the very top of one ranking only. Scores
of the rankings themselves are not looked at: BM25 and cosine have no common scale.

Knows nothing of passages or of queries.
"""

from __future__ import annotations

from collections.abc import Sequence

RANK_OFFSET = 60


def reciprocal_rank_fusion(
    rankings: Sequence[Sequence[int]], *, weights: Sequence[float] | None = None, rank_offset: int = RANK_OFFSET
) -> list[tuple[int, float]]:
    """Ids with their fused score, best first; equal scores by id, so that the order never depends on chance.

    `rankings` are lists of ids, best first, no id twice in one list. `weights` has one number a ranking
    (1 each when None).
    """
    scores: dict[int, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, each_id in enumerate(ranking, start=1):
            scores[each_id] = scores.get(each_id, 0.0) + weight / (rank_offset + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))
