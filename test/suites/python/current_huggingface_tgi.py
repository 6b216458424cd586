"""huggingface_hub.InferenceClient on TGI's routes: the bare URL and /generate."""

import threading
import unittest

from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import (
    GenerationError,
    HfHubHTTPError,
    OverloadedError,
    UnknownError,
    ValidationError,
)
from serving import ANSWER, SCRIPTED_URL, TEXT, ZOO_URL, metric, until

URLS = (ZOO_URL, f"{ZOO_URL}/", f"{ZOO_URL}/generate")


class TextGeneration(unittest.TestCase):
    def test_plain(self):
        for url in URLS:
            self.assertEqual(InferenceClient(url).text_generation(TEXT), ANSWER)

    def test_details(self):
        for url in URLS:
            output = InferenceClient(url).text_generation(TEXT, details=True, decoder_input_details=True, top_n_tokens=2)
            self.assertEqual(output.generated_text, ANSWER)
            self.assertEqual(output.details.finish_reason, "eos_token")
            self.assertEqual("".join(token.text for token in output.details.tokens), ANSWER)
            self.assertEqual(output.details.generated_tokens, len(output.details.tokens))
            self.assertTrue(all(token.logprob <= 0 for token in output.details.tokens))
            self.assertEqual({len(top) for top in output.details.top_tokens}, {2})

    def test_stream(self):
        for url in URLS:
            client = InferenceClient(url)
            self.assertEqual("".join(client.text_generation(TEXT, stream=True)), ANSWER)

    def test_stream_details(self):
        for url in URLS:
            client = InferenceClient(url)
            outputs = list(client.text_generation(TEXT, stream=True, details=True))
            self.assertEqual("".join(output.token.text for output in outputs), ANSWER)
            self.assertEqual(outputs[-1].generated_text, ANSWER)
            self.assertEqual(outputs[-1].details.finish_reason, "eos_token")
            self.assertEqual(outputs[-1].details.generated_tokens, len(outputs) - 1)

    def test_stop_cuts_exactly(self):
        client = InferenceClient(ZOO_URL)
        output = client.text_generation(TEXT, stop=["di"], details=True)
        self.assertEqual((output.generated_text, output.details.finish_reason), ("ed", "stop_sequence"))
        self.assertEqual("".join(client.text_generation(TEXT, stop=["di"], stream=True)), "ed")

    def test_seeds_repeat(self):
        client = InferenceClient(ZOO_URL)
        texts = [client.text_generation(TEXT, temperature=3.0, seed=seed, max_new_tokens=20) for seed in (5, 5, 6)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])

    def test_leaving_frees_the_row(self):
        before = metric("seqserve_requests_total", 'outcome="cancelled"')
        client = InferenceClient(ZOO_URL)
        with client:
            # Repeats itself to the limit of 512 tokens: time enough to leave.
            stream = client.text_generation("considered " * 10, stream=True, max_new_tokens=512, repetition_penalty=0.2)
            next(stream)
        until(lambda: metric("seqserve_requests_total", 'outcome="cancelled"') > before, "cancelled")

    def test_errors_are_their_classes(self):
        scripted = InferenceClient(SCRIPTED_URL)
        with self.assertRaisesRegex(ValidationError, "parameters.top_k: must be >= 0"):
            scripted.text_generation("hi", top_k=-1)
        with self.assertRaisesRegex(ValidationError, "parameters.watermark: watermarks are not supported"):
            scripted.text_generation("hi", watermark=True)
        with self.assertRaises(GenerationError):
            scripted.text_generation("a !fail")
        with self.assertRaises(GenerationError):
            list(scripted.text_generation("a !fail", stream=True))
        with self.assertRaises(UnknownError):
            scripted.text_generation("a !crash")
        with self.assertRaises(HfHubHTTPError):
            InferenceClient(f"{SCRIPTED_URL}/nowhere").chat_completion([{"role": "user", "content": "hi"}])

    def test_overload_is_its_class(self):
        outcomes = []

        def ask():
            try:
                InferenceClient(SCRIPTED_URL, timeout=3).text_generation("!wait")
            except Exception as error:
                outcomes.append(error)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(any(isinstance(error, OverloadedError) for error in outcomes), outcomes)


class AsyncTextGeneration(unittest.IsolatedAsyncioTestCase):
    async def test_stream(self):
        async with AsyncInferenceClient(ZOO_URL) as client:
            stream = await client.text_generation(TEXT, stream=True)
            self.assertEqual("".join([piece async for piece in stream]), ANSWER)


class Tasks(unittest.TestCase):
    def test_translation(self):
        client = InferenceClient(model=ZOO_URL)
        self.assertEqual(client.translation(TEXT).translation_text, ANSWER)
        with self.assertRaisesRegex(HfHubHTTPError, "does not take languages"):
            client.translation(TEXT, src_lang="en", tgt_lang="de")

    def test_summarization(self):
        client = InferenceClient(model=ZOO_URL)
        self.assertEqual(client.summarization(TEXT).summary_text, ANSWER)
        short = client.summarization(TEXT, generate_parameters={"max_new_tokens": 3}, truncation="longest_first")
        self.assertEqual(short.summary_text, "eddi")

    def test_wrong_fields_are_named(self):
        client = InferenceClient(model=ZOO_URL)
        with self.assertRaisesRegex(HfHubHTTPError, "422"):
            client.summarization(TEXT, clean_up_tokenization_spaces=True)


class Endpoint(unittest.TestCase):
    def test_info_and_health(self):
        client = InferenceClient(ZOO_URL, provider="hf-inference")
        self.assertTrue(client.health_check())
        info = client.get_endpoint_info()
        self.assertEqual(info["model_id"], "t5")
        self.assertGreater(info["max_total_tokens"], info["max_input_tokens"])


if __name__ == "__main__":
    unittest.main()
