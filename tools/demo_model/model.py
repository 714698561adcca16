"""The Baichuan-13B architecture in PyTorch, for training only.

RMSNorm, causal self-attention with ALiBi (no rotary embedding), SwiGLU, no biases, untied head. q, k, v are one
matrix here (Baichuan's W_pack), gate and up likewise; export_gguf.py separates them.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


def alibi_slopes(heads):
    """Slopes of Press et al. for any head count: a geometric series, then every other entry of the finer series."""
    n = 2 ** int(math.floor(math.log2(heads)))
    slopes = [2 ** (-8 * (i + 1) / n) for i in range(n)]
    slopes += [2 ** (-4 * (2 * i + 1) / n) for i in range(heads - n)]
    return torch.tensor(slopes)


def alibi_mask(heads, length):
    """Additive attention bias [heads, length, length]: -slope * (i - j), minus infinity above the diagonal."""
    position = torch.arange(length)
    distance = (position[:, None] - position[None, :]).float()
    bias = -alibi_slopes(heads)[:, None, None] * distance
    return bias.masked_fill(distance < 0, float("-inf"))


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, ffn = config["width"], config["ffn"]
        self.heads = config["heads"]
        self.attn_norm = RMSNorm(width, config["eps"])
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_output = nn.Linear(width, width, bias=False)
        self.ffn_norm = RMSNorm(width, config["eps"])
        self.ffn_gate_up = nn.Linear(width, 2 * ffn, bias=False)
        self.ffn_down = nn.Linear(ffn, width, bias=False)

    def attention(self, x, mask):
        batch, length, width = x.shape
        qkv = self.attn_qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + mask, dim=-1)
        return self.attn_output((weights @ v).transpose(1, 2).reshape(batch, length, width))

    def feed_forward(self, x):
        gate, up = self.ffn_gate_up(x).chunk(2, dim=-1)
        return self.ffn_down(F.silu(gate) * up)

    def forward(self, x, mask):
        x = x + self.attention(self.attn_norm(x), mask)
        return x + self.feed_forward(self.ffn_norm(x))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config["vocab"], config["width"])
        self.blk = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.output_norm = RMSNorm(config["width"], config["eps"])
        self.output = nn.Linear(config["width"], config["vocab"], bias=False)
        self.initialise()

    def initialise(self):
        std = self.config["width"] ** -0.5
        residual_std = std / math.sqrt(2 * self.config["layers"])
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                is_residual = "attn_output" in name or "ffn_down" in name
                nn.init.normal_(parameter, std=residual_std if is_residual else std)

    def forward(self, ids, keep=None):
        """Logits for ids [batch, length]; with keep (a boolean mask of the same shape) only at those positions.

        Sequences are padded on the right, so the causal mask is all the masking they need.
        """
        mask = alibi_mask(self.config["heads"], ids.shape[1])
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, mask)
        x = self.output_norm(x)
        return self.output(x if keep is None else x[keep])
