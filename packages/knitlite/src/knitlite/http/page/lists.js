// The three lists with their filter. Asks for one list at a time; draws a bounded number of rows.

import { askText } from "./api.js";
import { badge, chips, copyable, download, link, moment, mounts, toLineage, toRun } from "./cells.js";
import { makerCell, planCell, planSide, runStatus } from "./cells.js";
import { $, make } from "./elements.js";
import { commandOf, dataStatus, inputsOf, isUpload, logOf, madeBy } from "./records.js";
import { planLabel, planStatus, valueOf } from "./records.js";

const ROWS = 200; // drawn before "show more"

const tagsAndIds = (entries) => entries.flatMap((entry) => [entry.knitId ?? "", ...entry.tags]);
const planOutputs = (plan) => [...plan.outputs, ...(plan.log ? [{ path: "log", tags: plan.log.tags }] : [])];

function readers({ knitId, downstreams }) {
  if (!downstreams.length) return "–";
  return link(`#/runs?text=${knitId}`, downstreams.length === 1 ? "1 Run" : `${downstreams.length} Runs`);
}

function dataActions(data) {
  const content = dataStatus(data) === "processing" ? [] : [download(data.knitId)];
  return make("span", { className: "actions" }, link(toLineage(data.knitId), "lineage"), ...content);
}

const DATA = {
  path: "/api/data",
  newestFirst: true,
  status: dataStatus,
  statuses: ["ready", "processing", "failed"],
  words: ({ knitId, tags, upstream: { run } }) => {
    return [knitId, run.runId, planLabel(run.plan), run.plan.image ?? "", ...tags];
  },
  columns: {
    Data: (data) => copyable(data.knitId, toLineage(data.knitId)),
    Tags: (data) => chips(data.tags),
    Status: (data) => badge(dataStatus(data)),
    "Made by": (data) => makerCell(data.upstream),
    "Read by": readers,
    Since: (data) => moment(valueOf(data.tags, "knit#timestamp")),
    Actions: dataActions,
  },
  empty: [
    "No Data yet",
    "Push a folder; its tags decide which plans will read it.",
    "knit data push --tag type:dataset FOLDER",
  ],
};

const PLANS = {
  path: "/api/plans",
  newestFirst: false,
  keep: (plan) => !isUpload(plan), // of these there are always two, and nobody applied them
  status: planStatus,
  statuses: ["active", "inactive"],
  words: (plan) => {
    const tags = tagsAndIds([...plan.inputs, ...planOutputs(plan)]);
    return [plan.planId, planLabel(plan), plan.image ?? "", commandOf(plan), ...tags];
  },
  columns: {
    Plan: (plan) => copyable(plan.planId, `#/runs?text=${plan.planId}`),
    "Image and command": planCell,
    Reads: (plan) => planSide(plan.inputs),
    Makes: (plan) => planSide(planOutputs(plan)),
    Status: (plan) => badge(planStatus(plan)),
    Actions: (plan) => link(`#/runs?text=${plan.planId}`, "Runs"),
  },
  empty: [
    "No plans yet",
    "A plan names an image, the tags of its inputs and the tags of its outputs.",
    "knit plan apply PLAN.yaml",
  ],
};

const RUNS = {
  path: "/api/runs",
  newestFirst: true,
  status: (run) => run.status,
  statuses: ["waiting", "deactivated", "starting", "running", "completing", "aborting", "done", "failed"],
  words: (run) => {
    const data = tagsAndIds([...inputsOf(run), ...madeBy(run)]);
    const plan = [run.plan.planId, planLabel(run.plan), run.plan.image ?? "", commandOf(run.plan)];
    return [run.runId, ...plan, ...data];
  },
  columns: {
    Run: (run) => copyable(run.runId, toRun(run.runId)),
    Plan: (run) => planCell(run.plan),
    Status: runStatus,
    Reads: (run) => mounts(inputsOf(run)),
    Makes: (run) => mounts(madeBy(run)),
    Changed: (run) => moment(run.updatedAt),
    Actions: (run) => (logOf(run).length ? link(toRun(run.runId), "log") : ""),
  },
  empty: [
    "No Runs yet",
    "Runs begin by themselves when Data with the right tags stand at every input of an active plan.",
    "knit plan apply PLAN.yaml",
  ],
};

export const LISTS = { data: DATA, plans: PLANS, runs: RUNS };

/** A view of one kind; `redraw` draws again what was found last. */
export function listView(kind, redraw) {
  const list = LISTS[kind];
  let shown = ROWS;
  const load = async (signal) => {
    const key = await askText(list.path, signal);
    return { key, read: () => JSON.parse(key).filter(list.keep ?? Boolean) };
  };
  const show = (found) => {
    found.items ??= list.newestFirst ? found.read().reverse() : found.read();
    const wanted = chosen(list, found.items);
    const [all, some] = [found.items.length, wanted.length];
    $("count").textContent = some === all ? `${all}` : `${some} of ${all}`;
    if (!all) return hint(...list.empty);
    if (!some) return noMatch(redraw);
    const onclick = () => redraw((shown *= 5));
    const more = make("button", { type: "button", onclick }, `show more, ${some - shown} are left`);
    const rest = some > shown ? [make("p", {}, more)] : [];
    return make("div", {}, table(list.columns, wanted.slice(0, shown)), ...rest);
  };
  return { load, show, list };
}

function chosen(list, items) {
  const status = $("status").value;
  const terms = $("text").value.toLowerCase().split(/\s+/).filter(Boolean);
  return items.filter((item) => {
    if (status && list.status(item) !== status) return false;
    const words = terms.length ? list.words(item).join("\n").toLowerCase() : "";
    return terms.every((term) => words.includes(term));
  });
}

function table(columns, items) {
  const head = Object.keys(columns).map((name) => make("th", { scope: "col" }, name));
  const cells = (item) => Object.values(columns).map((cell) => make("td", {}, cell(item)));
  const rows = items.map((item) => make("tr", {}, cells(item)));
  const body = [make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows)];
  return make("div", { className: "scroll" }, make("table", {}, body));
}

function hint(title, text, command) {
  const parts = [make("h2", {}, title), text, make("br"), make("code", {}, command)];
  return make("div", { className: "scroll empty" }, parts);
}

function noMatch(redraw) {
  const onclick = () => {
    $("text").value = $("status").value = "";
    redraw();
  };
  const clear = make("button", { type: "button", onclick }, "clear the filter");
  const text = "Every word must occur in a tag, an id, an image or a command. ";
  return make("div", { className: "scroll empty" }, make("h2", {}, "Nothing matches"), text, clear);
}
