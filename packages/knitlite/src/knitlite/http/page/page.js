// knitlite's page: which view is shown, and asking for it again and again. Knows nothing but the WebAPI.

import { $, make } from "./elements.js";
import { lineageView } from "./lineage.js";
import { LISTS, listView } from "./lists.js";
import { runView } from "./log.js";

const PACE = 3000; // milliseconds between two questions
const REST = 10; // times as long as the answer took, at least: a large engine is not kept busy by a page

let visit = { stop: new AbortController() }; // of the view that is shown

function redraw() {
  if (!visit.found) return;
  const focused = document.activeElement?.dataset?.key;
  const scrolled = document.querySelector(".graph");
  const place = scrolled && [scrolled.scrollLeft, scrolled.scrollTop];
  $("main").replaceChildren(visit.view.show(visit.found));
  if (place) document.querySelector(".graph")?.scrollTo(...place);
  const again = focused && document.querySelector(`main [data-key="${CSS.escape(focused)}"]`);
  if (again) again.focus({ preventScroll: true });
  if (visit.view.list) remember();
}

async function turn(mine) {
  if (mine.busy || document.hidden) return;
  mine.busy = true;
  clearTimeout(mine.timer);
  const began = performance.now();
  try {
    const found = await mine.view.load(mine.stop.signal);
    if (mine !== visit) return;
    if (found.key !== mine.found?.key) {
      mine.found = found;
      redraw();
    }
    tell("live");
  } catch (error) {
    if (mine !== visit) return;
    tell("lost", error instanceof TypeError ? "the server can't be reached" : error.message);
  }
  mine.busy = false;
  mine.timer = setTimeout(turn, Math.max(PACE, REST * (performance.now() - began)), mine);
}

function tell(state, trouble) {
  const clock = new Date().toTimeString().slice(0, 8);
  $("live").className = state;
  $("live").textContent = state === "live" ? `live · ${clock}` : `${trouble} – asking again`;
  if (state === "lost" && !visit.found) $("main").replaceChildren(make("p", { className: "quiet" }, trouble));
}

/** Show what the address names: #/data, #/plans, #/runs (each with ?text=&status=), #/run/ID, #/lineage/ID. */
function enter() {
  clearTimeout(visit.timer);
  visit.stop.abort();
  const [path, query] = location.hash.slice(2).split("?");
  const [kind, id] = path.split("/").map(decodeURIComponent);
  const stop = new AbortController();
  visit = { stop, view: viewOf(kind, encodeURIComponent(id ?? ""), stop.signal) };
  const { list } = visit.view;
  $("filters").hidden = !list;
  if (list) fillFilters(list, new URLSearchParams(query));
  for (const name of Object.keys(LISTS)) {
    $(`tab-${name}`).ariaCurrent = visit.view.tab === name ? "page" : null;
  }
  document.title = `${id ? `${id.slice(0, 8)} · ` : ""}${visit.view.tab} · knitlite`;
  $("main").replaceChildren(make("p", { className: "quiet" }, "Asking the server …"));
  turn(visit);
}

function viewOf(kind, id, signal) {
  if (kind === "run" && id) return { ...runView(id, signal), tab: "runs" };
  if (kind === "lineage" && id) return { ...lineageView(id), tab: "data" };
  const tab = Object.hasOwn(LISTS, kind) ? kind : "data";
  return { ...listView(tab, redraw), tab };
}

function fillFilters(list, query) {
  $("status").replaceChildren(new Option("any", ""), ...list.statuses.map((word) => new Option(word, word)));
  $("text").value = query.get("text") ?? "";
  $("status").value = list.statuses.includes(query.get("status")) ? query.get("status") : "";
}

/** The filter stands in the address, so that it can be sent to somebody and survives a reload. */
function remember() {
  const chosen = [["text", $("text").value], ["status", $("status").value]].filter(([, value]) => value);
  const query = chosen.length ? `?${new URLSearchParams(chosen)}` : "";
  history.replaceState(null, "", `#/${visit.view.tab}${query}`);
}

$("text").addEventListener("input", redraw);
$("status").addEventListener("change", redraw);
$("filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", enter);
document.addEventListener("visibilitychange", () => turn(visit));
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.closest("input, select, dialog") || $("filters").hidden) return;
  event.preventDefault();
  $("text").focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the fragment of the address names the view
  $("main").focus();
});
enter();
