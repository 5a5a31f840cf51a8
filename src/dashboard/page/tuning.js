// What to change, each with the figure that says so.
import { el, render, panel } from './dom.js'

const NAMES = { act: 'act', watch: 'watch', ok: 'fine', unknown: 'no data yet' }
const TONES = { act: 'bad', watch: 'warn', ok: 'good', unknown: 'dim' }

export const renderTuning = (into, { advice }) => {
  render(into, panel('Tuning checklist', 'read from the live figures of everything',
    el('ul', { class: 'advice' }, advice.map(({ id, level, title, figure, what }) => el('li', { 'data-key': id, class: TONES[level] }, el('span', { class: `outcome ${TONES[level]}` }, NAMES[level]), el('div', {}, el('b', {}, title), el('span', { class: 'figure' }, figure), el('p', {}, what)))))))
}
