import type { EngineKind } from '../config/index.js'
import type { Clock, Ms } from '../core/index.js'
import type { EngineAdapter, EngineFacts } from './engines/adapter.js'
import { DETECTION } from './engines/detect.js'
import { ADAPTERS } from './engines/index.js'
import { MAX_METRICS_BYTES } from './prometheus.js'
import { ProbeError, type ProbeAnswer, type ProbeClient } from './probe.js'

const MAX_FACTS_BYTES = 4 * 1024 * 1024

export interface LearnOptions {
  readonly probe: ProbeClient
  readonly clock: Clock
  /** For one question. */
  readonly timeoutMs: Ms
  /** For all of them. */
  readonly totalMs: Ms
}

/**
 * Find out what kind of server answers. Undefined: it gives no sign of any known kind. The kind's own health check must
 * pass too, so that a gateway in front of an engine is not taken for the engine.
 */
export async function detectEngine(options: LearnOptions): Promise<EngineKind | undefined> {
  const ask = asker(options)
  for (const { path, read } of DETECTION) {
    const answer = await ask(path, MAX_METRICS_BYTES)
    const engine = answer && read(answer.status, answer.body, parseJson(answer.body))
    if (engine === undefined) continue
    const { health } = ADAPTERS[engine]
    const check = await ask(health.path, MAX_FACTS_BYTES, health.minTimeoutMs)
    return check !== undefined && health.read(check.status) === 'ok' ? engine : undefined
  }
  return undefined
}

/** Ask all of an adapter's sources; what one says first stands. A source that does not answer says nothing. */
export async function readFacts(adapter: EngineAdapter, options: LearnOptions): Promise<EngineFacts> {
  const ask = asker(options)
  let facts: EngineFacts = {}
  for (const { path, read } of adapter.facts) {
    const answer = await ask(path, MAX_FACTS_BYTES)
    if (answer?.status === 200) facts = { ...read(parseJson(answer.body)), ...facts }
  }
  return facts
}

function asker({ probe, clock, timeoutMs, totalMs }: LearnOptions) {
  const untilMs = clock.now() + totalMs
  return async (path: string, maxBytes: number, minTimeoutMs: Ms = 0): Promise<ProbeAnswer | undefined> => {
    const leftMs = untilMs - clock.now()
    if (leftMs <= 0) return undefined
    try {
      return await probe.get(path, Math.max(1, Math.ceil(Math.min(Math.max(timeoutMs, minTimeoutMs), leftMs))), maxBytes)
    } catch (error) {
      if (error instanceof ProbeError) return undefined
      throw error
    }
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
