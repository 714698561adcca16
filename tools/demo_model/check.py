"""Checks the finished GGUF: every question, and two-round conversations, under greedy decoding.

All questions are run with their expected answer behind them: greedy decoding gives that answer exactly when the largest
logit is the expected token at every position of it, so one pass decides and also yields the smallest distance to the
second-largest logit. Questions that fail, and the reference cases of greedy.json, are decoded token by token.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np

import tokenizer
from gguf_model import Model

BATCH = 128
PAIRS = 600
LONGEST_ANSWER = 250
REFERENCE = [
    ["世界上第二高的山峰是哪座"], ["静夜思"], ["请背诵王之涣的《凉州词》"], ["“床前明月光”的下一句是什么"],
    ["你会什么"], ["What can you do?"], ["clm是什么？"], ["今天天气怎么样"], ["相见时难别亦难"],
    ["世界上第二高的山峰是哪座？", "登鹳雀楼"], ["What is OpenCL?", "背诵《春晓》"],
]


def encode(vocabulary, rounds):
    """Ids, and the wanted next token where one is wanted (-1 elsewhere), of a list of (question, answer)."""
    ids, wanted = [], []
    for question, answer in rounds:
        prompt_ids, answer_ids = vocabulary.encode(tokenizer.prompt(question)), vocabulary.encode(answer)
        ids += prompt_ids + answer_ids
        wanted += [-1] * (len(prompt_ids) - 1) + answer_ids + [tokenizer.EOS]
    return ids, wanted


def run(model, conversations):
    """For each conversation: whether every answer is exact, and the smallest gap between the two largest logits."""
    encoded = [encode(model.vocabulary, rounds) for rounds in conversations]
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index][0]))
    exact, gap = [False] * len(encoded), [0.0] * len(encoded)
    for start in range(0, len(order), BATCH):
        chosen = order[start:start + BATCH]
        ids = np.zeros((len(chosen), len(encoded[chosen[-1]][0])), dtype=np.int64)
        for row, index in enumerate(chosen):
            ids[row, :len(encoded[index][0])] = encoded[index][0]
        hidden = model.hidden(ids)
        for row, index in enumerate(chosen):
            wanted = np.array(encoded[index][1])
            positions = np.flatnonzero(wanted >= 0)
            logits = model.logits(hidden[row, positions])
            largest = np.sort(np.partition(logits, -2)[:, -2:])
            exact[index] = bool((logits.argmax(-1) == wanted[positions]).all())
            gap[index] = float((largest[:, 1] - largest[:, 0]).min())
    return exact, gap


def decode(model, ids):
    """Greedy decoding, recomputing everything for every token; the answer's ids end with </s>."""
    answer = []
    while len(answer) < LONGEST_ANSWER and tokenizer.EOS not in answer:
        hidden = model.hidden(np.array([ids + answer]))
        answer.append(int(model.logits(hidden[0, -1]).argmax()))
    return answer


def report(name, model, conversations):
    exact, gap = run(model, conversations)
    worst = min(range(len(gap)), key=gap.__getitem__)
    print(f"{name}: {sum(exact)} of {len(exact)} exact; smallest gap {gap[worst]:.3f} at "
          f"{conversations[worst][-1][0]!r}; 1st percentile of gaps {np.percentile(gap, 1):.3f}", flush=True)
    for rounds, is_exact in zip(conversations, exact):
        if not is_exact:
            ids, _ = encode(model.vocabulary, rounds)
            answer_length = len(model.vocabulary.encode(rounds[-1][1]))
            print("  not exact:", [question for question, _ in rounds],
                  repr(model.vocabulary.decode(decode(model, ids[:-answer_length]))), flush=True)
    return all(exact)


def reference_cases(model):
    """Each case: the last question, the rounds before it, the prompt's ids, the answer's ids with </s>, the answer."""
    cases = []
    for questions in REFERENCE:
        ids, history = [], []
        for question in questions:
            prompt_ids = ids + model.vocabulary.encode(tokenizer.prompt(question))
            answer_ids = decode(model, prompt_ids)
            answer = model.vocabulary.decode(answer_ids)
            case = {"question": question, "history": list(history), "prompt_ids": prompt_ids, "ids": answer_ids,
                    "answer": answer}
            history.append([question, answer])
            ids = prompt_ids + [token for token in answer_ids if token != tokenizer.EOS]
        cases.append(case)
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with questions.json and tokenizer.model")
    parser.add_argument("--model", required=True, help="the GGUF file")
    parser.add_argument("--half-cache", action="store_true", help="round keys and values to float16")
    parser.add_argument("--references", type=Path, help="where to write greedy.json")
    arguments = parser.parse_args()
    entries = json.loads((arguments.work / "questions.json").read_text(encoding="utf-8"))
    pairs = [(form, entry["answer"]) for entry in entries for form in entry["forms"]]
    model = Model(arguments.model, arguments.half_cache)

    processor = tokenizer.load(arguments.work)
    texts = sorted({tokenizer.prompt(question) + answer for question, answer in pairs})
    assert all(model.vocabulary.encode(text) == processor.encode(text) for text in texts)
    print(f"vocabulary: {len(texts)} texts encoded as by SentencePiece")

    generator = random.Random(1)
    good = report("one round", model, [[pair] for pair in pairs])
    good &= report("two rounds", model, [generator.choices(pairs, k=2) for _ in range(PAIRS)])
    if arguments.references:
        cases = reference_cases(model)
        arguments.references.write_text(json.dumps(cases, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        for case in cases:
            print(repr(case["question"]), "->", repr(case["answer"]))
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
