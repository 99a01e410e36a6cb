"""CSV as it comes from other programs: what is taken as key and value, and what is refused, by file and line."""
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsm
from lsm import dump


def read(data, name="in.csv", **columns):
    file = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    file.name = name
    return list(dump.read(file, None if name.endswith(".tsv") else "csv", **columns))


def test_two_columns_are_key_and_value():
    assert read("country,capital\nkenya,Nairobi\r\nrwanda,Kigali") == [(b"kenya", b"Nairobi"), (b"rwanda", b"Kigali")]
    assert read("\ufeffa,b\n\n\"x,\"\"y\n\",\n") == [(b'x,"y\n', b"")]
    assert read("country\tcapital\nkenya\tNairobi\n", "in.tsv") == [(b"kenya", b"Nairobi")]
    assert read("country;capital\nkenya;Nairobi, the city\n", "it", delimiter=";") == [(b"kenya", b"Nairobi, the city")]


def test_columns_are_named_or_numbered():
    data = "id,name,age\n1,Ann,41\n2,Zoë,\n"
    assert read(data) == [(b"1", b'{"name": "Ann", "age": "41"}'), (b"2", '{"name": "Zoë", "age": ""}'.encode())]
    assert read(data, key="name", value="age") == [(b"Ann", b"41"), ("Zoë".encode(), b"")]
    assert read(data, key="3", value="1") == [(b"41", b"1"), (b"", b"2")]
    assert read("1,Ann\n2,Bob\n", header=False, key="2") == [(b"Ann", b"1"), (b"Bob", b"2")]
    assert read("") == read("id,name\n") == []


@pytest.mark.parametrize("data, columns, told", [
    ("a,b\n1,2\n1,2,3\n", {}, "line 3: 3 fields, and 2 in the first row"),
    ("a,b\n1,\"2\n", {}, "line 2: unexpected end of data"),
    ("a,b\n1,\"2\"x\n", {}, "line 2: ',' expected after '\"'"),
    (b"a,b\n1,\xff\n", {}, "line 2: byte 2 is not UTF-8"),
    ("a,a\n1,2\n", {}, "line 1: two columns are called 'a'"),
    ("a\n1\n", {}, "line 1: there is only one column"),
    ("1,2,3\n", {"header": False}, "line 1: which of the 3 columns is the value?"),
    ("a,b\n", {"key": "c"}, "line 1: there is no column 'c': there are a, b"),
    ("1,2\n", {"header": False, "value": "3"}, "line 1: there is no column '3' of 2"),
])
def test_nonsense_is_named_by_its_line(data, columns, told):
    with pytest.raises(lsm.FormatError) as raised:
        read(data, **columns)
    assert str(raised.value) == f"in.csv: {told}"


def test_columns_are_for_csv_alone():
    with pytest.raises(lsm.OptionError, match="with csv: this is jsonl"):
        list(dump.read(io.BytesIO(b'{"key": "a", "value": "b"}'), key="a"))
    with pytest.raises(lsm.OptionError, match="format='csv'"):
        dump.write([], io.BytesIO(), "csv")


def test_a_field_may_be_as_long_as_a_value():
    assert read(b"a,b\nk," + b"v" * 1_000_000 + b"\n") == [(b"k", b"v" * 1_000_000)]


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                          st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))))
def test_what_python_writes_is_read(rows):
    import csv

    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerows([("key", "value"), *rows])
    assert read(file.getvalue()) == [(key.encode(), value.encode()) for key, value in rows]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    try:
        for key, value in read(data):
            assert isinstance(key, bytes) and isinstance(value, bytes)
    except lsm.FormatError as error:
        assert str(error).startswith("in.csv: line ")
