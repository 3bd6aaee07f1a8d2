"""A receipt as a page for people: one HTML file without scripts and without anything from elsewhere. Pure.

Every value is escaped, also numbers: the document may come from a file that somebody wrote.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from backfill.receipts import Document

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto; max-width: 60rem;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; border-bottom: 1px solid #eee; }
thead th { border-bottom: 1px solid #999; }
table.pairs { width: auto; } .pairs td { padding-right: 2rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code, td.hash { font: 0.85em ui-monospace, monospace; overflow-wrap: anywhere; }
.verdict { display: inline-block; font-weight: 600; padding: 0.3rem 0.8rem; border: 2px solid; border-radius: 0.3rem; }
.clean { color: #12602c; } .unclean { color: #9b1c1c; }
@media print { body { margin: 0; max-width: none; font-size: 11px; } h2, tr { break-inside: avoid; break-after: auto; }
               thead { display: table-header-group; } }
"""

_COUNTS = {
    "source_points": "Points read from Qdrant",
    "target_points": "Points read from Postgres",
    "compared": "Distinct ids compared",
    "rechecked": "Ids that differed at first sight",
    "differing": "Confirmed differences",
    "unsettled": "Ids named by unsettled writes to the end",
    "excluded": "Ids waived by name",
}
_FACTS = {
    "receipt": "Receipt, and job",
    "generation": "Generation",
    "stage": "Stage",
    "epoch": "Epoch",
    "authority": "Authority",
    "started_at": "Begun",
    "finished_at": "Finished",
}


def page(document: Document) -> str:
    """Return the page; what the document lacks is left empty."""
    clean = document.get("clean") is True
    name = _text(document.get("collection"))
    verdict = "Equal" if clean else "Not proven equal"
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f"<title>Receipt of {name}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Verification of <code>{name}</code></h1>",
            f'<p class="verdict {"clean" if clean else "unclean"}">{verdict}</p>',
            *_section("", _facts(document)),
            *_section("Versions", _table((), _mapping(document.get("versions")).items())),
            *_section("Points", _pairs(document, _COUNTS)),
            *_section("Why it does not speak for all points", _list(document.get("faults"))),
            *_section("Confirmed differences by kind", _table((), _kinds(document))),
            *_section("Confirmed differences", _ids(document, "differing")),
            *_section("Unsettled", _ids(document, "unsettled")),
            *_section("Excluded: waived by name", _waived(document)),
            *_section("Digests", _digests(document)),
            *_section("Ranges", _ranges(document)),
            *_section("What these checks cannot catch", _cannot(document)),
            *_section("Signature", _signature(document)),
            "</body></html>",
        ]
    )


def _section(title: str, body: str) -> list[str]:
    if not body:
        return []
    return [f"<h2>{_text(title)}</h2>" if title else "", body]


def _facts(document: Document) -> str:
    return _table((), ((title, _said(document.get(name))) for name, title in _FACTS.items()))


def _said(value: object) -> str | None:
    return None if value is None else str(value)


def _pairs(document: Document, names: Mapping[str, str]) -> str:
    return _table((), ((title, document.get(name)) for name, title in names.items()))


def _kinds(document: Document) -> Iterable[tuple[object, object]]:
    return _mapping(document.get("counts")).items()


def _ids(document: Document, name: str) -> str:
    entries = [_mapping(each) for each in _sequence(document.get(f"{name}_ids"))]
    rows = [(each.get("id"), ", ".join(map(str, _sequence(each.get("kinds"))))) for each in entries]
    return _table(("id", "differs in"), rows) + _rest(document.get(name), len(rows))


def _waived(document: Document) -> str:
    ids = _sequence(document.get("excluded_ids"))
    return _list(ids) + _rest(document.get("excluded"), len(ids))


def _rest(count: object, shown: int) -> str:
    left = count - shown if isinstance(count, int) else 0
    return f"<p>and {left} more; the control API lists them</p>" if left > 0 else ""


def _digests(document: Document) -> str:
    digest = _mapping(document.get("digest"))
    rows = [
        (kind, _mapping(digest.get("source")).get(kind), _mapping(digest.get("target")).get(kind))
        for kind in ("content", "bits")
    ]
    said = f"<p>{_text(digest.get('points'))} points. Covers {_text(digest.get('covers'))}.</p>"
    return said + _table(("", "Qdrant", "Postgres"), rows) if digest else ""


def _ranges(document: Document) -> str:
    ranges = [_mapping(each) for each in _sequence(document.get("ranges"))]
    rows = [
        (
            number,
            "lowest id" if each.get("from") is None else each.get("from"),
            "highest id" if each.get("until") is None else each.get("until"),
            each.get("source_points"),
            each.get("target_points"),
            each.get("differing"),
            _mapping(each.get("source_digest")).get("content"),
            _mapping(each.get("target_digest")).get("content"),
        )
        for number, each in enumerate(ranges)
    ]
    headings = (
        "",
        "from",
        "until before",
        "Qdrant",
        "Postgres",
        "differed",
        "content of Qdrant",
        "of Postgres",
    )
    return _table(headings, rows)


def _cannot(document: Document) -> str:
    entries = [_mapping(each) for each in _sequence(document.get("cannot_catch"))]
    return _table(("not caught", "but"), [(each.get("what"), each.get("but")) for each in entries])


def _signature(document: Document) -> str:
    signature = _mapping(document.get("signature"))
    if not signature:
        return "<p>This receipt is not signed.</p>"
    return (
        f"<p>{_text(signature.get('algorithm'))}, key {_text(signature.get('key'))}:"
        f" <code>{_text(signature.get('value'))}</code>. It is of the JSON document, which"
        " <code>vecferry receipt verify</code> checks; this page is not covered by it.</p>"
    )


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["".join(map(_cell, row)) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{_text(heading)}</th>" for heading in headings)
    top = f"<thead><tr>{head}</tr></thead>" if headings else ""
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    pairs = "" if headings else ' class="pairs"'
    return f"<table{pairs}>{top}<tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    return f"<td{_class(value)}>{_text(value)}</td>"


def _class(value: object) -> str:
    if isinstance(value, int):
        return ' class="number"'
    is_hash = isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)
    return ' class="hash"' if is_hash else ""


def _list(values: object) -> str:
    items = "".join(f"<li>{_text(value)}</li>" for value in _sequence(values))
    return f"<ul>{items}</ul>" if items else ""


def _text(value: object) -> str:
    return "" if value is None else escape(str(value))


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()
