// What a view wants to show, and how the document becomes that. A view says all of what it shows, every time; `patch`
// changes only what differs. So rows keep their identity, and with it focus, selected text and scrolling, and nothing
// flickers. Text only ever becomes text nodes and attributes: an agent may call itself `<img onerror=…>`.
//
// It is a hundred lines because it does what this page needs and no more: keys, attributes, handlers, SVG.

/**
 * @typedef {{tag: string, props: Object, children: (Wanted|string)[]}} Wanted
 * Props: `key` tells siblings apart; `style` is an object; `on…` are handlers; `own: true` leaves the children to
 * somebody else (the ticker, which writes times that pass); everything else is an attribute, absent when false or null.
 */

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "open", "disabled", "hidden"]);
const wanted = new WeakMap();

/** @returns {Wanted} */
export function h(tag, props, ...children) {
  const kept = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  return { tag, props: props ?? {}, children: kept.map((child) => (typeof child === "object" ? child : String(child))) };
}

/** Makes the children of a node be these. */
export function patch(parent, children) {
  const focused = document.activeElement;
  patchChildren(parent, h("root", null, children).children);
  // A row that has moved among its siblings has lost its focus on the way.
  if (focused !== document.activeElement && focused?.isConnected && parent.contains(focused)) {
    focused.focus({ preventScroll: true });
  }
}

function identity(child) {
  return typeof child === "string" ? "#text" : `${child.tag} ${child.props.key ?? ""}`;
}

function patchChildren(parent, children) {
  const old = new Map();
  for (const node of parent.childNodes) {
    const known = wanted.get(node);
    const name = known ? identity(known) : "#text";
    if (!old.has(name)) old.set(name, []);
    old.get(name).push(node);
  }
  // Which of the old nodes stay is settled first, and the rest leave: then those that stay are mostly in their places.
  const nodes = children.map((child) => old.get(identity(child))?.shift() ?? null);
  for (const left of old.values()) for (const node of left) node.remove();
  let place = parent.firstChild;
  children.forEach((child, index) => {
    let node = nodes[index];
    if (node) update(node, child);
    else node = create(child, parent);
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  });
}

function create(child, parent) {
  if (typeof child === "string") return document.createTextNode(child);
  const svg = child.tag === "svg" || (parent.namespaceURI === SVG && parent.tagName !== "foreignObject");
  const node = svg ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
  wanted.set(node, h(child.tag, {}));
  update(node, child);
  return node;
}

function update(node, child) {
  if (typeof child === "string") {
    if (node.data !== child) node.data = child;
    return;
  }
  const before = wanted.get(node).props;
  wanted.set(node, child);
  for (const name of Object.keys(before)) if (!(name in child.props)) set(node, name, null, before[name]);
  for (const [name, value] of Object.entries(child.props)) set(node, name, value, before[name]);
  if (!child.props.own) patchChildren(node, child.children);
}

function set(node, name, value, before) {
  if (name === "key" || name === "own") return;
  if (name.startsWith("on")) {
    if (value !== before) node[name] = value;
  } else if (name === "style") {
    for (const property of Object.keys(before ?? {})) if (!(property in (value ?? {}))) node.style.removeProperty(property);
    for (const [property, text] of Object.entries(value ?? {})) {
      if (text !== before?.[property]) node.style.setProperty(property, text);
    }
  } else if (name === "value") {
    // What somebody is typing just now is theirs.
    if (value !== before && node !== document.activeElement && node.value !== value) node.value = value ?? "";
  } else if (PROPERTIES.has(name)) {
    if (value !== before) node[name] = Boolean(value);
  } else if (value !== before) {
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
}
