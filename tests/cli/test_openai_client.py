"""OpenAI's own client library (PyPI: openai) against clm serve: answers, streams, and how refusals arrive.

Environment: CLM_BIN (the program). Exits with 77 where the library is missing.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
try:
    import openai
except ImportError:
    print("SKIPPED: OpenAI's client: this Python has no package openai")
    sys.exit(77)
import test_serve

MESSAGES = [{"role": "user", "content": "静夜思"}]


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = test_serve.Server("--api-key", "secret")
        cls.client = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % cls.server.port, api_key="secret", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.kill()

    def test_answer(self):
        r = self.client.chat.completions.create(model="demo", messages=MESSAGES, temperature=0)
        self.assertEqual((r.choices[0].message.content, r.choices[0].finish_reason), (test_serve.POEM, "stop"))
        self.assertEqual(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens)

    def test_stream(self):
        parts = list(self.client.chat.completions.create(model="demo", messages=MESSAGES, temperature=0, stream=True,
                                                         stream_options={"include_usage": True}))
        self.assertEqual("".join(p.choices[0].delta.content or "" for p in parts if p.choices), test_serve.POEM)
        self.assertGreater(parts[-1].usage.completion_tokens, 10)

    def test_completion(self):
        r = self.client.completions.create(model="demo", prompt="\nHuman:静夜思\n\nAssistant:", temperature=0, max_tokens=4)
        self.assertTrue(r.choices[0].text)
        self.assertEqual(r.choices[0].finish_reason, "length")

    def test_models(self):
        self.assertEqual([m.id for m in self.client.models.list()], ["demo"])

    def test_refusals(self):
        with self.assertRaises(openai.BadRequestError) as e:
            self.client.chat.completions.create(model="demo", messages=MESSAGES, n=3)
        self.assertIn("n is not supported", str(e.exception))
        with self.assertRaises(openai.BadRequestError) as e:
            self.client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "山" * 4000}])
        self.assertEqual(e.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.AuthenticationError):
            self.client.with_options(api_key="wrong").models.list()
        with self.assertRaises(openai.NotFoundError):
            self.client.embeddings.create(model="demo", input="x")

    def test_a_stream_that_is_closed_ends_the_answer(self):
        stream = self.client.chat.completions.create(model="demo", messages=MESSAGES, temperature=8, max_tokens=900,
                                                     stream=True)
        next(iter(stream))
        stream.close()
        self.assertEqual(self.client.chat.completions.create(model="demo", messages=MESSAGES, temperature=0)
                         .choices[0].message.content, test_serve.POEM)


if __name__ == "__main__":
    unittest.main(verbosity=2)
