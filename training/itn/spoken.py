"""Numbers as English speakers say them.

Every function takes the random generator first and returns lower-case spoken text. Nothing here knows how a number is
written; spans.py pairs these with the written forms.
"""

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINAL_ONES = (
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth"
).split()
SCALES = [(10**9, "billion"), (10**6, "million"), (1000, "thousand")]


def below_hundred(n):
    if n < 20:
        return ONES[n]
    return TENS[n // 10] + (" " + ONES[n % 10] if n % 10 else "")


def below_thousand(n, use_and):
    if n < 100:
        return below_hundred(n)
    rest = n % 100
    joint = " and " if use_and else " "
    return ONES[n // 100] + " hundred" + (joint + below_hundred(rest) if rest else "")


def cardinal(rng, n):
    """One of the usual ways to say n: with or without "and", "a hundred" for "one hundred", "fifteen hundred"."""
    use_and = rng.random() < 0.45
    if 1100 <= n <= 9900 and n % 100 == 0 and n % 1000 and rng.random() < 0.5:
        return below_hundred(n // 100) + " hundred"
    parts, rest = [], n
    for size, name in SCALES:
        if rest >= size:
            parts.append(below_thousand(rest // size, use_and) + " " + name)
            rest %= size
    if rest or not parts:
        joint = "and " if parts and rest < 100 and use_and else ""
        parts.append(joint + below_thousand(rest, use_and))
    text = " ".join(parts)
    if text.startswith(("one hundred", "one thousand", "one million", "one billion")) and rng.random() < 0.35:
        text = "a" + text[3:]
    return text


def ordinal_small(n):
    """1 to 99."""
    if n < 20:
        return ORDINAL_ONES[n]
    return TENS[n // 10] + " " + ORDINAL_ONES[n % 10] if n % 10 else TENS[n // 10][:-1] + "ieth"


def ordinal(rng, n):
    """1 to 9,999."""
    head, rest = n - n % 100, n % 100
    if not head:
        return ordinal_small(n)
    spoken = cardinal(rng, head)
    if not rest:
        return spoken + "th"
    return spoken + (" and " if rng.random() < 0.4 else " ") + ordinal_small(rest)


def suffix(n):
    if 10 <= n % 100 <= 20:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def year(rng, n):
    """1000 to 2099 as a year."""
    high, low = divmod(n, 100)
    if n == 2000 or n == 1000:
        return ONES[n // 1000] + " thousand"
    if n // 1000 == 2 and n < 2010 or (n >= 2010 and rng.random() < 0.15):
        return "two thousand " + ("and " if rng.random() < 0.4 else "") + below_hundred(n - 2000)
    if low == 0:
        return below_hundred(high) + " hundred"
    if low < 10:
        return below_hundred(high) + rng.choice([" oh ", " oh ", " o "]) + ONES[low]
    return below_hundred(high) + " " + below_hundred(low)


def digits(rng, text, doubles=True):
    """A digit string read out, with "oh" for zero and sometimes "double" and "triple"."""
    zero = rng.choice(["zero", "zero", "oh", "oh", "o"])
    name = lambda d: zero if d == "0" else ONES[int(d)]
    words, i = [], 0
    use_doubles = doubles and rng.random() < 0.25
    while i < len(text):
        run = 1
        while i + run < len(text) and text[i + run] == text[i]:
            run += 1
        if use_doubles and run >= 2:
            run = min(run, 3)
            words.append({2: "double ", 3: "triple "}[run] + name(text[i]))
        else:
            run = 1
            words.append(name(text[i]))
        i += run
    return " ".join(words)
