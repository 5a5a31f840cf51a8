import { readFile } from 'node:fs/promises'
import { parse as parseYaml } from 'yaml'
import { nearest } from '../config/index.js'
import { parseArrivals, parseScenario, parseTrace, TRACE_FORMATS, traceWorkload, WORKLOADS, type Scenario, type Workload } from '../simulator/index.js'
import { Failure, UsageError } from './command.js'

/** What `--workload` names: a known one, a scenario file, or a trace. */
export async function readWorkload(text: string): Promise<Scenario> {
  const plain = (workload: Workload): Scenario => ({ workload, backends: undefined, incidents: [], gateways: undefined, knowledge: {} })
  const named = Object.hasOwn(WORKLOADS, text) ? WORKLOADS[text] : undefined
  if (named !== undefined) return plain(named)
  const colon = text.indexOf(':')
  const format = text.slice(0, colon)
  if (colon > 0 && TRACE_FORMATS.includes(format)) {
    const file = text.slice(colon + 1)
    return plain(traceWorkload(text, format, await explained(file, content => parseTrace(format, content))))
  }
  if (/\.(ya?ml|json)$/.test(text)) return await explained(text, content => parseScenario(parseYaml(content)))
  const near = nearest(text, Object.keys(WORKLOADS))
  throw new UsageError(`unknown workload '${text}'${near === undefined ? '' : `; did you mean '${near}'?`} Known: ${Object.keys(WORKLOADS).join(', ')}, a scenario file (.yaml, .json), or a trace (${TRACE_FORMATS.map(name => `${name}:FILE`).join(', ')})`)
}

async function explained<T>(file: string, read: (content: string) => T): Promise<T> {
  try {
    return read(await readFile(file, 'utf8'))
  } catch (error) {
    throw new Failure(`${file}: ${(error as Error).message}`)
  }
}

/** The workload with the arrivals that `--arrivals` names. */
export function withArrivals(workload: Workload, text: string): Workload {
  if (workload.kind !== 'synthetic') throw new UsageError(`'--arrivals' cannot be given for '${workload.name}': its arrivals are its own`)
  try {
    return { ...workload, arrivals: parseArrivals(text) }
  } catch (error) {
    throw new UsageError(`'--arrivals': ${(error as Error).message}`)
  }
}
