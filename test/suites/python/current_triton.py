"""tritonclient's HTTP client on /v2: health and metadata (it has no call for the generate extension)."""

import unittest

import tritonclient.http as triton
from serving import ZOO_URL
from tritonclient.utils import InferenceServerException


class Triton(unittest.TestCase):
    def setUp(self):
        self.client = triton.InferenceServerClient(ZOO_URL.removeprefix("http://"))

    def tearDown(self):
        self.client.close()

    def test_health(self):
        self.assertTrue(self.client.is_server_live())
        self.assertTrue(self.client.is_server_ready())
        self.assertTrue(self.client.is_model_ready("t5"))
        self.assertTrue(self.client.is_model_ready("t5", "1"))
        self.assertFalse(self.client.is_model_ready("none"))

    def test_metadata(self):
        self.assertEqual(self.client.get_server_metadata()["name"], "seqserve")
        model = self.client.get_model_metadata("t5")
        self.assertEqual([tensor["name"] for tensor in model["inputs"] + model["outputs"]], ["text_input", "text_output"])
        with self.assertRaisesRegex(InferenceServerException, "no such model"):
            self.client.get_model_metadata("none")


if __name__ == "__main__":
    unittest.main()
