import type { Ms, SloTargets } from '../core/index.js'

/** Headers as Node gives them: lower-case names, a list where a header came several times. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

/** Longest target that is believed: a day. */
const MAX_TARGET_MS: Ms = 86_400_000

/** Target → its header and the aliases of other gateways, in order of preference. */
export const SLO_HEADERS = {
  ttftMs: ['x-slo-ttft-ms', 'x-llm-d-slo-ttft-ms', 'x-sgl-ttft-slo-ms'],
  tpotMs: ['x-slo-tpot-ms', 'x-llm-d-slo-tpot-ms', 'x-sgl-tpot-slo-ms'],
  deadlineMs: ['x-slo-deadline-ms'],
} as const satisfies Record<keyof SloTargets, readonly string[]>

export const SLO_CLASS_HEADER = 'x-slo-class'

export type SloHeadersResult =
  | {
    readonly ok: true
    readonly targets: SloTargets
    /** The class asked for, unchecked against config. */
    readonly className: string | undefined
    /** Is the deadline only the SDK's own timeout? Then it is no wish to be judged by, just the time after which nobody listens. */
    readonly deadlineIsClientTimeout: boolean
    /** Which retry of an SDK this is, 0 = the first try. */
    readonly retryCount: number
  }
  | { readonly ok: false, readonly message: string, readonly header: string }

/** A plain decimal number: no sign, exponent, hexadecimal, blank or list. */
const DECIMAL = /^\d{1,15}(\.\d{1,9})?$/
const CLASS_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/**
 * Reads the SLO headers of a request. A target that is not a number of milliseconds above 0 and at most a day is refused
 * (code `invalid_slo`) rather than guessed at. `x-stainless-*`, which the OpenAI SDKs send by themselves, are never
 * refused: what does not fit is ignored.
 */
export function readSloHeaders (headers: Headers): SloHeadersResult {
  const targets: { ttftMs?: Ms, tpotMs?: Ms, deadlineMs?: Ms } = {}
  for (const target of ['ttftMs', 'tpotMs', 'deadlineMs'] as const) {
    for (const header of SLO_HEADERS[target]) {
      const value = own(headers, header)
      if (value === undefined) continue
      const ms = typeof value === 'string' ? decimal(value) : undefined
      if (ms === undefined || ms <= 0 || ms > MAX_TARGET_MS) {
        return { ok: false, header, message: `Header ${header} must be one number of milliseconds above 0 and at most ${MAX_TARGET_MS}, such as "500"; got ${shown(value)}.` }
      }
      targets[target] = ms
      break
    }
  }
  const className = own(headers, SLO_CLASS_HEADER)
  if (className !== undefined && !(typeof className === 'string' && CLASS_NAME.test(className))) {
    return { ok: false, header: SLO_CLASS_HEADER, message: `Header ${SLO_CLASS_HEADER} must be the name of one service class; got ${shown(className)}.` }
  }
  const timeoutMs = clientTimeoutMs(headers)
  const deadlineIsClientTimeout = targets.deadlineMs === undefined && timeoutMs !== undefined
  if (deadlineIsClientTimeout) targets.deadlineMs = timeoutMs
  return { ok: true, targets, className: className as string | undefined, deadlineIsClientTimeout, retryCount: retryCount(headers) }
}

/** `x-stainless-timeout`: seconds after which the SDK gives up; some send milliseconds or nonsense, so only 1 s to a day counts. */
function clientTimeoutMs (headers: Headers): Ms | undefined {
  const value = own(headers, 'x-stainless-timeout')
  const seconds = typeof value === 'string' ? decimal(value) : undefined
  return seconds !== undefined && seconds >= 1 && seconds * 1000 <= MAX_TARGET_MS ? seconds * 1000 : undefined
}

function retryCount (headers: Headers): number {
  const value = own(headers, 'x-stainless-retry-count')
  return typeof value === 'string' && /^\d{1,3}$/.test(value) ? Number(value) : 0
}

function decimal (value: string): number | undefined {
  const trimmed = value.trim()
  return DECIMAL.test(trimmed) ? Number(trimmed) : undefined
}

const own = (headers: Headers, name: string): string | readonly string[] | undefined => Object.hasOwn(headers, name) ? headers[name] : undefined

const shown = (value: string | readonly string[]): string => {
  const text = typeof value === 'string' ? value : value.join(', ')
  return JSON.stringify(text.length <= 40 ? text : `${text.slice(0, 37)}...`)
}
