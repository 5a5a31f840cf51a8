import type { Random } from '../core/index.js'

/**
 * Faults that a script can order. At most one that ends or bends the course of an answer, and any number that change only the
 * shape of its bytes, apply to a request.
 */
export const COURSE_FAULTS = [
  /** Answer with `status` (and `retryAfterS`) in place of working. */
  'status',
  /** Cut the connection before a byte of the answer. */
  'reset-before-headers',
  /** Send the head of the answer, then cut the connection. */
  'reset-after-headers',
  /** Take the request and never answer. */
  'hang-before-headers',
  /** Send the head of the answer and nothing more. */
  'hang-after-headers',
  /** Stop after `afterTokens` tokens and keep the connection open. */
  'stall',
  /** Cut the connection between two events after `afterTokens` tokens. */
  'reset-stream',
  /** Cut the connection in the middle of an event. */
  'cut-mid-event',
  /** Cut the connection in the middle of a character. */
  'cut-mid-utf8',
  /** Bytes that are no event, then go on. */
  'garbage',
  /** An error as the first event of a 200 stream. */
  'error-first',
  /** An error event after `afterTokens` tokens. */
  'error-event',
  /** A clean end of the body after `afterTokens` tokens: no finish, no terminator. */
  'end-early',
  /** The whole answer, but no `[DONE]`. */
  'no-done'
] as const
export type CourseFault = typeof COURSE_FAULTS[number]

export const SHAPE_FAULTS = [
  /** Every byte its own chunk and packet. */
  'one-byte-chunks',
  /** Packets that end inside each multi-byte character. */
  'split-utf8',
  /** CR LF line ends. */
  'crlf',
  /** A comment line before each event. */
  'comments',
  /** Each event padded to 1 MiB. */
  'big-events'
] as const
export type ShapeFault = typeof SHAPE_FAULTS[number]

export interface FaultRule {
  readonly kind: CourseFault | ShapeFault
  /** Share of matching requests, 0–1; default all. */
  readonly probability?: number
  /** How often at most; default without end. */
  readonly count?: number
  /** Default: every generation request. */
  readonly match?: {
    /** Exact path; with it, any route. */
    readonly path?: string
    /** Text that the body contains. */
    readonly body?: string
    readonly stream?: boolean
  }
  /** Tokens of the (first) answer that go out before; default 1. */
  readonly afterTokens?: number
  /** Default 500. Also the code inside error events. */
  readonly status?: number
  readonly retryAfterS?: number
  readonly message?: string
  /** How a cut looks to the peer: RST (default) or FIN. */
  readonly cut?: 'reset' | 'close'
}

export interface FaultPlan {
  readonly rules?: readonly FaultRule[]
  /** No new connections: the port is closed, or each connection is reset. `forMs` opens it again. */
  readonly refuse?: { readonly how: 'closed' | 'reset', readonly forMs?: number }
  /** Everything takes so many times as long. */
  readonly slowFactor?: number
  /** Refuse new work with 503, let the rest finish. */
  readonly draining?: boolean
}

export interface FaultTarget {
  readonly path: string
  readonly generation: boolean
  readonly stream: boolean
  /** Read only where a rule matches on it. */
  readonly body: Buffer
}

/** What applies to one request. */
export interface ChosenFaults {
  readonly course: FaultRule | undefined
  readonly shapes: ReadonlySet<ShapeFault>
}

const NO_SHAPES: ReadonlySet<ShapeFault> = new Set()
export const NO_FAULTS: ChosenFaults = { course: undefined, shapes: NO_SHAPES }

/** Draws faults for requests; keeps the counts. */
export class FaultScript {
  #rules: Array<{ readonly rule: FaultRule, left: number }> = []
  readonly #random: Random
  readonly applied = new Map<string, number>()

  constructor (random: Random) {
    this.#random = random
  }

  setRules (rules: readonly FaultRule[]): void {
    this.#rules = rules.map(rule => ({ rule, left: rule.count ?? Infinity }))
  }

  choose (target: FaultTarget): ChosenFaults {
    if (this.#rules.length === 0) return NO_FAULTS
    let course: FaultRule | undefined
    let shapes: Set<ShapeFault> | undefined
    for (const entry of this.#rules) {
      const { rule } = entry
      const isShape = (SHAPE_FAULTS as readonly string[]).includes(rule.kind)
      if (entry.left <= 0 || (!isShape && course !== undefined) || !matches(rule, target)) continue
      if (rule.probability !== undefined && this.#random.next() >= rule.probability) continue
      entry.left--
      this.applied.set(rule.kind, (this.applied.get(rule.kind) ?? 0) + 1)
      if (isShape) (shapes ??= new Set()).add(rule.kind as ShapeFault)
      else course = rule
    }
    return { course, shapes: shapes ?? NO_SHAPES }
  }
}

function matches (rule: FaultRule, target: FaultTarget): boolean {
  const { match } = rule
  if (match?.path === undefined ? !target.generation : match.path !== target.path) return false
  if (match?.stream !== undefined && match.stream !== target.stream) return false
  return match?.body === undefined || target.body.includes(match.body)
}

/** Checks a plan that came as JSON. Throws TypeError with what is wrong. */
export function readFaultPlan (value: unknown): FaultPlan {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('a fault plan is an object: {rules, refuse, slowFactor, draining}')
  const known = ['rules', 'refuse', 'slowFactor', 'draining']
  for (const key of Object.keys(value)) {
    if (!known.includes(key)) throw new TypeError(`unknown member ${key}: expected ${known.join(', ')}`)
  }
  const plan = value as FaultPlan
  if (plan.rules !== undefined && !Array.isArray(plan.rules)) throw new TypeError('rules must be a list')
  for (const rule of plan.rules ?? []) {
    const kinds: readonly string[] = [...COURSE_FAULTS, ...SHAPE_FAULTS]
    if (!kinds.includes(rule?.kind)) throw new TypeError(`unknown kind of fault ${JSON.stringify(rule?.kind)}: expected one of ${kinds.join(', ')}`)
  }
  if (plan.refuse !== undefined && plan.refuse.how !== 'closed' && plan.refuse.how !== 'reset') throw new TypeError('refuse.how must be closed or reset')
  if (plan.slowFactor !== undefined && !(plan.slowFactor > 0)) throw new TypeError('slowFactor must be a number above 0')
  return plan
}
