/** The programs under comparison: how each is started in front of the upstream, pinned to the proxy's core. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
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

/** What a proxy stands in front of. */
export interface Upstreams {
  readonly ports: readonly number[]
  /** The server with the fewest requests gets the next; otherwise they take turns. */
  readonly leastConnections?: boolean
  /** HAProxy's bound of requests per server. */
  readonly maxconn?: number
}

const nginxConf = (port: number, { ports, leastConnections = false }: Upstreams, dir: string) => `
daemon off; worker_processes 1; pid ${dir}/nginx.pid; error_log ${dir}/error.log crit; worker_rlimit_nofile 65536;
events { worker_connections 30000; }
http {
  access_log off; client_max_body_size 64m; client_body_buffer_size 2m; keepalive_requests 1000000000; tcp_nodelay on;
  client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  upstream model { ${leastConnections ? 'least_conn; ' : ''}${ports.map(upstream => `server 127.0.0.1:${upstream} max_fails=0;`).join(' ')} keepalive 2048; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s; }
  }
}`

const haproxyConf = (port: number, { ports, leastConnections = false, maxconn }: Upstreams) => `
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
  default_backend model
backend model
  balance ${leastConnections ? 'leastconn' : 'roundrobin'}
${ports.map((upstream, i) => `  server b${i} 127.0.0.1:${upstream}${maxconn === undefined ? '' : ` maxconn ${maxconn}`}`).join('\n')}
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
  for (let i = 0; i < 600; i++) {
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
async function start (name: string, port: number, command: string, args: string[]): Promise<Proxy> {
  const child = spawn('taskset', ['-c', String(PROXY_CORE), command, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  running.add(child)
  child.once('exit', () => { running.delete(child) })
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
  switch (name) {
    case 'nginx': return await startNginx(name, port, { ports: [upstreamPort] })
    case 'haproxy': return await startHaproxy(name, port, { ports: [upstreamPort] })
    default: {
      const all = name === 'sluice'
      return await startSluice(name, port, sluiceConf(port, upstreamPort, all ? 'slo' : 'round-robin', all), [node, ...nodeFlags, join(root, 'dist/cli/main.js')])
    }
  }
}

/** Nothing stays behind, however this process ends. */
const running = new Set<ChildProcess>()
const folders: string[] = []
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => { process.exit(1) })

function freshFolder (): string {
  const folder = mkdtempSync(join(tmpdir(), 'proxy-'))
  folders.push(folder)
  return folder
}

export async function startNginx (name: string, port: number, upstreams: Upstreams): Promise<Proxy> {
  const dir = freshFolder()
  const file = join(dir, 'conf')
  writeFileSync(file, nginxConf(port, upstreams, dir))
  return await start(name, port, 'nginx', ['-c', file, '-p', dir])
}

export async function startHaproxy (name: string, port: number, upstreams: Upstreams): Promise<Proxy> {
  const file = join(freshFolder(), 'conf')
  writeFileSync(file, haproxyConf(port, upstreams))
  return await start(name, port, 'haproxy', ['-f', file])
}

/** `command`: node with its flags, and the path of the built gateway. */
export async function startSluice (name: string, port: number, config: string, [node, ...args]: readonly [string, ...string[]]): Promise<Proxy> {
  const file = join(freshFolder(), 'conf')
  writeFileSync(file, config)
  return await start(name, port, node, [...args, '--config', file])
}

export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
