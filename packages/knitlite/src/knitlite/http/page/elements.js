// Elements of the page. Tags, names and messages are strangers' text: they become text nodes, never markup.

export const $ = (id) => document.getElementById(id);

/** An HTML element with these properties (`data` goes to its dataset) and children (elements or texts). */
export function make(name, properties = {}, ...children) {
  const { data, ...rest } = properties;
  const element = Object.assign(document.createElement(name), rest);
  Object.assign(element.dataset, data);
  element.append(...children.flat());
  return element;
}

/** An SVG element with these attributes. */
export function draw(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
