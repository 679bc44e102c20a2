"""What runs a network: ONNX Runtime on the CPU, torch on GPUs and for weights that have no graph."""

from vrn.engine.batch import Batching
from vrn.engine.choice import ENGINES, PRECISIONS, Engine, choose
from vrn.engine.graph import Graph, open_graph

__all__ = ["ENGINES", "PRECISIONS", "Batching", "Engine", "Graph", "choose", "open_graph"]
