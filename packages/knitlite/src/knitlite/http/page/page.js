// knitlite's page: lists Data, plans and Runs, a Run's log, the lineage of Data. Knows nothing but the WebAPI.
// Tags, names and messages are strangers' text: they reach the document as text nodes and never as markup.

const PACE = 3000; // milliseconds between two questions; more when answers take long
const ROWS = 200; // rows drawn before "show more"
const NODES = 300; // Runs a lineage graph may have
const LOG = 2_000_000; // characters of a log that are kept

const $ = (id) => document.getElementById(id);

// Elements. `properties` are set on the element, so no value is ever parsed as markup.

function make(name, properties = {}, ...children) {
  const { data, ...rest } = properties;
  const element = Object.assign(document.createElement(name), rest);
  Object.assign(element.dataset, data);
  element.append(...children.flat());
  return element;
}

function draw(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// The WebAPI.

let door; // one question for the token at a time

function askToken(refused) {
  $("door-text").textContent = refused
    ? "That token was not accepted. Is it the one in the server's --token-file?"
    : "It stands in the file named by --token-file. It is kept until this tab is closed.";
  door ??= new Promise((resolve) => {
    $("door-form").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem("token", $("token").value.trim());
      $("token").value = "";
      $("door").close();
      door = undefined;
      resolve();
    };
    $("door").oncancel = (event) => event.preventDefault();
    $("door").showModal();
  });
  return door;
}

async function ask(path, signal) {
  const token = sessionStorage.getItem("token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { headers, signal, cache: "no-store" });
  if (answer.status === 401) {
    await askToken(Boolean(token));
    return ask(path, signal);
  }
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).message ?? `status ${answer.status}`);
  return answer;
}

const askText = async (path, signal) => (await ask(path, signal)).text();
const askJson = async (path, signal) => (await ask(path, signal)).json();

// Reading records.

const brief = (id) => id.slice(0, 8);
const valueOf = (tags, key) => tags.find((tag) => tag.startsWith(`${key}:`))?.slice(key.length + 1);
const ownTags = (tags) => tags.filter((tag) => !tag.startsWith("knit#")).sort((a, b) => a.length - b.length);
const isUpload = (plan) => plan.image === undefined;
const planLabel = (plan) => (isUpload(plan) ? plan.name.replace("knit#", "") : plan.image.split("/").at(-1));
const commandOf = (plan) => [...(plan.entrypoint ?? []), ...(plan.args ?? [])].join(" ");
const dataStatus = (data) => valueOf(data.tags, "knit#transient") ?? "ready";
const planStatus = (plan) => (plan.active ? "active" : "inactive");
const assignments = (run, side) => (run[side] ?? []).filter((entry) => entry.knitId);
const logOf = (run) => (run.log?.knitId ? [{ path: "log", ...run.log }] : []);
const LOOKS = { done: "done", ready: "done", active: "done", failed: "failed", invalidated: "failed", running: "running",
  starting: "running", completing: "running", aborting: "failed", processing: "running", waiting: "waiting" };
const ENDED = ["done", "failed", "invalidated"];

// Cells.

function copyable(id, href) {
  const button = make("button", { type: "button", className: "copy", title: `copy ${id}`, data: { key: `copy ${id}` } }, "copy");
  button.setAttribute("aria-label", `copy ${id}`);
  button.onclick = async () => {
    await copyText(id);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1200);
  };
  return make("span", { className: "ref" }, link(href, id), button);
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = make("textarea", { value: text }); // the clipboard is closed to plain http from other machines
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

const link = (href, id) => make("a", { href, className: "id", title: id, data: { key: href } }, brief(id));
const toLineage = (id) => `#/lineage/${id}`;
const toRun = (id) => `#/run/${id}`;

function chip(tag) {
  const colon = tag.indexOf(":");
  return make("span", { className: "tag", title: tag }, make("b", {}, tag.slice(0, colon + 1)), tag.slice(colon + 1));
}

const chips = (tags) => make("span", { className: "tags" }, ownTags(tags).map(chip));
const badge = (word) => make("span", { className: `status ${LOOKS[word] ?? "off"}` }, word);
const line = (...parts) => make("span", { className: "line" }, ...parts);

function moment(text) {
  if (!text) return "–";
  const [day, clock] = new Date(Date.parse(text) - new Date().getTimezoneOffset() * 60_000).toISOString().split("T");
  return make("time", { dateTime: text, title: text }, `${day} ${clock.slice(0, 8)}`);
}

function download(id) {
  const anchor = make("a", { href: `/api/data/${id}`, download: `${id}.tar.gz`, data: { key: `get ${id}` } }, "download");
  anchor.onclick = async (event) => {
    if (!sessionStorage.getItem("token")) return;
    event.preventDefault(); // a plain link can't carry the token
    const url = URL.createObjectURL(await (await ask(anchor.pathname)).blob());
    make("a", { href: url, download: anchor.download }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  return anchor;
}

function runStatus(run) {
  const why = run.exit && run.exit.code !== 0 ? `exit ${run.exit.code} ${run.exit.message}` : run.exit?.message;
  return make("span", {}, badge(run.status), why ? make("span", { className: "why" }, why) : "");
}

function maker(data) {
  const { run } = data.upstream;
  return isUpload(run.plan) ? planLabel(run.plan) : make("span", { className: "ref" }, `${planLabel(run.plan)} `, link(toRun(run.runId), run.runId));
}

const mounts = (entries) => entries.map((entry) => line(make("code", {}, `${entry.path} `), link(toLineage(entry.knitId), entry.knitId)));
const planSide = (entries) => entries.map((entry) => make("span", { className: "tags" }, make("code", {}, entry.path), ownTags(entry.tags).map(chip),
  entry.tags.filter((tag) => tag.startsWith("knit#")).map(chip)));

function dataActions(data) {
  const ready = dataStatus(data) === "processing" ? [] : [download(data.knitId)];
  return make("span", { className: "actions" }, make("a", { href: toLineage(data.knitId), data: { key: `lineage ${data.knitId}` } }, "lineage"), ready);
}

function planMaker(plan) {
  return make("span", {}, isUpload(plan) ? planLabel(plan) : plan.image, make("span", { className: "command", title: commandOf(plan) }, commandOf(plan)));
}

// The three lists.

const newestFirst = (items) => items.reverse();

const LISTS = {
  data: {
    path: "/api/data", order: newestFirst, status: dataStatus, statuses: ["ready", "processing", "failed"],
    words: (data) => [data.knitId, data.upstream.run.runId, planLabel(data.upstream.run.plan), ...data.tags],
    columns: {
      Data: (data) => copyable(data.knitId, toLineage(data.knitId)),
      Tags: (data) => chips(data.tags),
      Status: (data) => badge(dataStatus(data)),
      "Made by": maker,
      "Read by": (data) => (data.downstreams.length ? make("a", { href: `#/runs?text=${data.knitId}`, data: { key: `readers ${data.knitId}` } }, `${data.downstreams.length} Run${data.downstreams.length > 1 ? "s" : ""}`) : "–"),
      Since: (data) => moment(valueOf(data.tags, "knit#timestamp")),
      "": dataActions,
    },
    empty: ["No Data yet", "Push a folder: its tags decide which plans will read it.", "knit data push --tag type:dataset FOLDER"],
  },
  plans: {
    path: "/api/plans", order: (plans) => plans, status: planStatus, statuses: ["active", "inactive"],
    words: (plan) => [plan.planId, planLabel(plan), plan.image ?? "", commandOf(plan), ...[...plan.inputs, ...plan.outputs].flatMap((entry) => entry.tags), ...(plan.log?.tags ?? [])],
    columns: {
      Plan: (plan) => copyable(plan.planId, `#/runs?text=${plan.planId}`),
      "Image and command": planMaker,
      Reads: (plan) => planSide(plan.inputs),
      Makes: (plan) => planSide([...plan.outputs, ...(plan.log ? [{ path: "log", tags: plan.log.tags }] : [])]),
      Status: (plan) => badge(planStatus(plan)),
    },
    empty: ["No plans yet", "A plan names an image, the tags of its inputs and the tags of its outputs.", "knit plan apply PLAN.yaml"],
  },
  runs: {
    path: "/api/runs", order: newestFirst, status: (run) => run.status,
    statuses: ["waiting", "deactivated", "ready", "starting", "running", "completing", "aborting", "done", "failed"],
    words: (run) => [run.runId, run.plan.planId, planLabel(run.plan), commandOf(run.plan), ...[...run.inputs, ...run.outputs, ...logOf(run)].flatMap((entry) => [entry.knitId, ...entry.tags])],
    columns: {
      Run: (run) => copyable(run.runId, toRun(run.runId)),
      Plan: (run) => planMaker(run.plan),
      Status: runStatus,
      Reads: (run) => mounts(assignments(run, "inputs")),
      Makes: (run) => mounts([...assignments(run, "outputs"), ...logOf(run)]),
      Changed: (run) => moment(run.updatedAt),
      "": (run) => (run.log ? make("a", { href: toRun(run.runId), data: { key: `log ${run.runId}` } }, "log") : ""),
    },
    empty: ["No Runs yet", "Runs begin by themselves when Data with the right tags stand at every input of an active plan.", "knit plan apply PLAN.yaml"],
  },
};

function listView(kind) {
  const list = LISTS[kind];
  let shown = ROWS;
  const load = async (signal) => {
    const key = await askText(list.path, signal);
    return key === visit.found?.key ? visit.found : { key, items: list.order(JSON.parse(key)) };
  };
  const show = ({ items }) => {
    const terms = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = (item) => {
      const words = list.words(item).join("\n").toLowerCase();
      return terms.every((term) => words.includes(term));
    };
    const found = items.filter((item) => (!$("status").value || list.status(item) === $("status").value) && matches(item));
    $("count").textContent = found.length === items.length ? `${items.length}` : `${found.length} of ${items.length}`;
    if (!found.length) return items.length ? noMatch() : hint(...list.empty);
    const rows = found.slice(0, shown).map((item) => make("tr", {}, Object.values(list.columns).map((cell) => make("td", {}, cell(item)))));
    const head = make("tr", {}, Object.keys(list.columns).map((name) => make("th", { scope: "col" }, name)));
    const table = make("div", { className: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, rows)));
    const more = make("button", { type: "button", onclick: () => { shown *= 5; redraw(); } }, `show more (${found.length - shown} left)`);
    return make("div", {}, table, found.length > shown ? make("p", {}, more) : "");
  };
  return { load, show, list };
}

function hint(title, text, command) {
  return make("div", { className: "scroll empty" }, make("h2", {}, title), text, make("br"), make("code", {}, command));
}

function noMatch() {
  const clear = make("button", { type: "button", onclick: () => { $("text").value = $("status").value = ""; refilter(); } }, "clear the filter");
  return make("div", { className: "scroll empty" }, make("h2", {}, "Nothing matches"), "Every word must occur in a tag, an id or an image. ", clear);
}

// One Run and its log.

function runView(runId) {
  const paper = make("pre", { tabIndex: 0 });
  const follow = make("input", { type: "checkbox", id: "follow", checked: true });
  const note = make("span", {});
  let reading = false;
  const readLog = async (signal) => {
    reading = true;
    paper.replaceChildren();
    note.textContent = "reading …";
    try {
      const reader = (await ask(`/api/runs/${runId}/log?follow`, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        paper.append(piece.value);
        while (paper.textContent.length > LOG && paper.childNodes.length > 1) paper.firstChild.remove();
        if (follow.checked) paper.scrollTop = paper.scrollHeight;
      }
      note.textContent = paper.textContent ? "complete" : "the log is empty";
    } catch (error) {
      if (!signal.aborted) note.textContent = `the log can't be read: ${error.message}`;
      reading = false; // tried again with the next answer
    }
  };
  const load = async (signal) => {
    const key = await askText(`/api/runs/${runId}`, signal);
    return { key, run: JSON.parse(key) };
  };
  const show = ({ run }) => {
    const begun = !["waiting", "deactivated", "ready"].includes(run.status);
    if (run.log && begun && !reading) readLog(visit.stop.signal);
    if (!begun) [reading, note.textContent] = [false, "the log begins with the Run"];
    if (!run.log) note.textContent = "the plan of this Run keeps no log";
    const facts = { Status: runStatus(run), Plan: planMaker(run.plan), Reads: mounts(assignments(run, "inputs")),
      Makes: assignments(run, "outputs").map((entry) => line(mounts([entry]), " ", ENDED.includes(run.status) ? download(entry.knitId) : "")), Changed: moment(run.updatedAt) };
    const details = Object.entries(facts).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
    return make("div", {}, make("h1", {}, "Run", copyable(run.runId, toRun(run.runId))), make("dl", { className: "facts" }, details),
      make("p", { className: "bar" }, "Log", make("label", {}, follow, " follow"), note), make("div", { className: "scroll" }, paper));
  };
  return { load, show };
}

// Lineage: everything that led to a datum and everything made of it, two questions a generation.

async function trace(knitId, signal) {
  const runs = new Map();
  const data = new Set([knitId]);
  const walks = [["knitIdOutput", (run) => assignments(run, "inputs")], ["knitIdInput", (run) => [...assignments(run, "outputs"), ...logOf(run)]]];
  for (const [question, onward] of walks) {
    for (let front = [knitId]; front.length && runs.size < NODES; ) {
      const found = (await askJson(`/api/runs?${question}=${front.slice(0, NODES).join()}`, signal)).filter((run) => run.status !== "invalidated");
      const next = new Set(found.flatMap(onward).map((entry) => entry.knitId).filter((id) => !data.has(id)));
      found.forEach((run) => runs.set(run.runId, run));
      next.forEach((id) => data.add(id));
      front = [...next];
    }
  }
  return { runs: [...runs.values()], data: [...data], cut: runs.size >= NODES };
}

function lineageView(knitId) {
  const records = new Map(); // tags hardly change: asked for once a visit
  const load = async (signal) => {
    const found = await trace(knitId, signal);
    const fresh = found.data.filter((id) => !records.has(id));
    const answers = await Promise.all(fresh.map((id) => askJson(`/api/data?tag=knit%23id:${id}`, signal)));
    answers.flat().forEach((data) => records.set(data.knitId, data));
    if (!records.has(knitId)) throw new Error(`there is no Data ${knitId}`);
    return { key: JSON.stringify([found.runs, found.data]), ...found };
  };
  const show = ({ runs, data, cut }) => {
    const { nodes, edges } = toGraph(runs, data, records);
    const about = `${nodes.filter((node) => node.kind === "data").length} Data and ${nodes.filter((node) => node.kind === "run").length} Runs, from left to right`;
    return make("div", {}, make("h1", {}, "Lineage of", copyable(knitId, toLineage(knitId)), chips(records.get(knitId).tags)),
      make("p", { className: "bar" }, cut ? `${about}. There is more than can be drawn` : about, download(knitId)),
      make("div", { className: "graph", tabIndex: 0 }, drawGraph(nodes, edges, knitId)));
  };
  return { load, show };
}

function toGraph(runs, data, records) {
  const known = data.filter((id) => records.has(id));
  const tags = known.map((id) => ownTags(records.get(id).tags));
  const common = known.length > 1 ? tags[0].filter((tag) => tags.every((one) => one.includes(tag))) : []; // say nothing here
  const looks = new Map();
  const edges = [];
  for (const run of runs) {
    const makes = [...assignments(run, "outputs"), ...logOf(run)];
    makes.forEach((entry) => looks.set(entry.knitId, run.status));
    if (isUpload(run.plan)) continue; // said in its Data
    for (const entry of assignments(run, "inputs")) edges.push([entry.knitId, run.runId]);
    for (const entry of makes) edges.push([run.runId, entry.knitId]);
  }
  const dataNode = (id, at) => {
    const { upstream } = records.get(id);
    const place = isUpload(upstream.run.plan) ? planLabel(upstream.run.plan) : upstream.mountpoint?.path ?? "log";
    const label = tags[at].filter((tag) => !common.includes(tag)).join("  ") || tags[at].join("  ") || "no tags";
    return { kind: "data", id, href: toLineage(id), label, note: `${place} · ${brief(id)}`, about: [id, ...tags[at]].join("\n"), look: LOOKS[looks.get(id)] ?? "done" };
  };
  const runNode = (run) => ({ kind: "run", id: run.runId, href: toRun(run.runId), label: planLabel(run.plan), note: `${run.status} · ${brief(run.runId)}`,
    about: [run.runId, run.status, run.exit?.message ?? "", commandOf(run.plan)].join("\n"), look: LOOKS[run.status] ?? "off" });
  const nodes = [...known.map(dataNode), ...runs.filter((run) => !isUpload(run.plan)).map(runNode)];
  const ids = new Set(nodes.map((node) => node.id));
  return { nodes, edges: edges.filter(([from, to]) => ids.has(from) && ids.has(to)) };
}
