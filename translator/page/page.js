// Translate while typing. One request at a time counts: an older answer never replaces a newer one.
"use strict";

const LIMIT = 2000; // characters, as the service takes them
const PAUSE = 350; // milliseconds without a key before a request
const byId = (id) => document.getElementById(id);
const [form, source, target, go, clear, copy] = ["form", "source", "target", "go", "clear", "copy"].map(byId);
const [count, took, share, version, dot, state] = ["count", "took", "share", "version", "dot", "state"].map(byId);
const placeholder = target.innerHTML;
const number = new Intl.NumberFormat("en");

let timer;
let running; // AbortController of the request whose answer is awaited
let shown = ""; // the text whose translation is shown or awaited

const chinese = (text) => /\p{Script=Han}/u.test(text);

function setState(text, kind) {
  state.textContent = text;
  dot.className = `dot ${kind}`;
}

function show(text, kind) {
  target.className = kind;
  target.textContent = text;
  copy.disabled = kind !== "";
}

function reset() {
  running?.abort();
  shown = "";
  show("", "");
  target.innerHTML = placeholder;
  copy.disabled = true;
  tookTime();
}

function tookTime(whole, model) {
  took.textContent = whole === undefined ? "" : `${Math.round(whole)} ms`;
  share.textContent = whole === undefined ? "" : `, of which ${Math.round(model)} ms in the service`;
}

async function translate() {
  clearTimeout(timer);
  const text = source.value.trim();
  if (!text) return reset();
  if (text === shown && target.className === "") return;
  running?.abort();
  const mine = (running = new AbortController());
  shown = text;
  target.classList.add("waiting");
  target.setAttribute("aria-busy", "true");
  const began = performance.now();
  try {
    const answer = await fetch("translate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
      signal: mine.signal,
    });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.error?.message ?? `The service answered ${answer.status}.`);
    show(body.translation, "");
    tookTime(performance.now() - began, body.took_ms);
    version.textContent = `Model ${body.model_version}`;
    setState("Ready", "ok");
  } catch (error) {
    if (error.name === "AbortError") return;
    const lost = error instanceof TypeError;
    show(lost ? "The service cannot be reached. Check the connection and try again." : error.message, "error");
    tookTime();
    if (lost) setState("Not reachable", "bad");
  } finally {
    if (running === mine) {
      target.classList.remove("waiting");
      target.removeAttribute("aria-busy");
    }
  }
}

function typed() {
  const length = [...source.value.trim()].length;
  count.textContent = `${number.format(length)} / ${number.format(LIMIT)}`;
  clear.hidden = source.value === "";
  go.disabled = length === 0;
  clearTimeout(timer);
  if (length === 0) return reset();
  if (chinese(source.value)) timer = setTimeout(translate, PAUSE);
}

async function copyResult() {
  const text = target.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS there is no clipboard interface: select the text and use the old command.
    getSelection().selectAllChildren(target);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
  copy.textContent = "Copied";
  setTimeout(() => (copy.textContent = "Copy"), 1500);
}

async function connect() {
  try {
    const health = await fetch("health", { cache: "no-store" });
    const about = await (await fetch("version", { cache: "no-store" })).json();
    version.textContent = `Model ${about.model_version}`;
    if (about.release) version.title = `Release ${about.release}`;
    if (health.ok) return setState("Ready", "ok");
    setState("The model is loading …", "");
  } catch {
    setState("Not reachable", "bad");
  }
  setTimeout(connect, 2000);
}

form.addEventListener("submit", (event) => { event.preventDefault(); translate(); });
source.addEventListener("input", typed);
source.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); translate(); }
});
clear.addEventListener("click", () => { source.value = ""; typed(); source.focus(); });
copy.addEventListener("click", copyResult);
for (const button of document.querySelectorAll(".examples button")) {
  button.addEventListener("click", () => { source.value = button.textContent; typed(); translate(); });
}
typed();
connect();
