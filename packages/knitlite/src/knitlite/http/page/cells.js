// Small parts that all views share: ids, tags, status words, times, downloads. Knows no view.

import { ask, hasToken } from "./api.js";
import { make } from "./elements.js";
import { brief, briefImage, commandOf, isSystem, isUpload, lookOf, ownTags, planLabel } from "./records.js";

export const toLineage = (id) => `#/lineage/${id}`;
export const toRun = (id) => `#/run/${id}`;
export const link = (href, ...texts) => make("a", { href, data: { key: `${href} ${texts}` } }, ...texts);
const idLink = (href, id) => Object.assign(link(href, brief(id)), { className: "id", title: id });
const line = (...parts) => make("span", { className: "line" }, ...parts);

/** A short id that leads somewhere, with a button that copies the whole. */
export function copyable(id, href) {
  const button = make("button", { type: "button", className: "copy", data: { key: `copy ${id}` } }, "copy");
  button.ariaLabel = `copy ${id}`;
  button.onclick = async () => {
    await copyText(id);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1200);
  };
  return make("span", { className: "ref" }, idLink(href, id), button);
}

async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = make("textarea", { value: text }); // plain http from another machine has no clipboard
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

function chip(tag) {
  const [key, value] = [tag.slice(0, tag.indexOf(":") + 1), tag.slice(tag.indexOf(":") + 1)];
  return make("span", { className: "tag", title: tag }, make("b", {}, key), value);
}

export const chips = (tags) => make("span", { className: "tags" }, ownTags(tags).map(chip));
export const badge = (word) => make("span", { className: `status ${lookOf(word)}` }, word);

/** A time in the reader's zone. */
export function moment(text) {
  if (!text) return "–";
  const local = new Date(Date.parse(text) - new Date(text).getTimezoneOffset() * 60_000).toISOString();
  return make("time", { dateTime: text, title: text }, `${local.slice(0, 10)} ${local.slice(11, 19)}`);
}

/** The content of a datum as an archive. */
export function download(id) {
  const anchor = Object.assign(link(`/api/data/${id}`, "download"), { download: `${id}.tar.gz` });
  anchor.dataset.key = `download ${id}`;
  anchor.onclick = async (event) => {
    if (!hasToken()) return;
    event.preventDefault(); // a plain link can't carry the token
    const href = URL.createObjectURL(await (await ask(anchor.pathname)).blob());
    make("a", { href, download: anchor.download }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  };
  return anchor;
}

export function runStatus(run) {
  const { code, message } = run.exit ?? { code: 0, message: "" };
  const why = code ? `exit ${code} ${message}` : message;
  return make("span", {}, badge(run.status), why ? make("span", { className: "why" }, why) : "");
}

/** A plan by its image and command. */
export function planCell(plan) {
  const command = make("span", { className: "command", title: commandOf(plan) }, commandOf(plan));
  const name = isUpload(plan) ? planLabel(plan) : briefImage(plan.image);
  return make("span", { title: plan.image ?? "" }, name, command);
}

/** What made a datum. */
export function makerCell({ run }) {
  if (isUpload(run.plan)) return planLabel(run.plan);
  return make("span", { className: "ref", title: run.plan.image }, `${planLabel(run.plan)} `, idLink(toRun(run.runId), run.runId));
}

/** Data at the mountpoints of a Run. */
export const mounts = (entries) =>
  entries.map(({ path, knitId }) => line(make("code", {}, `${path} `), idLink(toLineage(knitId), knitId)));

/** Mountpoints of a plan with the tags they ask for or give. */
export const planSide = (entries) =>
  entries.map(({ path, tags }) => {
    const wanted = [...tags.filter(isSystem), ...ownTags(tags)].map(chip);
    return make("span", { className: "tags" }, make("code", {}, path), wanted);
  });
