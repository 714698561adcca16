#!/usr/bin/env python3
"""Cuts the texts of docs/quantisation.md's table of perplexities out of Debian packages.

Usage: perplexity_texts.py PACKAGES OUT
PACKAGES  a folder with debian-faq, dict-foldoc, dict-gcide, debian-policy and vim-runtime unpacked (dpkg -x)
OUT       receives NAME.txt: paragraphs of more than 60 characters, each on one line, 60,000 characters at most

The model's own text is `clm generate --temperature 1 --top-p 1 --top-k 0 --min-p 0 --repetition-penalty 1 -n 450 --seed I`
behind the I-th line of perplexity_prompts.txt, one after another with an empty line between.
"""
import glob
import gzip
import html
import os
import re
import sys

LONGEST, SHORTEST_PARAGRAPH = 60000, 60


def paragraphs(text):
    folded = (re.sub(r"\s+", " ", p).strip() for p in re.split(r"\n\s*\n", text))
    return "\n\n".join(p for p in folded if len(p) > SHORTEST_PARAGRAPH)


def html_text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = re.sub(r"(?s)<(script|style|pre|table).*?</\1>", "", file.read())
    found = re.findall(r'(?s)<(?:p|div class="para")[^>]*>(.*?)</(?:p|div)>', text)
    return "\n\n".join(re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", "", p))).strip() for p in found)


def plain(path):
    opener = gzip.open if path.endswith((".gz", ".dz")) else open
    with opener(path, "rt", encoding="utf-8", errors="replace") as file:
        return file.read()


def main():
    packages, out = sys.argv[1:]

    def files(pattern):
        found = sorted(glob.glob(os.path.join(packages, "**", pattern), recursive=True))
        if not found:
            raise SystemExit(f"nothing in {packages} is like {pattern}")
        return found

    texts = {
        "faq": "\n\n".join(html_text(path) for path in files("FAQ/*.en.html")),
        "vim": "\n\n".join(plain(path) for path in files("doc/usr_[01]*.txt")),
        "foldoc": plain(files("foldoc.dict.dz")[0])[400000:],
        "gcide": plain(files("gcide.dict.dz")[0])[2000000:],
        "policy": plain(files("policy.txt.gz")[0])[60000:],
        "gpl3": plain("/usr/share/common-licenses/GPL-3"),
    }
    for name, text in texts.items():
        with open(os.path.join(out, name + ".txt"), "w", encoding="utf-8") as file:
            file.write(paragraphs(text)[:LONGEST])


if __name__ == "__main__":
    main()
