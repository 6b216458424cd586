"""The span classes: each template makes one (spoken, written) pair. The written conventions are those of the model card.

TEMPLATES maps a class to a list of (weight, name, function, contexts). `contexts` says where a span may stand: "any"
(bare and in sentences), "bare", or the name of a context that carriers.py has phrases for. HELD_OUT names whole
templates that training never sees.
"""

from spoken import ONES, below_hundred, cardinal, digits, ordinal, ordinal_small, suffix, year

MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
HELD_OUT = {"date:day-of-month-year", "percent:minus"}

# ---- numbers


def size(rng, low=10, high=9):
    """An integer whose magnitude is spread evenly, round ones over-sampled."""
    kind = rng.random()
    if kind < 0.42:
        return rng.randint(low, 99)
    if kind < 0.62:
        return rng.randint(100, 999)
    if kind < 0.76:
        return rng.randint(1, 99) * 100
    if kind < 0.86:
        return rng.randint(1000, 9999)
    if kind < 0.92:
        return rng.randint(1, 999) * 1000
    return rng.randint(1, 999) * 10 ** rng.randint(3, high - 2) if rng.random() < 0.5 else rng.randint(10000, 10**high - 1)


def grouped(n):
    return f"{n:,}"


def written_cardinal(n):
    for scale, name in ((10**9, "billion"), (10**6, "million")):
        if n >= scale and n % scale == 0:
            return f"{n // scale} {name}"
    return grouped(n)


def plain_cardinal(rng):
    n = size(rng)
    return cardinal(rng, n), written_cardinal(n)


def big_cardinal(rng):
    name = rng.choice(["million", "million", "billion", "trillion"])
    n = rng.choice([1, rng.randint(1, 9), rng.randint(10, 99), rng.randint(100, 999)])
    if n == 1 and rng.random() < 0.5:
        return "a " + name, f"1 {name}"
    return cardinal(rng, n) + " " + name, f"{n} {name}"


def small_kept(rng):
    word = ONES[rng.randint(0, 9)]
    return word, word


def small_bare(rng):
    n = rng.randint(0, 9)
    return ONES[n], str(n)


def negative(rng):
    n = rng.choice([rng.randint(1, 9), rng.randint(1, 99), size(rng, high=6)])
    return f"{rng.choice(['minus', 'minus', 'negative'])} {cardinal(rng, n)}", "-" + written_cardinal(n)


def plain_ordinal(rng):
    n = rng.choice([rng.randint(10, 31), rng.randint(10, 99), rng.randint(100, 999), rng.randint(1, 99) * 100])
    return ordinal(rng, n), f"{grouped(n)}{suffix(n)}"


def round_ordinal(rng):
    return rng.choice([("hundredth", "100th"), ("thousandth", "1,000th")])


def ordinal_kept(rng):
    word = ordinal_small(rng.randint(1, 9))
    return word, word


def ordinal_bare(rng):
    n = rng.randint(1, 9)
    return ordinal_small(n), f"{n}{suffix(n)}"


def decimal_parts(rng, most=999, point=None):
    """(spoken, written) of an unsigned decimal."""
    whole = rng.choice([0, rng.randint(0, 9), rng.randint(0, 9), rng.randint(10, 99), rng.randint(10, 99), rng.randint(100, max(100, most))])
    length = rng.choice([1, 1, 1, 2, 2, 2, 3, 4])
    fraction = "".join(str(rng.randint(0, 9)) for _ in range(length))
    if length == 2 and fraction[0] != "0" and rng.random() < 0.3:
        said = below_hundred(int(fraction))
    else:
        said = digits(rng, fraction, doubles=False)
    head = rng.choice(["zero", "zero", "oh"]) if whole == 0 else cardinal(rng, whole)
    return f"{head} {point or 'point'} {said}", f"{grouped(whole)}.{fraction}"


def plain_decimal(rng):
    return decimal_parts(rng)


def dot_decimal(rng):
    return decimal_parts(rng, point="dot")


def negative_decimal(rng):
    spoken, written = decimal_parts(rng)
    return f"{rng.choice(['minus', 'minus', 'negative'])} {spoken}", "-" + written


def bare_point(rng):
    spoken, written = decimal_parts(rng)
    return "point " + spoken.split(" point ")[1], "0." + written.split(".")[1]


def scaled_decimal(rng):
    spoken, written = decimal_parts(rng, 99)
    while len(written) > 5:
        spoken, written = decimal_parts(rng, 99)
    name = rng.choice(["million", "million", "billion", "trillion"])
    return f"{spoken} {name}", f"{written} {name}"


def half_scaled(rng):
    n, name = rng.randint(1, 20), rng.choice(["million", "million", "billion"])
    return f"{below_hundred(n)} and a half {name}", f"{n}.5 {name}"


def amount(rng):
    """A quantity in front of a unit, a currency or "percent": digits whatever its size."""
    kind = rng.random()
    if kind < 0.25:
        n = rng.choice([0, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 9])
        return ONES[n], str(n)
    if kind < 0.75:
        n = size(rng, high=6)
        return cardinal(rng, n), written_cardinal(n)
    if kind < 0.93:
        return bare_point(rng) if kind < 0.77 else decimal_parts(rng)
    n = rng.randint(1, 30)
    return f"{below_hundred(n)} and a half", f"{n}.5"


def pair(rng, most=99):
    a = rng.randint(1, most - 1)
    b = rng.choice([a + 1, min(most, a + 5), rng.randint(a + 1, most)])
    return a, b


# ---- percent, measures

UNITS = [  # spoken singular, spoken plural, written
    *[(f"{p}met{e}", f"{p}met{e}s", w) for p, w in (("kilo", "km"), ("", "m"), ("centi", "cm"), ("milli", "mm")) for e in ("er", "re")],
    ("mile", "miles", "mi"), ("mile", "miles", "mi"), ("yard", "yards", "yd"), ("foot", "feet", "ft"), ("foot", "feet", "ft"), ("inch", "inches", "in"), ("inch", "inches", "in"),
    ("kilogram", "kilograms", "kg"), ("kilo", "kilos", "kg"), ("gram", "grams", "g"), ("milligram", "milligrams", "mg"),
    ("pound", "pounds", "lb"), ("pound", "pounds", "lb"), ("ounce", "ounces", "oz"),
    ("liter", "liters", "L"), ("litre", "litres", "L"), ("milliliter", "milliliters", "mL"), ("millilitre", "millilitres", "mL"), ("gallon", "gallons", "gal"),
    ("kilobyte", "kilobytes", "KB"), ("megabyte", "megabytes", "MB"), ("gigabyte", "gigabytes", "GB"), ("terabyte", "terabytes", "TB"),
    ("megabit per second", "megabits per second", "Mbps"), ("gigabit per second", "gigabits per second", "Gbps"),
    ("watt", "watts", "W"), ("kilowatt", "kilowatts", "kW"), ("megawatt", "megawatts", "MW"), ("kilowatt hour", "kilowatt hours", "kWh"),
    ("volt", "volts", "V"), ("amp", "amps", "A"), ("hertz", "hertz", "Hz"), ("kilohertz", "kilohertz", "kHz"), ("megahertz", "megahertz", "MHz"), ("gigahertz", "gigahertz", "GHz"),
    ("decibel", "decibels", "dB"), ("horsepower", "horsepower", "hp"),
    ("mile per hour", "miles per hour", "mph"), ("mile an hour", "miles an hour", "mph"),
    ("kilometer per hour", "kilometers per hour", "km/h"), ("kilometre per hour", "kilometres per hour", "km/h"), ("kilometer an hour", "kilometers an hour", "km/h"),
    ("meter per second", "meters per second", "m/s"),
    *[(f"square {s}", f"square {p}", f"sq {w}") for s, p, w in (("foot", "feet", "ft"), ("meter", "meters", "m"), ("metre", "metres", "m"), ("kilometer", "kilometers", "km"), ("mile", "miles", "mi"), ("yard", "yards", "yd"), ("inch", "inches", "in"))],
]
DEGREES = [("degrees", "°"), ("degrees", "°"), ("degrees celsius", " °C"), ("degrees fahrenheit", " °F")]


def percent_word(rng):
    return rng.choice(["percent", "percent", "percent", "per cent"])


def plain_percent(rng):
    spoken, written = amount(rng) if rng.random() < 0.6 else ((lambda n: (cardinal(rng, n), str(n)))(rng.randint(0, 100)))
    return f"{spoken} {percent_word(rng)}", written + "%"


def minus_percent(rng):
    spoken, written = plain_percent(rng)
    return f"{rng.choice(['minus', 'negative'])} {spoken}", "-" + written


def percent_range(rng):
    a, b = pair(rng)
    return f"{cardinal(rng, a)} to {cardinal(rng, b)} {percent_word(rng)}", f"{a} to {b}%"


def percent_between(rng):
    a, b = pair(rng)
    return f"between {cardinal(rng, a)} and {cardinal(rng, b)} {percent_word(rng)}", f"between {a} and {b}%"


def plain_measure(rng):
    one, many, unit = rng.choice(UNITS)
    if rng.random() < 0.06:
        return f"one {one}", f"1 {unit}"
    spoken, written = amount(rng)
    return f"{spoken} {many}", f"{written} {unit}"


def adjective_measure(rng):
    """"a six foot ladder": singular unit; written alike."""
    one, _, unit = rng.choice([u for u in UNITS if " " not in u[0]])
    spoken, written = amount(rng)
    return f"{spoken} {one}", f"{written} {unit}"


def measure_range(rng):
    _, many, unit = rng.choice(UNITS)
    a, b = pair(rng)
    if rng.random() < 0.4:
        return f"between {cardinal(rng, a)} and {cardinal(rng, b)} {many}", f"between {a} and {b} {unit}"
    return f"{cardinal(rng, a)} to {cardinal(rng, b)} {many}", f"{a} to {b} {unit}"


def compound_measure(rng):
    big, small, top = rng.choice([(("foot", "feet", "ft"), ("inch", "inches", "in"), 11), (("pound", "pounds", "lb"), ("ounce", "ounces", "oz"), 15)])
    a, b = rng.randint(1, 40), rng.randint(1, top)
    return f"{below_hundred(a)} {big[a > 1]} {below_hundred(b)} {small[b > 1]}", f"{a} {big[2]} {b} {small[2]}"


def temperature(rng):
    unit, sign = rng.choice(DEGREES)
    spoken, written = amount(rng) if rng.random() < 0.4 else ((lambda n: (cardinal(rng, n), str(n)))(rng.randint(0, 120)))
    if rng.random() < 0.3:
        spoken, written = f"{rng.choice(['minus', 'minus', 'negative'])} {spoken}", "-" + written
    return f"{spoken} {unit}", written + sign


# ---- money

CURRENCIES = [("dollar", "dollars", "$")] * 6 + [("euro", "euros", "€")] * 3 + [("pound sterling", "pounds sterling", "£")] * 2 + [("yen", "yen", "¥"), ("rupee", "rupees", "₹")]
COINS = {"$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence")}


def plain_money(rng):
    one, many, sign = rng.choice(CURRENCIES)
    kind = rng.random()
    if kind < 0.06:
        return f"one {one}", f"{sign}1"
    if kind < 0.3:
        n = rng.randint(2, 99)
        return f"{below_hundred(n)} {many}", f"{sign}{n}"
    spoken, written = big_cardinal(rng) if kind < 0.4 else amount(rng)
    return f"{spoken} {many}", sign + written


def coins_only(rng):
    sign = rng.choice("$$$€£")
    n = rng.randint(1, 99)
    return f"{below_hundred(n)} {'pence' if sign == '£' else 'cents' if n > 1 else 'cent'}", f"{'£' if sign == '£' else '$'}0.{n:02}"


def with_coins(rng):
    sign = rng.choice("$$$€£")
    one, many, coin, coins = COINS[sign]
    n = rng.randint(1, 9) if rng.random() < 0.3 else size(rng, high=5)
    c = rng.randint(1, 99)
    joint = rng.choice([" and ", " "])
    return f"{cardinal(rng, n)} {one if n == 1 else many}{joint}{below_hundred(c)} {coin if c == 1 else coins}", f"{sign}{grouped(n)}.{c:02}"


def with_bare_coins(rng):
    """"nine dollars fifty", "five pounds twenty"."""
    sign = rng.choice("$$€£")
    n, c = rng.choice([rng.randint(2, 9), rng.randint(10, 99), rng.randint(100, 999)]), rng.randint(10, 99)
    return f"{cardinal(rng, n)} {COINS[sign][1]} {below_hundred(c)}", f"{sign}{n}.{c}"


def scaled_money(rng):
    spoken, written = rng.choice([scaled_decimal, half_scaled])(rng)
    _, many, sign = rng.choice(CURRENCIES)
    return f"{spoken} {many}", sign + written


def adjective_money(rng):
    one, _, sign = rng.choice([c for c in CURRENCIES if " " not in c[0]])
    n = rng.choice([rng.randint(2, 99), rng.choice([5, 10, 20, 50, 100]), size(rng, high=6)])
    return f"{cardinal(rng, n)} {one}", sign + written_cardinal(n)


def money_range(rng):
    _, many, sign = rng.choice(CURRENCIES)
    a, b = pair(rng, rng.choice([20, 99, 99, 900]))
    if rng.random() < 0.4:
        return f"between {cardinal(rng, a)} and {cardinal(rng, b)} {many}", f"between {sign}{a} and {sign}{b}"
    return f"{cardinal(rng, a)} to {cardinal(rng, b)} {many}", f"{sign}{a} to {sign}{b}"


# ---- dates and years


def some_year(rng):
    return rng.choice([rng.randint(1900, 1999), rng.randint(2000, 2009), rng.randint(2010, 2040), rng.randint(1300, 1899)])


def paired_year(rng):
    n = some_year(rng)
    while 2000 <= n < 2010 or n % 100 < 10 or n < 1300:
        n = some_year(rng)
    spoken = below_hundred(n // 100) + " " + below_hundred(n % 100)
    return spoken, str(n)


def oh_year(rng):
    n = rng.choice([rng.randint(13, 20)]) * 100 + rng.randint(1, 9)
    return f"{below_hundred(n // 100)} {rng.choice(['oh', 'oh', 'o'])} {ONES[n % 100]}", str(n)


def context_year(rng):
    """A year after "in", "since" ...: there "two thousand eight", "nineteen hundred", "twelve fifteen" are years too."""
    n = some_year(rng) if rng.random() < 0.7 else rng.choice([rng.randint(1066, 1299), rng.randint(2000, 2009), rng.randint(11, 20) * 100])
    return year(rng, n), str(n)


def early_year(rng):
    high, low = rng.choice([10, 10, 11, 12]), rng.randint(60, 99)
    return f"{below_hundred(high)} {below_hundred(low)}", str(high * 100 + low)


def decade(rng):
    high, low = rng.choice([17, 18, 19, 19, 19, 19, 20]), rng.choice([10, 20, 30, 40, 50, 60, 70, 80, 90])
    word = {10: "tens"}.get(low, below_hundred(low)[:-1] + "ies")
    return f"{below_hundred(high)} {word}", f"{high}{low}s"


def day_of_month(rng):
    month, day = rng.choice(MONTHS), rng.randint(1, 31)
    return f"{rng.choice(['the ', 'the ', ''])}{ordinal_small(day)} of {month}", f"{month} {day}{suffix(day)}"


def month_day(rng):
    month, day = rng.choice(MONTHS), rng.randint(1, 31)
    return f"{month} {rng.choice(['', '', 'the '])}{ordinal_small(day)}", f"{month} {day}{suffix(day)}"


def month_cardinal_day(rng):
    month, day = rng.choice(MONTHS), rng.randint(1, 31)
    return f"{month} {below_hundred(day)}", f"{month} {day}"


def the_day_of_month_year(rng):
    month, day, y = rng.choice(MONTHS), rng.randint(1, 31), some_year(rng)
    return f"the {ordinal_small(day)} of {month} {year(rng, y)}", f"{month} {day}, {y}"


def day_of_month_year(rng):
    spoken, written = the_day_of_month_year(rng)
    return spoken[4:], written


def month_day_year(rng):
    month, day, y = rng.choice(MONTHS), rng.randint(1, 31), some_year(rng)
    said = rng.choice([ordinal_small(day), ordinal_small(day), "the " + ordinal_small(day), below_hundred(day)])
    return f"{month} {said} {year(rng, y)}", f"{month} {day}, {y}"


def month_year(rng):
    month, y = rng.choice(MONTHS), some_year(rng)
    return f"{month} {rng.choice(['', '', 'of '])}{year(rng, y)}", f"{month} {y}"


def weekday_date(rng):
    spoken, written = rng.choice([day_of_month, month_day, month_day, month_cardinal_day, the_day_of_month_year, month_day_year])(rng)
    day = rng.choice(WEEKDAYS)
    return f"{day} {spoken}", f"{day}, {written}"


def slash_date(rng):
    month, day, y = rng.randint(1, 12), rng.randint(1, 31), rng.choice([None, some_year(rng), rng.randint(10, 99)])
    spoken, written = f"{below_hundred(month)} slash {below_hundred(day)}", f"{month}/{day}"
    if y:
        spoken += " slash " + (below_hundred(y) if y < 100 else year(rng, y))
        written += f"/{y}"
    return spoken, written


# ---- times


def half_day(rng):
    """A spoken a.m./p.m. mark, often absent."""
    mark = rng.choice("ap")
    return rng.choice([("", ""), (f" {mark} m", f" {mark}.m."), (f" {mark} m", f" {mark}.m."), (f" {mark}m", f" {mark}.m.")])


def marked(rng):
    said, mark = half_day(rng)
    while not said:
        said, mark = half_day(rng)
    return said, mark


def said_minutes(rng, m):
    return f"{rng.choice(['oh', 'oh', 'o'])} {ONES[m]}" if m < 10 else below_hundred(m)


def clock(rng):
    h, m, (said, mark) = rng.randint(1, 12), rng.choice([rng.randint(1, 59), rng.randint(1, 11) * 5]), half_day(rng)
    return f"{below_hundred(h)} {said_minutes(rng, m)}{said}", f"{h}:{m:02}{mark}"


def full_hour(rng):
    h, (said, mark) = rng.randint(1, 12), marked(rng)
    return f"{below_hundred(h)}{said}", f"{h}{mark}"


def oclock(rng):
    h, (said, mark) = rng.randint(1, 12), half_day(rng)
    if rng.random() < 0.6:
        said = mark = ""
    return f"{below_hundred(h)} {rng.choice(['o' + chr(39) + 'clock', 'o' + chr(39) + 'clock', 'oclock', 'o clock'])}{said}", f"{h}:00{mark}"


def relative(rng, minute_words):
    h, m, (said, mark) = rng.randint(1, 12), rng.choice([5, 10, 15, 15, 20, 25, 30, 30]), half_day(rng)
    name = {15: rng.choice(["quarter", "quarter", "a quarter"]), 30: "half"}.get(m, below_hundred(m))
    if m in (15, 30):
        minute_words = ""
    before = m != 30 and rng.random() < 0.5
    joint = rng.choice(["to", "to", "till", "of"]) if before and m == 15 else "to" if before else rng.choice(["past", "past", "past", "after"]) if m != 30 else "past"
    total = (h * 60 - m if before else h * 60 + m) % 720
    hour = total // 60 or 12
    return f"{name}{minute_words} {joint} {below_hundred(h)}{said}", f"{hour}:{total % 60:02}{mark}"


def relative_time(rng):
    """Quarter, half and five-minute steps. "ten to five" alone could be a range, so a bare "N to H" needs a mark or "at"."""
    while True:
        spoken, written = relative(rng, "")
        words = spoken.split()
        if "to" not in words or words[0] in ("quarter", "a") or written.endswith("m."):
            return spoken, written


def relative_after_at(rng):
    return relative(rng, "")


def minutes_to(rng):
    h, m = rng.randint(1, 12), rng.randint(1, 29)
    while m == 15:
        m = rng.randint(1, 29)
    said, mark = half_day(rng)
    total = (h * 60 - m) % 720
    return f"{below_hundred(m)} minute{'s' if m > 1 else ''} to {below_hundred(h)}{said}", f"{total // 60 or 12}:{total % 60:02}{mark}"


def minutes_past(rng):
    h, m = rng.randint(1, 12), rng.randint(1, 29)
    said, mark = half_day(rng)
    return f"{below_hundred(m)} minute{'s' if m > 1 else ''} past {below_hundred(h)}{said}", f"{h}:{m:02}{mark}"


def military(rng):
    h = rng.randint(0, 23)
    head = below_hundred(h) if h > 9 else f"{rng.choice(['oh', 'zero'])} {ONES[h]}"
    m = rng.choice([0, 0, 15, 30, 45, rng.randint(10, 59)])
    return f"{head} {below_hundred(m) if m else 'hundred'} hours", f"{h:02}:{m:02}"


def at_24h(rng):
    """After "at" only: elsewhere "nineteen forty five" is a year."""
    h, m = rng.randint(13, 23), rng.choice([rng.randint(1, 59), 15, 30, 45])
    return f"{below_hundred(h)} {said_minutes(rng, m)}", f"{h}:{m:02}"


def hour_kept(rng):
    """"at nine in the morning": an hour alone follows the rule for cardinals."""
    h = rng.randint(1, 12)
    tail = rng.choice(["", " in the morning", " in the evening", " in the afternoon", " tonight", " sharp", " tomorrow", " at night"])
    return below_hundred(h) + tail, (ONES[h] if h < 10 else str(h)) + tail


# ---- digit strings


def grouped_phone(text):
    if len(text) == 7:
        return f"{text[:3]}-{text[3:]}"
    if len(text) == 10:
        return f"{text[:3]}-{text[3:6]}-{text[6:]}"
    if len(text) == 11 and text[0] == "1":
        return f"1-{text[1:4]}-{text[4:7]}-{text[7:]}"
    return text


def random_digits(rng, length):
    pool = rng.choice(["0123456789", "0123456789", "0011223456789", "0055", "0123"])
    return "".join(rng.choice(pool) for _ in range(length))


def digit_string(rng):
    text = random_digits(rng, rng.choice([3, 3, 4, 4, 4, 5, 5, 6, 6, 8, 8, 9, 9, 12, 12, 13, 16, 16, rng.randint(3, 16)]))
    return digits(rng, text), grouped_phone(text)


def phone(rng):
    text = random_digits(rng, rng.choice([7, 7, 10, 10, 10, 11]))
    if len(text) == 11:
        text = "1" + text[1:]
    return digits(rng, text), grouped_phone(text)


def toll_free(rng):
    text = "1" + str(rng.choice([8, 8, 8, 9])) + "00" + random_digits(rng, 7)
    return f"one {ONES[int(text[1])]} hundred {digits(rng, text[4:])}", grouped_phone(text)


def plus_number(rng):
    text = random_digits(rng, rng.randint(9, 13))
    return "plus " + digits(rng, text), "+" + text


def dotted(rng):
    parts = [rng.choice([rng.randint(0, 9), rng.randint(0, 99), rng.randint(0, 20)]) for _ in range(3)]
    if rng.random() < 0.4:
        parts = [rng.randint(1, 255) for _ in range(4)]
    point = "dot" if len(parts) == 4 else rng.choice(["dot", "point", "point"])
    said = [digits(rng, str(p), doubles=False) if p > 99 else below_hundred(p) for p in parts]
    return f" {point} ".join(said), ".".join(map(str, parts))


LABELS = "room page chapter gate platform flight bus route number step version section level table lane highway line unit apartment suite channel track seat question exercise grade figure phase terminal season episode extension order building exit".split()


def labelled(rng):
    """"gate four" -> "gate 4": after one of the label nouns every number is digits, and "four twelve" is 412."""
    label, kind = rng.choice(LABELS), rng.random()
    if kind < 0.4:
        n = rng.randint(1, 9)
        spoken, written = ONES[n], str(n)
    elif kind < 0.7:
        n = rng.randint(10, 99)
        spoken, written = below_hundred(n), str(n)
    elif kind < 0.82:
        written = random_digits(rng, rng.choice([3, 3, 4, 5]))
        spoken = digits(rng, written)
    elif kind < 0.94:
        n, low = rng.randint(1, 9), rng.randint(1, 99)
        spoken, written = f"{ONES[n]} {said_minutes(rng, low)}", f"{n}{low:02}"
    else:
        n = rng.randint(100, 999)
        spoken, written = cardinal(rng, n), str(n)
        if spoken.startswith("a "):
            spoken = "one" + spoken[1:]
    return f"{label} {spoken}", f"{label} {written}"


TEMPLATES = {
    "cardinal": [(10, "plain", plain_cardinal, "any"), (2, "big", big_cardinal, "any"), (2, "negative", negative, "any"), (4, "small", small_kept, "count"), (3, "small-bare", small_bare, "bare")],
    "ordinal": [(8, "plain", plain_ordinal, "any"), (0.6, "round", round_ordinal, "any"), (4, "small", ordinal_kept, "text"), (2, "small-bare", ordinal_bare, "bare")],
    "decimal": [(8, "plain", plain_decimal, "any"), (1, "dot", dot_decimal, "any"), (2, "negative", negative_decimal, "any"), (1, "point", bare_point, "bare"), (2, "scaled", scaled_decimal, "any"), (1, "half", half_scaled, "any")],
    "percent": [(8, "plain", plain_percent, "any"), (1, "minus", minus_percent, "any"), (2, "range", percent_range, "any"), (1, "between", percent_between, "any")],
    "measure": [(8, "plain", plain_measure, "any"), (2, "adjective", adjective_measure, "adjective"), (2, "range", measure_range, "any"), (2, "compound", compound_measure, "any"), (3, "temperature", temperature, "any")],
    "money": [(8, "plain", plain_money, "any"), (2, "coins", coins_only, "any"), (4, "with-coins", with_coins, "any"), (2, "bare-coins", with_bare_coins, "any"), (2, "scaled", scaled_money, "any"), (2, "adjective", adjective_money, "adjective"), (2, "range", money_range, "any")],
    "date": [(4, "day-of-month", day_of_month, "any"), (4, "month-day", month_day, "any"), (2, "month-cardinal", month_cardinal_day, "any"), (3, "the-day-of-month-year", the_day_of_month_year, "any"),
             (2, "day-of-month-year", day_of_month_year, "any"), (4, "month-day-year", month_day_year, "any"), (2, "month-year", month_year, "year"), (2, "weekday", weekday_date, "any"), (1, "slash", slash_date, "any"),
             (3, "paired-year", paired_year, "year"), (1, "oh-year", oh_year, "year"), (4, "context-year", context_year, "year-only"), (1, "early-year", early_year, "year"), (1, "decade", decade, "decade")],
    "time": [(7, "clock", clock, "any"), (5, "hour", full_hour, "any"), (3, "oclock", oclock, "any"), (4, "relative", relative_time, "any"), (3, "relative-at", relative_after_at, "at"), (2, "minutes-to", minutes_to, "any"),
             (2, "minutes-past", minutes_past, "any"), (1, "hours", military, "any"), (2, "24h", at_24h, "at-only"), (2, "hour-kept", hour_kept, "at")],
    "digits": [(5, "string", digit_string, "any"), (5, "phone", phone, "any"), (1, "toll-free", toll_free, "any"), (1, "plus", plus_number, "any"), (1, "dotted", dotted, "any"), (5, "label", labelled, "label")],
}
