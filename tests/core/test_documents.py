"""Documents: how they are cut, indexed and found, and what hostile files come to."""

from __future__ import annotations

import os
from pathlib import Path

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.context.chunking import MAX_PASSAGE, Piece, html, markdown, passages
from amxwatch.context.docs import DocIndex
from amxwatch.context.walking import Found, Refused, walk
from amxwatch.core.catalog import Column, Table


def table(name: str, *columns: str) -> Table:
    made = (Column(name=each, type="text", ordinal=at) for at, each in enumerate(columns, 1))
    return Table(schema="shop", name=name, columns=tuple(made))


ORDERS = table("orders", "order_id", "rfnd_amt", "stts", "dlvrd_at", "id")


@pytest.fixture
def index(tmp_path: Path) -> DocIndex:
    folder = tmp_path / "docs"
    folder.mkdir()
    return DocIndex(name="handbook", folder=folder, path=tmp_path / "index" / "docs.db")


def headings(pieces: list[Piece]) -> list[tuple[str, str]]:
    return [(passage.heading, passage.text) for passage in passages(pieces)]


def test_markdown_is_cut_at_its_headings_and_not_inside_a_fence() -> None:
    text = "intro\n\n# One\na\n## Two #\nb\n\n```sql\n# not one\n```\n\nThree\n=====\nc\n"
    assert headings(list(markdown(text))) == [
        ("", "intro"),
        ("One", "a"),
        ("One > Two", "b ```sql # not one ```"),
        ("Three", "c"),
    ]


def test_html_gives_its_visible_text_by_heading() -> None:
    text = (
        "<html><head><title>t</title><style>p{}</style></head><body>before<script>alert(1)</script>"
        "<h1>Customers</h1><p>A customer buys &amp; pays.</p><h2>Status</h2><ul><li>new<li>paid"
        "</ul><h1>Other</h1><p>x"
    )
    assert headings(list(html(text))) == [
        ("", "before"),
        ("Customers", "A customer buys & pays."),
        ("Customers > Status", "new paid"),
        ("Other", "x"),
    ]


@given(st.text(max_size=3000), st.sampled_from([markdown, html]))
def test_any_text_gives_bounded_passages_without_hidden_characters(
    text: str, reader: object
) -> None:
    assert callable(reader)
    for passage in passages(reader(text)):
        assert 0 < len(passage.text) <= MAX_PASSAGE
        assert passage.text.isprintable()
        assert passage.heading.isprintable()


def test_passages_are_found_by_name_by_words_and_by_expanded_abbreviations(index: DocIndex) -> None:
    (index.folder / "orders.md").write_text(
        "# Orders\n\nAn order is a purchase.\n\n## Refunds\n\n`rfnd_amt` is what went back.\n\n"
        "## Delivery\n\nThe order was delivered at the moment that the courier notes.\n"
    )
    (index.folder / "page.html").write_text("<h1>Order status</h1><p>The order status is new.</p>")
    (index.folder / "noise.txt").write_text("The weather in Izmir is fine in May.")
    done = index.refresh()
    assert (done.files, done.read, done.refused) == (3, 3, ())

    assert index.about_table(ORDERS, most=1)[0].where == "handbook/orders.md > Orders"
    found = index.about_columns(ORDERS, [column.name for column in ORDERS.columns])
    assert found["rfnd_amt"].where == "handbook/orders.md > Orders > Refunds"
    assert found["stts"].where == "handbook/page.html > Order status"
    assert found["dlvrd_at"].where == "handbook/orders.md > Orders > Delivery"
    assert "id" not in found
    assert index.about_table(table("invoice", "paid"), most=3) == []
    odd = table('"; DROP', "a AND (b", "NEAR(", "x*", 'say "hi"', "--", "^col : x")
    assert index.about_table(odd, most=3) == []
    assert index.about_columns(odd, [column.name for column in odd.columns]) == {}


def test_only_what_moved_is_read_again(index: DocIndex) -> None:
    one, other = index.folder / "one.md", index.folder / "other.md"
    one.write_text("# Orders\nfirst")
    other.write_text("# Orders\nsecond")
    assert index.refresh().read == 2
    assert index.refresh().read == 0
    one.write_text("# Orders\nchanged to this")
    other.unlink()
    done = index.refresh()
    assert (done.files, done.read, done.dropped) == (1, 1, 1)
    assert [each.text for each in index.about_table(ORDERS, most=5)] == ["changed to this"]


def test_a_damaged_index_is_made_anew(index: DocIndex) -> None:
    (index.folder / "a.md").write_text("# Orders\ntext")
    index.refresh()
    index.path.write_bytes(b"no database at all" * 500)
    assert index.refresh().read == 1
    assert len(index.about_table(ORDERS, most=5)) == 1
    assert index.path.stat().st_mode & 0o777 == 0o600


def test_hostile_files_are_named_and_do_no_harm(index: DocIndex, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("# Orders\nthe password is in here")
    (index.folder / "link.md").symlink_to(secret)
    (tmp_path / "beyond").mkdir()
    (tmp_path / "beyond" / "far.md").write_text("# Orders\nbeyond")
    (index.folder / "folder").symlink_to(tmp_path / "beyond")
    os.mkfifo(index.folder / "pipe.txt")
    (index.folder / "huge.txt").write_bytes(b"x" * 2_000_001)
    (index.folder / "bytes.txt").write_bytes(b"\0\1\2" * 100)
    (index.folder / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    locked = pypdf.PdfWriter()
    locked.add_blank_page(100, 100)
    locked.encrypt("secret", algorithm="RC4-128")
    locked.write(str(index.folder / "locked.pdf"))
    (index.folder / "fine.md").write_text("# Orders\nfine")

    done = index.refresh()
    assert {each.name: each.why for each in done.refused} == {
        "link.md": "is a link",
        "folder": "is a link",
        "pipe.txt": "is no file",
        "huge.txt": "is larger than 2,000,000 bytes",
        "bytes.txt": "is no text",
        "broken.pdf": "is damaged, or no PDF",
        "locked.pdf": "is encrypted",
    }
    assert [each.text for each in index.about_table(ORDERS, most=9)] == ["fine"]
    again = index.refresh()
    assert again.read == 0
    assert {each.name for each in again.refused} == {each.name for each in done.refused}


def test_a_pdf_is_read_page_by_page(index: DocIndex) -> None:
    (index.folder / "guide.pdf").write_bytes(a_pdf("Orders are purchases of goods."))
    assert index.refresh().refused == ()
    (found,) = index.about_table(ORDERS, most=3)
    assert (found.where, found.text) == (
        "handbook/guide.pdf > page 1",
        "Orders are purchases of goods.",
    )


def a_pdf(text: str) -> bytes:
    """Write a PDF of one page by hand."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET"
    font = "/Resources << /Font << /F1 5 0 R >> >>"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R {font} >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, places = "%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{each}\nendobj\n"
    start = len(body)
    body += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    body += "".join(f"{place:010} 00000 n \n" for place in places)
    body += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return body.encode()


def test_a_walk_is_in_order_and_leaves_out_other_peoples_files(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", ".hidden.md", "c.exe", "node_modules/x.md", ".git/y.md", "d/e.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    found = list(walk(tmp_path, [".md"]))
    assert [each.name for each in found] == ["a.md", "b.md", "d/e.md"]
    assert all(isinstance(each, Found) for each in found)
    assert list(walk(tmp_path / "nowhere", [".md"])) == []
    assert isinstance(next(iter(walk(tmp_path, [".md"], most=0))), Refused)
