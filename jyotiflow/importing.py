"""Rows of a CSV or XLSX file that staff send in."""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Final

from openpyxl import load_workbook

from jyotiflow.exceptions import InvalidInput
from jyotiflow.exporting import FORMULA_SIGNS

MOST_BYTES: Final = 5_000_000
MOST_BYTES_UNPACKED: Final = 100_000_000  # of an XLSX, which is a ZIP
MOST_ROWS: Final = 5_000
MOST_COLUMNS: Final = 50

Row = dict[str, str]


def read_rows(*, name: str, content: bytes) -> list[Row]:
    """The rows below the titles, by title in lower case, as texts without outer spaces.

    ``row`` is a row's number as the spreadsheet counts, from 2 on; empty rows are left out. A cell that an
    export guarded with a ' is read as it was. Raises ``InvalidInput`` with the fix.
    """
    if len(content) > MOST_BYTES:
        raise _bad(f"The file is larger than {MOST_BYTES // 1_000_000} MB: split it.")
    is_workbook = name.lower().endswith(".xlsx") or content.startswith(b"PK")
    lines = _workbook(content) if is_workbook else _csv(content)
    titles = [title.lower().replace(" ", "_") for title in next(lines, [])]
    while titles and not titles[-1]:
        titles.pop()
    if not any(titles):
        raise _bad("The file is empty: its first row names the columns.")
    if len(titles) > MOST_COLUMNS or len(set(filter(None, titles))) < len(list(filter(None, titles))):
        raise _bad(f"Name each column once, and at most {MOST_COLUMNS}.")
    rows = []
    for number, cells in enumerate(lines, start=2):
        row = {title: cell for title, cell in zip(titles, cells, strict=False) if title and cell}
        if row:
            rows.append({**row, "row": str(number)})
        if len(rows) > MOST_ROWS:
            raise _bad(f"The file has more than {MOST_ROWS:,} rows: split it.")
    if not rows:
        raise _bad("There are no rows below the titles.")
    return rows


def _csv(content: bytes) -> Iterator[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _bad("Save the file as CSV UTF-8, or as XLSX.") from None
    if "\0" in text:
        raise _bad("This is neither a CSV nor an XLSX file.")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    try:
        for cells in csv.reader(io.StringIO(text), delimiter=separator):
            yield [_text(cell) for cell in cells]
    except csv.Error as error:
        raise _bad(f"The file can't be read as CSV: {error}.") from None


def _workbook(content: bytes) -> Iterator[list[str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_BYTES_UNPACKED:
                raise _bad("The workbook is too large: save the sheet as CSV.")
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        for cells in sheet.iter_rows(values_only=True, max_col=MOST_COLUMNS + 1):
            yield [_text(cell) for cell in cells]
    except InvalidInput:
        raise
    except Exception:  # whatever a broken or forged file makes the library raise
        raise _bad("The workbook can't be read: save it anew as XLSX, or as CSV UTF-8.") from None


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() | date():
            return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
        case float() if value.is_integer():
            return str(int(value))
    text = str(value).strip()
    return text[1:] if text.startswith("'") and text[1:].lstrip().startswith(FORMULA_SIGNS) else text


def _bad(message: str) -> InvalidInput:
    return InvalidInput.field("file", message)


def unknown(row: Row, known: Sequence[str]) -> list[str]:
    """The row's columns that are none of these."""
    return [title for title in row if title not in known and title != "row"]
