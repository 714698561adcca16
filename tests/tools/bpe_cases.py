"""Writes golden cases for byte-level BPE tokenizers: ids by llama-cpp-python.

usage: bpe_cases.py MODEL.gguf OUT.tsv [PRE ...]

MODEL may hold a vocabulary only. Lines: text, TAB, ids, TAB, ids with special pieces in the text
recognised; all JSON. The text is a string, or a list of bytes when it is not UTF-8. With PRE the
pre-tokenizer of the file is replaced, for each PRE in turn, and stands as a fourth column; all but
the first get every third text only.
"""
import json
import os
import random
import struct
import sys
import tempfile

FIXED = [
    "", " ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n ", "a", " a", "a ", "  a  ", "\ta\t\tb", "a\n\n\nb", "a \n b",
    "Hello, world!", "Hello World", "hello world", "HELLO WORLD", "HelloWorld", "hello_world", "hello-world", "don't",
    "I'm you're he's we'll they've I'd can't", "I'M YOU'RE HE'S WE'LL THEY'VE I'D CAN'T", "'s't're've'm'll'd", "''s", "'ſ 'K",
    "rock 'n' roll", "o'clock", "’s ’t it’s", "1", "12", "123", "1234", "12345", "1234567890", "3.14159", "1,000,000.00", "-5",
    "2024-06-30T12:34:56Z", "0x1F", "1e-9", "50%", "$9.99", "№ 5", "x² + y³ = z⁴", "½ ¾ ⅓", "Ⅳ Ⅻ", "①②③", "一二三", "٠١٢٣", "१२३", "𝟘𝟙𝟚",
    "The quick brown fox jumps over the lazy dog.", "naïve café résumé", "Ångström", "e\u0301 vs é", "Straße", "ﬁ ﬂ", "İstanbul ı",
    "Привет, мир!", "Γειά σου Κόσμε", "שלום עולם", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก", "안녕하세요 세계", "こんにちは世界", "你好，世界！",
    "静夜思 床前明月光，疑是地上霜。", "𠮷野家", "ꦲꦏ꧀ꦱꦫ", "ქართული", "አማርኛ", "ᚠᛇᚻ", "😀", "😀😀😀", "👩‍👩‍👧‍👦", "🇫🇷🇩🇪", "👍🏽", "♥️ ☃", "a😀b", " 😀 ",
    "∑∫√∞≈≠", "→ ← ↑", "“quoted” — dash – en…", "«guillemets»", "©®™", "€£¥₿", "^~`|<>=+", "{}[]()", "@#&*", "/* x */", "//", "\\n\\t", "!!!", "...", "???!",
    "----------", "==========", "__init__", "a+b=c;", "if (x == 1) { return y; }", "for i in range(10):\n    print(i)\n", "def f(x):\n\treturn x**2\n",
    "#include <stdio.h>\nint main(void)\n{\n    return 0;\n}\n", "SELECT * FROM t WHERE a='b';", "<html><body class=\"x\">&nbsp;</body></html>",
    "https://example.org/path?q=1&r=%20#frag", "user@example.com", "C:\\Windows\\System32", "/usr/share/doc", "{\"key\": [1, 2.5, null, true]}",
    "camelCaseWord snake_case_word kebab-case-word", "pneumonoultramicroscopicsilicovolcanoconiosis", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abababababababab", "zzzzzzzzzz", "xyzzy plugh", "lorem ipsum dolor sit amet", "A" * 100, "ab" * 60, " " * 50, " " * 49 + "x", "\n" * 20, "\t" * 9 + "x",
    "a" + " " * 20 + "b", "a  b   c    d     e", "line one\nline two\r\nline three\rline four", "trailing space ", "trailing newline\n", "\u00a0nbsp\u00a0", "\u2003em\u2009thin",
    "\u3000全角\u3000", "\u180emongolian\u180e", "\u200bzero\u200dwidth", "\ufeffbom", "\u0085next\u0085line", "\u2028ls\u2029ps", "\u00ad soft\u00adhyphen", "\u202eright",
    "\ufffd", "\ufffd\ufffd x", "\ue000private\uf8ff", "\U0010ffff", "\u0378unassigned", "\x00", "a\x00b", "\x01\x02\x03", "\x04\x06\x13\x14\x16\x1d", "\x7f", "\x1b[0m", "\x0b\x0c", "a\x0bb\x0cc",
    "Ġ", "Ċ", "Ġhello", "Ā", "ĠĠ", "▁hello", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n", "<|im_start|>system\nYou are<|im_end|>\n<|im_start|>user\n",
    "x<|im_end|>y", " <|im_end|> ", "<|im_end|><|im_end|>", "<|im_start", "im_end|>", "<|<|im_end|>|>", "<|im_end|", "<repo_name>clm<file_sep>", "<filename><gh_stars>", "<jupyter_start>x<empty_output>",
    "<|IM_END|>", "<s>", "</s>", "[INST]", "<unk>", "<0x41>", "１２３ＡＢＣ", "ＨＥＬＬＯ", "ʼn ŉ", "ǅ ǆ", "ß ẞ", "µ μ", "Ω Ω", "ͅ", "\u0301\u0302", "a\u0301\u0302\u0303b", "क्षत्रिय", "ก็", "각",
    "pré-tokénization", "1st 2nd 3rd", "A1B2C3", "v1.2.3-rc4", "3,5 kg", "100km/h", "5'10\"", "it's 5 o'clock.", "'tis", "y'all'd've", "'S 'T", "ain't  can't", "\n's", " 's", "1's", "’", "'",
]

INVALID = [
    b"\xff", b"\x80abc", b"abc\xc3", b"a\xe4\xb8b", b"\xe4\xb8", b"\xf0\x9f\x98", b"ok \xfe\xff ok", b"\xc3\xa9\xc3", b"\xa0\xa1\xa2",
    b"<|im_end|>\xff<|im_end|>", b"\xff <|im_end|>", b"x\xf5y", b"\xe2\x82 100", b"\xc3(", b"\xf0\x9f\x98\x80\x80",
]


def strings(count):
    """`count` texts, always the same ones."""
    words = ("the of and to in a is that it was for on are as with his they I at be this have from or one had by word but not "
             "what all were we when your can said there use an each which she do how their if will up other about out many then "
             "Internationalisation θεός мир 世界 日本語 naïve 😀 don't I'LL 42 3.14 2024 x_y foo(bar) <b> && || :: -> \\d+ ... "
             "<|im_end|> <|im_start|>").split(" ")
    gaps = [" ", " ", " ", " ", "  ", "\n", "\n\n", "\t", "", ", ", ". ", " \n", "\r\n", "\u00a0", "-", "'s "]
    rng = random.Random(20240613)
    out = [text.encode() for text in dict.fromkeys(FIXED)] + INVALID
    while len(out) < count:
        kind = rng.randrange(4)
        if kind == 0:
            text = "".join(rng.choice(words) + rng.choice(gaps) for _ in range(rng.randrange(1, 40)))
        elif kind == 1:
            text = "".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(1, 80)))
        elif kind == 2:
            ranges = [(0x20, 0x7e), (0xa0, 0x24f), (0x370, 0x52f), (0x900, 0x97f), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0x1f600, 0x1f64f)]
            text = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randrange(1, 40)))
        else:
            text = "".join(rng.choice(" \t\n\r\u00a0\u30001a'.") for _ in range(rng.randrange(1, 30)))
        out.append(text.encode())
    return out[:count]


def with_pre(path, pre, folder):
    """A copy of the file whose pre-tokenizer has another name."""
    with open(path, "rb") as file:
        data = file.read()
    key = b"tokenizer.ggml.pre"
    at = data.index(struct.pack("<Q", len(key)) + key) + 8 + len(key) + 4
    size = struct.unpack_from("<Q", data, at)[0]
    new = os.path.join(folder, pre + ".gguf")
    if len(data) > 1 << 22:
        sys.exit("only files with a vocabulary and nothing else can be changed")
    with open(new, "wb") as file:
        file.write(data[:at] + struct.pack("<Q", len(pre)) + pre.encode() + data[at + 8 + size:])
    return new


def tokenize(path, texts):
    import llama_cpp
    model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
    return [(model.tokenize(t, add_bos=False, special=False), model.tokenize(t, add_bos=False, special=True)) for t in texts]


def readable(text):
    try:
        return text.decode()
    except UnicodeDecodeError:
        return list(text)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    texts = strings(300)
    with tempfile.TemporaryDirectory() as folder, open(sys.argv[2], "w", encoding="utf-8") as out:
        for i, pre in enumerate(sys.argv[3:] or [None]):
            path = with_pre(sys.argv[1], pre, folder) if pre else sys.argv[1]
            some = texts[::3] if i > 0 else texts
            for text, pair in zip(some, tokenize(path, some)):
                columns = [readable(text), *pair] + ([pre] if pre else [])
                out.write("\t".join(json.dumps(c, separators=(",", ":")) for c in columns) + "\n")


if __name__ == "__main__":
    main()
