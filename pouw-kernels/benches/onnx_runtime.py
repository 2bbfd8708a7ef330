"""Times ONNX Runtime's MatMulInteger on uint8 x int8, one thread, for `ratios.rs`.

Usage: onnx_runtime.py SIDE.  Prints one line with versions; then, for each line on stdin, the CPU seconds of one product.  Both
ways of giving B are timed, as an input and as a constant that the session packs once, and the faster one is printed.
"""
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


def session(side, b):
    a = helper.make_tensor_value_info("a", TensorProto.UINT8, [side, side])
    c = helper.make_tensor_value_info("c", TensorProto.INT32, [side, side])
    inputs, constants = [a], []
    if b is None:
        inputs.append(helper.make_tensor_value_info("b", TensorProto.INT8, [side, side]))
    else:
        constants.append(numpy_helper.from_array(b, "b"))
    node = helper.make_node("MatMulInteger", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "product", inputs, [c], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def main():
    side = int(sys.argv[1])
    random = np.random.default_rng(1)
    a = random.integers(0, 127, (side, side), dtype=np.uint8)
    b = random.integers(-63, 64, (side, side), dtype=np.int8)
    as_input, as_constant = session(side, None), session(side, b)
    # Outputs are bound, so that neither allocation nor copies are timed.
    bound = []
    for one, inputs in ((as_input, {"a": a, "b": b}), (as_constant, {"a": a})):
        binding = one.io_binding()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(value))
        out = ort.OrtValue.ortvalue_from_numpy(np.zeros((side, side), np.int32))
        binding.bind_ortvalue_output("c", out)
        bound.append((one, binding, out))
    print(f"onnxruntime {ort.__version__}, numpy {np.__version__}", flush=True)
    for _ in sys.stdin:
        seconds = []
        for one, binding, _ in bound:
            start = time.process_time()
            one.run_with_iobinding(binding)
            seconds.append(time.process_time() - start)
        print(min(seconds), flush=True)
    if side <= 2048:
        expected = a[:4].astype(np.int64) @ b.astype(np.int64)
        assert all(np.array_equal(out.numpy()[:4], expected) for _, _, out in bound), "ONNX Runtime is inexact here"


main()
