"""The Torch7 reader against files of an independent writer."""

from __future__ import annotations

import io
import math
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import torch7_writer as t7
from vrn.errors import WeightsError
from vrn.official.torch7 import Function, Object, Storage, Table, Tensor, load, reader

MODES: list[dict[str, Any]] = [{}, {"long_size": 4}, {"ascii": True}]


@pytest.fixture(params=MODES, ids=["8-byte longs", "4-byte longs", "ascii"])
def mode(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


def through(path: Path, value: Any, **mode: Any) -> Any:
    return load(t7.save(path / "file.t7", value, **mode))


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0.0, -1234.5678, 5e-324, 2.0**53, math.inf, -math.inf, "", "three\nlines\n", "h\u00e9\0"],
)
def test_plain_values_come_back(tmp_path: Path, mode: dict[str, Any], value: Any) -> None:
    found = through(tmp_path, value, **mode)
    assert found == value
    assert type(found) is type(value)


def test_nan_and_negative_zero_come_back(tmp_path: Path, mode: dict[str, Any]) -> None:
    assert math.isnan(through(tmp_path, math.nan, **mode))
    assert math.copysign(1, through(tmp_path, -0.0, **mode)) == -1


def test_text_that_is_no_utf8_keeps_its_bytes(tmp_path: Path, mode: dict[str, Any]) -> None:
    found = through(tmp_path, b'\xff\xfe\0\n"', **mode)
    assert found.encode("utf-8", "surrogateescape") == b'\xff\xfe\0\n"'


def test_tables_keep_keys_apart_that_python_takes_for_one(tmp_path: Path, mode: dict[str, Any]) -> None:
    entries = {
        1: "one",
        t7.Key(True): "true",
        t7.Key(False): "false",
        0: "zero",
        -3: "minus",
        2.25: "fraction",
        "": "no",
    }
    table = through(tmp_path, entries | {2: [10, 20, [30]], "none": None}, **mode)
    assert (table[1], table[True], table[False], table[0], table[-3.0], table[2.25]) == (
        "one", "true", "false", "zero", "minus", "fraction",
    )  # fmt: skip
    assert table[""] == "no"
    assert "none" not in table  # in Lua, setting nil sets nothing
    assert table.sequence()[0] == "one"
    inner = table[2].sequence()
    assert (inner[:2], inner[2].sequence()) == ([10, 20], [30])
    assert len(table) == 8


def test_cycles_and_shared_tables_are_one_object(tmp_path: Path, mode: dict[str, Any]) -> None:
    shared: dict[Any, Any] = {1: 7}
    root: dict[Any, Any] = {"a": shared, "b": shared, "child": {}}
    root["self"], root["child"]["parent"] = root, root
    found = through(tmp_path, root, **mode)
    assert found["self"] is found
    assert found["child"]["parent"] is found
    assert found["a"] is found["b"]


def test_what_was_written_without_references_is_read_twice(tmp_path: Path, mode: dict[str, Any]) -> None:
    shared = {1: 5}
    found = through(tmp_path, {"a": shared, "b": shared}, referenced=False, **mode)
    assert found["a"] is not found["b"]
    assert (found["a"][1], found["b"][1]) == (5, 5)


@pytest.mark.parametrize("kind", list(t7.FORMATS))
def test_tensors_of_every_type_come_back_exactly(tmp_path: Path, mode: dict[str, Any], kind: str) -> None:
    dtype = np.dtype(t7.FORMATS[kind])
    if dtype.kind == "f":
        array = np.random.default_rng(1).normal(0, 3, (2, 3, 4)).astype(dtype)
        array.ravel()[:5] = [np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).smallest_subnormal]
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if dtype.itemsize == 8:  # what longs of 4 bytes hold
            low, high = -(2**31), 2**31 - 1
        array = np.random.default_rng(1).integers(low, high, (2, 3, 4), endpoint=True).astype(dtype)
        array.ravel()[0] = low
    found = through(tmp_path, {1: t7.tensor(array, kind), 2: "after"}, **mode)
    assert isinstance(found[1], Tensor)
    assert found[1].class_name == f"torch.{kind}Tensor"
    assert found[1].array().dtype.kind == dtype.kind
    np.testing.assert_array_equal(found[1].array(), array)
    assert (np.signbit(found[1].array()) == np.signbit(array)).all() or np.isnan(array).any()
    assert not found[1].array().flags.writeable
    assert found[2] == "after"


def test_longs_beyond_32_bits_come_back(tmp_path: Path) -> None:
    array = np.array([-(2**63), 2**63 - 1, 2**53 + 1], np.int64)
    for ascii in (False, True):
        found = through(tmp_path, t7.tensor(array, "Long"), ascii=ascii)
        np.testing.assert_array_equal(found.array(), array)


def test_empty_tensors_and_storages(tmp_path: Path, mode: dict[str, Any]) -> None:
    nothing = t7.Storage("Float", np.zeros(0))
    values = [t7.Tensor("Float"), t7.Tensor("Double", storage=t7.Storage("Double", np.zeros(0))), nothing, "after"]
    first, second, third, after = through(tmp_path, values, **mode).sequence()
    assert first.array().shape == second.array().shape == (0,)
    assert (first.storage, third.count, third.array().size, after) == (None, 0, 0, "after")


def test_views_share_one_storage_with_their_strides_and_offsets(tmp_path: Path, mode: dict[str, Any]) -> None:
    base = np.arange(60, dtype=np.float32)
    storage = t7.Storage("Float", base)
    views = {
        "whole": t7.Tensor("Float", (3, 4, 5), (20, 5, 1), 1, storage),
        "transposed": t7.Tensor("Float", (5, 4, 3), (1, 5, 20), 1, storage),
        "narrowed": t7.Tensor("Float", (3, 2, 5), (20, 5, 1), 6, storage),
        "selected": t7.Tensor("Float", (3, 4), (20, 5), 3, storage),
        "expanded": t7.Tensor("Float", (3, 4), (1, 0), 8, storage),
        "unfolded": t7.Tensor("Float", (10, 5), (3, 1), 1, storage),
        "last": t7.Tensor("Float", (1,), (1,), 60, storage),
        "storage": storage,
    }
    found = through(tmp_path, views, **mode)
    cube = base.reshape(3, 4, 5)
    expected = {
        "whole": cube, "transposed": cube.transpose(2, 1, 0), "narrowed": cube[:, 1:3], "selected": cube[:, :, 2],
        "expanded": np.repeat(base[7:10, None], 4, 1), "last": base[59:],
        "unfolded": np.stack([base[3 * i : 3 * i + 5] for i in range(10)]),
    }  # fmt: skip
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name].array(), array)
        assert found[name].storage is found["storage"]


def test_binary_storages_are_mapped_and_not_copied(tmp_path: Path) -> None:
    count = 16 << 20
    path = t7.save(tmp_path / "big.t7", {"big": t7.Tensor("Float", (count,), (1,), 1, t7.Zeros(count)), "end": 1})
    tracemalloc.start()
    table = load(path)
    assert isinstance(table, Table)
    big = table["big"]
    assert isinstance(big, Tensor)
    assert big.array().nbytes == 4 * count
    assert big.array()[-1] == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000
    again = big.array()
    assert np.shares_memory(again, big.array())
    big.storage.release()  # type: ignore[union-attr]
    assert again[0] == 0


@pytest.mark.parametrize("kind", [6, 7, 8])
def test_functions_are_passed_over_and_their_upvalues_keep_the_numbering(
    tmp_path: Path, mode: dict[str, Any], kind: int
) -> None:
    shared = {"up": 1}
    function = t7.Function(kind, b"\x1bLJ code\n 4\n", [{"name": "a", "value": shared}, {"name": "b", "value": 2}])
    found = through(tmp_path, {"f": function, "g": function, "shared": shared, "after": "ok"}, **mode)
    assert isinstance(found["f"], Function)
    assert (found["f"] is found["g"]) == (kind != 6)
    upvalues = found["f"].upvalues
    assert isinstance(upvalues, Table)
    second = upvalues[1]
    assert isinstance(second, Table)
    assert second["value"] is found["shared"]
    assert found["after"] == "ok"


def test_objects_of_any_class_become_their_fields(tmp_path: Path, mode: dict[str, Any]) -> None:
    inner = t7.Instance("my.Thing", {"n": 1}, "V 3")
    old = t7.Instance("nn.Old", {}, None)
    odd = t7.Instance("V nothing", {"x": True}, None)  # a class name that only begins like a version
    values = through(tmp_path, [inner, inner, old, odd], **mode).sequence()
    assert isinstance(values[0], Object)
    assert values[0] is values[1]
    assert [(v.class_name, v.version) for v in values] == [
        ("my.Thing", 3), ("my.Thing", 3), ("nn.Old", 0), ("V nothing", 0),
    ]  # fmt: skip
    assert values[0].fields["n"] == 1
    assert values[3].fields["x"] is True


def test_an_object_may_refer_to_itself(tmp_path: Path, mode: dict[str, Any]) -> None:
    module = t7.Instance("nn.Sequential", {})
    module.fields["self"] = module
    found = through(tmp_path, module, **mode)
    assert found.fields["self"] is found


def test_tensors_of_before_versions_are_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    stream.write(struct.pack("<iii", 4, 1, 17) + b"torch.FloatTensor" + struct.pack("<iqqq", 1, 2, 1, 1))
    stream.write(struct.pack("<iii", 4, 2, 18) + b"torch.FloatStorage" + struct.pack("<qff", 2, 1.5, -2))
    (tmp_path / "old.t7").write_bytes(stream.getvalue())
    found = load(tmp_path / "old.t7")
    assert isinstance(found, Tensor)
    assert found.array().tolist() == [1.5, -2]


def test_the_size_of_longs_can_be_given(tmp_path: Path) -> None:
    path = t7.save(tmp_path / "x.t7", t7.tensor(np.arange(3)), long_size=4)
    assert load(path, long_size=4).array().tolist() == [0, 1, 2]  # type: ignore[union-attr]
    with pytest.raises(WeightsError):
        load(path, long_size=8)


@pytest.mark.slow
def test_nesting_costs_no_stack(tmp_path: Path, mode: dict[str, Any]) -> None:
    stream, depth = io.BytesIO(), 30_000
    writer = t7.Writer(stream, **mode)
    for level in range(depth):  # {1 = {1 = ... nil}}
        for number in (3, level + 1, 1):
            writer._ints(number)
        writer.write(1)
    writer.write(None)
    (tmp_path / "deep.t7").write_bytes(stream.getvalue())
    value, levels = load(tmp_path / "deep.t7"), 0
    while value is not None:
        assert isinstance(value, Table)
        value, levels = value.get(1), levels + 1
    assert levels == depth


def everything() -> dict[Any, Any]:
    """One of each kind of record; the last item is a text, so that no cut-off file is a whole one of other longs."""
    shared = t7.Storage("Float", np.arange(6.0))
    return {
        1: [True, None, 2.5, "text"],
        "module": t7.Instance("nn.Linear", {"weight": t7.Tensor("Float", (2, 3), (3, 1), 1, shared)}, "V 2"),
        "view": t7.Tensor("Float", (3,), (2,), 2, shared),
        "bytes": t7.tensor(np.arange(4), "Byte"),
        "longs": t7.tensor(np.array([1, -2]), "Long"),
        "half": t7.tensor(np.array([0.5, 1.5]), "Half"),
        "empty": t7.Tensor("Double"),
        "function": t7.Function(8, b"code", [{"name": "a", "value": 1}]),
        "end": "the end",
    }


@pytest.mark.slow
def test_a_file_cut_off_anywhere_is_a_weights_error(tmp_path: Path, mode: dict[str, Any]) -> None:
    data = t7.save(tmp_path / "whole.t7", everything(), **mode).read_bytes()
    path = tmp_path / "cut.t7"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"cut\.t7"):
            load(path)
    path.write_bytes(data)
    assert isinstance(load(path), Table)


def walk(value: Any, seen: set[int]) -> None:
    """Use everything in a value, as far as it can be used."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Table):
        for key, item in value.items():
            walk(key, seen)
            walk(item, seen)
    elif isinstance(value, Object):
        walk(value.fields, seen)
    elif isinstance(value, Tensor | Storage):
        float(value.array()[(0,) * value.array().ndim]) if value.array().size else None


@pytest.mark.slow
@pytest.mark.parametrize("variant", MODES, ids=str)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_files_are_read_or_refused_but_never_worse(
    tmp_path: Path, variant: dict[str, Any], edits: list[tuple[int, int]]
) -> None:
    data = bytearray(t7.save(tmp_path / "whole.t7", everything(), **variant).read_bytes())
    for place, byte in edits:
        data[place % len(data)] = byte
    (tmp_path / "odd.t7").write_bytes(data)
    with suppress(WeightsError):  # anything else, and any warning, fails
        walk(load(tmp_path / "odd.t7"), set())


def tensor_record(size: list[int], stride: list[int], offset: int, count: int = 4) -> bytes:
    """A binary FloatTensor whose storage holds four elements and claims `count`."""
    head = struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 17) + b"torch.FloatTensor"
    view = struct.pack(f"<i{len(size)}q{len(stride)}qq", len(size), *size, *stride, offset)
    store = struct.pack("<iii", 4, 2, 3) + b"V 1" + struct.pack("<i", 18) + b"torch.FloatStorage"
    return head + view + store + struct.pack("<q4f", count, 1, 2, 3, 4)


HOSTILE = {
    "view beyond its storage": tensor_record([5], [1], 1),
    "view that begins beyond": tensor_record([1], [1], 5),
    "view that begins before": tensor_record([1], [1], 0),
    "negative stride": tensor_record([2], [-1], 4),
    "negative size": tensor_record([-2], [1], 1),
    "more elements than memory has": tensor_record([2**40, 2**40], [0, 0], 1),
    "sizes that overflow": tensor_record([2**62, 2**62], [2**62, 2**62], 1),
    "a storage larger than the file": tensor_record([4], [1], 1, 2**40),
    "a storage of 2^63 bytes": tensor_record([4], [1], 1, 2**61),
    "a storage of a negative size": tensor_record([4], [1], 1, -4),
    "two thousand million dimensions": struct.pack("<iii", 4, 1, 3) + b"V 1" + struct.pack("<i", 17)
    + b"torch.FloatTensor" + struct.pack("<i", 2**31 - 1) + bytes(64),
    "a text larger than the file": struct.pack("<ii", 2, 2**31 - 1) + b"abc",
    "a text of negative length": struct.pack("<ii", 2, -1) + b"abc",
    "a table of two thousand million entries": struct.pack("<iii", 3, 1, 2**31 - 1) + struct.pack("<id", 1, 1.0) * 4,
    "a table of negative size": struct.pack("<iii", 3, 1, -1),
    "nil as a key": struct.pack("<iii", 3, 1, 1) + struct.pack("<ii", 0, 0),
    "nan as a key": struct.pack("<iii", 3, 1, 1) + struct.pack("<idi", 1, math.nan, 0),
    "a tensor that is its own storage": tensor_record([4], [1], 1)[:-61] + struct.pack("<ii", 4, 1),
    "a function larger than the file": struct.pack("<iii", 8, 1, 2**30) + b"code",
    "an unknown type": struct.pack("<i", 9) + bytes(60),
    "a pickle": b"\x80\x02}q\x00.",
    "a zip": b"PK\x03\x04" + bytes(60),
    "text": b"hello, this is no Torch7 file\n",
    "digits": b"3 is a number\n",
    "ascii: a storage larger than the file": b"4\n1\n3\nV 1\n18\ntorch.FloatStorage\n999999999999\n1 2 3\n",
    "ascii: fewer elements than announced": b"4\n1\n3\nV 1\n18\ntorch.FloatStorage\n4\n1 2 3\n",
    "ascii: more elements than announced": b"4\n1\n3\nV 1\n18\ntorch.FloatStorage\n2\n1 2 3\n",
    "ascii: no line feed": b"1\n" + b"1" * 100_000,
    "ascii: an int of a thousand digits": b"2\n" + b"9" * 50 + b"\nabc\n",
    "ascii: no number": b"1\nabc\n",
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_files_end_in_an_error_without_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "hostile.t7"
    path.write_bytes(HOSTILE[name])
    tracemalloc.start()
    with pytest.raises(WeightsError, match=r"hostile\.t7"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3_000_000


@pytest.mark.parametrize("elements", [b"1 x 3", b"1 - 3", b"1  3 ", b"0x 1 2"])
def test_ascii_elements_that_are_no_numbers_are_found_when_used(tmp_path: Path, elements: bytes) -> None:
    (tmp_path / "bad.t7").write_bytes(b"4\n1\n3\nV 1\n18\ntorch.FloatStorage\n3\n" + elements + b"\n")
    with pytest.raises(WeightsError, match=r"bad\.t7.*damaged"):
        load(tmp_path / "bad.t7").array()  # type: ignore[union-attr]


def test_long_ascii_storages_are_read_in_pieces(tmp_path: Path) -> None:
    array = np.random.default_rng(2).normal(size=400_000)
    found = through(tmp_path, {1: t7.tensor(array, "Double"), 2: "after"}, ascii=True)
    np.testing.assert_array_equal(found[1].array(), array)
    assert found[2] == "after"


def test_more_values_than_any_network_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reader.MAX_VALUES == 1_000_000
    monkeypatch.setattr(reader, "MAX_VALUES", 10_000)  # a million takes a minute
    (tmp_path / "many.t7").write_bytes(
        struct.pack("<iii", 3, 1, 5_100) + b"".join(struct.pack("<idii", 1, i, 5, 1) for i in range(5_100))
    )
    with pytest.raises(WeightsError, match="more than 10000 values"):
        load(tmp_path / "many.t7")


@pytest.mark.parametrize("name", ["missing.t7", "."])
def test_files_that_cannot_be_opened_are_weights_errors(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        load(tmp_path / name)
