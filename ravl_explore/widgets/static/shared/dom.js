// Makes an element. Text is only ever set as text, so that what the kernel sends is never taken for HTML.

/** An attribute that is a function listens to the event of its name; null and false leave it out, as children too. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child)); // a string becomes a text node
  return node;
}
