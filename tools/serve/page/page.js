/* page.js: the page of clm serve: one conversation with the server that the page came from.
 *
 * The conversation is a list of turns: a question, its answer, and
 *   end     how the answer ended: "" (it is being written), "stop", "length" (cut), "stopped" (by the reader), "failed"
 *   usage   {prompt, cached, tokens, seconds}, or null
 * Turns and settings are kept in localStorage, the key in sessionStorage; what is read from there is checked.
 * Texts of people and models become text nodes, never markup.
 *
 * Source   WHATWG HTML, "Server-sent events"; OpenAI, "Create chat completion".
 */

const WORDS = { /* English, Chinese */
    ask: ["What would you like to ask?", "想问点什么？"],
    keys: ["Enter sends, Shift+Enter starts a new line.", "按 Enter 发送，按 Shift+Enter 换行。"],
    conversation: ["Conversation", "对话"],
    message: ["Message", "输入消息"],
    send: ["Send", "发送"],
    stop: ["Stop", "停止"],
    fresh: ["New", "新对话"],
    freshLong: ["New conversation", "新对话"],
    settings: ["Settings", "设置"],
    you: ["You", "你"],
    answer: ["Answer", "回答"],
    copy: ["Copy", "复制"],
    copied: ["Copied", "已复制"],
    notCopied: ["Not copied", "无法复制"],
    again: ["Regenerate", "重新回答"],
    key: ["API key", "API 密钥"],
    keyNote: ["Only if the server asks for one. Kept until this tab is closed.", "仅在服务器要求时填写；关闭此标签页后即清除。"],
    system: ["System text", "系统提示词"],
    temperature: ["Temperature", "温度"],
    maxTokens: ["Max tokens", "最大词元数"],
    serverDefault: ["Server's default", "服务器默认值"],
    cancel: ["Cancel", "取消"],
    save: ["Save", "保存"],
    tokens: ["{tokens} tokens", "{tokens} 词元"],
    speed: ["{speed} tokens/s", "{speed} 词元/秒"],
    prompt: ["prompt {prompt}", "输入 {prompt}"],
    cached: ["prompt {prompt} ({cached} cached)", "输入 {prompt}（缓存 {cached}）"],
    answering: ["Answering.", "正在回答。"],
    answered: ["The answer is complete.", "回答完毕。"],
    length: ["The answer was cut off: it reached the limit of tokens.", "回答被截断：已达到词元数上限。"],
    stopped: ["Stopped.", "已停止。"],
    failed: ["The answer broke off here.", "回答在此中断。"],
    unanswered: ["There is no answer yet.", "尚无回答。"],
    loading: ["The model is loading. Questions are answered as soon as it is ready.", "模型正在加载，就绪后即可回答。"],
    ready: ["The model is ready.", "模型已就绪。"],
    keyMissing: ["This server asks for an API key.", "此服务器需要 API 密钥。"],
    keyWrong: ["The server does not accept this API key.", "服务器不接受此 API 密钥。"],
    enterKey: ["Enter the key", "输入密钥"],
    gone: ["The server cannot be reached. The conversation is kept.", "无法连接服务器，对话已保留。"],
    retry: ["Try again", "重试"],
    full: ["This conversation no longer fits into the model's context. Please start a new one.", "对话已超出模型的上下文长度，请开始新对话。"],
    refused: ["The server reports: {message}", "服务器报告：{message}"],
    cleared: ["A new conversation has begun.", "已开始新对话。"],
    undo: ["Bring back the last one", "恢复上一个对话"],
};
const chinese = /^zh\b/i.test(navigator.language || "");
const $ = id => document.getElementById(id);

function word(name, values = {}) {
    return WORDS[name][chinese ? 1 : 0].replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

function translate(root) {
    for (const e of root.querySelectorAll("[data-text]")) e.textContent = word(e.dataset.text);
    for (const e of root.querySelectorAll("[data-label]")) e.setAttribute("aria-label", word(e.dataset.label));
    for (const e of root.querySelectorAll("[data-hint]")) e.placeholder = word(e.dataset.hint);
}

/* ---- what is kept ---- */

/* A browser may refuse its storage, and anything may stand in it: null then. */
function stored(kind, use) {
    try { return use(window[kind]); } catch { return null; }
}

function checkedUsage(u) {
    const names = ["prompt", "cached", "tokens", "seconds"];
    return u && names.every(name => Number.isFinite(u[name])) ? Object.fromEntries(names.map(name => [name, u[name]])) : null;
}

/* A turn that was being written when its page went away has been stopped by that. */
function checkedTurn(t) {
    const end = ["stop", "length", "failed"].includes(t.end) ? t.end : "stopped";
    return { question: t.question, answer: t.answer, end, usage: checkedUsage(t.usage) };
}

function checkedTurns(list) {
    if (!Array.isArray(list)) return [];
    return list.filter(t => typeof t?.question === "string" && typeof t.answer === "string").map(checkedTurn);
}

function checkedSettings(s) {
    const number = v => (Number.isFinite(v) ? v : null);
    return { system: typeof s?.system === "string" ? s.system : "", temperature: number(s?.temperature), maxTokens: number(s?.maxTokens) };
}

let key = stored("sessionStorage", s => s.getItem("clm.key")) || "";
let settings = checkedSettings(stored("localStorage", s => JSON.parse(s.getItem("clm.settings"))));
let turns = checkedTurns(stored("localStorage", s => JSON.parse(s.getItem("clm.turns"))));
let saved = 0;

function save() {
    saved = Date.now();
    stored("localStorage", s => s.setItem("clm.turns", JSON.stringify(turns)));
}

/* ---- the server ---- */

/* kind: "gone", "key", "full", "busy" or "refused", with the server's sentence. */
function failure(kind, message = "") {
    return Object.assign(new Error(message), { kind });
}

function failureOf(status, error) {
    const kind = error?.code === "context_length_exceeded" ? "full" : { 401: "key", 503: "busy" }[status] ?? "refused";
    return failure(kind, error?.message ?? `HTTP ${status}`);
}

/* Whatever the network does not bring means a server that is gone; an abort is none of its doing. */
async function reach(promise) {
    try { return await promise; } catch (e) { throw e.name === "AbortError" ? e : failure("gone"); }
}

async function call(path, options = {}) {
    const headers = options.body ? { "Content-Type": "application/json" } : {};
    if (key) headers.Authorization = `Bearer ${key}`;
    const response = await reach(fetch(path, { ...options, headers, cache: "no-store" }));
    if (response.ok) return response;
    throw failureOf(response.status, (await response.json().catch(() => null))?.error);
}

/* Waits until the model is loaded, and shows which it is. */
async function untilReady() {
    for (let waited = false; ; waited = true) {
        try {
            await call("health");
            showModel(await reach((await call("v1/models")).json()));
            if (waited) notify();
            if (waited && !answering) say(word("ready"));
            return;
        } catch (e) {
            if (e.kind !== "busy") throw e;
        }
        if ($("notice").hidden) notify(word("loading"));
        await new Promise(done => setTimeout(done, 1000));
    }
}

let connection = null; /* one wait for all who ask */

function connect() {
    if (!connection) {
        connection = untilReady();
        connection.catch(() => { connection = null; });
    }
    return connection;
}

function connectUnless(signal) {
    return Promise.race([connect(), new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    })]);
}

/* Unanswered questions are left out, but for the last: models expect questions and answers in turn. */
function messages() {
    const list = settings.system ? [{ role: "system", content: settings.system }] : [];
    for (const { question, answer } of turns.slice(0, -1))
        if (answer) list.push({ role: "user", content: question }, { role: "assistant", content: answer });
    return [...list, { role: "user", content: turns[turns.length - 1].question }];
}

/* A server that has been started anew loads its model again: that is waited for, once. */
async function post(signal) {
    const body = { messages: messages(), stream: true, stream_options: { include_usage: true } };
    if (settings.temperature !== null) body.temperature = settings.temperature;
    if (settings.maxTokens !== null) body.max_tokens = settings.maxTokens;
    const send = () => call("v1/chat/completions", { method: "POST", body: JSON.stringify(body), signal });
    await connectUnless(signal);
    try { return await send(); } catch (e) { if (e.kind !== "busy") throw e; }
    connection = null;
    await connectUnless(signal);
    return send();
}

/* The events of a stream; chunks may end within a line or a character. Lines end with LF or CR LF. */
async function* events(body) {
    const reader = body.getReader(), decoder = new TextDecoder();
    let rest = "";
    try {
        for (;;) {
            const { done, value } = await reach(reader.read());
            if (done) return;
            const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
            rest = lines.pop();
            for (const line of lines) {
                const data = line.startsWith("data:") ? line.slice(5).trim() : "";
                if (data && data !== "[DONE]") yield JSON.parse(data);
            }
        }
    } finally {
        reader.cancel().catch(() => {});
    }
}

function usageOf(u) {
    return checkedUsage({ prompt: u.prompt_tokens, tokens: u.completion_tokens, cached: u.prompt_tokens_details?.cached_tokens ?? 0,
        seconds: u.timings?.decode_seconds ?? 0 });
}

/* Reads a stream into `turn`, whose old answer stays until there is a new one. */
async function receive(turn, response) {
    let text = "", end = "";
    try {
        for await (const event of events(response.body)) {
            if (event.error) throw failureOf(0, event.error);
            const choice = event.choices?.[0], more = choice?.delta?.content;
            if (more) {
                text += more;
                Object.assign(turn, { answer: text, usage: null });
                drawSoon(turn);
                if (Date.now() - saved > 1000) save();
            }
            end = choice?.finish_reason || end;
            if (event.usage) turn.usage = usageOf(event.usage);
        }
    } catch (e) {
        if (!end) throw e; /* else the answer is there, and at most its figures are not */
    }
    if (!end) throw failure("gone");
    Object.assign(turn, { answer: text, end: end === "length" ? "length" : "stop" });
}

/* ---- asking ---- */

let answering = null; /* aborts the answer that is being written */

/* Asks the last question, for the first time or again. */
async function ask() {
    const turn = turns[turns.length - 1], { answer, end } = turn ?? {}, control = new AbortController();
    if (!turn || answering) return;
    answering = control;
    following = true;
    turn.end = "";
    notify();
    draw(turn);
    say(word("answering"));
    try {
        await receive(turn, await post(control.signal));
        say(word(turn.end === "length" ? "length" : "answered"));
    } catch (e) {
        const aborted = e.name === "AbortError";
        turn.end = answer && turn.answer === answer ? end : aborted ? "stopped" : "failed";
        if (aborted) say(word("stopped"));
        else if (turns.includes(turn)) fail(e, ask);
    }
    if (answering === control) answering = null;
    save();
    draw(turn);
}

function stop() {
    if (answering) answering.abort();
    answering = null;
}

function send() {
    const question = $("input").value.trim();
    if (!question || answering) return;
    turns.push({ question, answer: "", end: "", usage: null });
    $("input").value = "";
    fitInput();
    redraw();
    save();
    ask();
}

/* Shows another conversation. */
function change(list) {
    stop();
    turns = list;
    save();
    notify();
    redraw();
    $("input").focus();
}

function begin() {
    const old = turns;
    change([]);
    if (old.length > 0) notify(word("cleared"), word("undo"), () => change(old));
}

function start() {
    connect().catch(e => fail(e, start));
}

/* ---- what is said, and settings ---- */

let act = null;       /* what the button of the notice does */
let afterKey = start; /* what is tried again with another key */

function say(text) {
    $("status").textContent = text; /* heard, not seen */
}

/* A sentence above the input, with what can be done; none: it goes away. */
function notify(text = "", label = "", action = null) {
    act = action;
    $("notice-text").textContent = text;
    $("notice-action").textContent = label;
    $("notice-action").hidden = !action;
    $("notice").hidden = !text;
    $("notice").classList.remove("trouble");
    if (text) say(text);
}

/* `again` is what failed. A server that was gone, or another key, may have another model. */
function fail(e, again) {
    if (e.kind === "gone" || e.kind === "key") connection = null;
    if (e.kind === "key") {
        const why = word(key ? "keyWrong" : "keyMissing");
        notify(why, word("enterKey"), () => openSettings(why, again));
        openSettings(why, again);
    } else if (e.kind === "gone") notify(word("gone"), word("retry"), again);
    else if (e.kind === "full") notify(word("full"), word("freshLong"), begin);
    else notify(word("refused", { message: e.message }), word("retry"), again);
    $("notice").classList.add("trouble");
}

function openSettings(why = "", again = start) {
    afterKey = again;
    $("why").textContent = why;
    $("why").hidden = !why;
    $("key").value = key;
    $("system").value = settings.system;
    $("temperature").value = settings.temperature ?? "";
    $("max-tokens").value = settings.maxTokens ?? "";
    if (!$("settings").open) $("settings").showModal();
    $(why ? "key" : "system").focus();
}

function saveSettings() {
    const number = id => ($(id).value === "" ? null : Number($(id).value));
    const retry = $("key").value !== key || !$("why").hidden;
    settings = checkedSettings({ system: $("system").value.trim(), temperature: number("temperature"), maxTokens: number("max-tokens") });
    stored("localStorage", s => s.setItem("clm.settings", JSON.stringify(settings)));
    $("settings").close();
    if (!retry) return;
    key = $("key").value;
    stored("sessionStorage", s => s.setItem("clm.key", key));
    connection = null;
    notify();
    afterKey();
}

/* ---- the conversation on the page ---- */

const sections = new WeakMap(); /* of turns */
let frame = 0, following = true, scrolled = 0;

function showModel(list) {
    const model = list?.data?.[0];
    $("model").textContent = $("model").title = document.title = model?.id ?? "clm";
    $("device").textContent = $("device").title = model?.meta?.device ?? "";
}

/* [{tag, text}]: fenced code, and what is between. */
function blocksOf(text) {
    const blocks = [{ tag: "DIV", lines: [] }];
    let fence = "";
    for (const line of text.split("\n")) {
        const mark = /^ {0,3}(```+|~~~+)([^`]*)$/.exec(line);
        if (mark && (!fence || (mark[1].startsWith(fence) && !mark[2].trim()))) {
            fence = fence ? "" : mark[1];
            blocks.push({ tag: fence ? "PRE" : "DIV", lines: [] });
        } else {
            blocks[blocks.length - 1].lines.push(line);
        }
    }
    return blocks.map(({ tag, lines }) => ({ tag, text: tag === "PRE" ? lines.join("\n") : lines.join("\n").replace(/^\n+|\n+$/g, "") }))
        .filter(({ tag, text }) => tag === "PRE" || text);
}

/* Elements that do not change stay, and with them what is selected in them. */
function drawText(box, text) {
    const blocks = blocksOf(text);
    while (box.children.length > blocks.length) box.lastChild.remove();
    blocks.forEach((block, i) => {
        let e = box.children[i];
        if (e?.tagName !== block.tag) {
            e?.remove();
            e = document.createElement(block.tag);
            if (block.tag === "PRE") e.tabIndex = 0; /* the keyboard scrolls it */
            box.insertBefore(e, box.children[i] ?? null);
        }
        if (e.textContent !== block.text) e.textContent = block.text;
    });
}

function usageLine(u) {
    if (!u) return "";
    const speed = u.seconds > 0 ? [word("speed", { speed: (u.tokens / u.seconds).toFixed(1) })] : [];
    return [word("tokens", u), ...speed, word(u.cached ? "cached" : "prompt", u)].join(" · ");
}

function sectionOf(turn) {
    if (!sections.has(turn)) {
        const section = $("turn").content.firstElementChild.cloneNode(true);
        translate(section);
        section.querySelector(".question .text").textContent = turn.question;
        section.querySelector(".copy").onclick = e => copy(turn.answer, e.currentTarget);
        section.querySelector(".again").onclick = () => { $("main").focus(); ask(); };
        sections.set(turn, section);
    }
    return sections.get(turn);
}

function drawTurn(turn) {
    const answer = sectionOf(turn).querySelector(".answer"), part = name => answer.querySelector(name), busy = turn.end === "";
    const note = turn.end === "failed" && !turn.answer ? "unanswered" : ["length", "stopped", "failed"].find(end => end === turn.end);
    answer.classList.toggle("busy", busy);
    answer.setAttribute("aria-busy", String(busy));
    drawText(part(".text"), turn.answer);
    part(".note").textContent = note ? word(note) : "";
    part(".note").hidden = !note;
    part(".usage").textContent = usageLine(turn.usage);
    part(".foot").hidden = busy;
    part(".copy").hidden = !turn.answer;
}

function draw(...some) {
    some.forEach(drawTurn);
    drawSend();
    follow();
}

/* At most once a frame. */
function drawSoon(turn) {
    if (!frame) frame = requestAnimationFrame(() => { frame = 0; draw(turn); });
}

function redraw() {
    $("turns").replaceChildren(...turns.map(sectionOf));
    $("empty").hidden = turns.length > 0;
    following = true;
    draw(...turns);
}

function drawSend() {
    $("send").textContent = word(answering ? "stop" : "send");
    $("send").classList.toggle("stop", answering !== null);
    $("send").setAttribute("aria-disabled", String(!answering && !$("input").value.trim()));
}

function fitInput() {
    $("input").style.height = "auto";
    $("input").style.height = `${$("input").scrollHeight}px`;
}

/* ---- scrolling, copying, keys ---- */

function follow() {
    if (following) $("main").scrollTop = $("main").scrollHeight;
}

/* The page follows the answer until the reader scrolls up, and again from the end on. */
function onScroll() {
    const main = $("main");
    if (main.scrollHeight - main.clientHeight - main.scrollTop < 2) following = true;
    else if (main.scrollTop < scrolled) following = false;
    scrolled = main.scrollTop;
}

/* navigator.clipboard is there on https and localhost only. */
async function copy(text, button) {
    let done = true;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        const box = Object.assign(document.createElement("textarea"), { className: "away", value: text });
        document.body.append(box);
        box.select();
        done = document.execCommand("copy");
        box.remove();
        button.focus();
    }
    button.textContent = word(done ? "copied" : "notCopied");
    say(button.textContent);
    setTimeout(() => { button.textContent = word("copy"); }, 2000);
}

/* Enter that ends a composition chooses characters and does not send; Safari tells by 229 alone. */
function onKey(e) {
    if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    send();
}

function listen() {
    $("composer").onsubmit = e => { e.preventDefault(); if (answering) stop(); else send(); };
    $("send").onclick = e => { if (e.detail > 1) e.preventDefault(); }; /* a double click does not send and stop */
    $("input").onkeydown = onKey;
    $("input").oninput = () => { fitInput(); drawSend(); };
    $("new").onclick = begin;
    $("open-settings").onclick = () => openSettings();
    $("settings-form").onsubmit = e => { e.preventDefault(); saveSettings(); };
    $("cancel").onclick = () => $("settings").close();
    $("notice-action").onclick = () => { $("main").focus(); act?.(); }; /* the button goes away, and the focus with it */
    $("main").onscroll = onScroll;
    new ResizeObserver(follow).observe($("main"));
    addEventListener("pagehide", () => { if (answering) save(); });
}

document.documentElement.lang = chinese ? "zh-CN" : "en";
translate(document);
listen();
redraw();
fitInput();
start();
$("input").focus();
