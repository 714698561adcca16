"""OpenVINO's CPU plugin on the same shape: a stateful graph as its exporters make it. A child of compare_peers.py.

Matrices are 4-bit with zero points and one scale for 128 values (8-bit: the head), decompressed in the graph by
convert, subtract, multiply, reshape, convert, which the plugin folds into its products; keys and values are states.
There is no file: weights are random. The model given is looked at for its number of layers only.
"""
import argparse
import re

import numpy
import openvino
from openvino import opset13 as op

import model_file as shape
import workload

GROUP = 128
HEAD_SIZE = shape.WIDTH // shape.HEADS


def constant(value, kind=numpy.float32):
    return op.constant(numpy.array(value, dtype=kind))


class Builder:
    def __init__(self, layers):
        self.random = numpy.random.default_rng(20240817)
        self.sinks = []
        self.kept = []  # memory that constants share
        self.ids = op.parameter([-1, -1], openvino.Type.i64, name="input_ids")
        self.positions = op.parameter([-1, -1], openvino.Type.i64, name="position_ids")
        self.mask = op.parameter([-1, 1, -1, -1], openvino.Type.f32, name="mask")
        self.beam = op.parameter([-1], openvino.Type.i32, name="beam_idx")
        self.batch = op.gather(op.shape_of(self.ids), constant([0], numpy.int64), constant(0, numpy.int64))
        self.cos, self.sin = self.rotation()
        some = self.random.normal(0, 1, 65521).astype(numpy.float16)
        table = numpy.resize(some, (shape.VOCAB, shape.WIDTH))
        x = op.convert(op.gather(op.constant(table, openvino.Type.f16), self.ids, constant(0, numpy.int64)), "f32")
        for layer in range(layers):
            x = self.layer(x, layer)
        last = op.slice(self.norm(x), constant([-1], numpy.int64), constant([2**31 - 1], numpy.int64),
                        constant([1], numpy.int64), constant([1], numpy.int64))
        logits = self.linear(last, shape.VOCAB, shape.WIDTH, bits=8)
        self.model = openvino.Model([op.result(logits)], self.sinks, [self.ids, self.positions, self.mask, self.beam])

    def linear(self, x, rows, columns, bits=4):
        group = GROUP if bits == 4 else columns
        dims = [rows, columns // group, group]
        kind = openvino.Type.u4 if bits == 4 else openvino.Type.u8
        packed = self.random.integers(0, 256, rows * columns * bits // 8, dtype=numpy.uint8)
        weights = op.constant(openvino.Tensor(packed, openvino.Shape(dims), kind))
        zeros = numpy.full(rows * dims[1] * bits // 8, 0x88 if bits == 4 else 0x80, numpy.uint8)
        zero = op.constant(openvino.Tensor(zeros, openvino.Shape([rows, dims[1], 1]), kind))
        self.kept += [packed, zeros]
        scale = self.random.uniform(0.75, 1.25, (rows, dims[1], 1)) * shape.SIGMA / (4.61 if bits == 4 else 73.9)
        value = op.subtract(op.convert(weights, "f16"), op.convert(zero, "f16"))
        value = op.multiply(value, op.constant(scale.astype(numpy.float16), openvino.Type.f16))
        value = op.reshape(value, constant([rows, columns], numpy.int64), False)
        return op.matmul(x, op.convert(value, "f32"), False, True)

    def norm(self, x):
        square = op.power(x, constant(2.0))
        mean = op.reduce_mean(square, constant([-1], numpy.int64), True)
        scaled = op.multiply(x, op.divide(constant(1.0), op.sqrt(op.add(mean, constant(1e-6)))))
        return op.multiply(scaled, op.constant(numpy.ones(shape.WIDTH, numpy.float32)))

    def rotation(self):
        steps = 1.0 / 10000 ** (numpy.arange(0, HEAD_SIZE, 2, dtype=numpy.float32) / HEAD_SIZE)
        place = op.unsqueeze(op.convert(self.positions, "f32"), constant(1, numpy.int64))
        angles = op.transpose(op.matmul(op.constant(steps.reshape(1, -1, 1)), place, False, False),
                              constant([0, 2, 1], numpy.int64))
        angles = op.concat([angles, angles], -1)
        one = constant(1, numpy.int64)
        return op.unsqueeze(op.cos(angles), one), op.unsqueeze(op.sin(angles), one)

    def rotate(self, x):
        low, high = op.variadic_split(x, constant(3, numpy.int64), constant([HEAD_SIZE // 2] * 2, numpy.int64)).outputs()
        turned = op.concat([op.multiply(high, constant(-1.0)), low], -1)
        return op.add(op.multiply(x, self.cos), op.multiply(turned, self.sin))

    def heads(self, x):
        split = op.reshape(x, constant([0, 0, shape.HEADS, HEAD_SIZE], numpy.int64), True)
        return op.transpose(split, constant([0, 2, 1, 3], numpy.int64))

    def remember(self, new, name):
        """All keys (or values) so far, and these behind."""
        dims = op.concat([self.batch, constant([shape.HEADS], numpy.int64), constant([0], numpy.int64),
                          constant([HEAD_SIZE], numpy.int64)], 0)
        start = op.broadcast(constant(0.0), dims)
        info = openvino.op.util.VariableInfo()
        info.data_shape = openvino.PartialShape([-1, shape.HEADS, -1, HEAD_SIZE])
        info.data_type = openvino.Type.f32
        info.variable_id = name
        variable = openvino.op.util.Variable(info)
        past = op.gather(op.read_value(start, variable), self.beam, constant(0, numpy.int64))
        both = op.concat([past, new], 2)
        self.sinks.append(op.assign(both, variable))
        return both

    def layer(self, x, layer):
        width, ffn = shape.WIDTH, shape.FFN
        h = self.norm(x)
        query = self.rotate(self.heads(self.linear(h, width, width)))
        key = self.remember(self.rotate(self.heads(self.linear(h, width, width))), f"past_key_values.{layer}.key")
        value = self.remember(self.heads(self.linear(h, width, width)), f"past_key_values.{layer}.value")
        seen = op.scaled_dot_product_attention(query, key, value, self.mask)
        flat = op.reshape(op.transpose(seen, constant([0, 2, 1, 3], numpy.int64)), constant([0, 0, width], numpy.int64), True)
        x = op.add(x, self.linear(flat, width, width))
        h = self.norm(x)
        gated = op.multiply(op.swish(self.linear(h, ffn, width)), self.linear(h, ffn, width))
        return op.add(x, self.linear(gated, width, ffn))


class Engine:
    def __init__(self, layers, threads, options):
        core = openvino.Core()
        self.builder = Builder(layers)
        self.request = core.compile_model(self.builder.model, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                                                         "PERFORMANCE_HINT": "LATENCY", **options}).create_infer_request()
        self.position = 0

    def feed(self, n):
        place = numpy.arange(self.position, self.position + n, dtype=numpy.int64)
        ids = 259 + place * 7919 % 60000
        mask = numpy.where(numpy.arange(self.position + n) <= place[:, None], 0.0, -numpy.inf).astype(numpy.float32)
        result = self.request.infer({"input_ids": ids[None], "position_ids": place[None], "mask": mask[None, None],
                                     "beam_idx": numpy.zeros(1, numpy.int32)})
        if not numpy.isfinite(next(iter(result.values()))[0, -1, 0]):
            raise SystemExit("OpenVINO's logits are not numbers")
        self.position += n

    def rewind(self, n):
        return n == self.position  # its states have no shorter form

    def clear(self):
        self.request.reset_state()
        self.position = 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--precision", choices=["default", "f32"], default="default")
    arguments = parser.parse_args()
    workload.raise_priority()
    options = {}
    if arguments.precision == "f32":
        options = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP}
    layers = int(re.search(r"-(\d+)-layers", arguments.model).group(1))
    engine = Engine(layers, arguments.threads, options)
    workload.serve(engine, openvino.get_version().split("-")[0], f"u4 group {GROUP}, {arguments.precision}")


if __name__ == "__main__":
    main()
