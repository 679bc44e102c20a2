"""Torch7 files (.t7), read without Lua: `load` gives plain values, tensors stay mapped in the file."""

from vrn.official.torch7.reader import load
from vrn.official.torch7.values import Function, Object, Storage, Table, Tensor, Value

__all__ = ["Function", "Object", "Storage", "Table", "Tensor", "Value", "load"]
