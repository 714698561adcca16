"""clm serve as clients meet it: answers whole and streamed, several at once, refusals, keys, other sites' pages, clients
that go away or send garbage, metrics, the beginning and the end of the server.

Environment: CLM_BIN (the program), CLM_SERVE_ARGS (more flags for it, for example --backend ref), CLM_SERVE_QUICK (leave
out what takes many tokens, for a program with sanitizers), CLM_GOLDEN (folder with the golden files).
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CLM = os.environ.get("CLM_BIN", os.path.join(ROOT, "build", "clm"))
ARGS = os.environ.get("CLM_SERVE_ARGS", "").split()
GOLDEN = os.environ.get("CLM_GOLDEN", os.path.join(ROOT, "..", "shared", "golden"))
CONFIG = os.path.join(ROOT, "configs", "demo.yaml")
POEM = "《静夜思》\n李白\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
LIMIT = 120  # seconds that anything may take
long = unittest.skipIf(os.environ.get("CLM_SERVE_QUICK"), "many tokens")


class Server:
    """A running clm serve on a free port."""

    def __init__(self, *args, env=None, wait=True, session=False):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([CLM, "serve", "--config", CONFIG, "--port", "0", *ARGS, *args],
                                        stderr=self.log, stdin=subprocess.DEVNULL, env=dict(os.environ, **(env or {})),
                                        start_new_session=session)  # without a terminal
        self.port = None
        if wait:
            self.wait_for("ready: ")

    def text(self):
        """What the server said. Read without a seek, which would move the place that the server writes at."""
        return os.pread(self.log.fileno(), os.fstat(self.log.fileno()).st_size, 0).decode("utf-8", "replace")

    def wait_for(self, words):
        end = time.time() + LIMIT
        while time.time() < end:
            text = self.text()
            found = re.search(r"listening on http://\S+:(\d+)", text)
            if found:
                self.port = int(found.group(1))
            if words in text:
                return
            if self.process.poll() is not None:
                raise AssertionError("the server ended: " + text)
            time.sleep(0.02)
        raise AssertionError(words + " was never said: " + self.text())

    def request(self, method, path, body=None, headers=None):
        """(status, headers, text)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, response.headers, text

    def raw(self, data):
        """What comes back until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), LIMIT) as s:
            s.sendall(data)
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()

    def post(self, body, path="/v1/chat/completions", headers=None):
        """(status, JSON)"""
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        status, _, text = self.request("POST", path, data, {"Content-Type": "application/json", **(headers or {})})
        return status, json.loads(text)

    def begin(self, text, **fields):
        """The socket of a request whose answer nobody reads."""
        body = json.dumps({"messages": [{"role": "user", "content": text}], **fields}).encode()
        s = socket.create_connection(("127.0.0.1", self.port), LIMIT)
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return s

    def chat(self, text, **fields):
        return self.post({"messages": [{"role": "user", "content": text}], "temperature": 0, **fields})

    def metric(self, name):
        _, _, text = self.request("GET", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(name + r"[{ ]", line))

    def stop(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        try:
            return self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.log.close()


def events(text):
    """The JSON of each event of a stream, which must end with [DONE]."""
    parts = [part for part in text.split("\n\n") if part and not part.startswith(":")]
    assert all(part.startswith("data: ") for part in parts), text
    assert parts[-1] == "data: [DONE]", text
    return [json.loads(part[6:]) for part in parts[:-1]]


class OneServer(unittest.TestCase):
    args = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.args)

    @classmethod
    def tearDownClass(cls):
        cls.server.kill()


class Answers(OneServer):
    @long
    def test_whole(self):
        status, r = self.server.chat("静夜思")
        self.assertEqual((status, r["object"], r["model"]), (200, "chat.completion", "demo"))
        self.assertEqual(r["choices"], [{"index": 0, "message": {"role": "assistant", "content": POEM},
                                         "logprobs": None, "finish_reason": "stop"}])
        usage = r["usage"]
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        self.assertTrue(r["id"].startswith("chatcmpl-"))
        self.assertNotEqual(r["id"], self.server.chat("静夜思")[1]["id"])

    @long
    def test_the_same_as_chat(self):
        said = subprocess.run([CLM, "chat", "--config", CONFIG, "--temp", "0", *ARGS, "-p", "春晓"],
                              capture_output=True, text=True, timeout=LIMIT, check=True).stdout
        self.assertEqual(self.server.chat("春晓")[1]["choices"][0]["message"]["content"] + "\n", said)

    def test_stream(self):
        body = {"messages": [{"role": "user", "content": "静夜思"}], "temperature": 0, "stream": True}
        status, headers, text = self.server.request("POST", "/v1/chat/completions", json.dumps(body))
        parts = events(text)
        self.assertEqual((status, headers["Content-Type"]), (200, "text/event-stream; charset=utf-8"))
        self.assertEqual(parts[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        self.assertEqual("".join(p["choices"][0]["delta"].get("content", "") for p in parts), POEM)
        self.assertEqual([p["choices"][0]["finish_reason"] for p in parts[:-1]], [None] * (len(parts) - 1))
        self.assertEqual(parts[-1]["choices"][0]["finish_reason"], "stop")
        self.assertEqual(len({p["id"] for p in parts}), 1)
        self.assertTrue(len(parts) > 10 and all("usage" not in p for p in parts))

    @long
    def test_stream_with_usage(self):
        body = {"messages": [{"role": "user", "content": "静夜思"}], "temperature": 0, "stream": True,
                "stream_options": {"include_usage": True}}
        parts = events(self.server.request("POST", "/v1/chat/completions", json.dumps(body))[2])
        self.assertEqual((parts[-1]["choices"], all(p["usage"] is None for p in parts[:-1])), ([], True))
        self.assertEqual(parts[-1]["usage"]["completion_tokens"],
                         self.server.chat("静夜思")[1]["usage"]["completion_tokens"])

    def test_limits(self):
        _, r = self.server.chat("静夜思", max_tokens=4)
        self.assertEqual((r["choices"][0]["finish_reason"], r["usage"]["completion_tokens"]), ("length", 4))
        self.assertTrue(POEM.startswith(r["choices"][0]["message"]["content"]))
        _, r = self.server.chat("静夜思", stop=["床前"])
        self.assertEqual((r["choices"][0]["finish_reason"], r["choices"][0]["message"]["content"]),
                         ("stop", "《静夜思》\n李白\n"))

    @long
    def test_conversation(self):
        talk = [{"role": "system", "content": ""}, {"role": "user", "content": [{"type": "text", "text": "春"},
                                                                             {"type": "text", "text": "晓"}]},
                {"role": "assistant", "content": "春眠不觉晓", "refusal": None}, {"role": "user", "content": "静夜思"}]
        status, r = self.server.post({"messages": talk, "temperature": 0, "model": "whatever", "user": "me", "n": 1,
                                      "tools": [], "logit_bias": {}, "response_format": {"type": "text"}})
        self.assertEqual(status, 200)
        self.assertIn("床前明月光", r["choices"][0]["message"]["content"])

    def test_seeds(self):
        def answer(**fields):
            return self.server.chat("写诗", **{"temperature": 5, "max_tokens": 12, **fields})[1]["choices"][0]["message"]

        self.assertEqual(answer(seed=7), answer(seed=7))
        self.assertEqual(answer(seed=0), answer(seed=0))
        self.assertNotEqual(answer(seed=7), answer(seed=8))
        self.assertNotEqual(answer(), answer())

    def test_completion(self):
        status, r = self.server.post({"prompt": "\nHuman:静夜思\n\nAssistant:", "temperature": 0, "max_tokens": 8},
                                     "/v1/completions")
        self.assertEqual((status, r["object"], r["choices"][0]["finish_reason"]), (200, "text_completion", "length"))
        whole = r["choices"][0]["text"]
        self.assertTrue(whole and POEM.startswith(whole.strip()))
        body = {"prompt": "\nHuman:静夜思\n\nAssistant:", "temperature": 0, "max_tokens": 8, "stream": True}
        parts = events(self.server.request("POST", "/v1/completions", json.dumps(body))[2])
        self.assertEqual("".join(p["choices"][0]["text"] for p in parts), whole)

    def test_models_and_health(self):
        self.assertEqual(self.server.request("GET", "/health")[::2], (200, '{"status":"ok"}'))
        models = json.loads(self.server.request("GET", "/v1/models")[2])
        self.assertEqual([m["id"] for m in models["data"]], ["demo"])
        self.assertEqual(json.loads(self.server.request("GET", "/v1/models/demo")[2]), models["data"][0])
        self.assertEqual(json.loads(self.server.request("GET", "/v1/models/")[2]), models)
        status, _, text = self.server.request("GET", "/v1/models/gpt-4")
        self.assertEqual((status, json.loads(text)["error"]["code"]), (404, "model_not_found"))
        self.assertEqual(self.server.request("HEAD", "/health")[0], 200)

    def test_page(self):
        status, headers, text = self.server.request("GET", "/")
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        for name in re.findall(r'(?:src|href)="/?([^":]+)"', text):
            self.assertEqual(self.server.request("GET", "/" + name)[0], 200, name)

    def test_metrics(self):
        before = self.server.metric("clm_generated_tokens_total")
        tokens = self.server.chat("静夜思")[1]["usage"]["completion_tokens"]
        self.assertEqual(self.server.metric("clm_generated_tokens_total"), before + tokens)
        _, headers, text = self.server.request("GET", "/metrics")
        self.assertIn("version=0.0.4", headers["Content-Type"])
        sample = re.compile(r'[a-z_]+(\{[a-z]+="(\\.|[^"\\])*"(,[a-z]+="(\\.|[^"\\])*")*\})? [0-9.e+-]+')
        typed = set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                typed.add(line.split()[2])
            elif not line.startswith("# HELP "):
                self.assertTrue(sample.fullmatch(line), line)
                self.assertIn(re.sub(r"_(bucket|sum|count)$", "", re.split("[{ ]", line)[0]), typed)


class Refusals(OneServer):
    def refuse(self, body, status, words, path="/v1/chat/completions"):
        got, r = self.server.post(body, path)
        self.assertEqual(got, status, r)
        self.assertIn(words, r["error"]["message"])
        self.assertEqual(set(r["error"]), {"message", "type", "param", "code"})
        return r["error"]

    def chat(self, status, words, **fields):
        return self.refuse({"messages": [{"role": "user", "content": "x"}], **fields}, status, words)

    def test_fields(self):
        self.assertEqual(self.chat(400, "temperature must be", temperature=-1)["param"], "temperature")
        for fields, words in (({"temperature": "1"}, "temperature must be"), ({"top_p": 0}, "top_p must be"),
                              ({"max_tokens": 0}, "max_tokens must be"), ({"max_tokens": 1.5}, "max_tokens must be"),
                              ({"n": 2}, "n is not supported"), ({"stop": [""]}, "stop texts"),
                              ({"stop": ["a"] * 17}, "stop may have"), ({"stop": 3}, "stop must be"),
                              ({"stream": "yes"}, "stream must be"), ({"seed": "x"}, "seed must be"),
                              ({"stream_options": {"x": 1}}, "stream_options has no field 'x'"),
                              ({"presence_penalty": 0.5}, "presence_penalty is not supported"),
                              ({"tools": [{"type": "function"}]}, "tools is not supported"),
                              ({"response_format": {"type": "json_object"}}, "response_format is not supported"),
                              ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens and max_completion_tokens"),
                              ({"repetition_penalty": 1.5, "repeat_penalty": 1}, "repeat_penalty and repetition_penalty"),
                              ({"temprature": 1}, "did you mean 'temperature'?"), ({"prompt": "x"}, "'prompt'"), ({"a" + "é" * 40: 1}, "is not supported")):
            self.chat(400, words, **fields)

    def test_two_fields_that_agree(self):
        status, r = self.server.chat("静夜思", max_tokens=3, max_completion_tokens=3, repeat_penalty=1, repetition_penalty=1.0)
        self.assertEqual((status, r["usage"]["completion_tokens"]), (200, 3))

    def test_messages(self):
        for messages, words in (([], "at least one"), ("x", "must be a list"), ([1], "messages[0] must be"),
                                ([{"role": "tool", "content": "x"}], "calls no tools"),
                                ([{"content": "x"}], "messages[0].role"),
                                ([{"role": "user"}], "messages[0].content"),
                                ([{"role": "user", "content": [{"type": "image_url"}]}], "only parts of type text"),
                                ([{"role": "user", "content": "x", "tool_calls": [1]}], "tool_calls"),
                                ([{"role": "assistant", "content": "x"}], "the last message must be the user's")):
            self.refuse({"messages": messages}, 400, words)
        self.refuse({}, 400, "messages is missing")
        self.refuse({"prompt": ["a", "b"]}, 400, "one text", "/v1/completions")

    def test_context(self):
        large = {"messages": [{"role": "user", "content": "山水" * 2000}]}
        for stream in (False, True):
            error = self.refuse({**large, "stream": stream}, 400, "the context only")
            self.assertEqual((error["code"], error["type"]), ("context_length_exceeded", "invalid_request_error"))

    def test_broken_json(self):
        whole = json.dumps({"messages": [{"role": "user", "content": "静"}], "stream": False}).encode()
        for size in range(1, len(whole)):
            self.refuse(whole[:size], 400, "not JSON")
        self.refuse(b"[" * 60000, 400, "not JSON")
        self.refuse(b'{"messages": "\xff"}', 400, "not JSON")
        self.refuse(b'{"n": 1, "n": 1}', 400, "not JSON")
        self.refuse(b"[]", 400, "must be a JSON object")
        self.refuse(b"", 400, "the body is empty")

    def test_size(self):
        self.refuse(b'{"messages": [' + b" " * (1 << 20) + b"]}", 413, "more than 1 MB")
        # Without a length in front.
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=LIMIT)
        connection.request("POST", "/v1/chat/completions", (b" " * 65536 for _ in range(80)), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()

    @long
    def test_memory(self):
        def peak():
            with open("/proc/%d/status" % self.server.process.pid) as f:
                return int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1))

        self.server.chat("静夜思")
        before = peak()
        for n, words in ((300000, "more than 65536 commas"), (32000, "4096 entries")):
            body = b'{"messages": [' + b",".join([b"{}"] * n) + b"]}"
            threads = [threading.Thread(target=self.refuse, args=(body, 400, words)) for _ in range(8)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        self.assertLess(peak() - before, 96 << 10)

    def test_paths(self):
        status, r = self.server.post({}, "/v1/embeddings")
        self.assertEqual((status, r["error"]["type"]), (404, "not_found_error"))
        status, headers, _ = self.server.request("GET", "/v1/chat/completions")
        self.assertEqual((status, headers["Allow"]), (405, "POST"))
        status, headers, _ = self.server.request("POST", "/health", "")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))

    def test_refused_before_the_body(self):
        head = "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n"
        for path, size, status in (("/v1/embeddings", 9, 404), ("/health", 9, 405),
                                   ("/v1/chat/completions", 2 << 20, 413)):
            self.assertTrue(self.server.raw((head % (path, size)).encode()).startswith("HTTP/1.1 %d " % status))

    def test_two_lengths(self):
        for more in (b"Content-Length: 3", b"Transfer-Encoding: chunked", b"Content-Length: 2"):
            answer = self.server.raw(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                     b"Content-Length: 2\r\n" + more + b"\r\n\r\n{}")
            self.assertTrue(answer.startswith("HTTP/1.1 400 "), answer)
            self.assertEqual(answer.count("HTTP/1.1"), 1)

    def test_log(self):
        self.server.request("GET", "/%E2%80%AEgpj.exe%1B%5B2J%0A")
        said = [b'{"messages": [{"role": "user", "content": "hunter6 \\ud800"}]}', b'{"messages": "hunter7\n"}',
                b"hunter8", b'{"hunter9\xe2\x80\xae": 1}', b'{"messages": [{"role": "user", "content": [{"type": "hunter5"}]}]}',
                b'{"messages": [{"role": "hunter4", "content": "x"}]}', b'{"model": 1, "top_k": "hunter3"}']
        for body in said:
            self.refuse(body, 400, "")
        end = time.time() + LIMIT
        while self.server.text().count("POST /v1/chat/completions 400") < len(said):
            self.assertLess(time.time(), end)
            time.sleep(0.02)
        self.assertNotIn("hunter", self.server.text())
        self.assertIn("GET /%E2%80%AEgpj.exe%1B[2J%0A 404", self.server.text())
        self.assertTrue(self.server.text().isascii())

    def test_other_sites(self):
        own = "127.0.0.1:%d" % self.server.port
        for headers, status in (({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
                                ({"Origin": "http://" + own}, 200),
                                ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
                                ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
                                ({"Host": "127.0.0.1.evil.example"}, 403)):
            self.assertEqual(self.server.request("GET", "/v1/models", headers=headers)[0], status, headers)

    def test_garbage(self):
        for junk in (b"\x00" * 64, b"GET", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
                     b"\x16\x03\x01\x02\x00\x01\x00", b"\x1b[31mGET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000):
            s = socket.create_connection(("127.0.0.1", self.server.port), LIMIT)
            try:
                s.sendall(junk)
            except OSError:
                pass  # closed already
            s.close()
        self.assertEqual(self.server.request("GET", "/health")[0], 200)
        self.assertNotIn("\x1b", self.server.text())


class OtherSites(OneServer):
    args = ("--origins", "https://chat.example.org http://localhost:3000/")

    def ask(self, origin, **headers):
        status, got, _ = self.server.request("GET", "/v1/models", headers={"Origin": origin, **headers})
        return status, got["Access-Control-Allow-Origin"], got["Vary"]

    def test_listed(self):
        for origin in ("https://chat.example.org", "http://localhost:3000"):
            self.assertEqual(self.ask(origin), (200, origin, "Origin"))
            status, headers, text = self.server.request("OPTIONS", "/v1/chat/completions", headers={
                "Origin": origin, "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os"})
            self.assertEqual((status, text, headers["Access-Control-Allow-Origin"]), (204, "", origin))
            self.assertIn("POST", headers["Access-Control-Allow-Methods"])
            self.assertEqual(headers["Access-Control-Allow-Headers"], "authorization,content-type,x-stainless-os")

    def test_others(self):
        for origin in ("https://evil.example", "null", "https://chat.example.org.evil.example", "http://chat.example.org"):
            self.assertEqual(self.ask(origin), (403, None, "Origin"))
            status, headers, text = self.server.request("OPTIONS", "/v1/models", headers={
                "Origin": origin, "Access-Control-Request-Method": "GET"})
            self.assertEqual((status, headers["Access-Control-Allow-Origin"]), (403, None))
            self.assertIn("server.origins", json.loads(text)["error"]["message"])

    def test_own_and_programs(self):
        own = "http://127.0.0.1:%d" % self.server.port
        self.assertEqual(self.ask(own), (200, None, "Origin"))
        self.assertEqual(self.server.request("GET", "/v1/models")[0], 200)
        self.assertEqual(self.server.request("OPTIONS", "/v1/models")[0], 405)  # nobody's preflight

    def test_no_origins(self):
        run = subprocess.run([CLM, "serve", "--config", CONFIG, "--port", "0", "--origins", "chat.example.org"],
                             capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("server.origins: 'chat.example.org' is no origin: write scheme://host[:port]", run.stderr)


class ManyClients(OneServer):
    def settle(self):
        end = time.time() + LIMIT
        while self.server.metric("clm_requests_(running|waiting)") > 0:
            self.assertLess(time.time(), end)
            time.sleep(0.05)

    @long
    def test_at_once(self):
        questions = ["静夜思", "春晓", "登鹳雀楼", "相思", "江雪", "世界上第二高的山峰是哪座"] * 3
        alone = {q: self.server.chat(q)[1]["choices"][0]["message"] for q in set(questions)}
        together = [None] * len(questions)

        def ask(i):
            together[i] = self.server.chat(questions[i])[1]["choices"][0]["message"]

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(questions))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(together, [alone[q] for q in questions])

    def test_clients_that_go_away(self):
        before = self.server.metric("clm_generated_tokens_total")
        others = self.server.text().count(" POST ")
        # Some of them will be waiting.
        clients = [self.server.begin("写诗", temperature=8, max_tokens=900, stream=i % 2 == 1) for i in range(12)]
        clients[1].recv(1)
        self.assertGreater(self.server.metric("clm_http_connections"), 12)
        self.assertIn(self.server.metric("clm_requests_running"), (1, 2, 3, 4))  # some may have ended
        self.assertGreater(self.server.metric("clm_requests_waiting"), 0)
        for s in clients:
            s.close()
        self.settle()
        self.assertLess(self.server.metric("clm_generated_tokens_total") - before, 12 * 900 / 2)
        end = time.time() + LIMIT
        while self.server.text().count(" POST ") < others + 12:
            self.assertLess(time.time(), end)
            time.sleep(0.02)
        # An answer may end by itself before its client goes.
        lines = [line for line in self.server.text().splitlines() if line.endswith("(the client went away)")]
        self.assertTrue(any(re.search(r" 200 .*, answer [1-9]\d* at ", line) for line in lines), lines)
        self.assertEqual(self.server.chat("静夜思")[0], 200)

    @long
    def test_a_full_queue_refuses(self):
        results = []

        def ask():
            results.append(self.server.chat("写诗", temperature=8, max_tokens=40)[0])

        threads = [threading.Thread(target=ask) for _ in range(120)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(set(results) - {200, 503}, set())
        self.assertGreaterEqual(results.count(200), 64)
        self.settle()


class OneAtOnce(OneServer):
    args = ("--parallel", "1")

    def test_texts_that_are_too_long_keep_nobody_waiting(self):
        for body, path in (({"messages": [{"role": "user", "content": "山水" * 20000}]}, "/v1/chat/completions"),
                           ({"prompt": "山水" * 20000}, "/v1/completions")):
            for _ in range(20):  # as the other answer may end by itself
                with self.server.begin("写诗", temperature=8, max_tokens=900):
                    for _ in range(100):
                        if self.server.metric("clm_requests_running") > 0:
                            break
                        time.sleep(0.01)
                    status, r = self.server.post(body, path)
                    others = self.server.metric("clm_requests_running")
                self.assertEqual((status, r["error"]["code"]), (400, "context_length_exceeded"))
                if others > 0:
                    break
            self.assertGreater(others, 0)


class Keys(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.file = os.path.join(self.folder, "keys")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def write(self, text, mode=0o600):
        with open(self.file, "w") as f:
            f.write(text)
        os.chmod(self.file, mode)

    def refused(self, *args):
        run = subprocess.run([CLM, "serve", "--config", CONFIG, "--port", "0", *args], capture_output=True, text=True,
                             timeout=LIMIT)
        return run.returncode, run.stderr

    def test_keys(self):
        self.write("\ufeff# people\n\n first \nsecond\r\n", 0o644)
        server = Server("--api-key-file", self.file, env={"CLM_SERVER_API_KEY": "third"})
        try:
            self.assertIn("other users may open", server.text())
            for key in ("first", "second", "third"):
                self.assertEqual(server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})[0], 200)
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer firs"},
                            {"Authorization": "Basic first"}, {"Authorization": "Bearer # people"}):
                status, got, text = server.request("GET", "/v1/models", headers=headers)
                self.assertEqual((status, json.loads(text)["error"]["type"]), (401, "authentication_error"))
                self.assertEqual(got["WWW-Authenticate"], "Bearer")
                self.assertEqual(server.request("GET", "/metrics", headers=headers)[0], 401)
            # Seen also by clients that are still sending.
            self.assertEqual(server.post(b" " * 1000000)[0], 401)
            self.assertEqual(server.request("GET", "/health")[0], 200)
            self.assertEqual(server.request("GET", "/")[0], 200)
            # Other sites' pages have no key, so a proxy may call the server as it likes.
            self.assertEqual(server.request("GET", "/v1/models", headers={
                "Authorization": "Bearer first", "Host": "clm.example", "Origin": "https://other.example"})[0], 200)
            self.assertNotIn("first", server.text().replace(self.file, ""))
        finally:
            server.kill()

    def test_read_again(self):
        def status(key):
            return server.request("GET", "/v1/models", headers={"Authorization": "Bearer " + key})[0]

        def reload(text, words):
            self.write(text)
            n = server.text().count(words)
            server.process.send_signal(signal.SIGHUP)
            end = time.time() + LIMIT
            while server.text().count(words) == n:
                self.assertLess(time.time(), end)
                time.sleep(0.02)

        self.write("first\n")
        server = Server("--api-key-file", self.file, env={"CLM_SERVER_API_KEY": "third"})
        try:
            reload("second\n", "the keys were read again")
            self.assertEqual([status(key) for key in ("first", "second", "third")], [401, 200, 200])
            reload("# nobody\n", "the old keys stay: server.api_key_file: ")
            self.assertEqual([status(key) for key in ("first", "second", "third")], [401, 200, 200])
            self.assertEqual(server.stop(), 0)
        finally:
            server.kill()

    def test_hangup_without_a_file(self):
        server = Server(env={"CLM_SERVER_API_KEY": "third"}, session=True)
        try:
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("there is no file of keys to read again")
            self.assertEqual(server.request("GET", "/health")[0], 200)
            self.assertEqual(server.stop(), 0)
        finally:
            server.kill()

    def test_read_again_while_loading(self):
        self.write("first\n")
        server = Server("--api-key-file", self.file, wait=False)
        try:
            server.wait_for("loading the model")
            server.process.send_signal(signal.SIGHUP)
            server.wait_for("the keys were read again")
            self.assertIn("ready: ", server.text())
        finally:
            server.kill()

    def test_no_key_is_no_open_door(self):
        self.write("# nobody\n")
        code, text = self.refused("--api-key-file", self.file)
        self.assertEqual(code, 2)
        self.assertIn("server.api_key_file: %s: it holds no key" % self.file, text)
        code, text = self.refused("--api-key-file", self.file + "x")
        self.assertEqual(code, 2)
        self.assertIn("No such file", text)
        code, text = self.refused("--api-key", "")
        self.assertEqual(code, 2)
        self.assertIn("--api-key", text)


class BeginningAndEnd(unittest.TestCase):
    def test_addresses(self):
        taken = socket.create_server(("127.0.0.1", 0))
        run = subprocess.run([CLM, "serve", "--config", CONFIG, "--port", str(taken.getsockname()[1])],
                             capture_output=True, text=True, timeout=LIMIT)
        taken.close()
        self.assertEqual(run.returncode, 1)
        self.assertIn("another program listens there", run.stderr)
        run = subprocess.run([CLM, "serve", "--config", CONFIG, "--host", "256.0.0.1"], capture_output=True, text=True,
                             timeout=LIMIT)
        self.assertEqual(run.returncode, 2)
        self.assertIn("server.host", run.stderr)

    def test_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError:
            self.skipTest("there is no IPv6")
        for host, name in (("[::1]", "[::1]"), ("::ffff:127.0.0.1", "[::ffff:7f00:1]")):
            server = Server("--host", host)
            try:
                self.assertNotIn("warning", server.text())
                connection = http.client.HTTPConnection(host.strip("[]"), server.port, timeout=LIMIT)
                for header, status in ((name, 200), ("[::2]", 403), ("[", 403), ("[::1", 403), ("evil.example", 403)):
                    connection.request("GET", "/v1/models", headers={"Host": header})
                    response = connection.getresponse()
                    response.read()
                    self.assertEqual(response.status, status, header)
                connection.close()
            finally:
                server.kill()

    def test_open_to_others_warns(self):
        server = Server("--host", "0.0.0.0")
        try:
            self.assertIn("warning: everybody who reaches 0.0.0.0:", server.text())
            self.assertIn("web pages", server.text())
            # Reached by whatever name.
            self.assertEqual(server.request("GET", "/health", headers={"Host": "box.example"})[0], 200)
        finally:
            server.kill()

    def test_loading(self):
        folder = tempfile.mkdtemp()
        server = Server(env={"XDG_CACHE_HOME": folder, "POCL_CACHE_DIR": folder, "CLM_KERNEL_CACHE": "0"}, wait=False)
        try:
            server.wait_for("listening on")
            status, headers, text = server.request("GET", "/health")
            if "--backend" not in ARGS:  # which loads in no time
                self.assertEqual((status, json.loads(text)["error"]["type"]), (503, "unavailable_error"))
                self.assertTrue(headers["Retry-After"])
                self.assertEqual(server.chat("静夜思")[0], 503)
            server.wait_for("ready: ")
            self.assertEqual(server.request("GET", "/health")[0], 200)
        finally:
            server.kill()
            shutil.rmtree(folder)

    def test_unit_of_systemd(self):
        with open(os.path.join(ROOT, "configs", "clm.service")) as f:
            unit = f.read().replace("\\\n", "").replace("/usr/local/share/clm", ROOT)
        start = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1)
        run = subprocess.run([CLM, *start.split()[1:], "--dump-config"], capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        if shutil.which("systemd-analyze"):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "clm.service")
                with open(path, "w") as f:
                    f.write(unit.replace("/usr/local/bin/clm", os.path.abspath(CLM)))
                run = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=LIMIT)
                # It reads the machine's own units as well.
                self.assertEqual([line for line in run.stderr.splitlines() if "clm.service" in line], [])

    def test_models_that_are_none(self):
        for path in ("/nonexistent", os.path.join(ROOT, "README.md")):
            run = subprocess.run([CLM, "serve", "--config", CONFIG, "--port", "0", "-m", path], capture_output=True,
                                 text=True, timeout=LIMIT)
            self.assertEqual((run.returncode, "listening" in run.stderr), (3, False), run.stderr)
            self.assertIn(path, run.stderr)

    @unittest.skipUnless(os.path.isdir(GOLDEN), "GOLDEN FILES ABSENT: " + GOLDEN)
    def test_a_model_without_a_template(self):
        for flags, warns in ((), True), (("--template", "none"), False):
            server = Server("-m", os.path.join(GOLDEN, "llama-tiny-q4_1.gguf"), "--template", "auto", *flags)
            try:
                self.assertEqual("taught to converse" in server.text(), warns)
            finally:
                server.kill()

    def test_stopped_while_loading(self):
        for sign in (signal.SIGTERM, signal.SIGINT):
            folder = tempfile.mkdtemp()
            server = Server(env={"XDG_CACHE_HOME": folder, "POCL_CACHE_DIR": folder, "CLM_KERNEL_CACHE": "0"}, wait=False)
            try:
                server.wait_for("loading the model")
                code = server.stop(sign)
                if "ready: " not in server.text():
                    self.assertEqual(code, 130)
                    self.assertEqual(server.text().count("clm: interrupted\n"), 1)
            finally:
                server.kill()
                shutil.rmtree(folder)

    def test_health_while_stopping(self):
        server = Server()
        client = threading.Thread(target=self.ask, args=(server, [], 900))
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
        try:
            connection.request("GET", "/health")
            self.assertEqual(json.loads(connection.getresponse().read()), {"status": "ok"})
            client.start()
            while server.metric("clm_requests_running") == 0:
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("stopping when")
            connection.request("GET", "/health")
            response = connection.getresponse()
            self.assertEqual((response.status, json.loads(response.read())["error"]["message"]),
                             (503, "the server is stopping"))
            server.process.send_signal(signal.SIGTERM)  # cuts the answer off
            client.join()
        finally:
            connection.close()
            server.kill()

    def ask(self, server, results, tokens):
        body = {"messages": [{"role": "user", "content": "写诗"}], "temperature": 8, "max_tokens": tokens,
                "stream": True}
        results.append(server.request("POST", "/v1/chat/completions", json.dumps(body))[2])

    def stop_while_answering(self, tokens, signals):
        server = Server()
        results = []
        client = threading.Thread(target=self.ask, args=(server, results, tokens))
        try:
            client.start()
            while server.metric("clm_generated_tokens_total") + server.metric("clm_requests_(running|waiting)") == 0:
                time.sleep(0.01)
            for sign in signals:
                server.process.send_signal(sign)
                time.sleep(0.2)
            code = server.process.wait(LIMIT)
            client.join()
            return code, results[0], server.text()
        finally:
            server.kill()

    def test_answers_are_finished(self):
        code, text, log = self.stop_while_answering(400, [signal.SIGTERM])
        self.assertEqual(code, 0, log)
        self.assertIn(events(text)[-1]["choices"][0]["finish_reason"], ("length", "stop"))
        self.assertTrue(log.endswith("clm: stopped\n"), log)

    def test_twice_cuts_them_off(self):
        code, text, log = self.stop_while_answering(900, [signal.SIGINT, signal.SIGINT])
        self.assertEqual(code, 0, log)
        last = text.rstrip().rsplit("\n\n", 1)[-1].removeprefix("data: ")
        if last != "[DONE]":  # it may have ended before the second one
            self.assertEqual(json.loads(last)["error"]["type"], "unavailable_error")


if __name__ == "__main__":
    unittest.main(verbosity=2)
