"""Tests of the embeddings and their cache."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from service.model.points import FloatArray
from tests.demo.embed import DIMENSIONS, MiniLm, VectorCache, embed


class CountingModel:
    """Encodes a text as its length, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        self.asked += texts
        return np.array([[len(text), 1.5] for text in texts], dtype=np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> VectorCache:
    """Make an empty cache."""
    return VectorCache(tmp_path / "deep" / "vectors.sqlite")


def ignore(done: int) -> None:
    """Take progress and do nothing with it."""


def test_a_second_run_computes_nothing(cache: VectorCache) -> None:
    """Vectors are found again by content, bit for bit."""
    texts = [f"{'x' * at} text" for at in range(40)]
    first = embed(texts, cache, CountingModel(), ignore)
    model = CountingModel()
    second = embed(texts, cache, model, ignore)
    assert model.asked == []
    assert all(np.array_equal(first[text], second[text]) for text in texts)


def test_only_missing_texts_are_computed_each_once(cache: VectorCache) -> None:
    """New texts are added to what is known, and a repeated text is one text."""
    embed(["old"], cache, CountingModel(), ignore)
    model = CountingModel()
    vectors = embed(["new one", "old", "new one"], cache, model, ignore)
    assert model.asked == ["new one"]
    assert vectors.keys() == {"old", "new one"}
    assert vectors["old"].tolist() == [3, 1.5]


def test_progress_adds_up_to_all_texts(cache: VectorCache) -> None:
    """Known and computed texts are both reported."""
    embed(["a", "b"], cache, CountingModel(), ignore)
    reported: list[int] = []
    embed(
        [f"{'y' * at}z" for at in range(50)] + ["a", "b"], cache, CountingModel(), reported.append
    )
    assert sum(reported) == 52


@pytest.mark.slow
def test_the_real_model_knows_what_is_alike(cache: VectorCache) -> None:
    """The packaged model gives unit vectors, nearer for texts that mean the same."""
    texts = ["How do I open a file?", "Opening files for reading", "The cat sat on the mat"]
    vectors = embed(texts, cache, MiniLm(), ignore)
    question, alike, other = (vectors[text] for text in texts)
    assert question.shape == (DIMENSIONS,)
    assert float(question @ question) == pytest.approx(1, abs=1e-5)
    assert question @ alike > question @ other + 0.2
