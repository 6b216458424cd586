"""libretranslatepy on /translate, /languages and /detect."""

import unittest

from libretranslatepy import LibreTranslateAPI
from serving import ZOO_URL


class LibreTranslate(unittest.TestCase):
    def setUp(self):
        self.api = LibreTranslateAPI(ZOO_URL)

    def test_translate(self):
        german = self.api.translate("If whether", "en", "de")
        french = self.api.translate("If whether", "en", "fr")
        self.assertTrue(german and french)
        self.assertNotEqual(german, french)

    def test_languages(self):
        languages = {language["code"]: language for language in self.api.languages()}
        self.assertEqual(languages["en"]["name"], "English")
        self.assertIn("de", languages["en"]["targets"])

    def test_detect(self):
        (best, *_) = self.api.detect("Der Ausschuss hat noch nicht entschieden")
        self.assertEqual(best["language"], "de")
        self.assertGreater(best["confidence"], 50)

    def test_auto(self):
        text = "Der Ausschuss hat noch nicht entschieden"
        self.assertEqual(self.api.translate(text, "auto", "en"), self.api.translate(text, "de", "en"))


if __name__ == "__main__":
    unittest.main()
