import { WASTE_REASONS } from '../core/index.js'
import type { Advice, AdviceLevel, BackendView, PersonaDetail, PersonaSummary, Snapshot } from './types.js'

/** What the checklist is read from. `all` is the view of everything, whatever the reader looks at. */
export type AdviceInputs = Pick<Snapshot, 'admission' | 'backends' | 'pools' | 'personas'> & { readonly all: PersonaDetail }

interface Finding {
  readonly level: AdviceLevel
  readonly figure: string
  readonly what: string
}

interface Check {
  readonly id: string
  readonly title: string
  look(inputs: AdviceInputs): Finding
}

const NO_DATA = 'no data yet'
const unknown = (what: string): Finding => ({ level: 'unknown', figure: NO_DATA, what })
const percent = (share: number) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`
const names = (backends: readonly BackendView[]) => backends.map(({ id }) => id).join(', ')
const isServing = ({ state }: BackendView) => state === 'up' || state === 'degraded'
/** Engines that can keep the prefixes of prompts. */
const CACHES_PREFIXES: readonly string[] = ['vllm', 'sglang', 'trtllm']
/** Requests from which an average says something. */
const ENOUGH = 20

const CHECKS: readonly Check[] = [
  {
    id: 'prompt-length', title: 'Prompt length',
    look({ backends, all }) {
      const shares = backends.flatMap(({ now }) => now.prefillShare ?? [])
      const answered = all.outcomes.met + all.outcomes.missed_both + all.outcomes.missed_deadline + all.outcomes.missed_tpot + all.outcomes.missed_ttft + all.outcomes.untargeted
      if (answered < ENOUGH || all.promptTokens === 0 || shares.length === 0) return unknown('Needs answered requests whose engine reports usage.')
      const tokens = all.promptTokens / answered, prefill = shares.reduce((sum, share) => sum + share, 0) / shares.length
      const figure = `${Math.round(tokens)} prompt tokens a request, ${percent(prefill)} of backend time`
      return prefill > 0.5
        ? { level: 'act', figure, what: 'Prompts take most of the backends\' time. Shorten them, put what they share first so that a prefix cache can hold it, or add backends to the latency pool.' }
        : { level: 'ok', figure, what: 'Prompts leave the backends time for output.' }
    },
  },
  {
    id: 'prefix-cache', title: 'Prefix caching',
    look({ backends }) {
      const capable = backends.filter(({ engine, state }) => CACHES_PREFIXES.includes(engine) && state !== 'down')
      if (capable.length === 0) return unknown('No engine of a kind that reports a prefix cache.')
      const measured = capable.filter(({ report }) => report.prefixHitRatio !== undefined)
      const idle = measured.filter(({ report }) => report.prefixHitRatio! < 0.01)
      if (measured.length === 0) return unknown('The engines have not reported hits or misses: there was no traffic, or the cache is off.')
      const mean = measured.reduce((sum, { report }) => sum + report.prefixHitRatio!, 0) / measured.length
      const figure = `${percent(mean)} of prompt tokens from cache`
      return idle.length > 0
        ? { level: 'watch', figure: `no hits on ${names(idle)}`, what: 'Either caching is off (vLLM: --enable-prefix-caching) or prompts share no beginning. Put the common part of prompts first.' }
        : { level: 'ok', figure, what: 'Caches are in use.' }
    },
  },
  {
    id: 'pool-sizes', title: 'Pool sizes',
    look({ admission, pools, backends, personas }) {
      const busy = pools.flatMap(({ name }) => {
        const shares = backends.filter((backend) => backend.pool === name && isServing(backend)).flatMap(({ now: { prefillShare, decodeShare } }) => decodeShare === undefined ? [] : Math.min(1, (prefillShare ?? 0) + decodeShare))
        return shares.length === 0 ? [] : [{ name, share: shares.reduce((sum, share) => sum + share, 0) / shares.length }]
      }).sort((a, b) => b.share - a.share)
      const most = busy[0], least = busy.at(-1)
      if (most === undefined || least === undefined) return unknown('Needs traffic on at least one pool.')
      const figure = busy.map(({ name, share }) => `${name} ${percent(share)} busy`).join(', ')
      if (busy.length > 1 && most.share > 0.8 && least.share < 0.4) return { level: 'act', figure, what: `Move a backend from ${least.name} to ${most.name}, or let the classes of ${most.name} use ${least.name} too.` }
      // One stream keeps an engine busy all the time: whether more fit in beside it, kept promises show.
      const broken = personas.filter((persona) => persona.kind === 'class' && isBroken(persona)).map(({ name }) => name).join(', ')
      if (most.share > 0.9 && broken !== '') return { level: 'act', figure: `${figure}; ${broken} below objective`, what: `Pools that take load never rest, and promises break. Add backends${admission.effective === 'enforce' ? '' : ', or refuse earlier with admission mode enforce'}.` }
      if (most.share > 0.9) return { level: 'ok', figure, what: 'Engines never rest, and yet promises are kept: there is room beside what runs.' }
      return { level: 'ok', figure, what: 'No pool is full while another one idles.' }
    },
  },
  {
    id: 'token-budget', title: 'Engine token budget',
    look({ all: { distributions: { itl, tpot }, outcomes } }) {
      if (itl === undefined || tpot === undefined || tpot.count < ENOUGH) return unknown('Needs streams.')
      // Events that come in bunches have gaps of nothing in between: then TPOT tells the usual one.
      const spread = itl.percentiles.p99 / Math.max(0.1, itl.percentiles.p50, tpot.percentiles.p50)
      const figure = `ITL p99 is ${spread.toFixed(1)}× the usual gap`
      if (spread > 4 && outcomes.missed_tpot + outcomes.missed_both > 0) return { level: 'act', figure, what: 'Prompts interrupt running streams and TPOT targets break. Lower the tokens per step (vLLM: --max-num-batched-tokens) so that prompts come in smaller pieces.' }
      if (spread > 4) return { level: 'watch', figure, what: 'Prompts interrupt running streams; so far no TPOT target broke of it.' }
      if (spread < 1.5 && outcomes.missed_ttft > outcomes.missed_tpot + ENOUGH) return { level: 'watch', figure, what: 'Streams run evenly while first tokens come late: more tokens per step would read prompts faster.' }
      return { level: 'ok', figure, what: 'Prompts and streams share the engines evenly.' }
    },
  },
  {
    id: 'kv-cache', title: 'KV cache',
    look({ backends }) {
      const known = backends.filter(({ report }) => report.kvUsageRatio !== undefined)
      if (known.length === 0) return unknown('No engine reports its KV cache.')
      const most = known.reduce((a, b) => b.report.kvUsageRatio! > a.report.kvUsageRatio! ? b : a)
      const figure = `${percent(most.report.kvUsageRatio!)} on ${most.id}`
      return most.report.kvUsageRatio! > 0.9
        ? { level: 'act', figure, what: 'Streams are about to be put out and computed anew. Cap max_inflight for it, or give the engine more memory.' }
        : { level: 'ok', figure, what: 'There is room for more context.' }
    },
  },
  {
    id: 'engine-queue', title: 'Waiting inside engines',
    look({ backends }) {
      const known = backends.filter(({ report }) => report.waiting !== undefined)
      if (known.length === 0) return unknown('No engine reports its own queue.')
      const waiting = known.filter(({ report }) => report.waiting! > 0)
      const total = waiting.reduce((sum, { report }) => sum + report.waiting!, 0)
      return total > known.length * 2
        ? { level: 'watch', figure: `${total} requests wait on ${names(waiting)}`, what: 'What waits inside an engine can no longer be ordered by its target. Set max_inflight near the knee of the batch–latency curve.' }
        : { level: 'ok', figure: `${total} requests wait inside engines`, what: 'Order is decided here, where targets are known.' }
    },
  },
  {
    id: 'admission', title: 'Admission',
    look({ admission, personas }) {
      const broken = personas.filter((persona) => persona.kind === 'class' && isBroken(persona))
      if (admission.configured === 'enforce' && admission.effective !== 'enforce') return { level: 'act', figure: `${admission.wouldHaveMet} of ${admission.probed} probes met their target`, what: 'Refusals were wrong too often, so admission only observes. Let the models settle, or loosen the targets that no backend can meet.' }
      if (broken.length > 0 && admission.effective !== 'enforce') return { level: 'watch', figure: `${broken.map(({ name }) => name).join(', ')} below objective, mode ${admission.effective}`, what: 'With mode enforce what cannot meet its target would be refused at once, and the rest would be served in time.' }
      return { level: 'ok', figure: `mode ${admission.effective}`, what: 'Nothing speaks against it.' }
    },
  },
  {
    id: 'waste', title: 'Wasted work',
    look({ all: { goodputRatio, wastedTokens } }) {
      if (goodputRatio === undefined) return unknown('Needs requests under targets.')
      const top = WASTE_REASONS.reduce((a, b) => wastedTokens[b] > wastedTokens[a] ? b : a)
      const figure = `${percent(1 - goodputRatio)} of work wasted`
      return goodputRatio < 0.8
        ? { level: 'act', figure: `${figure}, most of it ${top.replaceAll('_', ' ')}`, what: 'Backends work for answers that break their promise. Refuse earlier, or find out who cancels and why.' }
        : { level: 'ok', figure, what: 'Most work ends in kept promises.' }
    },
  },
]

function isBroken({ objective, windows }: PersonaSummary): boolean {
  const { attainment } = windows['5m']
  return objective !== undefined && attainment !== undefined && attainment < objective
}

const ORDER: readonly AdviceLevel[] = ['act', 'watch', 'ok', 'unknown']

/** The tuning checklist, the most urgent first. Every line has the figure that it was decided by. */
export function adviceOf(inputs: AdviceInputs): readonly Advice[] {
  return CHECKS.map((check) => ({ id: check.id, title: check.title, ...check.look(inputs) }))
    .sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level))
}
