"""Makes test/fixtures/tokenizer: tiny tokenizers of families that the zoo lacks, with what transformers and sentencepiece say of them.

pip install sentencepiece==0.2.3 transformers==4.57.6 tokenizers==0.22.2 protobuf
python test/support/python/make_tokenizer_fixtures.py
Seeded; rerunning replaces all files.
"""

import json
import random
import shutil
import tempfile
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parents[3]
OUT = ROOT / "test/fixtures/tokenizer"
RANDOM = random.Random(7)

WORDS = """the of and to in is that it was for on are as with his they at be this have from or one had by word but not what all
were we when your can said there use an each which she do how their if will up other about out many then them these so some her
would make like him into time has look two more write go see number no way could people my than first water been call who oil its
now find long down day did get come made may part Straße über Köln naïve café façade один два привет мир ещё 日本語 テキスト 敏捷的 棕色
مرحبا عالم नमस्ते दुनिया don't we've it's 12.50 3,000 x=1; (a+b) [c] "quoted" - – — … ? ! . , : ;""".split()
STRANGE = ["\u00e9", "e\u0301", "\ufb01", "\u00bd", "\u2460", "\u212b", "\U0001f600", "\U0001f44d\U0001f3fd", "\u200d", "\u200b", "\u00a0", "\u2581",
           "\u3000", "\u0000", "\u001f", "\u2028", "\u0085", "\ufeff", "\ufffd", "\u0130", "\u1e9e", "\u2167", "\uff76\uff9e", "\t", "\n", "\r\n", "  ", " "]
SPECIAL = ["<s>", "</s>", "<pad>", "<unk>", "<mask>", "<extra_id_0>", " <extra_id_1> ", "<user>", ">>deu<<", "__en__", "en_XX", "constructor", "__proto__"]


def corpus(path: Path) -> Path:
    lines = [" ".join(RANDOM.choices(WORDS, k=RANDOM.randint(3, 12))) for _ in range(1500)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def texts(count: int) -> list[str]:
    found = ["", " ", "   ", "a", " a", "a ", "the word", ">>deu<< the word", ">>deu<<the word", ">>xx<< the", "the constructor toString",
             "İstanbul ẞ", "Hello, don't stop !", "</s>", " </s> ", "a</s>", "the <mask> word", "the  <mask>  word", "\u2581the", "the\u2581"]
    while len(found) < count:
        parts = [RANDOM.choice([RANDOM.choice(WORDS)] * 6 + [RANDOM.choice(STRANGE)] * 2 + [RANDOM.choice(SPECIAL)]) for _ in range(RANDOM.randint(1, 9))]
        found.append(RANDOM.choice([" ", " ", "", "  "]).join(parts))
    return found


def train(where: Path, name: str, lines: Path, **options) -> Path:
    defaults = {"vocab_size": 420, "num_threads": 1, "minloglevel": 2, "character_coverage": 0.98, "hard_vocab_limit": False}
    sentencepiece.SentencePieceTrainer.train(input=str(lines), model_prefix=str(where / name), **{**defaults, **options})
    (where / f"{name}.vocab").unlink()
    return where / f"{name}.model"


def write(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n", encoding="utf-8")


def random_ids(size: int, pools: list[list[int]], count: int) -> list[list[int]]:
    every = list(range(size))
    found = [[], [0], [1], [2]]
    while len(found) < count:
        pool = RANDOM.choice([every, every, *pools])
        found.append([RANDOM.choice(pool if RANDOM.random() < 0.9 else every) for _ in range(RANDOM.randint(1, 16))])
    return found


def oracle(folder: Path, source_languages=(None,), count=75, without_ids=()) -> None:
    """What AutoTokenizer, pointed at the finished folder, does with texts and ids."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenize = []
    for index, text in enumerate(texts(count)):
        case = {"text": text}
        source = source_languages[index % len(source_languages)]
        if source is not None:
            tokenizer.src_lang = source
            case["srcLang"] = source
        case["ids"] = tokenizer(text)["input_ids"]
        tokenize.append(case)
    if source_languages[0] is not None:
        tokenizer.src_lang = source_languages[0]
    size = len(tokenizer)
    special = sorted(set(tokenizer.all_special_ids + list(tokenizer.added_tokens_decoder)))
    is_bytes = type(tokenizer).__name__ == "ByT5Tokenizer"
    pools = [special + list(range(min(size, 40)))]
    if is_bytes:
        pools += [list("aé日😀 .".encode()), [0xE2 + 3, 0x82 + 3, 0xAC + 3, 0xF0 + 3, 0x9F + 3, 0x98 + 3, 0x80 + 3, 0x41 + 3]]
    bytes_ = [id for piece, id in tokenizer.get_vocab().items() if piece.startswith("<0x") and len(piece) == 6]
    if bytes_:
        pools += [bytes_, bytes_]
    detokenize = []
    for ids in random_ids(size, pools, count) + [case["ids"] for case in tokenize[::2]]:
        if set(ids) & set(without_ids):
            continue
        for skip in (True, False):
            case = {"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=skip)}
            detokenize.append(case if skip else {**case, "skip": False})
    write(folder / "oracle.json", {"made_with": "transformers 4.57.6", "tokenize": tokenize, "detokenize": detokenize})


def fresh(name: str) -> Path:
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def sentencepiece_cases(lines: Path) -> None:
    """sentencepiece itself: pieces, ids and places of texts; text of pieces."""
    folder = fresh("sentencepiece")
    plain = {"normalization_rule_name": "identity", "vocab_size": 330}
    train(folder, "bpe-bytes", lines, **plain | {"vocab_size": 600}, model_type="bpe", byte_fallback=True,
          user_defined_symbols=["<user>", "\u65e5\u672c"], control_symbols=["<ctl>"])
    train(folder, "unigram-casefold", lines, model_type="unigram", vocab_size=330, normalization_rule_name="nmt_nfkc_cf", user_defined_symbols=["<user>", "\U0001f44d"])
    train(folder, "unigram-bytes-spaces", lines, **plain | {"vocab_size": 600}, model_type="unigram", byte_fallback=True, remove_extra_whitespaces=False)
    train(folder, "unigram-suffix", lines, **plain, model_type="unigram", treat_whitespace_as_suffix=True)
    train(folder, "bpe-no-prefix", lines, **plain, model_type="bpe", add_dummy_prefix=False)
    for path in sorted(folder.glob("*.model")):
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        encode = []
        for text in texts(70):
            pieces = model.encode(text, return_type="proto").pieces
            encode.append({"text": text, "pieces": [[p.piece, p.id, p.begin, p.end] for p in pieces]})
        size = model.get_piece_size()
        bytes_ = [id for id in range(size) if model.is_byte(id)]
        decode = []
        for ids in random_ids(size, [bytes_ or [5], list(range(12)) + bytes_], 70):
            pieces = [model.id_to_piece(id) for id in ids]
            if RANDOM.random() < 0.3:
                pieces.insert(RANDOM.randint(0, len(pieces)), RANDOM.choice([">>xx<<", "\u2581zzzq", "\u2581", "\u2581\u2581"]))
            decode.append({"pieces": pieces, "text": model.decode(pieces) if pieces else ""})
        write(path.with_suffix(".json"), {"encode": encode, "decode": decode})


def spm_families(lines: Path) -> None:
    plain = {"normalization_rule_name": "identity", "vocab_size": 330}
    fairseq = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}

    folder = fresh("mbart")
    train(folder, "sentencepiece.bpe", lines, **plain, **fairseq, model_type="unigram")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "MBartTokenizer", "src_lang": "de_DE"})
    oracle(folder, ["de_DE", "en_XX", "zh_CN"])

    folder = fresh("mbart50")
    train(folder, "sentencepiece.bpe", lines, **plain, **fairseq, model_type="unigram")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "MBart50Tokenizer", "clean_up_tokenization_spaces": True})
    oracle(folder, ["en_XX", "fr_XX"])

    folder = fresh("nllb-bpe")
    train(folder, "sentencepiece.bpe", lines, **plain, **fairseq, model_type="bpe")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "NllbTokenizer", "legacy_behaviour": True})
    oracle(folder, ["eng_Latn", "arb_Arab"])

    folder = fresh("m2m100")
    path = train(folder, "sentencepiece.bpe", lines, **plain, **fairseq, model_type="bpe")
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    pieces = ["<s>", "<pad>", "</s>", "<unk>"] + [model.id_to_piece(id) for id in range(3, model.get_piece_size()) if id % 11]
    write(folder / "vocab.json", {piece: id for id, piece in enumerate(pieces)})
    codes = ["af", "am", "ar", "ast", "az", "ba", "be"]
    write(folder / "special_tokens_map.json", {"additional_special_tokens": [f"__{code}__" for code in codes]})
    write(folder / "tokenizer_config.json", {"tokenizer_class": "M2M100Tokenizer", "clean_up_tokenization_spaces": True})
    oracle(folder, ["en", "ar", "zu"])

    folder = fresh("marian-separate")
    for name in ("source", "target"):
        path = train(folder, name, lines, **plain, model_type="unigram" if name == "source" else "bpe")
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        pieces = ["</s>", "<unk>", *(model.id_to_piece(id) for id in range(3, model.get_piece_size()) if id % 13), "<pad>"]
        write(folder / ("vocab.json" if name == "source" else "target_vocab.json"), {piece: id for id, piece in enumerate(pieces)})
        path.rename(folder / f"{name}.spm")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "MarianTokenizer", "separate_vocabs": True})
    # transformers takes the source's <pad> id for the target's too and drops that target piece from texts: nothing to copy.
    oracle(folder, without_ids=[json.loads((folder / "vocab.json").read_text())["<pad>"]])

    folder = fresh("marian-languages")
    pieces = ["</s>", "<unk>", ">>deu<<", ">>cmn_Hans<<", "constructor"]
    for name in ("source", "target"):
        path = train(folder, name, lines, **plain, model_type="unigram", seed_sentencepiece_size=5000 if name == "source" else 3000)
        model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        pieces += [piece for piece in map(model.id_to_piece, range(3, model.get_piece_size())) if piece not in pieces]
        path.rename(folder / f"{name}.spm")
    write(folder / "vocab.json", {piece: id for id, piece in enumerate([*pieces, "<pad>"])})
    write(folder / "tokenizer_config.json", {"tokenizer_class": "MarianTokenizer", "clean_up_tokenization_spaces": True})
    oracle(folder)

    folder = fresh("t5-plain")
    train(folder, "spiece", lines, **plain, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1, user_defined_symbols=["<user>"])
    write(folder / "config.json", {"model_type": "t5"})
    oracle(folder)

    folder = fresh("t5-not-legacy")
    train(folder, "spiece", lines, **plain, model_type="bpe", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    write(folder / "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "legacy": False, "extra_ids": 20, "clean_up_tokenization_spaces": True})
    oracle(folder)

    folder = fresh("pegasus")
    train(folder, "spiece", lines, **plain, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PegasusTokenizer"})
    oracle(folder)

    folder = fresh("byt5")
    write(folder / "tokenizer_config.json", {"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125})
    oracle(folder)


def hub_families(lines: Path) -> None:
    """tokenizer.json files with decoders that the zoo lacks."""
    folder = fresh("hub-byte-fallback")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=620, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False, limit_alphabet=60)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.train([str(lines)], trainer)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    save_hub(tokenizer, folder, ["<unk>", "<s>", "</s>"], {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": True})

    folder = fresh("hub-wordpiece")
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False)
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train([str(lines)], trainer)
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    save_hub(tokenizer, folder, None, {**special, "clean_up_tokenization_spaces": True})

    folder = fresh("hub-word-ends")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "<pad>", "</s>"], end_of_word_suffix="</w>", show_progress=False)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train([str(lines)], trainer)
    tokenizer.decoder = decoders.BPEDecoder()
    tokenizer.add_tokens([AddedToken("<new>", normalized=False), AddedToken("two words", single_word=True)])
    config = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "additional_special_tokens": ["<late>"]}
    save_hub(tokenizer, folder, None, config)


def save_hub(tokenizer: Tokenizer, folder: Path, special, config: dict) -> None:
    path = folder / "tokenizer.json"
    tokenizer.save(str(path), pretty=False)
    if special is not None:
        data = json.loads(path.read_text(encoding="utf-8"))
        data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in special]
        write(path, data)
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **config})
    oracle(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        training_lines = corpus(Path(directory) / "corpus.txt")
        sentencepiece_cases(training_lines)
        spm_families(training_lines)
        hub_families(training_lines)
