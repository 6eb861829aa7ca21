"use strict";
// Nothing that a model wrote becomes HTML here: all of it goes through textContent.

const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const PAGE = 20;
const STRONGEST = 4; // Log-ratio of a token in full colour.
const RARE = 0.1; // Tokens that are so much less likely without the hint are underlined.
const PHASES = { training: "training", evolution: "search", held_out: "evaluation" };
const state = { run: 0, axis: data.axis, rollouts: new Map(), opened: false, found: [], first: 0 };

function byId(id) {
  return document.getElementById(id);
}

/** An element with attributes and children; texts stay texts. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Charts

function look() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim();
  const line = style.getPropertyValue("--line").trim();
  const words = { labelColor: ink, titleColor: ink, titleFontWeight: "normal" };
  return {
    background: "transparent",
    font: "system-ui, sans-serif",
    view: { stroke: null },
    axis: { ...words, gridColor: line, domainColor: line, tickColor: line },
    legend: words,
    title: { color: ink },
    text: { color: ink },
    range: { category: data.colours },
  };
}

function chartOf(key) {
  const [kind, name] = key.split(":");
  const joint = data.charts[key] || (kind === "accuracy" && data.charts[`accuracy:${state.axis}`]);
  return joint || (data.runs[state.run].charts[kind] || {})[name || ""];
}

async function draw(place) {
  const spec = chartOf(place.dataset.chart);
  if (!spec) return;
  const { view } = await vegaEmbed(place, structuredClone(spec), {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    config: look(),
    tooltip: { theme: dark.matches ? "dark" : "light" },
  });
  if (/^(tree|whole):/.test(place.dataset.chart)) {
    view.addEventListener("click", (event, item) => {
      if (item && item.datum && item.datum.node !== undefined) {
        showHint(place.dataset.chart.split(":")[1], item.datum.node);
      }
    });
  }
}

async function drawAll() {
  const places = [...document.querySelectorAll(".chart")].filter(
    (place) => place.offsetParent && !place.closest("details:not([open])"),
  );
  await Promise.all(places.map(draw));
  document.documentElement.dataset.drawn = String(places.length);
}

// Hints

function changes(pieces) {
  const kinds = { same: "span", in: "ins", out: "del" };
  return make("pre", {}, ...pieces.map(([kind, text]) => make(kinds[kind], {}, text)));
}

function showHint(search, index) {
  const node = data.runs[state.run].hints.find((n) => n.search === search && n.index === index);
  const place = byId("hint-detail");
  const parts = [
    make("h3", {}, `Hint ${node.index} of the search ${node.made}`),
    make("p", { class: "quiet" }, node.facts),
    make("pre", {}, node.text || node.blank),
  ];
  for (const parent of node.parents) {
    const line = make("p", {}, "Changed from ");
    line.append(linkTo(`hint ${parent.index}`, () => showHint(search, parent.index)), ":");
    parts.push(line, changes(parent.changes));
  }
  if (node.exchange) {
    parts.push(make("h3", {}, "What the reflection model was asked"), make("pre", {}, node.exchange[0]));
    parts.push(make("h3", {}, "What it answered"), make("pre", {}, node.exchange[1]));
  } else if (node.text) {
    parts.push(make("p", { class: "quiet" }, "The exchange that made it is not on record."));
  }
  if (node.first.length) {
    const line = make("p", {}, "It was the first to solve: ");
    for (const problem of node.first) line.append(linkTo(problem, () => showLife(problem)), " ");
    parts.push(line);
  }
  place.replaceChildren(...parts);
  place.hidden = false;
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
}

function linkTo(text, action) {
  return make("button", { class: "link", type: "button", onclick: action }, text);
}

// Rollouts and lives

/** The rollouts of the run that is shown, unpacked when they are first asked for. */
async function rollouts() {
  const run = state.run;
  if (!state.rollouts.has(run)) state.rollouts.set(run, unpack(`rollouts-${run}`));
  return state.rollouts.get(run);
}

async function unpack(id) {
  const packed = byId(id);
  if (!packed) return null;
  const text = atob(packed.textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let place = 0; place < text.length; place++) bytes[place] = text.charCodeAt(place);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

function matcher(words) {
  const escaped = words.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(escaped, "i");
}

async function search() {
  const table = await rollouts();
  if (!table) return;
  const words = byId("search").value.trim();
  const pattern = matcher(words);
  const problems = table.problems.map((p) => !words || pattern.test(p.id) || pattern.test(p.question));
  const hints = table.hints.map((hint) => !words || pattern.test(hint.text));
  const [phase, verdict, hinted] = ["phase", "verdict", "hinted"].map((id) => byId(id).value);
  const found = [];
  for (let row = 0; row < table.problem.length; row++) {
    if (phase && table.phases[table.phase[row]] !== phase) continue;
    if (verdict && String(table.solved[row]) !== verdict) continue;
    if (hinted && String(table.hint[row] >= 0) !== hinted) continue;
    if (
      problems[table.problem[row]] ||
      (table.hint[row] >= 0 && hints[table.hint[row]]) ||
      pattern.test(table.response[row])
    ) {
      found.push(row);
    }
  }
  state.found = found;
  state.first = 0;
  await showPage();
}

async function showPage() {
  const table = await rollouts();
  const rows = state.found.slice(state.first, state.first + PAGE);
  const last = Math.min(state.first + PAGE, state.found.length);
  byId("count").textContent = state.found.length
    ? `${(state.first + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${state.found.length.toLocaleString("en")} rollouts`
    : "no rollout matches";
  byId("back").disabled = state.first === 0;
  byId("on").disabled = last >= state.found.length;
  byId("rows").replaceChildren(...rows.map((row) => rolloutOf(table, row, true)));
}

function verdictOf(table, row) {
  const solved = table.solved[row];
  if (solved === null) return make("span", {}, `no verdict (${table.statuses[table.status[row]]})`);
  return make("span", { class: solved ? "right" : "wrong" }, solved ? "right" : "wrong");
}

function number(value, digits) {
  return value === null || value === undefined ? null : value.toFixed(digits);
}

function rolloutOf(table, row, named) {
  const problem = table.problems[table.problem[row]];
  const hint = table.hint[row] < 0 ? null : table.hints[table.hint[row]];
  const kept = table.kept[row];
  const facts = [
    verdictOf(table, row),
    `epoch ${table.epoch[row]}, ${PHASES[table.phases[table.phase[row]]] || "other"}`,
    `step ${table.step[row]}`,
    `${table.tokens[row]} tokens, ${table.finishes[table.finish[row]]}`,
    table.answer[row] === null ? null : `answer ${table.answer[row]}`,
    table.advantage[row] === null ? null : `advantage ${number(table.advantage[row], 2)}`,
    table.reliance[row] === null ? null : `reliance ${number(table.reliance[row], 3)}`,
    kept === null ? null : `mask keeps ${(100 * kept).toFixed(0)} %`,
  ].filter((fact) => fact !== null);
  const scored = table.scored[row];
  const response = scored ? coloured(...scored) : make("pre", {}, table.response[row] || "(nothing)");
  if (kept !== null && !scored) {
    response.className = "shaded";
    response.style.setProperty("--kept", `${100 * kept}%`);
    response.title = "The bar is the share of tokens that the Context Ratio Mask keeps";
  }
  const head = make("div", { class: "head" }, ...facts.map((f) => (f.nodeType ? f : make("span", {}, f))));
  const parts = [head];
  if (named) {
    parts.push(
      make("p", {}, linkTo(problem.id, () => showLife(problem.id)), ` ${brief(problem.question)}`),
    );
  }
  if (hint) parts.push(make("p", { class: "quiet" }, `hint: ${brief(hint.text)}`));
  return make("div", { class: "row" }, ...parts, response);
}

/** Tokens, the stronger in colour the more the hint makes of them. */
function coloured(tokens, ratios) {
  const parts = tokens.map((text, place) => {
    const ratio = ratios[place];
    if (ratio === null) return make("span", {}, text);
    const strength = Math.round(100 * Math.min(1, Math.abs(ratio) / STRONGEST));
    const token = make("span", { class: ratio < 0 ? "leans" : "own" }, text);
    token.style.setProperty("--strength", `${strength}%`);
    token.title = `${Math.exp(ratio).toPrecision(2)} times as likely without the hint as with it`;
    if (Math.exp(ratio) < RARE) token.classList.add("rare");
    return token;
  });
  return make("pre", { class: "tokens" }, ...parts);
}

function brief(text) {
  const line = text.replace(/\s+/g, " ");
  return line.length > 200 ? `${line.slice(0, 200)} …` : line;
}

const LEGEND = [
  ["leans", "orange", " are likelier with the hint, "],
  ["leans rare", "underlined", " ones at least ten times; "],
  ["own", "blue", " ones are likelier without it. Point at a token for its ratio."],
];
function sample([kind, word, text]) {
  const shown = make("span", { class: kind }, word);
  shown.style.setProperty("--strength", "80%");
  return make("span", {}, shown, text);
}

async function showLife(id) {
  const table = await rollouts();
  if (!table) return;
  const index = table.problems.findIndex((problem) => problem.id === id);
  const problem = table.problems[index];
  const life = problem.life;
  const stages = [];
  const tell = (epoch, title, ...more) =>
    stages.push({ epoch, item: make("li", {}, make("strong", {}, title), ...more) });
  const tellRollout = (row, title) => tell(table.epoch[row], title, rolloutOf(table, row, false));
  if (life) {
    if (life.failure !== null) tellRollout(life.failure, "Failed without a hint");
    if (life.hard !== null) tell(life.hard, `Hard at the end of epoch ${life.hard}`);
    const unlocked = life.hinted === null ? Infinity : table.epoch[life.hinted];
    if (life.exchange) {
      tell(unlocked, "The reflection", make("pre", {}, life.exchange[0]), make("pre", {}, life.exchange[1]));
    }
    if (life.hint >= 0) tell(unlocked, "The hint", make("pre", {}, table.hints[life.hint].text));
    if (life.hinted !== null) tellRollout(life.hinted, "First solved with it");
    for (const row of life.scored.filter((row) => row !== life.hinted)) {
      tellRollout(row, `A success with a hint in epoch ${table.epoch[row]}, as it was learned`);
    }
    if (life.internalised !== null) {
      tellRollout(life.internalised, "First solved without a hint since then");
    }
    if (life.relapsed !== null) tell(life.relapsed, `Relapsed in epoch ${life.relapsed}`);
    // Stages of one epoch stay in the order in which they are told.
    stages.sort((one, other) => one.epoch - other.epoch);
    tell(Infinity, `At the end: ${life.state}`);
  }
  const items = stages.map((stage) => stage.item);
  const all = [];
  for (let row = 0; row < table.problem.length; row++) if (table.problem[row] === index) all.push(row);
  const show = () => {
    state.found = all;
    state.first = 0;
    showPage();
    byId("rows").scrollIntoView({ block: "start" });
  };
  const place = byId("life");
  place.replaceChildren(
    make("h3", {}, `Problem ${id}`),
    make("pre", {}, problem.question || "(the question is not on record)"),
    make("p", { class: "quiet" }, problem.gold ? `Right answer: ${problem.gold}` : ""),
    items.length ? make("ol", { class: "life" }, ...items) : make("p", {}, "It was not trained on."),
    life && life.scored.length ? make("p", { class: "quiet" }, "Tokens in ", ...LEGEND.map(sample)) : "",
    make("button", { type: "button", onclick: show }, `All ${all.length} rollouts of it`),
  );
  place.hidden = false;
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
}

// Several runs, several searches, several axes

function showRun(index) {
  state.run = index;
  for (const part of document.querySelectorAll("[data-run]")) {
    part.hidden = Number(part.dataset.run) !== index;
  }
  for (const id of ["hint-detail", "life"]) if (byId(id)) byId(id).hidden = true;
  if (byId("rollouts")) {
    byId("rollouts").hidden = !byId(`rollouts-${index}`);
    byId("rows").replaceChildren();
    byId("count").textContent = "";
    if (state.opened) search();
  }
  showSearches();
}

function showSearches() {
  for (const chooser of document.querySelectorAll("select.searches")) {
    for (const place of chooser.closest("[data-run]").querySelectorAll("[data-search]")) {
      place.hidden = place.dataset.search !== chooser.value;
    }
  }
  return drawAll();
}

let waiting = null;
function soon(action) {
  clearTimeout(waiting);
  waiting = setTimeout(action, 150);
}

for (const chooser of document.querySelectorAll("select.searches")) {
  chooser.addEventListener("change", showSearches);
}
for (const fold of document.querySelectorAll("details")) {
  fold.addEventListener("toggle", () => fold.querySelectorAll(".chart").forEach(draw));
}
for (const button of document.querySelectorAll("button[data-axis]")) {
  button.addEventListener("click", () => {
    state.axis = button.dataset.axis;
    for (const other of document.querySelectorAll("button[data-axis]")) {
      other.classList.toggle("on", other === button);
    }
    drawAll();
  });
}
for (const button of document.querySelectorAll("button[data-node]")) {
  button.addEventListener("click", () => {
    const [search, index] = button.dataset.node.split(":");
    showHint(search, Number(index));
  });
}
if (byId("run")) byId("run").addEventListener("change", () => showRun(Number(byId("run").value)));
if (byId("search")) {
  byId("search").addEventListener("input", () => soon(search));
  for (const id of ["phase", "verdict", "hinted"]) byId(id).addEventListener("change", search);
  const turn = (by) => {
    state.first = Math.max(0, state.first + by);
    showPage();
  };
  byId("back").addEventListener("click", () => turn(-PAGE));
  byId("on").addEventListener("click", () => turn(PAGE));
  // Unpacking many rollouts takes a moment, so it waits until they can be seen.
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    state.opened = true;
    search();
  });
  seen.observe(byId("search"));
}
dark.addEventListener("change", drawAll);
showRun(0);
