"""Trains the tokenizer: byte-level BPE shared by source and target, digits one piece each, saved in Hugging Face form.

    python tokenizer.py OUT_DIR

A space is put before the text and taken off after decoding, so a word has the same piece at the start of a sentence and
inside it, and any text round-trips exactly.
"""

import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from generate import Generator, WORDS

PIECES = 2048
SENTENCES = 120_000


def corpus():
    generator = Generator(30_001)
    for _ in range(SENTENCES):
        spoken, written, cls = generator.sample()
        yield spoken
        if cls != "plain":
            yield written
    yield from WORDS


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r" ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]|\s"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=["<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False, model_max_length=256, padding_side="right",
    )


def check(tokenizer):
    for text in ["", "eight", " two  spaces ", "tab\tand\nline", "naïve café 東京 🙂", "$1,250.50 at 9:15 p.m.", "don't", "A-B_c"]:
        ids = tokenizer(text)["input_ids"]
        back = tokenizer.decode(ids, skip_special_tokens=True)
        assert back == text, (text, ids, back)
    assert [tokenizer.convert_tokens_to_ids(t) for t in ("<pad>", "</s>", "<unk>")] == [0, 1, 2]


if __name__ == "__main__":
    tokenizer = train()
    check(tokenizer)
    tokenizer.save_pretrained(sys.argv[1])
    print(len(tokenizer), tokenizer.tokenize("remind me on the third of march at quarter past nine p m to pay three hundred and five dollars to zbigniew"))
