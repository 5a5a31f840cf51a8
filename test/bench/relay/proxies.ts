/** The programs under comparison: how each is started in front of the upstream, pinned to the proxy's core. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Proxy {
  readonly name: string
  readonly port: number
  /** CPU nanoseconds of all its processes and threads so far. */
  cpuNs(): number
  /** Resident bytes of all its processes. */
  residentBytes(): number
  stop(): Promise<void>
}

export const PROXY_CORE = 0
export const LOAD_CORE = 1

const nginxConf = (port: number, upstreamPort: number, dir: string) => `
daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log crit; worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  upstream model { server 127.0.0.1:${upstreamPort}; keepalive 2048; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s; }
  }
}`

const haproxyConf = (port: number, upstreamPort: number) => `
global
  nbthread 1
  maxconn 6000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
  option http-no-delay
frontend in
  bind 127.0.0.1:${port}
  default_backend model
backend model
  server one 127.0.0.1:${upstreamPort}
`

/** Everything on: metering, SLO accounting, scheduling, timeouts, one log line per request. */
const sluiceConf = (port: number, upstreamPort: number, policy: string, slos: boolean) => `
listen: { host: 127.0.0.1, port: ${port} }
admin: { host: 127.0.0.1, port: 0 }
pools: { main: { backends: [{ url: "http://127.0.0.1:${upstreamPort}", engine: vllm }] } }
classes: { chat: { ${slos ? 'ttft: 60s, tpot: 10s, ' : ''}queue_limit: 30000 } }
routes: [{ match: { path: "/v1/*" }, class: chat }]
scheduling: { policy: ${policy} }
admission: { mode: ${slos ? 'observe' : 'off'} }
log: { level: info, requests: true }
`

async function listening (port: number, child: ChildProcess, name: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (child.exitCode !== null) throw new Error(`${name} ended at once with exit code ${child.exitCode}`)
    const open = await new Promise<boolean>(resolve => {
      const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) })
      socket.on('error', () => resolve(false))
    })
    if (open) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(`${name} does not listen on port ${port}`)
}

/** The process and its children, since nginx works in a child. */
function family (pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return [pid, ...children.split(' ').filter(Boolean).flatMap(child => family(Number(child)))]
}

/** CPU nanoseconds of a process, all its threads. */
export function cpuNsOf (pid: number): number {
  let total = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ', 1)[0])
  }
  return total
}

/** Starts a program on the proxy's core, and waits until it listens. */
export async function start (name: string, port: number, command: string, args: string[]): Promise<Proxy> {
  const child = spawn('taskset', ['-c', String(PROXY_CORE), command, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  await listening(port, child, name)
  const pids = () => family(child.pid!)
  return {
    name,
    port,
    cpuNs: () => pids().reduce((sum, pid) => sum + cpuNsOf(pid), 0),
    residentBytes: () => pids().reduce((sum, pid) => sum + 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0), 0),
    stop: () => new Promise(resolve => {
      const giveUp = setTimeout(() => { for (const pid of pids()) process.kill(pid, 'SIGKILL') }, 2000)
      child.once('exit', () => {
        clearTimeout(giveUp)
        resolve()
      })
      child.kill('SIGTERM')
    }),
  }
}

const ROOT = new URL('../../..', import.meta.url).pathname

export type ProxyName = 'nginx' | 'haproxy' | 'sluice' | 'sluice-plain'

export function ensureInstalled (): void {
  const missing = ['nginx', 'haproxy'].filter(name => {
    try { execFileSync('sh', ['-c', `command -v ${name}`]); return false } catch { return true }
  })
  if (missing.length === 0) return
  const packages = missing.map(name => name === 'nginx' ? 'nginx-light' : name)
  process.stderr.write(`installing ${packages.join(' ')}\n`)
  execFileSync('sh', ['-c', `apt-get update -qq && apt-get install -y -qq --no-install-recommends ${packages.join(' ')}`], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** `root`: the checkout whose built gateway is started. */
export async function startProxy (name: ProxyName, port: number, upstreamPort: number, node: string, { root = ROOT, nodeFlags = [] }: { root?: string, nodeFlags?: readonly string[] } = {}): Promise<Proxy> {
  const dir = mkdtempSync(join(tmpdir(), 'relay-bench-'))
  const file = join(dir, 'conf')
  if (name === 'nginx') {
    writeFileSync(file, nginxConf(port, upstreamPort, dir))
    return start(name, port, 'nginx', ['-c', file, '-p', dir])
  }
  if (name === 'haproxy') {
    writeFileSync(file, haproxyConf(port, upstreamPort))
    return start(name, port, 'haproxy', ['-f', file])
  }
  const all = name === 'sluice'
  writeFileSync(file, sluiceConf(port, upstreamPort, all ? 'slo' : 'round-robin', all))
  return start(name, port, node, [...nodeFlags, join(root, 'dist/cli/main.js'), '--config', file])
}
