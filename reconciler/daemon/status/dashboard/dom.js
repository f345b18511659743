// Builds elements. Data is never parsed as markup: every text goes through `visible` into a text node.
const SVG = 'http://www.w3.org/2000/svg';
const SHORT = {'\n': '\\n', '\r': '\\r', '\t': '\\t'};
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

// Escapes invisible characters, which could hide or reorder the text beside them, as the program does in a terminal.
function visible(text) {
  return String(text).replace(UNSEEN, each => {
    const hex = each.codePointAt(0).toString(16);
    return SHORT[each] || (hex.length > 4 ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`);
  });
}

// h('button.link', {onclick, 'aria-label': ...}, children...); a child is a node, a text, a list of these, or empty.
function h(what, given, ...children) {
  const [tag, ...classes] = what.split('.');
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(' ');
  set(made, given);
  put(made, children);
  return made;
}

function svg(tag, given, ...children) {
  const made = document.createElementNS(SVG, tag);
  set(made, given);
  put(made, children);
  return made;
}

function set(element, given) {
  for (const [name, value] of Object.entries(given || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') for (const [property, each] of Object.entries(value)) element.style.setProperty(property, each);
    else element.setAttribute(name, value === true ? '' : name === 'href' ? value : visible(value));
  }
}

function put(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false && child !== '')
      parent.append(child instanceof Node ? child : document.createTextNode(visible(child)));
  }
}

const $ = id => document.getElementById(id);
const drawn = new Map();  // element id -> the data it was drawn from, as JSON

// Redraws the element `place` if its data has changed; the focus stays on the element with the same data-key.
function draw(place, from, make) {
  const key = JSON.stringify(from);
  if (drawn.get(place) === key) return;
  drawn.set(place, key);
  const element = $(place), focused = element.contains(document.activeElement) && document.activeElement.dataset.key;
  const fresh = document.createDocumentFragment();
  put(fresh, [make()]);
  element.replaceChildren(fresh);
  if (focused) [...element.querySelectorAll('[data-key]')].find(each => each.dataset.key === focused)?.focus({preventScroll: true});
}
