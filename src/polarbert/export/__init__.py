"""PyTorch -> ONNX graph -> static int8, each step proved against the last. Needs the extra `[train]`."""
