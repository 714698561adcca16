"""Reads a GGUF file of the Baichuan-13B kind and runs it in numpy; written from the formulas, apart from model.py.

Vocabulary.encode needs nothing but the file's own token list: SentencePiece's BPE with byte fallback.
"""

import gguf
import numpy as np

SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6


class Vocabulary:
    def __init__(self, reader):
        tokens, scores, types = (reader.fields["tokenizer.ggml." + key] for key in ("tokens", "scores", "token_type"))
        self.pieces = [bytes(tokens.parts[index]).decode("utf-8") for index in tokens.data]
        self.scores = [float(scores.parts[index][0]) for index in scores.data]
        self.types = [int(types.parts[index][0]) for index in types.data]
        self.normal, self.user_defined, self.bytes = (
            {piece: token for token, piece in enumerate(self.pieces) if self.types[token] == kind}
            for kind in (NORMAL, USER_DEFINED, BYTE))

    def encode(self, text):
        """Merges the neighbours with the highest score, the leftmost first; user-defined pieces stay alone."""
        text = text.replace(" ", SPACE)
        parts, position = [], 0
        while position < len(text):
            fixed = max((piece for piece in self.user_defined if text.startswith(piece, position)), key=len, default="")
            parts.append((fixed or text[position], bool(fixed)))
            position += len(fixed) or 1
        while True:
            best = None
            for index in range(len(parts) - 1):
                (left, left_fixed), (right, right_fixed) = parts[index], parts[index + 1]
                token = None if left_fixed or right_fixed else self.normal.get(left + right)
                if token is not None and (best is None or self.scores[token] > best[0]):
                    best = (self.scores[token], index, left + right)
            if best is None:
                break
            parts[best[1]:best[1] + 2] = [(best[2], False)]
        ids = []
        for piece, fixed in parts:
            token = self.user_defined[piece] if fixed else self.normal.get(piece)
            ids += [token] if token is not None else [self.bytes[f"<0x{byte:02X}>"] for byte in piece.encode("utf-8")]
        return ids

    def decode(self, ids):
        data = b""
        for token in ids:
            if self.types[token] == BYTE:
                data += bytes([int(self.pieces[token][3:5], 16)])
            elif self.types[token] not in (UNKNOWN, CONTROL):
                data += self.pieces[token].replace(SPACE, " ").encode("utf-8")
        return data.decode("utf-8", errors="replace")


class Model:
    """Float32 throughout; with half_cache, keys and values are rounded to float16 as in the runtime's cache."""

    def __init__(self, path, half_cache=False):
        reader = gguf.GGUFReader(path)
        self.half_cache = half_cache
        self.vocabulary = Vocabulary(reader)

        def number(key):
            field = reader.fields["baichuan." + key]
            return field.parts[field.data[0]][0]

        self.layers, self.heads = int(number("block_count")), int(number("attention.head_count"))
        self.eps = np.float32(number("attention.layer_norm_rms_epsilon"))
        self.weights = {tensor.name: self.dequantise(tensor) for tensor in reader.tensors}
        base = 1 << (self.heads.bit_length() - 1)
        slopes = [2.0 ** (-8.0 * i / base) for i in range(1, base + 1)]
        slopes += [2.0 ** (-4.0 * i / base) for i in range(1, 2 * base, 2)]
        self.slopes = np.array(slopes[:self.heads], dtype=np.float32)

    @staticmethod
    def dequantise(tensor):
        """Q8_0: blocks of a float16 scale and 32 signed bytes."""
        shape = [int(size) for size in reversed(tensor.shape)]
        if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
            return np.array(tensor.data, dtype=np.float32).reshape(shape)
        blocks = np.ascontiguousarray(tensor.data).view(np.uint8).reshape(-1, 34)
        scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
        return (scale * blocks[:, 2:].view(np.int8).astype(np.float32)).reshape(shape)

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.weights[name]

    def round_cache(self, x):
        return x.astype(np.float16).astype(np.float32) if self.half_cache else x

    def attention(self, x, layer, bias):
        batch, length, width = x.shape
        size = width // self.heads
        q, k, v = ((x @ self.weights[f"blk.{layer}.attn_{letter}.weight"].T).reshape(batch, length, self.heads, size)
                   .transpose(0, 2, 1, 3) for letter in "qkv")
        scores = q @ self.round_cache(k).transpose(0, 1, 3, 2) / np.float32(np.sqrt(size)) + bias
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ self.round_cache(v)
        mixed = mixed.transpose(0, 2, 1, 3).reshape(batch, length, width)
        return mixed @ self.weights[f"blk.{layer}.attn_output.weight"].T

    def feed_forward(self, x, layer):
        gate = x @ self.weights[f"blk.{layer}.ffn_gate.weight"].T
        up = x @ self.weights[f"blk.{layer}.ffn_up.weight"].T
        return (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"blk.{layer}.ffn_down.weight"].T

    def hidden(self, ids):
        """The last layer's output, normalised, for ids [batch, length] padded on the right."""
        i, j = np.indices((ids.shape[1],) * 2)
        bias = np.where(j > i, -np.inf, -self.slopes[:, None, None] * (i - j)).astype(np.float32)
        x = self.weights["token_embd.weight"][ids]
        for layer in range(self.layers):
            x = x + self.attention(self.norm(x, f"blk.{layer}.attn_norm.weight"), layer, bias)
            x = x + self.feed_forward(self.norm(x, f"blk.{layer}.ffn_norm.weight"), layer)
        return self.norm(x, "output_norm.weight")

    def logits(self, hidden):
        return hidden @ self.weights["output.weight"].T
