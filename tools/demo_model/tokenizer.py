"""Trains the demo model's tokenizer (SentencePiece BPE with byte fallback) on the same text, and builds prompts."""

import argparse
import io
import json
from pathlib import Path

import sentencepiece

PROMPT = "\nHuman:{}\n\nAssistant:"
EOS = 2
USER_DEFINED = ["\n", ":"]


def prompt(question):
    return PROMPT.format(question)


def load(work):
    return sentencepiece.SentencePieceProcessor(model_file=str(Path(work) / "tokenizer.model"))


def train(entries, vocab_size):
    """Newline and colon never merge with their neighbours, so prompt and answer can be tokenised one by one."""
    text = [prompt(form) + entry["answer"] for entry in entries for form in entry["forms"]]
    text += [chr(code) for code in range(0x21, 0x7F)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for sample in text for line in sample.split("\n")), model_writer=model,
        model_type="bpe", vocab_size=vocab_size, character_coverage=1.0, byte_fallback=True, split_digits=True,
        normalization_rule_name="identity", add_dummy_prefix=False, remove_extra_whitespaces=False,
        max_sentencepiece_length=4, user_defined_symbols=USER_DEFINED, minloglevel=2,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1)
    return model.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder with questions.json, and for the result")
    parser.add_argument("--vocab", type=int, default=3328)
    arguments = parser.parse_args()
    entries = json.loads((arguments.work / "questions.json").read_text(encoding="utf-8"))
    (arguments.work / "tokenizer.model").write_bytes(train(entries, arguments.vocab))
    processor = load(arguments.work)
    for entry in entries:
        ids = processor.encode(entry["answer"])
        assert processor.decode(ids) == entry["answer"] and 0 not in ids
        whole = processor.encode(prompt(entry["forms"][0]) + entry["answer"])
        assert whole == processor.encode(prompt(entry["forms"][0])) + ids
    print(processor.vocab_size(), "pieces")


if __name__ == "__main__":
    main()
