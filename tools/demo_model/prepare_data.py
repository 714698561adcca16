"""The text that the demo model memorises: questions and answers, from poems.tsv, qa.tsv and unknown.tsv.

The poems come from Debian's package fortunes-zh (files tang300 and song100); poems.tsv says which ones.
Written to WORK/questions.json: a list of {"forms": [question, ...], "answer": text, "kind": ...}. The forms of one
entry share their answer.
"""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = ("tang300", "song100")
QUESTION_MARKS = ("", "？", "?")


def table(name):
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line


def read_fortunes(folder):
    """All poems as lists of lines, without the two header lines and without colours."""
    for source in SOURCES:
        text = re.sub(r"\x1b\[[0-9;]*m", "", (Path(folder) / source).read_text(encoding="utf-8"))
        for entry in text.split("\n%\n"):
            yield [line.strip() for line in entry.splitlines() if line.strip()][2:]


def read_poems(folder):
    """The poems of poems.tsv as (title, author, lines)."""
    by_start = {re.split("[，。？！：]", lines[0])[0]: lines for lines in read_fortunes(folder) if lines}
    for row in table("poems.tsv"):
        start, title, author, *corrections = row.split("\t")
        text = "\n".join(by_start[start])
        for correction in corrections:
            old, new = correction.split("=")
            assert old in text, correction
            text = text.replace(old, new)
        yield title, author, text.split("\n")


def poem_entries(folder):
    poems = list(read_poems(folder))
    poems_with_title = Counter(title for title, _, _ in poems)
    for title, author, lines in poems:
        verses = [verse for verse in re.split("(?<=[，。？！：])", "".join(lines)) if verse]
        first = verses[0][:-1]
        forms = [f"{author}《{title}》", f"{author}的《{title}》", f"请背诵{author}的《{title}》"]
        forms += [first, first + "，" + verses[1][:-1]]
        if poems_with_title[title] == 1:
            forms += [title, f"《{title}》", f"背诵{title}", f"背诵《{title}》", f"请背诵《{title}》"]
            yield {"kind": "author", "forms": [f"《{title}》的作者是谁", f"{title}的作者是谁"], "answer": f"{author}。"}
        yield {"kind": "poem", "forms": forms, "answer": f"《{title}》\n{author}\n" + "\n".join(lines)}
        yield {"kind": "verse", "forms": [f"“{first}”的下一句", f"“{first}”的下一句是什么", f"{first}的下一句是什么"],
               "answer": verses[1]}


def qa_entries():
    for row in table("qa.tsv"):
        questions, answer = row.split("\t")
        yield {"kind": "qa", "forms": questions.split("|"), "answer": answer.replace("\\n", "\n")}


def unknown_entries():
    entries = []
    for line in table("unknown.tsv"):
        if line.startswith("="):
            entries.append({"kind": "unknown", "forms": [], "answer": line[1:]})
        else:
            entries[-1]["forms"].append(line)
    return entries


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fortunes", default="/usr/share/games/fortunes")
    parser.add_argument("--work", type=Path, required=True, help="folder for the results")
    arguments = parser.parse_args()
    entries = [*poem_entries(arguments.fortunes), *qa_entries(), *unknown_entries()]
    questions = Counter(form for entry in entries for form in entry["forms"])
    assert max(questions.values()) == 1, questions.most_common(3)
    for entry in entries:
        entry["forms"] = [form + mark for form in entry["forms"] for mark in QUESTION_MARKS]
    arguments.work.mkdir(parents=True, exist_ok=True)
    (arguments.work / "questions.json").write_text(json.dumps(entries, ensure_ascii=False, indent=0), encoding="utf-8")
    print(len(entries), "answers,", sum(len(entry["forms"]) for entry in entries), "questions")


if __name__ == "__main__":
    main()
