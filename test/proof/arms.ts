/** What stands in front of the fleet, one after the other: Sluice with each policy, nginx, HAProxy. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { POLICIES, type PolicyName, type ServiceClass } from '../../src/core/index.js'
import { start, type Proxy } from '../bench/relay/proxies.js'

/** `slo` or a baseline policy of Sluice, or another program. */
export type ArmName = PolicyName | 'nginx' | 'haproxy' | 'haproxy-maxconn'

/** `static-pools` needs a split that is found by a study of its own, and is left to the simulator. */
export const ARMS: readonly ArmName[] = [...POLICIES.filter(policy => policy !== 'static-pools'), 'nginx', 'haproxy', 'haproxy-maxconn']

export interface Front {
  readonly backendPorts: readonly number[]
  readonly classes: readonly ServiceClass[]
  /** HAProxy's bound per server, where it has one. */
  readonly maxconn: number
  /** What Sluice's `enforce` admits of what it would refuse. */
  readonly admission: { readonly probeShare: number, readonly maxFalseRejectionRatio: number }
}

export async function startArm (name: ArmName, front: Front): Promise<Proxy> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'proof-'))
  const file = join(dir, 'conf.json')
  switch (name) {
    case 'nginx':
      writeFileSync(file, nginxConf(port, front, dir))
      return await start(name, port, 'nginx', ['-c', file, '-p', dir])
    case 'haproxy':
    case 'haproxy-maxconn':
      writeFileSync(file, haproxyConf(port, front, name === 'haproxy-maxconn' ? ` maxconn ${front.maxconn}` : ''))
      return await start(name, port, 'haproxy', ['-f', file])
    default:
      // JSON is YAML.
      writeFileSync(file, JSON.stringify(sluiceConfig(port, front, name)))
      return await start(name, port, process.execPath, [new URL('../../../../dist/cli/main.js', import.meta.url).pathname, '--config', file])
  }
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
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
  admission: { mode: policy === 'slo' ? 'enforce' : 'off', probe_share: admission.probeShare, max_false_rejection_ratio: admission.maxFalseRejectionRatio },
  timeouts: { first_token: '10m', idle: '10m', drain: '0s' },
  log: { level: 'error', requests: false },
})

const nginxConf = (port: number, { backendPorts }: Front, dir: string) => `
daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log crit; worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  upstream fleet { least_conn; ${backendPorts.map(backend => `server 127.0.0.1:${backend} max_fails=0;`).join(' ')} keepalive 2048; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://fleet; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s; }
  }
}`

const haproxyConf = (port: number, { backendPorts }: Front, bound: string) => `
global
  nbthread 1
  maxconn 6000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout queue 600s
  http-reuse always
  option http-no-delay
  option abortonclose
frontend in
  bind 127.0.0.1:${port}
  default_backend fleet
backend fleet
  balance leastconn
${backendPorts.map((backend, i) => `  server b${i} 127.0.0.1:${backend}${bound}`).join('\n')}
`
