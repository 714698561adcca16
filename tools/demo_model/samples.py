"""Training samples: conversations of one to three rounds, as token ids and the wanted next tokens in the answers."""

import random

import torch

import tokenizer

NO_TARGET = -100
KIND_WEIGHT = {"poem": 1, "verse": 1, "author": 1, "qa": 2, "unknown": 2}
ROUNDS = (1, 2, 3)
ROUNDS_WEIGHT = (0.75, 0.2, 0.05)
BATCHES_PER_POOL = 8


def encode_rounds(processor, rounds):
    """Ids and targets of a conversation, a list of (question, answer).

    The runtime stops at </s> and does not keep it, so </s> is the target of each answer's last token but is not among
    the ids: the next prompt, or nothing, follows the answer.
    """
    ids, targets = [], []
    for question, answer in rounds:
        question_ids = processor.encode(tokenizer.prompt(question))
        answer_ids = processor.encode(answer)
        ids += question_ids + answer_ids
        targets += [NO_TARGET] * (len(question_ids) - 1) + answer_ids + [tokenizer.EOS]
    return ids, targets


def collate(samples):
    """Pads a list of (ids, targets) on the right, as two tensors."""
    length = max(len(ids) for ids, _ in samples)
    ids = torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in samples])
    targets = torch.tensor([targets + [NO_TARGET] * (length - len(targets)) for _, targets in samples])
    return ids, targets


class Sampler:
    """Random batches; batch number n depends on the seed and n only, so that training can resume anywhere.

    Samples are drawn for several batches at a time and sorted by length, which keeps the padding small.
    """

    def __init__(self, entries, processor, batch_size, seed):
        self.processor, self.batch_size, self.seed = processor, batch_size, seed
        self.pairs = [(form, entry["answer"]) for entry in entries for form in entry["forms"]]
        self.weights = [KIND_WEIGHT[entry["kind"]] for entry in entries for _ in entry["forms"]]
        self.pool_number, self.pool = None, None

    def make_pool(self, number):
        generator = random.Random(self.seed * 1_000_003 + number)
        samples = []
        for _ in range(self.batch_size * BATCHES_PER_POOL):
            count = generator.choices(ROUNDS, ROUNDS_WEIGHT)[0]
            samples.append(encode_rounds(self.processor, generator.choices(self.pairs, self.weights, k=count)))
        samples.sort(key=lambda sample: len(sample[0]))
        batches = [samples[i:i + self.batch_size] for i in range(0, len(samples), self.batch_size)]
        generator.shuffle(batches)
        return batches

    def batch(self, number):
        pool_number, index = divmod(number, BATCHES_PER_POOL)
        if pool_number != self.pool_number:
            self.pool_number, self.pool = pool_number, self.make_pool(pool_number)
        return collate(self.pool[index])
