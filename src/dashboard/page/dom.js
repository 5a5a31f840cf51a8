// Elements made by hand, and a way to bring an old tree to a new one without losing focus or scroll.

const SVG = 'http://www.w3.org/2000/svg'

const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== undefined && value !== false && value !== null) node.setAttribute(name, value === true ? '' : String(value))
  }
  for (const child of children.flat(4)) {
    if (child !== undefined && child !== null && child !== false) node.append(child)
  }
  return node
}

/** Text children become text nodes: nothing that a server or a client sent is ever parsed as markup. */
export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children)
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children)

const isSame = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.nodeType !== 1 || a.getAttribute('data-key') === b.getAttribute('data-key'))

const morph = (old, now) => {
  if (old.nodeType !== 1) {
    if (old.data !== now.data) old.data = now.data
    return
  }
  for (const { name } of [...old.attributes]) if (!now.hasAttribute(name) && !(name === 'open' && old.nodeName === 'DETAILS')) old.removeAttribute(name)
  for (const { name, value } of [...now.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value)
  // What a person is choosing in is left alone until it loses focus.
  if (old.nodeName === 'SELECT' && old === document.activeElement) return
  morphChildren(old, [...now.childNodes])
  if (old.nodeName === 'SELECT') {
    const chosen = old.querySelector('option[selected]')
    if (chosen !== null) old.value = chosen.value
  }
}

const morphChildren = (parent, children) => {
  const keyed = new Map()
  for (const child of parent.children) {
    const key = child.getAttribute('data-key')
    if (key !== null) keyed.set(key, child)
  }
  let at = parent.firstChild
  for (const child of children) {
    const key = child.nodeType === 1 ? child.getAttribute('data-key') : null
    const known = key === null ? undefined : keyed.get(key)
    if (known !== undefined && known.nodeName === child.nodeName) {
      if (known === at) at = at.nextSibling
      else parent.insertBefore(known, at)
      morph(known, child)
    } else if (at !== null && key === null && isSame(at, child)) {
      const next = at.nextSibling
      morph(at, child)
      at = next
    } else parent.insertBefore(child, at)
  }
  while (at !== null) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

/** Make `parent` show these children. */
export const render = (parent, ...children) => {
  const holder = document.createDocumentFragment()
  fill(holder, undefined, children)
  morphChildren(parent, [...holder.childNodes])
}

/** A panel with a title and what it means. */
export const panel = (title, note, ...content) => el('section', { class: 'panel' },
  el('header', { class: 'panel-head' }, el('h2', {}, title), note && el('span', { class: 'muted' }, note)), ...content)

export const nothing = (text = 'no data yet') => el('p', { class: 'none' }, text)
