import { explain, OUTCOMES } from '../../core/index.js'
import { RECENT_CAPACITY, requestMembers, type RequestRecord } from '../../telemetry/index.js'
import { GatewayError } from '../errors.js'

const DEFAULT_LIMIT = 100
const PARAMETERS = ['class', 'outcome', 'id', 'limit'] as const

export interface RequestFilter {
  readonly limit: number
  keep(record: RequestRecord): boolean
}

/** The query of `/api/requests`. @throws GatewayError that names the parameter */
export function readFilter(query: unknown): RequestFilter {
  const given = new Map(Object.entries(query as Record<string, unknown>))
  for (const [name, value] of given) {
    if (!(PARAMETERS as readonly string[]).includes(name)) throw new GatewayError('invalid_request', `Unknown parameter "${name.slice(0, 50)}"; known are ${PARAMETERS.join(', ')}.`)
    if (typeof value !== 'string') throw new GatewayError('invalid_request', `Give "${name}" once.`, { param: name })
  }
  const className = given.get('class'), outcome = given.get('outcome'), id = given.get('id')
  if (outcome !== undefined && !(OUTCOMES as readonly unknown[]).includes(outcome)) throw new GatewayError('invalid_request', `"outcome" is one of ${OUTCOMES.join(', ')}.`, { param: 'outcome' })
  const limit = given.has('limit') ? Number(given.get('limit')) : DEFAULT_LIMIT
  if (!Number.isInteger(limit) || limit < 1 || limit > RECENT_CAPACITY) throw new GatewayError('invalid_request', `"limit" is a whole number from 1 to ${RECENT_CAPACITY}.`, { param: 'limit' })
  return {
    limit,
    keep: (record) => (className === undefined || record.class === className) && (outcome === undefined || record.outcome === outcome) && (id === undefined || record.timeline.id === id),
  }
}

/** One request as `/api/requests` shows it: the log line's members, when it came, and the decision in words. */
export function requestView(record: RequestRecord): unknown {
  return {
    time: new Date(record.wallTimeMs).toISOString(),
    ...requestMembers(record),
    ...(record.explanation === undefined ? {} : { decision: explain(record.explanation) }),
  }
}
