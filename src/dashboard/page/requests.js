// The last requests: what became of each, where its time went, and why it was decided so.
import { el, svg, render, nothing } from './dom.js'
import { count, isKnown, ms, round, words } from './format.js'
import { ask } from './feed.js'

const LIMIT = 100
const TONES = { met: 'good', rejected: 'warn', expired: 'warn', cancelled: 'dim', untargeted: 'dim' }
const OUTCOMES = ['met', 'missed_ttft', 'missed_tpot', 'missed_both', 'missed_deadline', 'rejected', 'expired', 'cancelled', 'failed', 'untargeted']

const timeline = ({ queue_ms: queue = 0, ttft_ms: ttft, duration_ms: total, request_id: id }, longest) => {
  if (!isKnown(total)) return nothing('no data yet')
  const first = isKnown(ttft) ? ttft : undefined
  const x = (value) => (value / longest * 100).toFixed(2)
  return svg('svg', { class: 'life', viewBox: '0 0 100 8', preserveAspectRatio: 'none', role: 'img', 'aria-label': `${id}: queued ${ms(queue)}${first === undefined ? '' : `, first token ${ms(first)}`}, ended ${ms(total)}` },
    svg('rect', { class: 'wait', x: 0, width: x(queue), height: 8 }),
    first === undefined ? svg('rect', { class: 'ack', x: x(queue), width: x(Math.max(0, total - queue)), height: 8 })
      : [svg('rect', { class: 'ack', x: x(queue), width: x(Math.max(0, first - queue)), height: 8 }), svg('rect', { class: 'flow', x: x(first), width: x(Math.max(0, total - first)), height: 8 })])
}

const row = (one, longest) => {
  const facts = [['id', one.request_id], ['route', one.route], ['tenant', one.tenant], ['model', one.model], ['path', one.path], ['status', one.status], ['code', one.code], ['pool', one.pool], ['backend', one.backend], ['attempts', one.attempts],
    ['queued', ms(one.queue_ms)], ['first token', `${ms(one.ttft_ms)}${isKnown(one.predicted_ttft_ms) ? ` (predicted ${ms(one.predicted_ttft_ms)})` : ''}`], ['per token', `${ms(one.tpot_ms)}${isKnown(one.predicted_tpot_ms) ? ` (predicted ${ms(one.predicted_tpot_ms)})` : ''}`], ['end', ms(one.duration_ms)],
    ['gateway itself', ms(one.overhead_ms)], ['prompt', `${count(one.prompt_tokens)} tokens${one.prompt_tokens_estimated ? ', estimated' : ''}${isKnown(one.cached_tokens) ? `, ${one.cached_tokens} from cache` : ''}`], ['output', `${count(one.output_tokens)} tokens${one.output_tokens_estimated ? ', counted' : ''}`],
    ['targets', [isKnown(one.target_ttft_ms) && `TTFT ${round(ms(one.target_ttft_ms))}`, isKnown(one.target_tpot_ms) && `TPOT ${round(ms(one.target_tpot_ms))}`, isKnown(one.target_deadline_ms) && `end ${round(ms(one.target_deadline_ms))}`].filter(Boolean).join(', ') || 'none']]
  return el('details', { class: 'request', 'data-key': one.request_id },
    el('summary', {}, el('time', {}, one.time.slice(11, 23)), el('span', { class: `outcome ${TONES[one.outcome] ?? 'bad'}` }, words(one.outcome)), el('span', { class: 'cls' }, one.class), el('span', { class: 'where', title: one.backend ?? one.code }, one.backend ?? words(one.code ?? '')), timeline(one, longest), ...[['TTFT', one.ttft_ms], ['TPOT', one.tpot_ms], ['end', one.duration_ms]].map(([name, value]) => el('span', { class: 'n', 'data-label': name }, ms(value)))),
    el('div', { class: 'story' }, el('p', {}, one.decision ?? 'No decision was made for it: it was not scheduled.'), one.detail && el('p', { class: 'bad' }, one.detail), el('dl', {}, facts.filter(([, value]) => value !== undefined).map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, String(value)))))))
}

/** Asks again while it is looked at and nothing is opened. */
export class Requests {
  constructor(into) {
    this.into = into
    this.filter = { class: '', outcome: '' }
    this.classes = []
    this.list = undefined
    this.isPaused = false
    this.isBusy = false
  }

  async refresh() {
    if (this.isPaused || this.isBusy) return
    this.isBusy = true
    try {
      const query = new URLSearchParams({ limit: String(LIMIT) })
      for (const [name, value] of Object.entries(this.filter)) if (value !== '') query.set(name, value)
      const response = await ask(`/api/requests?${query}`)
      if (response.ok) this.list = (await response.json()).requests
    } catch {
      // The feed shows that the gateway does not answer.
    } finally {
      this.isBusy = false
    }
    this.render()
  }

  render() {
    const options = (name, values) => el('label', {}, el('span', { class: 'muted' }, `${name} `), el('select', { 'data-act': 'filter', 'data-arg': name, 'aria-label': name }, el('option', { value: '', selected: this.filter[name] === '' }, 'any'), values.map((value) => el('option', { value, selected: value === this.filter[name] }, words(value)))))
    const longest = Math.max(1, ...(this.list ?? []).map(({ duration_ms: total }) => total ?? 0))
    render(this.into, el('section', { class: 'panel flush' },
      el('div', { class: 'tools' }, el('h2', {}, 'Requests'), options('class', this.classes), options('outcome', OUTCOMES), el('button', { type: 'button', class: 'quiet', 'data-act': 'pause', 'aria-pressed': this.isPaused ? 'true' : 'false' }, this.isPaused ? 'Go on' : 'Pause'),
        el('ul', { class: 'legend' }, el('li', { class: 'c-wait' }, el('i', {}), 'queued'), el('li', { class: 'c-ack' }, el('i', {}), 'prefill'), el('li', { class: 'c-flow' }, el('i', {}), 'tokens'))),
      el('div', { class: 'request head', 'aria-hidden': 'true' }, ['time', 'outcome', 'class', 'backend, or why none', 'timeline', 'TTFT', 'TPOT', 'end'].map((name, i) => el('span', { class: i > 4 ? 'n' : '' }, name))),
      this.list === undefined || this.list.length === 0 ? nothing() : this.list.map((one) => row(one, longest))))
  }
}
