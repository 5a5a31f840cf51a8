import { el, render } from './dom.js'
import { age } from './format.js'
import { watchPointer } from './charts.js'
import { ask, Feed, token } from './feed.js'
import { renderOverview, renderVerdict } from './overview.js'
import { renderLatency } from './latency.js'
import { renderFleet } from './fleet.js'
import { Requests } from './requests.js'
import { renderTuning } from './tuning.js'

const byId = (id) => document.getElementById(id)
const PAGES = ['overview', 'latency', 'fleet', 'requests', 'tuning']
const THEME = 'sluice-theme'

let page = 'overview'
let persona = 'all:all'
let latest
const requests = new Requests(byId('requests'))

const draw = () => {
  if (latest === undefined) return
  const { snapshot, history } = latest
  renderVerdict(byId('verdict'), snapshot)
  byId('version').textContent = `${snapshot.version} · up ${age(snapshot.uptimeMs)}`
  drawPersonas(snapshot)
  if (page === 'overview') renderOverview(byId('overview'), snapshot, history)
  else if (page === 'latency') renderLatency(byId('latency'), snapshot)
  else if (page === 'fleet') renderFleet(byId('fleet'), snapshot, history, token.get() !== '')
  else if (page === 'tuning') renderTuning(byId('tuning'), snapshot)
  else {
    requests.classes = snapshot.personas.filter(({ kind }) => kind === 'class').map(({ name }) => name)
    void requests.refresh()
  }
}

const drawPersonas = ({ personas }) => {
  const select = byId('persona')
  if (select === document.activeElement) return
  render(select, el('option', { value: 'all:all', selected: persona === 'all:all' }, 'everything'),
    ['class', 'pool', 'tenant'].map((kind) => {
      const names = personas.filter((one) => one.kind === kind).map(({ name }) => name)
      return names.length > 0 && el('optgroup', { label: kind, 'data-key': kind }, names.map((name) => el('option', { value: `${kind}:${name}`, selected: persona === `${kind}:${name}` }, name)))
    }))
  select.value = persona
}

const LINKS = { live: ['live', 'good'], lost: ['no answer, trying again', 'bad'], denied: ['the admin token is needed', 'warn'], connecting: ['connecting', ''] }
const say = (state) => {
  const [text, tone] = LINKS[state]
  const link = byId('link')
  if (link.textContent !== text) link.textContent = text
  link.className = `link ${tone}`
  document.body.classList.toggle('lost', state !== 'live')
  byId('token').textContent = token.get() === '' ? 'Operator' : 'Forget token'
}

const feed = new Feed((snapshot, history) => {
  latest = { snapshot, history }
  draw()
}, say)

const look = (next) => {
  persona = next
  void feed.follow(persona)
}

const open = (next, focus = false) => {
  page = PAGES.includes(next) ? next : 'overview'
  for (const name of PAGES) {
    const tab = byId(`tab-${name}`)
    tab.setAttribute('aria-selected', String(name === page))
    tab.tabIndex = name === page ? 0 : -1
    byId(name).hidden = name !== page
    if (name === page && focus) tab.focus()
  }
  if (location.hash.slice(1) !== page) history.replaceState(null, '', `#${page}`)
  draw()
}

const toast = (text, tone) => {
  const box = byId('toast')
  box.textContent = text
  box.className = `toast ${tone}`
  box.hidden = false
  clearTimeout(toast.timer)
  toast.timer = setTimeout(() => { box.hidden = true }, 5000)
}

/** Resolves to whether there is a token now. */
const askToken = () => new Promise((resolve) => {
  const dialog = byId('ask'), field = byId('ask-token')
  field.value = ''
  dialog.returnValue = 'cancel'
  dialog.addEventListener('close', () => {
    if (dialog.returnValue === 'ok') token.set(field.value.trim())
    field.value = ''
    resolve(token.get() !== '')
  }, { once: true })
  dialog.showModal()
  field.focus()
})

const act = async (path, body) => {
  if (token.get() === '' && !await askToken()) return
  const response = await ask(path, { method: 'POST', ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }) }).catch(() => undefined)
  if (response?.status === 401) token.set('')
  const answer = await response?.json().catch(() => undefined)
  toast(response === undefined ? 'The gateway does not answer.' : response.ok ? 'Done.' : answer?.error?.message ?? `Refused with status ${response.status}.`, response?.ok ? 'good' : 'bad')
  say(document.body.classList.contains('lost') ? 'lost' : 'live')
}

const ACTIONS = {
  persona: (name) => {
    look(name)
    window.scrollTo({ top: 0 })
  },
  drain: (id) => act(`/api/backends/${encodeURIComponent(id)}/drain`),
  undrain: (id) => act(`/api/backends/${encodeURIComponent(id)}/undrain`),
  reload: () => act('/api/reload'),
  pause: () => {
    requests.isPaused = !requests.isPaused
    requests.render()
  },
}

document.addEventListener('click', (event) => {
  const button = event.target instanceof Element ? event.target.closest('button[data-act]') : null
  if (button !== null) void ACTIONS[button.dataset.act](button.dataset.arg)
})
document.addEventListener('change', (event) => {
  const select = event.target
  if (!(select instanceof HTMLSelectElement)) return
  if (select.dataset.act === 'mode') void act(`/api/pools/${encodeURIComponent(select.dataset.arg)}/mode`, { mode: select.value })
  if (select.dataset.act === 'filter') {
    requests.filter[select.dataset.arg] = select.value
    select.blur()
    void requests.refresh()
  }
})
byId('persona').addEventListener('change', (event) => {
  look(event.target.value)
  event.target.blur()
})
for (const name of PAGES) byId(`tab-${name}`).addEventListener('click', () => { open(name) })
document.querySelector('[role=tablist]').addEventListener('keydown', (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
  const next = event.key === 'Home' ? 0 : event.key === 'End' ? PAGES.length - 1 : step === undefined ? undefined : (PAGES.indexOf(page) + step + PAGES.length) % PAGES.length
  if (next === undefined) return
  event.preventDefault()
  open(PAGES[next], true)
})
window.addEventListener('hashchange', () => { open(location.hash.slice(1)) })

byId('theme').addEventListener('click', () => {
  const root = document.documentElement
  const isDark = root.dataset.theme === undefined ? matchMedia('(prefers-color-scheme: dark)').matches : root.dataset.theme === 'dark'
  root.dataset.theme = isDark ? 'light' : 'dark'
  localStorage.setItem(THEME, root.dataset.theme)
})
const theme = localStorage.getItem(THEME)
if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme

byId('token').addEventListener('click', async () => {
  if (token.get() !== '') token.set('')
  else if (await askToken()) void feed.follow(persona)
  say(document.body.classList.contains('lost') ? 'denied' : 'live')
  draw()
})

byId('ask-cancel').addEventListener('click', () => { byId('ask').close('cancel') })

watchPointer(byId('tip'))
open(location.hash.slice(1))
void feed.follow(persona)
