"""The page of clm serve in a browser: what it shows of answers, failures and its own memory. A server of this file
plays the API; Chromium runs without a window. Whatever a browser has to say (scripts, CSP) fails the test.

Needs selenium (PyPI), chromium and chromedriver (Debian: chromium, chromium-driver); exits with 77 without them.

Environment: CLM_BIN (the program, whose own server is asked a question as well).
"""
import http.server
import json
import os
import shutil
import sys
import threading
import time
import unittest

try:
    from selenium import webdriver
    from selenium.common.exceptions import JavascriptException, StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait
except ImportError:
    webdriver = None

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import test_serve

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "tools", "serve", "page")
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
       "form-action 'none'; frame-ancestors 'none'")
FILES = {"/": ("index.html", "text/html; charset=utf-8"), "/page.js": ("page.js", "text/javascript; charset=utf-8"),
         "/page.css": ("page.css", "text/css; charset=utf-8")}
ANSWER = "乔戈里峰。\n\n  It is 8,611 m high 🏔 — in the Karakoram."
MARKUP = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> **bold** &amp;"
CODE = "Like this:\n\n```c\nint main(void)\n{\n    return 0;\n}\n```\n\nand <b>no more</b>."
LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


def error(message, code, kind="invalid_request_error"):
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def chunk(delta, finish=None):
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
            "usage": None}


def events(text, finish="stop"):
    """A whole stream in bytes."""
    usage = {"prompt_tokens": 31, "completion_tokens": 24, "total_tokens": 55, "prompt_tokens_details": {"cached_tokens": 20},
             "timings": {"prompt_seconds": 0.5, "decode_seconds": 2.0}}
    list_ = [chunk({"role": "assistant", "content": ""}), *[chunk({"content": text[i:i + 3]}) for i in range(0, len(text), 3)],
             chunk({}, finish), {"object": "chat.completion.chunk", "choices": [], "usage": usage}]
    lines = [b"data: " + json.dumps(e, ensure_ascii=False).encode() + b"\n\n" for e in list_]
    return b": waiting\n\n" + b"".join(lines) + b"data: [DONE]\n\n"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refused(self):
        mock = self.server
        if mock.key and self.headers["Authorization"] != "Bearer " + mock.key:
            self.reply(401, error("Invalid API key", "invalid_api_key", "authentication_error"))
        elif mock.loading:
            self.reply(503, LOADING)
        else:
            return False
        return True

    def do_GET(self):
        mock = self.server
        if self.path in FILES:
            name, kind = FILES[self.path]
            with open(os.path.join(PAGE, name), "rb") as file:
                self.reply(200, file.read(), kind, [("Content-Security-Policy", CSP)])
        elif self.path == "/health":
            self.reply(503 if mock.loading else 200, LOADING if mock.loading else {"status": "ok"})
        elif self.path != "/v1/models":
            mock.strange.append(self.path)
            self.reply(404, error("not here", 404))
        elif not self.refused():
            meta = {"n_ctx": 4096, "device": "Imaginary GPU 7", "template": "demo"}
            self.reply(200, {"object": "list", "data": [{"id": "demo-model", "object": "model", "created": 1, "owned_by": "clm",
                                                         "meta": meta}]})

    def do_POST(self):
        mock = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/chat/completions" or self.headers["Content-Type"] != "application/json":
            mock.strange.append(self.path)
        if self.refused():
            return
        mock.asked.append(body)
        if isinstance(mock.behave, tuple):
            self.reply(*mock.behave)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            getattr(self, mock.behave)()
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            mock.left.set()

    def put(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def normal(self):
        self.put(events(self.server.text))

    def length(self):
        self.put(events(self.server.text, "length"))

    def split(self):
        """Breaks within lines and within characters."""
        data = events(self.server.text).replace(b"\n", b"\r\n")
        for i in range(0, len(data), 2):
            self.put(data[i:i + 2])
            time.sleep(0.0005)

    def gated(self):
        """The beginning; the rest when the test lets it."""
        data = events(self.server.text)
        half = data.index(b"data: ", len(data) // 2)
        self.put(data[:half])
        self.server.gate.wait(10)
        self.put(data[half:])

    def endless(self):
        for i in range(600):
            self.put(b"data: " + json.dumps(chunk({"content": f"line {i}\n"})).encode() + b"\n\n")
            time.sleep(0.02)

    def begun(self):
        self.put(b"data: " + json.dumps(chunk({"content": "The beginning"})).encode() + b"\n\n")

    def fails(self):
        self.begun()
        self.put(b"data: " + json.dumps(error("the device is lost", 500, "server_error")).encode() + b"\n\n")

    def ends(self):
        """An orderly end without finish_reason."""
        self.begun()

    def breaks(self):
        """A connection that is cut within a chunk."""
        self.begun()
        self.wfile.write(b"50\r\ndata: {")
        time.sleep(0.1)
        self.close_connection = True
        self.connection.shutdown(2)
        raise BrokenPipeError


class Mock(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port=0, **values):
        self.behave, self.text, self.key, self.loading = "normal", ANSWER, None, False
        self.open, self.asked, self.strange, self.left, self.gate = [], [], [], threading.Event(), threading.Event()
        self.__dict__.update(values)
        super().__init__(("127.0.0.1", port), Handler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"

    def process_request(self, request, client_address):
        self.open.append(request)
        super().process_request(request, client_address)

    def close(self):
        """Ends open connections as well, as a program that ends does."""
        self.shutdown()
        self.server_close()
        for connection in self.open:
            try:
                connection.shutdown(2)
            except OSError:
                pass  # has been closed


def start_browser(language="en-US"):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser")
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1000,800",
                 "--accept-lang=" + language):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


class Browser(unittest.TestCase):
    """What a reader does and sees. Each test has a server, so an origin and a memory, of its own."""
    @classmethod
    def setUpClass(cls):
        cls.browser = start_browser()
        cls.browser.set_script_timeout(10)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()

    def setUp(self):
        self.mock = None

    def tearDown(self):
        for entry in self.browser.get_log("browser"):
            # A status like 401 is written to the log by the browser itself, and is what some tests are about.
            api = any(path in entry["message"] for path in ("/v1/", "/health"))
            self.assertTrue(entry["source"] == "network" and api, entry)
        if self.mock is not None:
            self.browser.get("about:blank")
            self.mock.close()
            self.assertEqual(self.mock.strange, [])

    def open(self, **values):
        self.mock = Mock(**values)
        self.browser.get(self.mock.url)

    def find(self, css):
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def wait(self, what, seconds=10):
        WebDriverWait(self.browser, seconds, 0.05, [StaleElementReferenceException, JavascriptException]).until(lambda _: what())

    def answers(self):
        return [e.get_property("textContent") for e in self.all(".answer .text")]

    def shown(self, css):
        """The text of an element; empty when it is not to be seen."""
        return " ".join(e.text for e in self.all(css) if e.is_displayed())

    def send(self, text):
        self.find("#input").send_keys(text, Keys.ENTER)

    def ask(self, text):
        """Asks and waits for the end of the answer."""
        self.send(text)
        self.wait(lambda: self.find("#send").text == "Send" and not self.all(".busy"))

    def run_js(self, script, *args):
        return self.browser.execute_script(script, *args)


class Answers(Browser):
    def test_conversation(self):
        self.open()
        self.wait(lambda: self.find("#model").text == "demo-model")
        self.assertEqual(self.find("#device").text, "Imaginary GPU 7")
        self.assertIn("ask", self.shown("#empty"))
        self.assertEqual(self.find("#send").get_attribute("aria-disabled"), "true")
        self.ask("世界上第二高的山峰是哪座")
        self.assertEqual(self.answers(), [ANSWER])
        self.assertEqual(self.shown(".usage"), "24 tokens · 12.0 tokens/s · prompt 31 (20 cached)")
        self.assertEqual(self.find("#status").get_property("textContent"), "The answer is complete.")
        self.assertEqual(self.shown("#empty") + self.shown("#notice") + self.shown(".note"), "")
        self.ask("And then?")
        self.assertEqual(self.mock.asked[1], {
            "messages": [{"role": "user", "content": "世界上第二高的山峰是哪座"}, {"role": "assistant", "content": ANSWER},
                         {"role": "user", "content": "And then?"}], "stream": True, "stream_options": {"include_usage": True}})
        self.assertEqual(len([e for e in self.all(".again") if e.is_displayed()]), 1)

    def test_streaming(self):
        self.open(behave="gated", text="one two three four five six seven eight nine ten")
        self.send("count")
        self.wait(lambda: self.answers()[0].startswith("one two"))
        self.assertNotIn("ten", self.answers()[0])
        self.assertEqual(self.find("#send").text, "Stop")
        self.find("#input").send_keys("not yet", Keys.ENTER)
        self.assertEqual(len(self.all(".turn")), 1)
        self.mock.gate.set()
        self.wait(lambda: self.answers() == [self.mock.text])
        self.assertEqual(self.find("#input").get_property("value"), "not yet")

    def test_split_lines_and_characters(self):
        self.open(behave="split")
        self.ask("?")
        self.assertEqual(self.answers(), [ANSWER])

    def test_stop(self):
        self.open(behave="endless")
        self.send("?")
        self.wait(lambda: "line 5" in self.answers()[0])
        self.find("#send").click()
        self.assertTrue(self.mock.left.wait(5), "the connection is still open")
        self.wait(lambda: self.shown(".note") == "Stopped.")
        self.mock.behave = "normal"
        self.ask("?")
        self.assertIn("line 5", self.mock.asked[1]["messages"][1]["content"])
        self.assertEqual(self.answers()[1], ANSWER)

    def test_regenerate(self):
        self.open()
        self.ask("first")
        self.ask("second")
        self.mock.text = "another"
        self.find(".turn:last-child .again").click()
        self.wait(lambda: self.answers() == [ANSWER, "another"])
        self.assertEqual(self.mock.asked[2], self.mock.asked[1])
        self.mock.behave = (500, error("out of memory", 500, "server_error"))
        self.find(".turn:last-child .again").click()
        self.wait(lambda: "out of memory" in self.shown("#notice"))
        self.assertEqual(self.answers(), [ANSWER, "another"])

    def test_new_conversation(self):
        self.open()
        self.ask("first")
        self.find("#new").click()
        self.assertEqual(self.all(".turn"), [])
        self.find("#notice-action").click()
        self.assertEqual(self.answers(), [ANSWER])
        self.find("#new").click()
        self.ask("second")
        self.assertEqual(self.mock.asked[1]["messages"], [{"role": "user", "content": "second"}])
        self.assertEqual(self.shown("#notice"), "")

    def test_new_conversation_stops_the_answer(self):
        self.open(behave="endless")
        self.send("?")
        self.wait(lambda: "line 1" in self.answers()[0])
        self.find("#new").click()
        self.assertTrue(self.mock.left.wait(5))
        self.assertEqual(self.all(".turn"), [])

    def test_markup_stays_text(self):
        self.open(text=MARKUP)
        self.ask(MARKUP)
        self.assertEqual(self.answers(), [MARKUP])
        self.assertEqual(self.find(".question .text").text, MARKUP)
        self.browser.refresh()
        self.wait(lambda: self.answers() == [MARKUP])
        self.assertEqual(self.all("main img, main script, main b"), [])
        self.assertNotEqual(self.browser.title, "owned")

    def test_code(self):
        self.open(text=CODE)
        self.ask("?")
        parts = [(e.tag_name, e.get_property("textContent")) for e in self.all(".answer .text > *")]
        self.assertEqual(parts, [("div", "Like this:"), ("pre", "int main(void)\n{\n    return 0;\n}"),
                                 ("div", "and <b>no more</b>.")])

    def test_copy(self):
        self.open(text=CODE)
        self.ask("?")
        self.browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
        self.find(".copy").click()
        self.wait(lambda: self.find(".copy").text == "Copied")
        self.assertEqual(self.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])"), CODE)
        self.run_js("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        self.find("#input").clear()
        self.wait(lambda: self.find(".copy").text == "Copy")
        self.find(".copy").click()
        self.wait(lambda: self.find(".copy").text == "Copied")
        self.find("#input").send_keys(Keys.CONTROL, "v")
        self.assertEqual(self.find("#input").get_property("value"), CODE)

    def test_scrolling(self):
        self.open(behave="endless")
        gap = "const m = document.getElementById('main'); return m.scrollHeight - m.clientHeight - m.scrollTop"
        self.send("?")
        self.wait(lambda: "line 60" in self.answers()[0])
        self.wait(lambda: self.run_js(gap) < 40)
        self.run_js("document.getElementById('main').scrollTop -= 200")
        place = self.run_js("return document.getElementById('main').scrollTop")
        self.wait(lambda: "line 90" in self.answers()[0])
        self.assertEqual(self.run_js("return document.getElementById('main').scrollTop"), place)
        self.run_js("const m = document.getElementById('main'); m.scrollTop = m.scrollHeight")
        self.wait(lambda: "line 120" in self.answers()[0])
        self.wait(lambda: self.run_js(gap) < 40)
        # The frame itself stays.
        self.assertTrue(self.run_js("return document.documentElement.scrollHeight <= innerHeight"))

    def test_cut(self):
        self.open(behave="length")
        self.ask("?")
        self.assertIn("cut off", self.shown(".note"))
        self.assertEqual(self.answers(), [ANSWER])


class Failures(Browser):
    def test_loading(self):
        self.open(loading=True)
        self.wait(lambda: "loading" in self.shown("#notice"))
        self.send("?")
        time.sleep(1.2)
        self.assertIn("loading", self.shown("#notice"))
        self.assertEqual(self.mock.asked, [])
        self.mock.loading = False
        self.wait(lambda: self.answers() == [ANSWER] and not self.all(".busy"))
        self.assertEqual((self.shown("#notice"), len(self.mock.asked)), ("", 1))

    def test_stop_while_loading(self):
        self.open(loading=True)
        self.send("?")
        self.find("#send").click()
        self.wait(lambda: self.shown(".note") == "Stopped.")
        self.mock.loading = False
        self.wait(lambda: self.find("#model").text == "demo-model")
        self.assertEqual(self.mock.asked, [])

    def test_loading_again(self):
        self.open()
        self.ask("first")
        self.mock.loading = True
        self.send("second")
        self.wait(lambda: "loading" in self.shown("#notice"))
        self.mock.loading = False
        self.wait(lambda: self.answers() == [ANSWER, ANSWER])

    def test_key(self):
        self.open(key="secret")
        self.wait(lambda: self.find("#settings").is_displayed())
        self.assertIn("asks for an API key", self.shown("#why"))
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "key")
        self.find("#key").send_keys("wrong", Keys.ENTER)
        self.wait(lambda: "does not accept" in self.shown("#why"))
        self.find("#cancel").click()
        self.assertIn("does not accept", self.shown("#notice"))
        self.find("#notice-action").click()
        self.find("#key").clear()
        self.find("#key").send_keys("secret", Keys.ENTER)
        self.wait(lambda: self.find("#model").text == "demo-model")
        self.assertEqual(self.shown("#notice"), "")
        self.ask("?")
        self.assertEqual(self.answers(), [ANSWER])
        self.assertNotIn("secret", self.run_js("return JSON.stringify(localStorage)"))
        self.mock.key = "changed"
        self.send("second")
        self.wait(lambda: "does not accept" in self.shown("#why"))
        self.find("#key").clear()
        self.find("#key").send_keys("changed", Keys.ENTER)
        self.wait(lambda: self.answers() == [ANSWER, ANSWER])
        self.browser.refresh()
        self.wait(lambda: self.find("#model").text == "demo-model")

    def test_server_gone(self):
        self.open()
        self.ask("first")
        port = self.mock.server_port
        self.mock.close()
        self.send("second")
        self.wait(lambda: "cannot be reached" in self.shown("#notice"))
        self.assertEqual(self.shown(".note"), "There is no answer yet.")
        self.mock = Mock(port)
        self.find("#notice-action").click()
        self.assertEqual(self.browser.switch_to.active_element.get_attribute("id"), "main")
        self.wait(lambda: self.answers() == [ANSWER, ANSWER])
        self.assertEqual(self.shown("#notice"), "")

    def test_connection_cut(self):
        for behave in ("breaks", "ends"):
            with self.subTest(behave):
                self.open(behave=behave)
                self.send("?")
                self.wait(lambda: "cannot be reached" in self.shown("#notice"))
                self.assertEqual(self.answers(), ["The beginning"])
                self.assertEqual(self.shown(".note"), "The answer broke off here.")
                self.browser.refresh()
                self.wait(lambda: self.answers() == ["The beginning"])
                self.mock.behave = "normal"
                self.find(".again").click()
                self.wait(lambda: self.answers() == [ANSWER] and not self.shown(".note"))
                self.assertEqual(self.mock.asked[-1]["messages"], [{"role": "user", "content": "?"}])

    def test_error_in_stream(self):
        self.open(behave="fails")
        self.send("?")
        self.wait(lambda: "the device is lost" in self.shown("#notice"))
        self.assertEqual(self.answers(), ["The beginning"])
        self.mock.behave = "normal"
        self.find("#notice-action").click()
        self.wait(lambda: self.answers() == [ANSWER])

    def test_refusals(self):
        for status, text in ((400, "no such thing"), (403, "another site"), (429, "later"), (503, "are waiting already")):
            with self.subTest(status):
                self.open(behave=(status, error(text, status)))
                self.send("?")
                self.wait(lambda: text in self.shown("#notice"))
                self.mock.behave = "normal"
                self.find("#notice-action").click()
                self.wait(lambda: self.answers() == [ANSWER] and self.shown("#notice") == "")

    def test_strange_refusal(self):
        self.open(behave=(502, b"<html>Bad Gateway", "text/html"))
        self.send("?")
        self.wait(lambda: "HTTP 502" in self.shown("#notice"))
        self.mock.behave = "normal"
        self.ask("something else")
        self.assertEqual(self.mock.asked[1]["messages"], [{"role": "user", "content": "something else"}])

    def test_context_full(self):
        self.open()
        self.ask("first")
        self.mock.behave = (400, error("5000 tokens do not fit", "context_length_exceeded"))
        self.send("second")
        self.wait(lambda: "no longer fits" in self.shown("#notice"))
        self.find("#notice-action").click()
        self.assertEqual(self.all(".turn"), [])


class Memory(Browser):
    def test_reload(self):
        self.open()
        self.ask("first")
        before = self.shown(".usage")
        self.browser.refresh()
        self.assertEqual(self.answers(), [ANSWER])
        self.assertEqual((self.find(".question .text").text, self.shown(".usage")), ("first", before))
        self.ask("second")
        self.assertEqual(len(self.mock.asked[1]["messages"]), 3)

    def test_reload_in_an_answer(self):
        self.open(behave="endless")
        self.send("?")
        self.wait(lambda: "line 9" in self.answers()[0])
        self.browser.refresh()
        self.assertTrue(self.mock.left.wait(5))
        self.assertIn("line 9", self.answers()[0])
        self.assertEqual(self.all(".busy"), [])
        self.assertNotEqual(self.shown(".note"), "")

    def test_settings(self):
        self.open()
        self.find("#open-settings").click()
        for name, value in (("system", "Be <b>brief</b>."), ("temperature", "0.25"), ("max-tokens", "7")):
            self.find("#" + name).send_keys(value)
        self.find("#settings-form button.main").click()
        self.browser.refresh()
        self.ask("?")
        asked = self.mock.asked[0]
        self.assertEqual(asked["messages"][0], {"role": "system", "content": "Be <b>brief</b>."})
        self.assertEqual((asked["temperature"], asked["max_tokens"]), (0.25, 7))
        self.find("#open-settings").click()
        self.assertEqual(self.find("#temperature").get_property("value"), "0.25")
        self.find("#temperature").clear()
        self.find("#max-tokens").clear()
        self.find("#max-tokens").send_keys("0", Keys.ENTER)
        self.assertTrue(self.find("#settings").is_displayed())  # 0 tokens are none
        self.find("#max-tokens").clear()
        self.find("#max-tokens").send_keys(Keys.ENTER)
        self.ask("?")
        self.assertEqual(set(self.mock.asked[1]), {"messages", "stream", "stream_options"})

    def test_broken_storage(self):
        good = {"question": "kept", "answer": "too", "end": "stop", "usage": {"prompt": "x"}}
        self.open()
        for turns, settings, left in (("{", "\0", 0), ("null", "null", 0), ("7", "[]", 0), ('{"length": 3}', '"text"', 0),
                                      (json.dumps([None, 1, {}, {"question": {}, "answer": []}, good]),
                                       '{"system": 5, "temperature": "hot", "maxTokens": []}', 1)):
            with self.subTest(turns):
                # Leaving the page saves its turns: set it where no page is.
                self.browser.get(self.mock.url + "page.css")
                self.run_js("localStorage['clm.turns'] = arguments[0]; localStorage['clm.settings'] = arguments[1]", turns, settings)
                self.browser.get(self.mock.url)
                self.assertEqual(len(self.all(".turn")), left)
                self.ask("?")
                self.assertEqual(self.answers()[-1], ANSWER)
                self.assertEqual(set(self.mock.asked[-1]), {"messages", "stream", "stream_options"})

    def test_no_storage(self):
        script = """for (const name of ["localStorage", "sessionStorage"])
                        Object.defineProperty(window, name, {get() { throw new DOMException("", "SecurityError"); }});"""
        added = self.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        try:
            self.open(key="secret")
            self.wait(lambda: self.find("#settings").is_displayed())
            self.find("#key").send_keys("secret", Keys.ENTER)
            self.wait(lambda: self.find("#model").text == "demo-model")
            self.ask("?")
            self.assertEqual(self.answers(), [ANSWER])
        finally:
            self.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


class Hands(Browser):
    """Keys, composition, names for those who do not see, narrow screens, Chinese."""
    def test_composition(self):
        self.open()
        self.find("#input").send_keys("shi jie")
        for values in ({"isComposing": True}, {"keyCode": 229}):
            self.run_js("""document.getElementById("input").dispatchEvent(new KeyboardEvent("keydown",
                           {key: "Enter", bubbles: true, cancelable: true, ...arguments[0]}))""", values)
        self.find("#input").send_keys(Keys.SHIFT, Keys.ENTER)
        self.assertEqual(self.all(".turn"), [])
        self.assertEqual(self.find("#input").get_property("value"), "shi jie\n")
        self.ask("second line")
        self.assertEqual(self.mock.asked[0]["messages"][0]["content"], "shi jie\nsecond line")

    def test_composition_of_the_browser(self):
        self.open()
        self.find("#input").click()
        self.browser.execute_cdp_cmd("Input.imeSetComposition", {"text": "shi", "selectionStart": 3, "selectionEnd": 3})
        for kind in ("rawKeyDown", "keyUp"):
            self.browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, "key": "Enter", "code": "Enter",
                                                                    "windowsVirtualKeyCode": 229})
        self.browser.execute_cdp_cmd("Input.insertText", {"text": "是"})
        self.assertEqual((self.all(".turn"), self.find("#input").get_property("value")), ([], "是"))
        self.ask("")
        self.assertEqual(self.mock.asked[0]["messages"][0]["content"], "是")

    def test_blank_is_not_sent(self):
        self.open()
        self.find("#input").send_keys("  ", Keys.ENTER)
        self.assertEqual(self.all(".turn"), [])

    def test_double_click(self):
        self.open(behave="gated")
        self.find("#input").send_keys("?")
        webdriver.ActionChains(self.browser).double_click(self.find("#send")).perform()
        self.mock.gate.set()
        self.wait(lambda: self.answers() == [ANSWER])

    def test_everything_has_a_name(self):
        self.open()
        self.ask("?")
        for place in ("header", "main", "footer", "dialog"):
            if place == "dialog":
                self.find("#open-settings").click()
            for e in self.all(f"{place} button, {place} input, {place} textarea, {place}[tabindex]"):
                if e.is_displayed():
                    self.assertNotEqual(e.accessible_name, "", e.get_attribute("outerHTML"))

    def test_phone(self):
        self.open(text="A" * 500 + "\n" + CODE + "\n```\n" + "x" * 300 + "\n```")
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                     {"width": 320, "height": 560, "deviceScaleFactor": 2, "mobile": True})
        try:
            self.ask("B" * 300)
            self.assertEqual(self.run_js("return [innerWidth, document.documentElement.scrollWidth]"), [320, 320])
            self.assertTrue(self.run_js("const m = document.getElementById('main'); return m.scrollWidth <= m.clientWidth"))
            for name in ("#new", "#open-settings", "#send"):
                box = self.find(name).rect
                self.assertTrue(box["x"] >= 0 and box["x"] + box["width"] <= 320, (name, box))
        finally:
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def test_chinese(self):
        agent = self.run_js("return navigator.userAgent")
        self.browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": "zh-CN"})
        try:
            self.open()
            self.assertEqual(self.find("html").get_attribute("lang"), "zh-CN")
            self.assertEqual((self.find("#send").text, self.find("#new").text), ("发送", "新对话"))
            self.send("?")
            self.wait(lambda: self.shown(".usage") == "24 词元 · 12.0 词元/秒 · 输入 31（缓存 20）")
        finally:
            self.browser.execute_cdp_cmd("Emulation.setUserAgentOverride", {"userAgent": agent, "acceptLanguage": "en-US"})


@unittest.skipUnless(os.environ.get("CLM_BIN"), "CLM_BIN is not set")
class RealServer(Browser):
    def test_question(self):
        server = test_serve.Server()
        self.addCleanup(server.kill)
        self.browser.get("http://127.0.0.1:%d/" % server.port)
        self.wait(lambda: self.find("#model").text != "clm", 60)
        self.send("世界上第二高的山峰是哪座")
        self.wait(lambda: self.shown(".usage") != "", 120)
        self.assertIn("乔戈里峰", self.answers()[0])


def missing():
    if webdriver is None:
        return "selenium is not installed (pip install selenium)"
    if not (shutil.which("chromium") or shutil.which("chromium-browser")) or not shutil.which("chromedriver"):
        return "chromium or chromedriver is not installed (apt-get install chromium chromium-driver)"
    return None


if __name__ == "__main__":
    if missing():
        print("SKIPPED:", missing(), file=sys.stderr)
        sys.exit(77)
    unittest.main(verbosity=1)
