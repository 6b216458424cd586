"""Sentence generator: (spoken, written, class) samples, endless and seeded, and the held-out files.

    python generate.py --write      write heldout-seed.tsv and heldout-template.tsv beside this file
    python generate.py --show 40    print samples
"""

import argparse
import pathlib
import random
import re

from carriers import CLOSERS, COMMON, FUNCTION, NOUNS, OPENERS, PHRASES, SPECIAL, TRAPS
from spans import HELD_OUT, LABELS, TEMPLATES, day_of_month, grouped, month_day
from spoken import ONES, cardinal

HERE = pathlib.Path(__file__).resolve().parent
WORDS = [w for w in (HERE / "words.txt").read_text().split() if w not in SPECIAL]
TRAP_WORDS = "may march second point pound quarter half double minus plus percent dollars feet degrees first third past hundreds thousands million dot zero one two three five seven eight number room page line".split() + LABELS
HEADS = tuple(sorted(w for w in SPECIAL if len(w) > 2))
LOOKALIKES = [w for w in WORDS if w.startswith(HEADS)]  # "yardage", "tenant": words that begin like a special one
CLASSES = list(TEMPLATES)
CLASS_WEIGHTS = {"cardinal": 5, "ordinal": 3, "decimal": 3, "percent": 3, "measure": 5, "money": 6, "date": 7, "time": 6, "digits": 9}
ARTICLE = r"(^|\b)(a|an|the|this|our|his|my|some|only|all|another|every|last) $"
ROUND = ("hundred", "thousand", "million", "billion", "trillion")
WHOLE_MONEY = ("dollar", "dollars", "euro", "euros", "pound", "pounds", "sterling")
COINS = ("cent", "cents", "pence", "penny")
LINKS = set("at in since until".split())  # special words that may follow a span without changing it
HYPHEN = re.compile(r"\b(twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety) (one|two|three|four|five|six|seven|eight|nine|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)\b")


class Generator:
    """Samples from all templates but the held-out ones, or (held_out=True) only from those."""

    def __init__(self, seed, held_out=False):
        self.rng = random.Random(seed)
        self.held_out = held_out
        self.rows = {cls: [(w, fn, ctx) for w, name, fn, ctx in rows if (f"{cls}:{name}" in HELD_OUT) == held_out] for cls, rows in TEMPLATES.items()}
        self.classes = [c for c in CLASSES if self.rows[c]]
        self.weights = [CLASS_WEIGHTS[c] for c in self.classes]

    def sample(self):
        rng, kind = self.rng, self.rng.random()
        if self.held_out:
            kind *= 0.7
        if kind < 0.2:
            spoken, written, cls = self.bare()
        elif kind < 0.52:
            spoken, written, cls = self.sentence()
        elif kind < 0.7:
            spoken, written, cls = self.salad()
        elif kind < 0.75:
            spoken, written, cls = self.lead_in()
        else:
            spoken = written = self.plain()
            cls = "plain"
        if rng.random() < 0.04:
            spoken = self.hyphenate(spoken, written)
        return spoken, written, cls

    @staticmethod
    def hyphenate(spoken, written):
        """"twenty-five" for "twenty five", only where nothing of it stays as it is."""
        kept = set(written.split())
        return HYPHEN.sub(lambda m: m[0] if m[1] in kept or m[2] in kept else f"{m[1]}-{m[2]}", spoken)

    # ---- words

    def word(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.4:
            return rng.choice(COMMON)
        if kind < 0.44:
            word = rng.choice(LOOKALIKES) if kind < 0.42 else rng.choice(HEADS) + self.syllable() + rng.choice(["", self.syllable()])
            return "re" + word if word in SPECIAL else word
        if kind < 0.83:
            word = rng.choice(WORDS)
            return word + "'s" if rng.random() < 0.02 else word
        return self.made_up()

    def made_up(self):
        """A word that no list has: random letters, or syllables, as a name would be."""
        rng = self.rng
        if rng.random() < 0.4:
            return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.choice([2, 3, 4, 5, 6, 7, 8, 9])))
        word = "".join(self.syllable() for _ in range(rng.choice([1, 2, 2, 3, 4])))
        return word if word not in SPECIAL else word + "ski"

    def syllable(self):
        rng = self.rng
        onset = rng.choice("b c d f g h j k l m n p r s t v w z ch sh th br kr st tr qu x".split())
        vowel = rng.choice("a e i o u a e i o ai ee ou ia y".split())
        return onset + vowel + rng.choice(["", "", "n", "r", "s", "l", "m", "ck", "tt", "ng"])

    def filler(self, count):
        return [self.rng.choice(FUNCTION) if self.rng.random() < 0.4 else self.word() for _ in range(count)]

    # ---- spans

    def span(self, bare=False):
        rng = self.rng
        while True:
            cls = rng.choices(self.classes, self.weights)[0]
            rows = [r for r in self.rows[cls] if bare == (r[2] == "bare") or (bare and r[2] in ("any", "year", "label", "decade"))]
            if not rows:
                continue
            _, fn, ctx = rng.choices(rows, [r[0] for r in rows])[0]
            return cls, fn, ctx

    def phrase(self):
        """A span in a phrase that suits it: (spoken, written, class)."""
        rng = self.rng
        if rng.random() < 0.02 and not self.held_out:
            return self.date_then_count()
        cls, fn, ctx = self.span()
        texts = [t for context, rows in PHRASES[cls] if context == ctx for t in rows]
        text = rng.choice(texts)
        text = re.sub(r"\{(noun1|noun|adj|word)\}", lambda m: self.slot(m[1]), text)
        spoken, written, last = text, text, ""
        for _ in range(text.count("{x}")):
            a, b = self.unlike(fn, last)
            if a.startswith("a ") and re.search(ARTICLE, spoken.split("{x}")[0]):
                a = "one" + a[1:]
            spoken, written, last = spoken.replace("{x}", a, 1), written.replace("{x}", b, 1), a
        return spoken, written, cls

    def date_then_count(self):
        """"on july fourth three hundred people": a count right behind a date, one that can't be a year."""
        rng = self.rng
        date_said, date = rng.choice([day_of_month, month_day])(rng)
        n = rng.choice([rng.randint(2, 9), rng.randint(10, 99), rng.randint(101, 999), rng.randint(3, 90) * 1000])
        count = ONES[n] if n < 10 else grouped(n)
        tail = f"{self.slot('noun')} {self.word()}"
        return f"on {date_said} {cardinal(rng, n)} {tail}", f"on {date} {count} {tail}", "mixed"

    def unlike(self, fn, last):
        """A span that doesn't run together with the one before it ("three hundred" and "fifty")."""
        while True:
            a, b = fn(self.rng)
            if last.endswith(ROUND) and not a.startswith(last.split()[0]):
                continue
            if not (last.endswith(WHOLE_MONEY) and a.endswith(COINS)):
                return a, b

    def slot(self, name):
        rng = self.rng
        if name == "noun" and rng.random() < 0.5:
            return rng.choice(NOUNS)
        if name == "noun1" and rng.random() < 0.4:
            return rng.choice(COMMON)
        return self.word()

    # ---- samples

    def bare(self):
        cls, fn, _ = self.span(bare=True)
        spoken, written = fn(self.rng)
        return spoken, written, cls

    def lead_in(self):
        """Very short inputs: a phrase alone, or a word or two around it."""
        spoken, written, cls = self.phrase()
        if self.rng.random() < 0.5:
            extra = " ".join(self.filler(self.rng.randint(1, 2)))
            spoken, written = (f"{extra} {spoken}", f"{extra} {written}") if self.rng.random() < 0.6 else (f"{spoken} {extra}", f"{written} {extra}")
        return spoken, written, cls

    def join(self, parts):
        """One sample of several parts; a filler word where two of them might run together."""
        apart = parts[:1]
        for part in parts[1:]:
            before, after = apart[-1][0].split()[-1], part[0].split()[0]
            if before in SPECIAL and after in SPECIAL - LINKS:
                apart.append(self.fixed(self.word()))
            apart.append(part)
        classes = {c for _, _, c in apart if c}
        return " ".join(p[0] for p in apart), " ".join(p[1] for p in apart), "mixed" if len(classes) > 1 else classes.pop()

    def fixed(self, text):
        return text, text, None

    def sentence(self):
        rng = self.rng
        parts = []
        if rng.random() < 0.85:
            parts.append(self.fixed(rng.choice(OPENERS) if rng.random() < 0.7 else " ".join(self.filler(rng.randint(1, 5)))))
        count = rng.choice([1, 1, 1, 2, 2, 3])
        for i in range(count):
            parts.append(self.phrase())
            if i + 1 < count and rng.random() < 0.5:
                parts.append(self.fixed(rng.choice(["and", "but", "then", "plus", "or", "with", "to call", "to see", "we need", "for the", "please", "because"]) + " " + self.word()))
        if rng.random() < 0.6:
            parts.append(self.fixed(rng.choice(CLOSERS) if rng.random() < 0.7 else " ".join(self.filler(rng.randint(1, 5)))))
        return self.join(parts)

    def salad(self):
        """Random words with phrases among them: no context to lean on but the phrase itself."""
        rng = self.rng
        parts = []
        if rng.random() < 0.8:
            parts.append(self.fixed(" ".join(self.filler(rng.randint(1, 6)))))
        for _ in range(rng.choice([1, 1, 2, 2, 3])):
            parts.append(self.phrase())
            parts.append(self.fixed(" ".join(self.filler(rng.randint(1, 4)))))
        if rng.random() < 0.25:
            parts.pop()
        return self.join(parts)

    def plain(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.15:
            return " ".join(self.filler(rng.randint(1, 3)))
        if kind < 0.3:
            return rng.choice(TRAPS)
        if kind < 0.5:
            return " ".join(self.filler(rng.randint(0, 4)) + [rng.choice(TRAPS)] + self.filler(rng.randint(0, 4)))
        if kind < 0.65:
            return f"{rng.choice(OPENERS)} {' '.join(self.filler(rng.randint(1, 4)))} {rng.choice(CLOSERS)}"
        words = self.filler(rng.randint(3, 14))
        if kind < 0.8:
            words.insert(rng.randint(1, len(words) - 1), rng.choice(TRAP_WORDS))
        return " ".join(words)


def read_tsv(name):
    path = HERE / name
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line] if path.exists() else []


def test_inputs():
    """Every input that training must not see."""
    return {row[0] for name in ("heldout-seed.tsv", "heldout-template.tsv", "challenge.tsv") for row in read_tsv(name)}


def distinct(generator, count, shortest):
    rows, seen = [], set()
    while len(rows) < count:
        row = generator.sample()
        if row[0] not in seen and len(row[0].split()) >= shortest:
            seen.add(row[0])
            rows.append(row)
    return rows


def write_held_out():
    """The seed set holds inputs of three words and more: the space of one- and two-word spans is finite and belongs to training."""
    for name, generator, count in (("heldout-seed.tsv", Generator(20_001), 3000), ("heldout-template.tsv", Generator(20_002, held_out=True), 600)):
        rows = distinct(generator, count, 3)
        (HERE / name).write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.write:
        write_held_out()
    generator = Generator(options.seed, options.held_out)
    for _ in range(options.show):
        print("\t".join(generator.sample()))
