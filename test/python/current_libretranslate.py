"""libretranslatepy on /translate, /languages and /detect."""

import unittest
import urllib.error

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

    def test_detect_is_not_built_in(self):
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.api.detect("hello")
        self.assertEqual(caught.exception.code, 501)
        caught.exception.close()


if __name__ == "__main__":
    unittest.main()
