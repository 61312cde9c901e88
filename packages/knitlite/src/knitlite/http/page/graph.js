// A layered drawing of an acyclic graph, from left to right, as SVG. Knows nodes and edges, no WebAPI.

import { draw } from "./elements.js";

const WIDTH = { data: 190, run: 168 };
const HEIGHT = 44;
const ACROSS = 46; // between two layers, where edges bend
const DOWN = 16; // between two nodes of a layer
const MARGIN = 24;
const SWEEPS = 12;
const LETTERS = { data: [24, 29], run: [18, 22] }; // of label and note that fit into a box
const SMALLEST = 0.78; // of the natural size; a wider graph is scrolled

/** The layer of each node: behind all it comes from; what comes from nothing stands by its first reader. */
function rank(ids, edges) {
  const level = new Map(ids.map((id) => [id, 0]));
  for (let rounds = ids.length, moved = true; moved && rounds > 0; rounds -= 1) {
    moved = false;
    for (const [from, to] of edges) {
      if (level.get(to) > level.get(from)) continue;
      level.set(to, level.get(from) + 1);
      moved = true;
    }
  }
  const targets = new Set(edges.map(([, to]) => to));
  for (const id of ids) {
    const readers = edges.filter(([from]) => from === id).map(([, to]) => level.get(to));
    if (readers.length && !targets.has(id)) level.set(id, Math.min(...readers) - 1);
  }
  return level;
}

/** Layers of keys; an edge that skips layers gets a bend (a key of its own) in each. */
function layer(ids, edges) {
  const level = rank(ids, edges);
  const layers = Array.from({ length: Math.max(...level.values()) + 1 }, () => []);
  for (const id of ids) layers[level.get(id)].push(id);
  const chains = edges.map(([from, to], number) => {
    const chain = [from];
    for (let at = level.get(from) + 1; at < level.get(to); at += 1) {
      chain.push(`bend ${number} ${at}`);
      layers[at].push(chain.at(-1));
    }
    return [...chain, to];
  });
  const steps = chains.flatMap((chain) => chain.slice(1).map((key, at) => [chain[at], key]));
  return { layers, chains, before: neighbours(steps, 1, 0), after: neighbours(steps, 0, 1) };
}

function neighbours(steps, own, other) {
  const found = new Map();
  for (const step of steps) found.set(step[own], [...(found.get(step[own]) ?? []), step[other]]);
  return (key) => found.get(key) ?? [];
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Each layer is sorted by the mean place of its neighbours, to and fro; the order with fewest crossings wins. */
function order({ layers, before, after }) {
  let best = { crossings: Infinity, layers };
  for (let sweep = 0; sweep < SWEEPS && best.crossings > 0; sweep += 1) {
    const forth = sweep % 2 === 0;
    const near = forth ? before : after;
    const place = new Map(layers.flatMap((keys) => keys.map((key, at) => [key, at])));
    for (const keys of forth ? layers : layers.toReversed()) {
      const wishOf = (key) => mean((near(key).length ? near(key) : [key]).map((one) => place.get(one)));
      const wish = new Map(keys.map((key) => [key, wishOf(key)]));
      keys.sort((a, b) => wish.get(a) - wish.get(b));
      keys.forEach((key, at) => place.set(key, at));
    }
    const crossings = layers.reduce((sum, keys) => sum + countCrossings(keys, after, place), 0);
    if (crossings < best.crossings) best = { crossings, layers: layers.map((keys) => [...keys]) };
  }
  return best.layers;
}

function countCrossings(keys, after, place) {
  const ends = keys.flatMap((key) => after(key).map((next) => place.get(next)).sort((a, b) => a - b));
  return ends.reduce((sum, end, at) => sum + ends.slice(at + 1).filter((later) => later < end).length, 0);
}

const heightOf = (key) => (key.startsWith("bend ") ? 6 : HEIGHT);

/** Centres that move least from what is wanted and keep their distances (pool adjacent violators). */
function settle(keys, wanted) {
  let sum = 0;
  const offsets = keys.map((key, at) => (sum += at ? (heightOf(keys[at - 1]) + heightOf(key)) / 2 + DOWN : 0));
  const blocks = [];
  wanted.forEach((want, at) => {
    let block = { sum: want - offsets[at], size: 1 };
    while (blocks.length && blocks.at(-1).sum / blocks.at(-1).size > block.sum / block.size) {
      const last = blocks.pop();
      block = { sum: last.sum + block.sum, size: last.size + block.size };
    }
    blocks.push(block);
  });
  const bases = blocks.flatMap((block) => Array(block.size).fill(block.sum / block.size));
  return bases.map((base, at) => base + offsets[at]);
}

function balance({ layers, before, after }) {
  const y = new Map();
  for (const keys of layers) settle(keys, keys.map(() => 0)).forEach((centre, at) => y.set(keys[at], centre));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const near = sweep % 2 ? after : before;
    for (const keys of sweep % 2 ? layers.toReversed() : layers) {
      const wanted = keys.map((key) => mean((near(key).length ? near(key) : [key]).map((one) => y.get(one))));
      settle(keys, wanted).forEach((centre, at) => y.set(keys[at], centre));
    }
  }
  return y;
}

/** Where every key stands (left edge x, centre y, width) and how large the whole is. */
export function arrange(nodes, edges) {
  const parts = layer(nodes.map((node) => node.id), edges);
  const graph = { ...parts, layers: order(parts) };
  const y = balance(graph);
  const top = Math.min(...y.values()) - HEIGHT / 2 - MARGIN;
  const kinds = new Map(nodes.map((node) => [node.id, node.kind]));
  const places = new Map();
  let x = MARGIN;
  for (const keys of graph.layers) {
    const width = Math.max(...keys.map((key) => WIDTH[kinds.get(key)] ?? 0));
    for (const key of keys) places.set(key, { x, y: y.get(key) - top, width: WIDTH[kinds.get(key)] ?? width });
    x += width + ACROSS;
  }
  const height = Math.max(...y.values()) - top + HEIGHT / 2 + MARGIN;
  return { places, chains: graph.chains, width: x - ACROSS + MARGIN, height };
}

function curve(chain, places) {
  const points = chain.map((key) => places.get(key));
  const parts = points.slice(1).map((to, at) => {
    const start = points[at].x + points[at].width;
    const middle = (start + to.x) / 2;
    return `H${start} C${middle} ${points[at].y} ${middle} ${to.y} ${to.x} ${to.y}`;
  });
  return `M${points[0].x + points[0].width} ${points[0].y} ${parts.join(" ")}`;
}

const shorten = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function drawNode(node, { x, y, width }, isHere) {
  const box = { x, y: y - HEIGHT / 2, width, height: HEIGHT, rx: node.kind === "run" ? HEIGHT / 2 : 7 };
  const words = `${node.kind === "run" ? "Run" : "Data"} ${node.label}, ${node.note}`;
  const [label, note] = LETTERS[node.kind];
  const inset = x + (node.kind === "run" ? 20 : 12);
  const look = `${node.kind} ${node.look}${isHere ? " here" : ""}`;
  const attributes = { href: node.href, class: look, "aria-label": words, "data-key": `node ${node.id}` };
  const texts = [
    draw("text", { x: inset, y: y - 4 }, shorten(node.label, label)),
    draw("text", { x: inset, y: y + 13, class: "small" }, shorten(node.note, note)),
  ];
  return draw("a", attributes, draw("title", {}, node.about), draw("rect", box), ...texts);
}

/** The drawing; `here` is the node it is about. Edges light up with the node under the pointer or focus. */
export function drawGraph(nodes, edges, here) {
  const { places, chains, width, height } = arrange(nodes, edges);
  const lines = chains.map((chain) => draw("path", { d: curve(chain, places) }));
  const light = (id, on) => {
    for (const [at, chain] of chains.entries())
      lines[at].classList.toggle("lit", on && [chain[0], chain.at(-1)].includes(id));
  };
  const boxes = nodes.map((node) => {
    const box = drawNode(node, places.get(node.id), node.id === here);
    for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]])
      box.addEventListener(event, () => light(node.id, on));
    return box;
  });
  const drawing = draw("svg", { width, viewBox: `0 0 ${width} ${height}` }, ...lines, ...boxes);
  drawing.style.minWidth = `${width * SMALLEST}px`;
  return drawing;
}
