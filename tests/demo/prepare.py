"""Everything that is there before any process runs: the chunks, their vectors, the questions."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.model.points import FloatArray
from tests.demo import corpus
from tests.demo.clients import Material
from tests.demo.embed import MiniLm, VectorCache, embed, model_name
from tests.demo.legacy import LegacyPoint, legacy_points
from tests.demo.show import Show

_TEXTS_FOR_CLIENTS = 600
_QUESTIONS = 300
_QUESTIONS_OF_CHECK = 200


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The legacy points, what the clients write and ask, and the final check's questions."""

    legacy: Sequence[LegacyPoint]
    material: Material
    questions: Sequence[FloatArray]


def prepare(count: int, cache: VectorCache, show: Show) -> Prepared:
    """Read ``count`` chunks and more for the clients, and embed all of it."""
    total = count + _TEXTS_FOR_CLIENTS
    with show.progress("distinct chunks of Python's documentation", total) as progress:
        documents = list(corpus.documents())
        chunks = corpus.chunks(documents, total)
        questions = corpus.questions(documents, _QUESTIONS)
        progress(total)
    texts = [chunk.text for chunk in chunks] + questions
    with show.progress(f"texts embedded with {model_name()}", len(texts)) as progress:
        vectors = embed(texts, cache, MiniLm(), progress)
    # Every ninth chunk or so is for the clients, so that both parts are about everything.
    spare = {at * total // _TEXTS_FOR_CLIENTS for at in range(_TEXTS_FOR_CLIENTS)}
    kept = [chunk for at, chunk in enumerate(chunks) if at not in spare]
    texts_of_clients = [(chunks[at], vectors[chunks[at].text]) for at in sorted(spare)]
    asked = [vectors[question] for question in questions]
    return Prepared(
        legacy_points(kept, vectors),
        Material(texts_of_clients, asked),
        asked[:_QUESTIONS_OF_CHECK],
    )
