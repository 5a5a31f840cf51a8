/** What both programs of the proof share: how a gateway is run under load, and what it and the others cost. */
import { cpus } from 'node:os'
import { parseTarget, runLoad, type LoadRunResult } from '../../src/bench/index.js'
import type { Ms, SloTargets } from '../../src/core/index.js'
import type { Workload } from '../../src/simulator/index.js'
import type { Proxy } from '../bench/relay/proxies.js'
import type { EmulatedFleet } from './fleet.js'

export interface Conditions {
  readonly workload: Workload
  readonly ratePerSecond: number
  readonly seed: number
  readonly warmupMs: Ms
  readonly measureMs: Ms
}

/** Shares of one core. */
export interface CpuShares {
  readonly gateway: number
  readonly fleet: number
  readonly loadTool: number
}

export interface LiveRun {
  readonly load: LoadRunResult
  readonly cpu: CpuShares
}

/** Load goes on for so long after the measured requests, here and in the simulator. */
export const COOLDOWN_MS = 15_000

let runs = 0

/** One load on one gateway, which is stopped then. Arrivals end as the simulator's do. */
export async function runLive (fleet: EmulatedFleet, proxy: Proxy, { workload, ratePerSecond, seed, warmupMs, measureMs }: Conditions): Promise<LiveRun> {
  try {
    const before = { ns: performance.now() * 1e6, gateway: proxy.cpuNs(), fleet: fleet.cpuNs(), own: process.cpuUsage() }
    const load = await runLoad({
      target: parseTarget(`http://127.0.0.1:${proxy.port}`),
      style: { api: 'chat', model: undefined, trueLengths: 'emulate', headers: {}, classHeader: 'x-slo-class' },
      workload, load: { kind: 'open', ratePerSecond }, seed, warmupMs, measureMs, cooldownMs: COOLDOWN_MS, timeoutMs: 600_000, cutLost: true, targets: new Map(),
      clock: { now: () => performance.now() }, runId: `proof-${++runs}`,
    })
    const tookNs = performance.now() * 1e6 - before.ns
    const own = process.cpuUsage(before.own)
    return { load, cpu: { gateway: (proxy.cpuNs() - before.gateway) / tookNs, fleet: (fleet.cpuNs() - before.fleet) / tookNs, loadTool: (own.user + own.system) * 1000 / tookNs } }
  } finally {
    await proxy.stop()
  }
}

/** The same workload with every target so many times as long. */
export function stretched (workload: Workload, times: number): Workload {
  const stretch = ({ ttftMs, tpotMs, deadlineMs }: SloTargets): SloTargets => {
    const longer = (name: keyof SloTargets, value: Ms | undefined) => value === undefined ? {} : { [name]: value * times }
    return { ...longer('ttftMs', ttftMs), ...longer('tpotMs', tpotMs), ...longer('deadlineMs', deadlineMs) }
  }
  return { ...workload, classes: workload.classes.map(entry => ({ ...entry, service: { ...entry.service, targets: stretch(entry.service.targets) } })) } as Workload
}

export const thisMachine = (note: string): string => `one machine with ${cpus().length} cores, Node ${process.versions.node}${note === '' ? '' : `. ${note}`}`

/** What was asked for on the command line, without where the page goes and what is said on it. */
export const askedFor = (): string => process.argv.slice(2).filter((arg, i, all) => ![arg, all[i - 1] ?? ''].some(flag => flag === '--docs' || flag === '--note')).join(' ')
