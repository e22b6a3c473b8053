// Small means to make elements and keep them: what has not changed is not touched, so nothing blinks, and the focus
// stays where it is.

type Child = Node | string;
type Attributes = Readonly<Record<string, string | boolean | number | ((event: Event) => void)>>;

/** An element: attributes, `on…` listeners, children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else attribute(element, name, value);
  }
  element.append(...children);
  return element;
}

/** Sets an attribute, or takes it away (false), only where it differs. */
export function attribute(element: Element, name: string, value: string | boolean | number): void {
  if (value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value === true ? '' : value)) element.setAttribute(name, String(value === true ? '' : value));
}

export function say(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function show(element: HTMLElement, visible: boolean): void {
  element.hidden = !visible;
}

/** Words that lead to a line of the script, or only words. */
export function scriptLink(): { node: HTMLElement; update: (text: string, line: number | undefined) => void } {
  const node = h('a', { class: 'why' });
  return {
    node,
    update(text, line) {
      say(node, text);
      attribute(node, 'href', line === undefined ? false : `#script:${line}`);
    },
  };
}

/** A list whose rows stay as long as their keys do, in the order of the items. */
export function list<T>(parent: Element, key: (item: T) => string, create: (item: T) => { node: HTMLElement; update: (item: T) => void }): (items: readonly T[]) => void {
  const rows = new Map<string, { node: HTMLElement; update: (item: T) => void }>();
  return (items) => {
    const keys = new Set(items.map(key));
    for (const [old, row] of rows) {
      if (!keys.has(old)) {
        row.node.remove();
        rows.delete(old);
      }
    }
    let before: ChildNode | null = parent.firstChild;
    for (const item of items) {
      let row = rows.get(key(item));
      if (row === undefined) {
        row = create(item);
        rows.set(key(item), row);
      }
      row.update(item);
      if (before === row.node) before = row.node.nextSibling;
      else parent.insertBefore(row.node, before);
    }
  };
}

const SVG = 'http://www.w3.org/2000/svg';
const SHAPES: Readonly<Record<string, string>> = {
  on: 'M8 2a6 6 0 1 1 0 12A6 6 0 1 1 8 2z',
  off: 'M8 2.75a5.25 5.25 0 1 1 0 10.5a5.25 5.25 0 1 1 0-10.5z',
  asked: 'M8 2.75a5.25 5.25 0 1 1 0 10.5a5.25 5.25 0 1 1 0-10.5zM8 4.5v7a3.5 3.5 0 0 0 0-7z',
  alarm: 'M8 2l6.5 11.5h-13z',
  forced: 'M3 7h10v7H3zM5 7V5a3 3 0 0 1 6 0v2',
  unknown: 'M5.5 6a2.5 2.5 0 1 1 3.6 2.2c-.7.4-1.1.8-1.1 1.8M8 12.6v.1',
};
const FILLED = new Set(['on', 'alarm']);

/** One of the signs of the house. A word always stands beside it. */
export function sign(name: string): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'path'));
  setSign(svg, name);
  return svg;
}

export function setSign(svg: SVGElement, name: string): void {
  attribute(svg, 'class', `sign ${FILLED.has(name) ? 'filled' : ''}`);
  const path = svg.firstElementChild;
  if (path !== null) attribute(path, 'd', SHAPES[name] ?? '');
}
