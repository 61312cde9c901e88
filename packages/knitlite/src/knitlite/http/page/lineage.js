// The lineage of a datum: all that led to it and all that was made of it. Two questions a generation.

import { askJson } from "./api.js";
import { chips, copyable, download, toLineage, toRun } from "./cells.js";
import { make } from "./elements.js";
import { drawGraph } from "./graph.js";
import { brief, commandOf, inputsOf, isUpload, lookOf, madeBy, ownTags, planLabel } from "./records.js";

const MOST = 300; // Runs in one graph

/** A view of the graph around one datum. */
export function lineageView(knitId) {
  const records = new Map(); // tags hardly change: asked for once a visit
  const load = async (signal) => {
    const found = await trace(knitId, signal);
    const fresh = found.data.filter((id) => !records.has(id));
    const answers = await Promise.all(fresh.map((id) => askJson(`/api/data?tag=knit%23id:${id}`, signal)));
    for (const data of answers.flat()) records.set(data.knitId, data);
    if (!records.has(knitId)) throw new Error(`there is no Data ${knitId}`);
    return { key: JSON.stringify([found.runs, found.data]), ...found };
  };
  const show = ({ runs, data, cut }) => {
    const { nodes, edges } = toGraph(runs, data, records);
    const count = (kind) => nodes.filter((node) => node.kind === kind).length;
    const more = cut ? "; there are more" : "";
    const about = `${count("data")} Data, ${count("run")} Runs, from left to right${more}`;
    const tags = chips(records.get(knitId).tags);
    const title = make("h1", {}, "Lineage of", copyable(knitId, toLineage(knitId)), tags);
    const graph = make("div", { className: "graph", tabIndex: 0 }, drawGraph(nodes, edges, knitId));
    return make("div", {}, title, make("p", { className: "bar" }, about, download(knitId)), graph);
  };
  return { load, show };
}

async function trace(knitId, signal) {
  const runs = new Map();
  const data = new Set([knitId]);
  for (const [question, onward] of [["knitIdOutput", inputsOf], ["knitIdInput", madeBy]]) {
    for (let front = [knitId]; front.length && runs.size < MOST; ) {
      const answer = await askJson(`/api/runs?${question}=${front.slice(0, MOST).join()}`, signal);
      const found = answer.filter((run) => run.status !== "invalidated").slice(0, MOST);
      for (const run of found) runs.set(run.runId, run);
      front = [...new Set(found.flatMap(onward).map((entry) => entry.knitId))].filter((id) => !data.has(id));
      for (const id of front) data.add(id);
    }
  }
  return { runs: [...runs.values()], data: [...data], cut: runs.size >= MOST };
}

function toGraph(runs, data, records) {
  const known = data.filter((id) => records.has(id)).map((id) => records.get(id));
  const made = runs.filter((run) => !isUpload(run.plan)); // an upload is told in its Data
  const common = known.length > 1 ? commonTags(known) : new Set();
  const nodes = [...known.map((one) => dataNode(one, common)), ...made.map(runNode)];
  const ids = new Set(nodes.map((node) => node.id));
  const edges = made.flatMap((run) => [
    ...inputsOf(run).map((entry) => [entry.knitId, run.runId]),
    ...madeBy(run).map((entry) => [run.runId, entry.knitId]),
  ]);
  return { nodes, edges: edges.filter((ends) => ends.every((id) => ids.has(id))) };
}

/** What all of them carry tells none from another. */
function commonTags(known) {
  return new Set(known[0].tags.filter((tag) => known.every((one) => one.tags.includes(tag))));
}

function dataNode({ knitId, tags, upstream }, common) {
  const { run, mountpoint } = upstream;
  const place = isUpload(run.plan) ? planLabel(run.plan) : (mountpoint?.path ?? "log");
  const telling = ownTags(tags).filter((tag) => !common.has(tag));
  return {
    kind: "data",
    id: knitId,
    href: toLineage(knitId),
    label: (telling.length ? telling : ownTags(tags)).join("  ") || "no tags",
    note: `${run.status === "failed" ? "failed " : ""}${place} · ${brief(knitId)}`,
    about: [knitId, ...ownTags(tags)].join("\n"),
    look: lookOf(run.status),
  };
}

function runNode(run) {
  return {
    kind: "run",
    id: run.runId,
    href: toRun(run.runId),
    label: planLabel(run.plan),
    note: `${run.status} · ${brief(run.runId)}`,
    about: [run.runId, run.status, run.exit?.message ?? "", commandOf(run.plan)].join("\n"),
    look: lookOf(run.status),
  };
}
