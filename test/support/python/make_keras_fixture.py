"""Makes test/fixtures/manifests/keras-tf2onnx: the LSTM pair of Keras' seq2seq tutorial, trained a little and exported by tf2onnx; Keras' own answers.

pip install tensorflow-cpu==2.21.0 tf2onnx==1.17.0 torch==2.13.0 onnx onnxruntime transformers==4.57.6
python test/support/python/make_keras_fixture.py
Training is seeded, yet its weights differ from machine to machine: a rerun replaces graphs and answers together. Greedy is Keras; beams are
transformers' generate over Keras' scores.
"""

import os
import random
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy
import tensorflow as tf
import tf2onnx
import torch

from make_manifest_fixtures import LETTERS, OUT, oracle, write

SOURCE = [" ", *LETTERS]
TARGET = ["\t", "\n", " ", *[letter.upper() for letter in LETTERS]]
LATENT = 32


def onehot(ids, size):
    return numpy.eye(size, dtype=numpy.float32)[numpy.array(ids)]


def models():
    """As the tutorial has them: one model to train, two over its layers to answer."""
    encoder_inputs = keras.Input(shape=(None, len(SOURCE)))
    _, h, c = keras.layers.LSTM(LATENT, return_state=True)(encoder_inputs)
    decoder_inputs = keras.Input(shape=(None, len(TARGET)))
    lstm = keras.layers.LSTM(LATENT, return_sequences=True, return_state=True)
    dense = keras.layers.Dense(len(TARGET), activation="softmax")
    outputs, _, _ = lstm(decoder_inputs, initial_state=[h, c])
    trained = keras.Model([encoder_inputs, decoder_inputs], dense(outputs))
    held = [keras.Input(shape=(LATENT,)), keras.Input(shape=(LATENT,))]
    stepped, h_out, c_out = lstm(decoder_inputs, initial_state=held)
    return trained, keras.Model(encoder_inputs, [h, c]), keras.Model([decoder_inputs, *held], [dense(stepped), h_out, c_out])


def train(model) -> None:
    """Says the letters in reverse, imperfectly: outputs vary in length and content."""
    drawn = random.Random(3)
    texts = ["".join(drawn.choices(LETTERS, k=drawn.randint(1, 10))) for _ in range(6000)]
    sources, inputs, outputs = (numpy.zeros((len(texts), 12, size), numpy.float32) for size in (len(SOURCE), len(TARGET), len(TARGET)))
    for row, text in enumerate(texts):
        target = [0, *[TARGET.index(letter.upper()) for letter in reversed(text)], 1]
        # As in the tutorial short rows are filled with spaces: they are text to this model.
        source = [SOURCE.index(letter) for letter in text]
        sources[row] = onehot(source + [0] * (12 - len(source)), len(SOURCE))
        inputs[row, : len(target)] = onehot(target, len(TARGET))
        inputs[row, len(target) :, 2] = 1
        outputs[row, : len(target) - 1] = onehot(target[1:], len(TARGET))
        outputs[row, len(target) - 1 :, 2] = 1
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="categorical_crossentropy")
    model.fit([sources, inputs], outputs, batch_size=64, epochs=6, verbose=0)


def export(model, path, names) -> list[str]:
    """The outputs' names, which tf2onnx makes up."""
    spec = [tf.TensorSpec((None, *tensor.shape[1:]), tf.float32, name=name) for tensor, name in zip(model.inputs, names)]
    run = tf.function(lambda *args: model(list(args) if len(args) > 1 else args[0]), input_signature=spec)
    proto, _ = tf2onnx.convert.from_function(run, input_signature=spec, opset=17)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString())
    return [output.name for output in proto.graph.output]


def main() -> None:
    keras.utils.set_random_seed(7)
    trained, encoder, decoder = models()
    train(trained)
    folder = OUT / "keras-tf2onnx"
    shutil.rmtree(folder, ignore_errors=True)
    states = export(encoder, folder / "encoder.onnx", ["input_1"])
    scores, *states_out = export(decoder, folder / "decoder.onnx", ["input_2", "input_3", "input_4"])

    def score(ids, targets):
        h, c = encoder(onehot([ids], len(SOURCE)))
        n = targets.shape[0]
        probs, _, _ = decoder([onehot(targets.numpy(), len(TARGET)), numpy.repeat(h, n, 0), numpy.repeat(c, n, 0)])
        return torch.log(torch.tensor(numpy.array(probs)).clamp_min(1e-30))

    padded = lambda text: [SOURCE.index(letter) for letter in text] + [0] * (12 - len(text))
    answers = oracle(score, padded, (0, 1, 2), len(TARGET))
    for case in answers["cases"]:
        case["source"] = case["source"][: len(case["text"])]
    manifest = {
        "encoder": {"file": "encoder.onnx", "inputs": {"onehot": "input_1"}, "outputs": {"states": states}},
        "decoder": {"file": "decoder.onnx", "inputs": {"onehot": "input_2", "states": ["input_3", "input_4"]}, "outputs": {"scores": scores, "scoresAre": "probs", "states": states_out}},
        "source": {"vocab": SOURCE, "padToken": " ", "padTo": 12},
        "target": {"vocab": TARGET, "bos": "\t", "eos": "\n", "padToken": " "},
    }
    write("keras-tf2onnx", manifest, answers)


if __name__ == "__main__":
    main()
