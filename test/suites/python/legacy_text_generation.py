"""TGI's own client, text_generation.Client, on the bare URL."""

import unittest

from serving import ANSWER, SCRIPTED_URL, TEXT, ZOO_URL
from text_generation import AsyncClient, Client
from text_generation.errors import GenerationError, ValidationError
from text_generation.types import Message


class LegacyClient(unittest.TestCase):
    def test_generate(self):
        response = Client(ZOO_URL).generate(TEXT, decoder_input_details=True, top_n_tokens=2)
        self.assertEqual(response.generated_text, ANSWER)
        self.assertEqual(response.details.finish_reason.value, "eos_token")
        self.assertEqual("".join(token.text for token in response.details.tokens), ANSWER)
        self.assertEqual(len(response.details.prefill), 1)

    def test_generate_stream(self):
        responses = list(Client(ZOO_URL).generate_stream(TEXT))
        self.assertEqual("".join(response.token.text for response in responses), ANSWER)
        self.assertEqual(responses[-1].generated_text, ANSWER)
        self.assertEqual(responses[-1].details.generated_tokens, len(responses) - 1)

    def test_length_and_stop(self):
        response = Client(ZOO_URL).generate(TEXT, max_new_tokens=3)
        self.assertEqual((response.generated_text, response.details.finish_reason.value), ("eddi", "length"))
        response = Client(ZOO_URL).generate(TEXT, stop_sequences=["di"])
        self.assertEqual((response.generated_text, response.details.finish_reason.value), ("ed", "stop_sequence"))

    def test_best_of(self):
        response = Client(ZOO_URL).generate(TEXT, best_of=3, do_sample=True, temperature=2.0, max_new_tokens=8)
        self.assertEqual(len(response.details.best_of_sequences), 2)

    def test_chat(self):
        response = Client(ZOO_URL).chat([Message(role="user", content=TEXT)], max_tokens=24)
        self.assertEqual(response.choices[0].message.content, ANSWER)

    def test_errors_are_their_classes(self):
        with self.assertRaises(ValidationError):
            Client(ZOO_URL).generate(TEXT, watermark=True)
        with self.assertRaises(GenerationError):
            Client(SCRIPTED_URL).generate("a !fail")


class LegacyAsyncClient(unittest.IsolatedAsyncioTestCase):
    async def test_stream(self):
        pieces = [response.token.text async for response in AsyncClient(ZOO_URL).generate_stream(TEXT)]
        self.assertEqual("".join(pieces), ANSWER)


if __name__ == "__main__":
    unittest.main()
