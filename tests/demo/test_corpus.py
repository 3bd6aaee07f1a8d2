"""Tests of the corpus."""

from itertools import islice
from pathlib import Path

import pytest

from tests.demo import corpus
from tests.demo.corpus import Document, Speech


def words(count: int, prefix: str = "word") -> str:
    """Return a text of words that are all letters and all different."""
    letters = "abcdefghij"
    return " ".join(prefix + letters[at % 10] * (at // 10 + 1) for at in range(count))


@pytest.fixture(scope="module")
def everything() -> list[Document]:
    """Read this Python's documentation once."""
    return list(corpus.documents())


def test_this_python_gives_enough_distinct_chunks_of_the_right_size(
    everything: list[Document],
) -> None:
    """The demo's full size is there, no text twice, each about 300 characters of prose."""
    texts = [chunk.text for chunk in corpus.chunks(everything, 5_600)]
    assert len(set(texts)) == 5_600
    assert all(180 <= len(text) <= 300 for text in texts)
    assert all(corpus.is_prose(text) for text in texts)


def test_the_text_is_the_same_every_time(everything: list[Document]) -> None:
    """The corpus is deterministic: the vector cache rests on it, and so does a second run."""
    again = list(islice(corpus.documents(), 150))
    assert again == everything[:150]
    assert corpus.chunks(again, 800) == corpus.chunks(everything, 800)


def test_more_than_there_is_text_for_is_an_error(everything: list[Document]) -> None:
    """A smaller corpus than asked for is never passed off as a full one."""
    with pytest.raises(ValueError, match="distinct chunks, 500 are needed"):
        corpus.chunks(everything[:3], 500)
    with pytest.raises(ValueError, match="3 questions, 4 are needed"):
        corpus.questions(everything[:3], 4)


def test_split_loses_no_word_but_a_short_tail() -> None:
    """Chunks end at word borders and follow each other without a gap."""
    text = words(100)
    chunks = list(corpus.split(Document("doc", (Speech("someone", text),))))
    joined = " ".join(chunk.text for chunk in chunks)
    assert text.startswith(joined)
    assert len(text) - len(joined) <= 181
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))


def test_a_chunk_belongs_to_the_speaker_it_begins_with() -> None:
    """A chunk that runs over into the next speech keeps the first speaker."""
    speeches = (Speech("one", words(40)), Speech("two", words(60, "other")))
    speakers = [chunk.speaker for chunk in corpus.split(Document("doc", speeches))]
    assert speakers[0] == "one"
    assert speakers[-1] == "two"
    assert speakers == sorted(speakers)


def test_a_text_is_taken_once_across_documents() -> None:
    """The same chunk in two documents counts once, under the first one's name."""
    speech = Speech("someone", words(40))
    twice = [Document("first", (speech,)), Document("second", (speech,))]
    assert {chunk.source for chunk in corpus.distinct_chunks(twice)} == {"first"}


def test_docstrings_come_in_the_order_of_the_file_with_dotted_names(tmp_path: Path) -> None:
    """A module's speeches are its docstrings, nested definitions included."""
    source = (
        '"""Top."""\nclass A:\n    """Class."""\n    async def b(self):\n        """Method."""\n'
    )
    path = tmp_path / "module.py"
    path.write_text(source)
    document = corpus.module_document("package/__init__.py", path)
    assert document.speeches == (
        Speech("package", "Top."),
        Speech("package.A", "Class."),
        Speech("package.A.b", "Method."),
    )


def test_a_file_that_is_not_python_has_no_speeches(tmp_path: Path) -> None:
    """Broken source files are skipped, not raised."""
    path = tmp_path / "broken.py"
    path.write_text("def (")
    assert corpus.module_document("broken.py", path).speeches == ()


@pytest.mark.parametrize(
    ("speech", "question"),
    [
        (
            Speech("shelve.open", "Open a persistent dictionary for reading.\n\nMore."),
            "How do I open a persistent dictionary for reading?",
        ),
        (
            Speech("The Python Language Reference", 'The "assert" statement\n*****\n\nText.'),
            'What are the rules for the "assert" statement?',
        ),
        (Speech("abc", "An abstract thing that is described by a noun."), None),
        (Speech("abc", "Open it."), None),
    ],
)
def test_headlines_become_questions(speech: Speech, question: str | None) -> None:
    """Only imperative headlines of a useful length and the reference's topics become questions."""
    assert corpus.question_of(speech) == question


def test_questions_are_distinct_and_from_the_whole_text(everything: list[Document]) -> None:
    """Parity is measured on that many different questions, about the reference and the library."""
    questions = corpus.questions(everything, 300)
    assert len(set(questions)) == 300
    assert {question.split()[0] for question in questions} == {"What", "How"}
