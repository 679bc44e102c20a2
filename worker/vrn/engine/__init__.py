"""What runs a network: ONNX Runtime on the CPU, torch on GPUs and for weights that have no graph."""

from vrn.engine.choice import ENGINES, Engine, choose
from vrn.engine.graph import Graph, open_graph

__all__ = ["ENGINES", "Engine", "Graph", "choose", "open_graph"]
