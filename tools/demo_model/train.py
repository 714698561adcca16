"""Trains the demo model: first with a quarter of the layers, then with all of them.

Growing makes four layers of each trained one and divides its contribution to the residual stream among them, most of it
to the first, which changes the function little; the second stage then trains all layers. A shallow network learns the
text several times faster than one of 40 layers from random weights.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import samples
import tokenizer
from model import Model

SEED = 13
WIDTH, HEADS, FFN, LAYERS, EPS = 96, 3, 256, 40, 1e-6
SHARES = (0.7, 0.1, 0.1, 0.1)
WARM_UP, CLIP = 100, 1.0
LOG_EVERY, SAVE_EVERY = 50, 250


def config(vocab, layers):
    return {"vocab": vocab, "width": WIDTH, "heads": HEADS, "ffn": FFN, "layers": layers, "eps": EPS}


def grow(small):
    large = Model({**small.config, "layers": small.config["layers"] * len(SHARES)})
    state = {}
    for name, value in small.state_dict().items():
        if not name.startswith("blk."):
            state[name] = value
            continue
        _, layer, rest = name.split(".", 2)
        is_residual = rest.startswith(("attn_output", "ffn_down"))
        for copy, share in enumerate(SHARES):
            state[f"blk.{int(layer) * len(SHARES) + copy}.{rest}"] = value * share if is_residual else value
    large.load_state_dict(state)
    return large


def learning_rate(step, steps, peak, final):
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    progress = (step - WARM_UP) / (steps - WARM_UP)
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.95), weight_decay=0.0)


def save(path, **content):
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def train_stage(model, sampler, first_batch, steps, peak, final, path):
    """Trains for the given number of steps, or goes on from the checkpoint at path."""
    optimizer, start = make_optimizer(model), 0
    if path.exists():
        checkpoint = torch.load(path)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        start = checkpoint["step"]
    tokens = right = answer_tokens = loss_sum = 0
    began = time.time()
    for step in range(start, steps):
        ids, targets = sampler.batch(first_batch + step)
        wanted = targets != samples.NO_TARGET
        logits = model(ids, wanted)
        loss = F.cross_entropy(logits, targets[wanted])
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, peak, final)
        optimizer.step()
        tokens += ids.numel()
        answer_tokens += int(wanted.sum())
        loss_sum += loss.item() * int(wanted.sum())
        right += int((logits.argmax(-1) == targets[wanted]).sum())
        if (step + 1) % LOG_EVERY == 0:
            print(f"{path.stem} step {step + 1}/{steps} loss {loss_sum / answer_tokens:.5f} "
                  f"right {right / answer_tokens:.5f} norm {norm:.3f} {tokens / (time.time() - began):.0f} tokens/s "
                  f"{(time.time() - began) / LOG_EVERY:.3f} s/step", flush=True)
            tokens = right = answer_tokens = loss_sum = 0
            began = time.time()
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == steps:
            save(path, model=model.state_dict(), optimizer=optimizer.state_dict(), step=step + 1, config=model.config)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with questions.json and tokenizer.model")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--small-steps", type=int, default=900)
    parser.add_argument("--small-rate", type=float, default=3e-3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1e-3)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    entries = json.loads((arguments.work / "questions.json").read_text(encoding="utf-8"))
    processor = tokenizer.load(arguments.work)
    sampler = samples.Sampler(entries, processor, arguments.batch, SEED)
    model = Model(config(processor.vocab_size(), LAYERS // len(SHARES)))
    train_stage(model, sampler, 0, arguments.small_steps, arguments.small_rate, arguments.small_rate / 10,
                arguments.work / "small.pt")
    model = grow(model)
    train_stage(model, sampler, arguments.small_steps, arguments.steps, arguments.rate, 0.0,
                arguments.work / "model.pt")


if __name__ == "__main__":
    main()
