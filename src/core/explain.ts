import type { Explanation } from './events.js'
import type { Ms } from './types.js'

const HELD: Readonly<Record<NonNullable<Explanation['heldBy']>, string>> = {
  prefill_in_flight: 'a prompt ahead of it was still being read by the backend',
  slack_guard: 'an earlier start would have taken another request past its target',
  tpot: 'one more stream would have slowed the running ones beyond their TPOT target',
  warm_backend: 'the backend that has its prefix cached was busy, and waiting for it was cheaper',
  concurrency: 'every backend that may take it was at its limit',
  class_order: 'other classes came first',
  backpressure: 'the backends had refused work shortly before',
  no_backend: 'no healthy backend served its model',
}

/** A decision in words, from its figures; one sentence each, only what is known. */
export function explain(why: Explanation): string {
  const sentences: string[] = []
  if (why.chosen !== undefined) {
    const other = why.runnerUp === undefined ? '' : `, before ${why.runnerUp}${scores(why.score, why.runnerUpScore)}`
    sentences.push(`Policy ${why.policy} chose ${why.chosen}${other}.`)
  } else sentences.push(`Policy ${why.policy} chose no backend.`)
  if (why.heldBy !== undefined) sentences.push(`It waited${why.waitedMs === undefined ? '' : ` ${ms(why.waitedMs)}`}: ${HELD[why.heldBy]}.`)
  if (why.promptTokens !== undefined) {
    const uncached = why.uncachedTokens === undefined || why.uncachedTokens === why.promptTokens ? '' : `, ${Math.round(why.uncachedTokens)} of them not in the backend's cache`
    sentences.push(`Its prompt was estimated at ${Math.round(why.promptTokens)} tokens${uncached}.`)
  }
  if (why.predictedTtftMs !== undefined) {
    const error = why.predictedTtftErrorMs === undefined ? '' : ` ± ${ms(why.predictedTtftErrorMs)}`
    sentences.push(`The first token was predicted after ${ms(why.predictedTtftMs)}${error}${slack(why.slackMs)}.`)
  }
  if (why.predictedTpotMs !== undefined) sentences.push(`A token was predicted to take ${ms(why.predictedTpotMs)}.`)
  if (why.verdict === 'infeasible') sentences.push(`Its targets were judged out of reach${admitted(why)}.`)
  if (why.verdict === 'unknown' && why.chosen !== undefined && why.predictedTtftMs !== undefined) sentences.push('Whether its targets could be met could not be said for sure, so it was let in.')
  return sentences.join(' ')
}

function admitted({ probe, wouldReject, chosen }: Explanation): string {
  if (probe === true) return '; it was let in to measure how often that is wrong'
  return wouldReject === true && chosen !== undefined ? '; in `enforce` it would have been refused' : ''
}

function slack(slackMs: Ms | undefined): string {
  if (slackMs === undefined) return ''
  return slackMs >= 0 ? `, ${ms(slackMs)} before its target` : `, ${ms(-slackMs)} too late for its target`
}

function scores(best: number | undefined, next: number | undefined): string {
  return best === undefined || next === undefined ? '' : ` (score ${round(best)} against ${round(next)})`
}

const ms = (value: Ms) => value >= 10_000 ? `${round(value / 1000)} s` : `${round(value)} ms`
const round = (value: number) => String(Number(value.toPrecision(3)))
