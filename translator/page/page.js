// Translate while typing, by the version that serves, by another, or by two side by side.
"use strict";

const LIMIT = 2000; // characters, as the service takes them
const PAUSE = 350; // milliseconds without a key before a request
const LOADS = 30; // times that a version which still loads is asked again
const NO_MODEL = "No model can serve just now. These are words from a dictionary, in the order of the Chinese: no translation.";
const STATES = { serving: "current", available: "loads first" };
const BROWSER = "translator-browser"; // where this browser keeps the id by which an experiment knows it again
const byId = (id) => document.getElementById(id);
const [form, source, go, clear, compare] = ["form", "source", "go", "clear", "compare"].map(byId);
const [count, dot, state] = ["count", "dot", "state"].map(byId);
const number = new Intl.NumberFormat("en");

let timer;
let offered = { serving: undefined, versions: [] }; // what GET /versions said; an older release says nothing

const chinese = (text) => /\p{Script=Han}/u.test(text);
const rest = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// A random id, so that one person stays with one variant of an experiment; it says nothing of who that is. Where
// storage is refused it lasts as long as the page. No randomUUID: that exists with HTTPS alone.
function browserId() {
  try {
    const kept = localStorage.getItem(BROWSER);
    if (/^[0-9a-f]{32}$/.test(kept)) return kept;
  } catch {
    // refused
  }
  const fresh = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  try {
    localStorage.setItem(BROWSER, fresh);
  } catch {
    // refused, or full
  }
  return fresh;
}
const browser = browserId();

function setState(text, kind) {
  state.textContent = text;
  dot.className = `dot ${kind}`;
}

async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json", "X-User-Id": browser };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

// The translation by one version. One request at a time counts: an older answer never replaces a newer one.
class Pane {
  constructor(element) {
    this.element = element;
    for (const part of element.querySelectorAll("[data-part]")) this[part.dataset.part] = part;
    this.placeholder ??= "The translation appears here.";
    this.copy.addEventListener("click", () => this.copyResult());
    this.choice.addEventListener("change", () => { this.shown = ""; this.translate(); });
    this.buttons = [...element.querySelectorAll("[data-thumb]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.thumb(button));
    this.reset();
  }

  reset() {
    this.running?.abort();
    this.shown = ""; // the text whose translation is shown or awaited
    this.show("", "");
    const hint = Object.assign(document.createElement("span"), { className: "placeholder", textContent: this.placeholder });
    this.target.replaceChildren(hint);
    this.copy.disabled = true;
    this.settled();
  }

  settled() {
    this.target.classList.remove("waiting");
    this.target.removeAttribute("aria-busy");
  }

  // What stands here now. `answer`: the service's, where there is one; `variant`: of an experiment that made it.
  show(text, kind, answer, whole, variant) {
    this.target.className = kind;
    this.target.textContent = text;
    this.copy.disabled = kind !== "";
    this.took.textContent = answer ? `${Math.round(whole)} ms` : "";
    this.share.textContent = answer ? `, of which ${Math.round(answer.took_ms)} ms in the service` : "";
    this.notice.textContent = answer?.fallback ? NO_MODEL : "";
    this.request = answer?.request_id;
    this.seen = { version: answer?.model_version || "fallback", ...(variant && { variant }) };
    this.thumbs.hidden = !this.request;
    this.thanks.textContent = "";
    for (const button of this.buttons) button.setAttribute("aria-pressed", "false");
    if (answer) this.name(answer.model_version);
  }

  // Who made the translation, or would; empty for the fallback.
  name(version) {
    this.version.textContent = version ? `Model ${version}` : "No model";
  }

  async translate() {
    const text = source.value.trim();
    if (!text) return this.reset();
    if (text === this.shown && this.target.className === "") return;
    this.running?.abort();
    const mine = (this.running = new AbortController());
    this.shown = text;
    this.target.classList.add("waiting");
    this.target.setAttribute("aria-busy", "true");
    try {
      await this.ask(text, this.choice.value, mine.signal);
      setState("Ready", "ok");
    } catch (error) {
      if (error.name === "AbortError" || mine.signal.aborted) return;
      const lost = error instanceof TypeError;
      this.show(lost ? "The service cannot be reached. Check the connection and try again." : error.message, "error");
      if (lost) setState("Not reachable", "bad");
    } finally {
      if (this.running === mine) this.settled();
    }
  }

  async ask(text, version, signal) {
    const path = version ? `translate?version=${encodeURIComponent(version)}` : "translate";
    for (let tries = 0; ; tries++) {
      const began = performance.now();
      const answer = await post(path, { text }, signal);
      const body = await answer.json().catch(() => ({}));
      signal.throwIfAborted();
      if (answer.ok) {
        const variant = answer.headers.get("X-Model-Variant");
        this.show(body.translation, "", body, performance.now() - began, variant);
        if (!variant && outdated(version, body.model_version)) offer(); // an experiment's version need not serve
        return;
      }
      const loads = version && answer.status === 503 && body.error?.code === "loading";
      if (!loads || tries === LOADS) throw new Error(body.error?.message ?? `The service answered ${answer.status}.`);
      this.show(`${version} is being loaded …`, "waiting");
      await rest(Number(answer.headers.get("Retry-After")) || 1);
      signal.throwIfAborted();
    }
  }

  async thumb(button) {
    const request = this.request;
    const given = { request_id: request, thumb: button.dataset.thumb };
    let said = "Thank you, noted.";
    try {
      let answer = await post("feedback", { ...given, ...this.seen });
      if (answer.status === 422) answer = await post("feedback", given); // an older release takes no more
      if (answer.status === 404) said = "This answer is too old to be judged.";
      else if (!answer.ok) said = "That could not be noted.";
    } catch {
      said = "The service cannot be reached.";
    }
    if (request !== this.request) return; // another answer stands here meanwhile
    this.thanks.textContent = said;
    if (said.startsWith("Thank")) for (const each of this.buttons) each.setAttribute("aria-pressed", String(each === button));
  }

  async copyResult() {
    try {
      await navigator.clipboard.writeText(this.target.textContent);
    } catch {
      // Without HTTPS there is no clipboard interface: select the text and use the old command.
      getSelection().selectAllChildren(this.target);
      document.execCommand("copy");
      getSelection().removeAllRanges();
    }
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy"), 1500);
  }

  // Fill the choice of versions; what was chosen stays chosen where it is still there.
  offer(choices, usual) {
    const chosen = this.choice.options.length ? this.choice.value : usual;
    this.choice.replaceChildren(...choices.map(({ value, text, title }) => Object.assign(new Option(text, value), { title })));
    this.choice.value = choices.some((each) => each.value === chosen) ? chosen : "";
    this.choice.hidden = choices.length < 3; // the one that serves, by two names, is no choice
  }
}

const panes = [new Pane(document.querySelector(".pane.target"))];

// A second pane like the first; names that may be there once get a number.
function second() {
  const element = panes[0].element.cloneNode(true);
  element.querySelector("#compare").remove();
  for (const each of element.querySelectorAll("[id]")) each.id += "-2";
  for (const each of [element, ...element.querySelectorAll("[aria-labelledby]")]) {
    each.removeAttribute("aria-labelledby");
    each.setAttribute("aria-label", "English, by the second version");
  }
  const pane = new Pane(element);
  pane.choice.setAttribute("aria-label", "Second version of the model");
  pane.choice.replaceChildren();
  pane.version.textContent = "";
  return pane;
}

function toggleCompare() {
  const two = panes.length === 1;
  if (two) {
    panes.push(second());
    form.append(panes[1].element);
    showOffer();
    panes[1].translate();
  } else {
    const last = panes.pop();
    last.reset();
    last.element.remove();
  }
  form.classList.toggle("two", two);
  compare.setAttribute("aria-pressed", String(two));
}

function showOffer() {
  const { serving, versions } = offered;
  const engines = new Set(versions.map(({ engine }) => engine));
  const named = versions.map(({ version, engine, note, state }) => ({
    value: version,
    text: [version, engines.size > 1 && engine, STATES[state]].filter(Boolean).join(" · "),
    title: note ?? "",
  }));
  const choices = [{ value: "", text: "Current", title: `The version that serves: ${serving || "none"}` }, ...named];
  const other = versions.find(({ version }) => version !== serving)?.version ?? "";
  panes.forEach((pane, index) => pane.offer(choices, index === 0 ? "" : other));
  compare.hidden = versions.length < 2 && panes.length === 1;
}

// Whether an answer shows that what is offered has changed: another version serves, or one is loaded by now.
function outdated(asked, answered) {
  const known = offered.versions.find(({ version }) => version === asked);
  return asked ? known?.state === "available" : offered.serving !== undefined && answered !== offered.serving;
}

async function offer() {
  try {
    const answer = await fetch("versions", { cache: "no-store" });
    if (!answer.ok) return;
    offered = await answer.json();
    showOffer();
  } catch {
    // Without it the page is what it was: one version, the one that serves.
  }
}

function translate() {
  clearTimeout(timer);
  for (const pane of panes) pane.translate();
}

function typed() {
  const length = [...source.value.trim()].length;
  count.textContent = `${number.format(length)} / ${number.format(LIMIT)}`;
  clear.hidden = source.value === "";
  go.disabled = length === 0;
  clearTimeout(timer);
  if (length === 0) for (const pane of panes) pane.reset();
  else if (chinese(source.value)) timer = setTimeout(translate, PAUSE);
}

async function connect() {
  try {
    const health = await fetch("health", { cache: "no-store" });
    const about = await (await fetch("version", { cache: "no-store" })).json();
    if (panes[0].took.textContent === "") panes[0].name(about.model_version);
    if (about.release) panes[0].version.title = `Release ${about.release}`;
    if (health.ok) {
      setState("Ready", "ok");
      return offer();
    }
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
compare.addEventListener("click", toggleCompare);
for (const button of document.querySelectorAll(".examples button")) {
  button.addEventListener("click", () => { source.value = button.textContent; typed(); translate(); });
}
typed();
connect();
