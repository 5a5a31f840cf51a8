/** What stands in front of the fleet, one after the other: Sluice with each policy, nginx, HAProxy. */
import { POLICIES, type AdmissionMode, type PolicyName, type ServiceClass } from '../../src/core/index.js'
import { freePort, startHaproxy, startNginx, startSluice, type Proxy } from '../bench/relay/proxies.js'

/** `slo` or a baseline policy of Sluice, or another program. */
export type ArmName = PolicyName | 'nginx' | 'haproxy' | 'haproxy-maxconn'

/** `static-pools` needs a split that is found by a study of its own, and is left to the simulator. */
export const ARMS: readonly ArmName[] = [...POLICIES.filter(policy => policy !== 'static-pools'), 'nginx', 'haproxy', 'haproxy-maxconn']

export const MAIN = new URL('../../../../dist/cli/main.js', import.meta.url).pathname

export interface Front {
  readonly backendPorts: readonly number[]
  readonly classes: readonly ServiceClass[]
  /** HAProxy's bound per server, where it has one. */
  readonly maxconn: number
  /** Of Sluice with `slo`; the other policies admit everything. */
  readonly admission: { readonly mode: AdmissionMode, readonly probeShare: number, readonly maxFalseRejectionRatio: number }
}

export async function startArm (name: ArmName, front: Front): Promise<Proxy> {
  const port = await freePort()
  const upstreams = { ports: front.backendPorts, leastConnections: true }
  switch (name) {
    case 'nginx': return await startNginx(name, port, upstreams)
    case 'haproxy': return await startHaproxy(name, port, upstreams)
    case 'haproxy-maxconn': return await startHaproxy(name, port, { ...upstreams, maxconn: front.maxconn })
    // JSON is YAML.
    default: return await startSluice(name, port, JSON.stringify(sluiceConfig(port, front, name)), [process.execPath, MAIN])
  }
}

/** The same classes and targets as the load tool judges by; the class comes with each request in `x-slo-class`. */
const sluiceConfig = (port: number, { backendPorts, classes, admission }: Front, policy: PolicyName): object => ({
  listen: { host: '127.0.0.1', port },
  admin: { host: '127.0.0.1', port: 0 },
  pools: { default: { backends: backendPorts.map(backend => ({ url: `http://127.0.0.1:${backend}`, engine: 'vllm' })) } },
  classes: Object.fromEntries(classes.map(({ name, targets, objective, weight }) => [name, {
    ...targets.ttftMs !== undefined && { ttft: `${targets.ttftMs}ms` }, ...targets.tpotMs !== undefined && { tpot: `${targets.tpotMs}ms` }, ...targets.deadlineMs !== undefined && { deadline: `${targets.deadlineMs}ms` },
    objective, weight, queue_limit: 100_000, max_queue: '10m',
  }])),
  scheduling: { policy },
  admission: { mode: policy === 'slo' ? admission.mode : 'off', probe_share: admission.probeShare, max_false_rejection_ratio: admission.maxFalseRejectionRatio },
  timeouts: { first_token: '10m', idle: '10m', drain: '0s' },
  log: { level: 'error', requests: false },
})
