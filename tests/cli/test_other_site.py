"""A page of another site, in Chromium, that asks clm serve: shown the answer when its origin is listed, refused otherwise.

Needs what test_page.py needs; exits with 77 without it.

Environment: CLM_BIN (the program).
"""
import functools
import http.server
import os
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_page
import test_serve

# As OpenAI's client for JavaScript sends it, with headers of its own, which make the browser ask first.
ASK = """
const [port, key, done] = arguments;
const headers = {"Content-Type": "application/json", "X-Stainless-Lang": "js"};
if (key) headers.Authorization = "Bearer " + key;
fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {method: "POST", headers, body: JSON.stringify(
    {messages: [{role: "user", content: "静夜思"}], temperature: 0, stream: true})})
    .then(async r => done(r.status + " " + await r.text()), e => done("refused: " + e.message));
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class OtherSite(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        with open(os.path.join(cls.folder.name, "index.html"), "w") as page:
            page.write("<!doctype html><title>another site</title>")
        cls.site = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                   functools.partial(Quiet, directory=cls.folder.name))
        threading.Thread(target=cls.site.serve_forever, args=(0.05,), daemon=True).start()
        cls.origin = "http://127.0.0.1:%d" % cls.site.server_port
        cls.browser = test_page.start_browser()
        cls.browser.set_script_timeout(test_serve.LIMIT)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.site.shutdown()
        cls.site.server_close()
        cls.folder.cleanup()

    def ask(self, *args, key=None, sent=None):
        server = test_serve.Server(*args, env={"CLM_SERVER_API_KEY": key} if key else None)
        self.addCleanup(server.kill)
        self.browser.get(self.origin)
        return self.browser.execute_async_script(ASK, server.port, sent), server

    def test_listed(self):
        text, _ = self.ask("--origins", "https://other.example, " + self.origin + "/")
        self.assertTrue(text.startswith("200 ") and "data: [DONE]" in text, text)

    def test_every_page(self):
        text, server = self.ask("--origins", "*")
        self.assertTrue(text.startswith("200 "), text)
        self.assertIn("every page in a browser", server.text())

    def test_with_a_key(self):
        self.assertTrue(self.ask("--origins", self.origin, key="k", sent="k")[0].startswith("200 "))
        # The refusal can be read as well.
        self.assertTrue(self.ask("--origins", self.origin, key="k", sent="x")[0].startswith("401 {"))

    def test_not_listed(self):
        text, server = self.ask("--origins", "https://other.example")
        self.assertTrue(text.startswith("refused: "), text)
        self.assertIn("OPTIONS /v1/chat/completions 403", server.text())
        self.assertIn("pages of %s may not use this server: server.origins" % self.origin, server.text())


if __name__ == "__main__":
    if test_page.missing():
        print("SKIPPED:", test_page.missing(), file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=1)
