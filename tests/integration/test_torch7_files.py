"""Small files that Torch7 itself wrote: `torch7_files.json` holds their bytes."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrn.official.torch7 import Function, Object, Storage, Table, Tensor, load

SMALL: dict[str, str] = json.loads(Path(__file__).with_name("torch7_files.json").read_text())


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    path = tmp_path / f"{request.param}.t7"
    path.write_bytes(base64.b64decode(SMALL[request.param]))
    return load(path)


def reads(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("small", names, indirect=True)


@pytest.mark.parametrize(
    ("small", "expected"),
    [
        ("root_nil", None), ("root_true", True), ("root_false", False), ("root_number", -1234.5678),
        ("root_string", 'h\u00e9llo\0w\n"\udcff'),
    ],
    indirect=["small"],
)  # fmt: skip
def test_single_values(small: Any, expected: Any) -> None:
    assert small == expected
    assert type(small) is type(expected)


@reads("root_emptytable")
def test_an_empty_table(small: Table) -> None:
    assert isinstance(small, Table)
    assert len(small) == 0


@reads("tables")
def test_keys_and_numbers_of_every_kind(small: Table) -> None:
    assert small.sequence()[:5] == [1, 2.5, "three", True, False]
    assert (small[True], small[0], small[-3], small[2.25], small[""]) == ("truekey", "zero", "neg", "frac", "emptykey")
    assert (small["big"], small["tiny"], small["inf"], small["ninf"]) == (2.0**53, 5e-324, math.inf, -math.inf)
    assert math.copysign(1, small["negzero"]) == -1  # type: ignore[arg-type]
    sparse = small["sparse"]
    assert isinstance(sparse, Table)
    assert dict(sparse.items()) == {1: "a", 3: "c", 7: "g"}


@reads("tables_ascii")
def test_a_table_in_ascii(small: Table) -> None:
    assert small[3] == "three words\nnewline"
    assert small["third"] == 1 / 3
    assert small[0] == "zero"


@reads("tables_cycle")
def test_cycles(small: Table) -> None:
    assert small["self"] is small
    child = small["child"]
    assert isinstance(child, Table)
    assert child["parent"] is small
    assert small["same1"] is small["same2"]


@reads("tables_unreferenced", "tables_shared_unreferenced")
def test_tables_without_references(small: Table) -> None:
    first, second = small["a"], small["b"]
    assert isinstance(first, Table)
    assert isinstance(second, Table)
    assert first is not second
    assert first.sequence() == second.sequence()


@reads("tensor_half")
def test_half_precision(small: Table) -> None:
    half = small["Half"]
    assert isinstance(half, Tensor)
    assert half.array().dtype == np.float16
    np.testing.assert_array_equal(half.array(), (np.arange(1, 25) / 3).astype(np.float16).reshape(2, 3, 4))


@reads("tensors_shared_ascii")
def test_views_of_one_storage(small: Table) -> None:
    tensors = {name: value for name, value in small.items() if isinstance(value, Tensor)}
    base = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    np.testing.assert_array_equal(tensors["base"].array(), base)
    np.testing.assert_array_equal(tensors["again"].array(), base)
    np.testing.assert_array_equal(tensors["transposed"].array(), base.transpose(2, 1, 0))
    np.testing.assert_array_equal(tensors["row"].array(), base[1])
    np.testing.assert_array_equal(tensors["expanded"].array(), np.repeat([[1], [2], [3]], 4, 1))
    assert tensors["base"].storage is tensors["row"].storage is small["storage"]
    assert small["last"] is True


@reads("functions", "legacy_functions")
def test_functions_are_passed_over(small: Table) -> None:
    assert isinstance(small["plain" if "plain" in small else "f6"], Function)
    assert small["after"] in ("still readable", "ok")


@reads("legacy_noversion", "legacy_long32")
def test_records_without_versions_and_longs_of_four_bytes(small: Table) -> None:
    old, longs = small["old"], small["v1"]
    assert isinstance(old, Tensor)
    assert isinstance(longs, Storage)
    assert old.array().tolist() == [[1, 2], [3, 4]]
    assert longs.array().tolist() == [5, -6]
    assert small["n"] == 2.5


@reads("legacy_batchnorm_v1")
def test_a_module_of_an_old_version(small: Object) -> None:
    assert (small.class_name, small.version) == ("nn.SpatialBatchNormalization", 1)
    deviation = small.fields["running_std"]
    assert isinstance(deviation, Tensor)
    assert deviation.array().tolist() == [0.5, 1, 2]
