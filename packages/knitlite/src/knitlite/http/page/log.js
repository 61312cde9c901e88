// One Run: what it is, and its log as it grows.

import { ask, askText } from "./api.js";
import { copyable, download, moment, mounts, planCell, runStatus, toRun } from "./cells.js";
import { make } from "./elements.js";
import { hasBegun, hasEnded, inputsOf, outputsOf } from "./records.js";

const KEPT = 2_000_000; // characters of a log

/** A view of one Run; it stops reading when `signal` does. */
export function runView(runId, signal) {
  const paper = make("pre", { tabIndex: 0 });
  const follow = make("input", { type: "checkbox", id: "follow", checked: true });
  const note = make("span", { id: "log-note" });
  let reading = false;

  const readLog = async () => {
    reading = true;
    paper.replaceChildren();
    note.textContent = "reading …";
    try {
      const answer = await ask(`/api/runs/${runId}/log?follow`, signal);
      for await (const piece of pieces(answer.body)) {
        append(paper, piece);
        if (follow.checked) paper.scrollTop = paper.scrollHeight;
      }
      note.textContent = paper.firstChild ? "complete" : "the log is empty";
    } catch (error) {
      if (!signal.aborted) note.textContent = `the log can't be read: ${error.message}`;
    }
  };
  const load = async () => {
    const key = await askText(`/api/runs/${runId}`, signal);
    return { key, run: JSON.parse(key) };
  };
  const show = ({ run }) => {
    if (!run.log) note.textContent = "the plan of this Run keeps no log";
    else if (!hasBegun(run)) {
      reading = false; // a retried Run has a new log
      note.textContent = "the log begins with the Run";
    } else if (!reading) readLog();
    const title = make("h1", {}, "Run", copyable(run.runId, toRun(run.runId)));
    const bar = make("p", { className: "bar" }, "Log", make("label", {}, follow, " follow"), note);
    return make("div", {}, title, facts(run), bar, make("div", { className: "scroll" }, paper));
  };
  return { load, show };
}

async function* pieces(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
}

function append(paper, piece) {
  paper.append(piece.slice(-KEPT));
  let length = Number(paper.dataset.length ?? 0) + piece.length;
  while (length > KEPT && paper.childNodes.length > 1) {
    length -= paper.firstChild.length;
    paper.firstChild.remove();
  }
  paper.dataset.length = length;
}

function facts(run) {
  const output = (entry) => {
    const content = hasEnded(run) ? [download(entry.knitId)] : [];
    return make("span", { className: "actions" }, mounts([entry]), ...content);
  };
  const known = {
    Status: runStatus(run),
    Plan: planCell(run.plan),
    Reads: mounts(inputsOf(run)),
    Makes: outputsOf(run).map(output),
    Changed: moment(run.updatedAt),
  };
  const rows = Object.entries(known).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return make("dl", { className: "facts" }, rows);
}
