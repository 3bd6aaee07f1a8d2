"""The text of the demo: what Python's own documentation says, cut like transcriptions.

A document is a topic of ``pydoc_data.topics`` or the docstrings of one standard library module.
Everything is read from source files with ``ast`` (nothing is imported or run), in a fixed order, so
that one Python version always gives the same chunks.
"""

import ast
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics

CHUNK_CHARACTERS = 300
_SHORTEST_CHUNK = 180
_SHORTEST_SPEECH = 20
_LETTERS_PER_CHARACTER = 0.6
_SKIPPED_PACKAGES = frozenset(
    {"test", "tests", "idle_test", "site-packages", "_bundled", "lib2to3", "pydoc_data"}
)
_REFERENCE = "The Python Language Reference"
_IMPERATIVES = frozenset(
    [
        "Add",
        "Build",
        "Call",
        "Change",
        "Check",
        "Close",
        "Compare",
        "Compute",
        "Convert",
        "Copy",
        "Create",
        "Decode",
        "Delete",
        "Encode",
        "Find",
        "Format",
        "Get",
        "Insert",
        "List",
        "Load",
        "Make",
        "Open",
        "Parse",
        "Perform",
        "Print",
        "Read",
        "Register",
        "Remove",
        "Replace",
        "Return",
        "Run",
        "Save",
        "Search",
        "Send",
        "Set",
        "Split",
        "Start",
        "Stop",
        "Test",
        "Wait",
        "Write",
    ]
)
_QUESTION_CHARACTERS = range(30, 120)


@dataclass(frozen=True, slots=True)
class Speech:
    """What one speaker says: a docstring and the dotted name it belongs to, or a topic."""

    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """A source and its speeches in the order of the file."""

    source: str
    speeches: tuple[Speech, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """About 300 characters of a document; ``speaker`` is whose words it begins with."""

    source: str
    index: int
    speaker: str
    text: str


def documents() -> Iterator[Document]:
    """Yield the topics by name, then the standard library's modules by path."""
    for name in sorted(topics):
        yield Document(f"topics/{name}", (Speech(_REFERENCE, topics[name]),))
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        relative = path.relative_to(library)
        if not _SKIPPED_PACKAGES.intersection(relative.parts):
            yield module_document(relative.as_posix(), path)


def module_document(source: str, path: Path) -> Document:
    """Return the docstrings of one source file; none when it is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return Document(source, ())
    module = source.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Document(source, tuple(_speeches(tree, module)))


def _speeches(node: ast.AST, name: str) -> Iterator[Speech]:
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if isinstance(node, documented) and (text := ast.get_docstring(node)):
        yield Speech(name, text)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, documented) and not isinstance(child, ast.Module):
            yield from _speeches(child, f"{name}.{child.name}")


def split(document: Document) -> Iterator[Chunk]:
    """Cut a document at word borders; a last piece that is too short is left out."""
    index, size = 0, 0
    words: list[str] = []
    speaker = ""
    for word, voice in _spoken_words(document):
        if words and size + len(word) > CHUNK_CHARACTERS:
            yield Chunk(document.source, index, speaker, " ".join(words))
            index, size, words = index + 1, 0, []
        if not words:
            speaker = voice
        words.append(word)
        size += len(word) + 1
    if size > _SHORTEST_CHUNK:
        yield Chunk(document.source, index, speaker, " ".join(words))


def _spoken_words(document: Document) -> Iterator[tuple[str, str]]:
    for speech in document.speeches:
        if len(speech.text) >= _SHORTEST_SPEECH:
            for word in speech.text.split():
                yield word[:CHUNK_CHARACTERS], speech.speaker


def is_prose(text: str) -> bool:
    """Say whether the text is mostly letters: tables, rulers and number columns are not."""
    return sum(map(str.isalpha, text)) >= _LETTERS_PER_CHARACTER * len(text)


def distinct_chunks(source: Iterable[Document]) -> Iterator[Chunk]:
    """Yield the prose chunks, each text once."""
    seen: set[str] = set()
    for document in source:
        for chunk in split(document):
            if chunk.text not in seen and is_prose(chunk.text):
                seen.add(chunk.text)
                yield chunk


def chunks(source: Iterable[Document], count: int) -> list[Chunk]:
    """Return the first ``count`` distinct chunks. Raises ``ValueError`` when there is less text."""
    found = list(islice(distinct_chunks(source), count))
    if len(found) < count:
        message = f"the documents give {len(found)} distinct chunks, {count} are needed"
        raise ValueError(message)
    return found


def questions(source: Iterable[Document], count: int) -> list[str]:
    """Return ``count`` distinct questions made from the headlines. Raises ``ValueError``."""
    found = dict.fromkeys(
        question
        for document in source
        for speech in document.speeches
        if (question := question_of(speech))
    )
    if len(found) < count:
        message = f"the documents give {len(found)} questions, {count} are needed"
        raise ValueError(message)
    # An even stride over all of them, so that the questions are about the whole text.
    every = list(found)
    return [every[at * len(every) // count] for at in range(count)]


def question_of(speech: Speech) -> str | None:
    """Turn a headline into a question: "Return a copy." becomes "How do I return a copy?"."""
    headline = re.split(r"\.\s|\.$|\n\n|\n\*\*", speech.text, maxsplit=1)[0]
    sentence = " ".join(headline.split())
    if speech.speaker == _REFERENCE:
        return f"What are the rules for {sentence[0].lower()}{sentence[1:]}?"
    if len(sentence) in _QUESTION_CHARACTERS and sentence.split()[0] in _IMPERATIVES:
        return f"How do I {sentence[0].lower()}{sentence[1:]}?"
    return None
