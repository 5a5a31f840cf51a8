/** Ids of spans below a request's, made from its own: they are known to the backend's call and to the record without being kept. */

const PHASES = { queue: 0x8001, prefill: 0x8002, decode: 0x8003 } as const

/** Attempts are counted from 1. */
export function attemptSpanId(spanId: string, attempt: number): string {
  return derived(spanId, attempt & 0x7fff)
}

export function childSpanId(spanId: string, phase: keyof typeof PHASES): string {
  return derived(spanId, PHASES[phase])
}

/** Differs from the request's id in its last four digits, and so from every other one made of it. */
function derived(spanId: string, mark: number): string {
  const tail = Number.parseInt(spanId.slice(-4), 16) ^ mark
  return spanId.slice(0, -4) + tail.toString(16).padStart(4, '0')
}
