"""The page for people."""

from html.parser import HTMLParser

from backfill.receipt_page import page
from backfill.signature import signed
from tests.backfill.documents import receipt_of

_VOID = {"meta"}


class Reader(HTMLParser):
    """Collects tags and text, and sees that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_says_what_the_receipt_says() -> None:
    """Verdict, counts, ids, ranges, what was left out, what cannot be caught and the signature."""
    document = signed(receipt_of(7, 2**64 - 1, unsettled=(4,), excluded=(9,)).to_json(), b"key")
    text = Reader(page(document)).text
    for expected in (
        "Not proven equal", "docs", str(2**64 - 1), "payload, vector", "Unsettled", "waived by name",
        "lowest id", "highest id", "What these checks cannot catch", "HMAC-SHA256", "1.17",
        document["digest"]["source"]["content"],  # type: ignore[index]  # a document
    ):  # fmt: skip
        assert str(expected) in text
    assert "not signed" in Reader(page(receipt_of().to_json())).text
    assert "Not proven" not in page(receipt_of().to_json())


def test_nothing_of_the_document_becomes_markup() -> None:
    """A name, an id or a version may hold anything, also in a file that somebody wrote."""
    evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    document = receipt_of("1", collection=evil).to_json()
    hostile = {
        **document,
        "versions": {evil: evil},
        "stage": evil,
        "faults": [evil],
        "differing": 2,
        "differing_ids": [{"id": evil, "kinds": [evil]}],
        "excluded_ids": [evil],
        "ranges": [{"from": evil, "until": evil, "source_digest": {"content": evil}}],
        "signature": {"algorithm": evil, "key": evil, "value": evil},
        "cannot_catch": [{"what": evil, "but": evil}],
    }
    read = Reader(page(hostile))
    assert {"script", "img"}.isdisjoint(read.tags)
    assert evil in read.text
    assert {name for name, _ in read.attributes} <= {"lang", "charset", "class"}


def test_it_needs_nothing_from_elsewhere() -> None:
    """No script, no picture, no style sheet, no address."""
    text = page(receipt_of(1).to_json())
    assert {"script", "img", "link", "iframe", "a"}.isdisjoint(Reader(text).tags)
    assert "http" not in text
    assert "@media print" in text


def test_what_is_not_a_receipt_makes_an_empty_page() -> None:
    """Values of the wrong kind are left out."""
    assert Reader(page({"ranges": 5, "versions": [], "differing_ids": "x", "counts": None})).tags
