from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rag.fusion import reciprocal_rank_fusion

rankings = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=15), max_size=4)


def test_scores_are_the_papers() -> None:
    assert reciprocal_rank_fusion([[7, 8], [8]]) == [(8, 1 / 62 + 1 / 61), (7, 1 / 61)]


def test_weights_and_offset_count() -> None:
    assert reciprocal_rank_fusion([[1], [2]], weights=[1.0, 2.0], rank_offset=0) == [(2, 2.0), (1, 1.0)]


def test_equal_scores_stand_by_id() -> None:
    assert [each for each, _ in reciprocal_rank_fusion([[5, 3], [3, 5]])] == [3, 5]


@given(rankings)
def test_everything_comes_once_and_in_order(lists: list[list[int]]) -> None:
    fused = reciprocal_rank_fusion(lists)
    assert sorted(each for each, _ in fused) == sorted({each for ranking in lists for each in ranking})
    scores = [score for _, score in fused]
    assert scores == sorted(scores, reverse=True)


@given(st.lists(st.integers(), unique=True, max_size=30))
def test_rankings_that_agree_keep_their_order(ranking: list[int]) -> None:
    assert [each for each, _ in reciprocal_rank_fusion([ranking, ranking])] == ranking
