// Figures for people. What is not known is said to be so.

export const UNKNOWN = '–'

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const isKnown = (value) => typeof value === 'number' && Number.isFinite(value)

export const count = (value) => !isKnown(value) ? UNKNOWN : Math.abs(value) < 10_000 ? grouped.format(value)
  : Math.abs(value) < 1e6 ? `${(value / 1e3).toFixed(1)}k` : Math.abs(value) < 1e9 ? `${(value / 1e6).toFixed(2)}M` : `${(value / 1e9).toFixed(2)}G`

export const rate = (value) => !isKnown(value) ? UNKNOWN : value === 0 ? '0' : value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : count(value)

export const ms = (value) => !isKnown(value) ? UNKNOWN : value === 0 ? '0 ms' : value < 10 ? `${value.toFixed(1)} ms` : value < 1000 ? `${Math.round(value)} ms` : value < 60_000 ? `${(value / 1000).toFixed(2)} s` : age(value)

export const percent = (value, digits = 1) => !isKnown(value) ? UNKNOWN : `${(value * 100).toFixed(value === 1 || value === 0 ? 0 : digits)} %`

export const times = (value) => value === 0 ? '0×' : !isKnown(value) ? value === null ? '∞' : UNKNOWN : `${value < 10 ? value.toFixed(1) : Math.round(value)}×`

export const money = (value) => !isKnown(value) ? UNKNOWN : value < 0.1 ? value.toFixed(4) : value < 100 ? value.toFixed(2) : count(value)

export const age = (value) => {
  if (!isKnown(value)) return UNKNOWN
  const s = Math.floor(value / 1000)
  if (s < 60) return `${s} s`
  if (s < 3600) return s % 60 === 0 ? `${s / 60} min` : `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`
  return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`
}

/** A round figure without the zeros that say how exactly it was measured: a target, a tick of an axis. */
export const round = (text) => text.replace(/(\.\d*?)0+(?!\d)/, (_, kept) => kept === '.' ? '' : kept)

export const words = (name) => name.replaceAll('_', ' ')

/** good, warn or bad against an objective: amber within five points below it; '' while unknown. */
export const level = (attainment, objective) => !isKnown(attainment) || !isKnown(objective) ? ''
  : attainment >= objective ? 'good' : attainment >= objective - 0.05 ? 'warn' : 'bad'

/** A latency against its target. */
export const against = (value, target) => !isKnown(value) || !isKnown(target) ? '' : value <= target ? 'good' : 'bad'

export { isKnown }
