import { ADDRCONFIG, lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { Clock, Ms } from '../core/index.js'

/** Asks the system for all addresses of a host. */
export type AskSystem = (host: string, done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void) => void

/** An answer is used for this long before the system is asked again: a host that moves is followed within it. */
export const FRESH_MS: Ms = 5_000
/** How long a connection waits for a new answer while an old one is known, */
const PATIENCE_MS: Ms = 500
/** and while none is. Connections have their own, usually shorter, limit. */
const GIVE_UP_MS: Ms = 10_000
/** A question that took this long, or failed for want of an answer, marks its host as one that may hang. */
const SLOW_MS: Ms = 1_000

interface Waiting {
  done(error: NodeJS.ErrnoException | null): void
}

interface Host {
  addresses: readonly LookupAddress[]
  atMs: Ms
  asking: boolean
  suspect: boolean
  readonly waiting: Set<Waiting>
}

/**
 * Addresses of hosts by name, for everybody who connects to backends. The system's look-up runs on a few threads of the
 * process, and one that hangs cannot be cancelled: so there is at most one per host under way, hosts that may hang have one
 * among them all, and while a resolver is silent the last answer holds.
 */
export class Names {
  readonly #clock: Clock
  readonly #ask: AskSystem
  readonly #hosts = new Map<string, Host>()
  readonly #suspects: (() => void)[] = []
  #askingSuspect = false

  constructor(clock: Clock, ask: AskSystem = askSystem) {
    this.#clock = clock
    this.#ask = ask
  }

  /** For `net.connect` and `tls.connect`. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    const host = this.#host(name)
    const give = (): void => {
      const found = ofFamily(host.addresses, options)
      const [first] = found
      if (first === undefined) callback(Object.assign(new Error(`no address of ${name} is known`), { code: 'ENOTFOUND' }), '')
      else if (options.all === true) callback(null, [...found])
      else callback(null, first.address, first.family)
    }
    if (this.#isFresh(host)) return process.nextTick(give)
    const waiting: Waiting = {
      done: error => {
        clearTimeout(timer)
        host.waiting.delete(waiting)
        if (error === null || host.addresses.length > 0) give()
        else callback(error, '')
      },
    }
    const timer = setTimeout(() => { waiting.done(silent(name)) }, host.addresses.length > 0 ? PATIENCE_MS : GIVE_UP_MS).unref()
    host.waiting.add(waiting)
    this.#refresh(name, host)
  }

  /** False: the host has moved away from this address. Sees to it that the answer is renewed. */
  holds(name: string, address: string): boolean {
    const host = this.#hosts.get(name)
    if (host === undefined) return true
    if (!this.#isFresh(host)) this.#refresh(name, host)
    return host.addresses.length === 0 || host.addresses.some(known => known.address === address)
  }

  keepOnly(names: ReadonlySet<string>): void {
    for (const name of this.#hosts.keys()) if (!names.has(name)) this.#hosts.delete(name)
  }

  #host(name: string): Host {
    let host = this.#hosts.get(name)
    if (host === undefined) {
      host = { addresses: [], atMs: -Infinity, asking: false, suspect: false, waiting: new Set() }
      this.#hosts.set(name, host)
    }
    return host
  }

  #isFresh({ addresses, atMs }: Host): boolean {
    return addresses.length > 0 && this.#clock.now() - atMs < FRESH_MS
  }

  #refresh(name: string, host: Host): void {
    if (host.asking) return
    host.asking = true
    if (!host.suspect) return this.#begin(name, host)
    this.#suspects.push(() => { this.#begin(name, host) })
    this.#nextSuspect()
  }

  #nextSuspect(): void {
    if (this.#askingSuspect) return
    const next = this.#suspects.shift()
    if (next === undefined) return
    this.#askingSuspect = true
    next()
  }

  #begin(name: string, host: Host): void {
    const startedAtMs = this.#clock.now()
    const { suspect } = host
    this.#ask(name, (error, addresses) => {
      host.asking = false
      host.suspect = error?.code === 'EAI_AGAIN' || this.#clock.now() - startedAtMs >= SLOW_MS
      if (error === null) {
        host.addresses = addresses
        host.atMs = this.#clock.now()
      } else if (error.code === 'ENOTFOUND') {
        // It is certain that the name is gone, and its old address may be a stranger's by now.
        host.addresses = []
      }
      for (const waiting of [...host.waiting]) waiting.done(error)
      if (!suspect) return
      this.#askingSuspect = false
      this.#nextSuspect()
    })
  }
}

const askSystem: AskSystem = (host, done) => { systemLookup(host, { all: true, hints: ADDRCONFIG }, done) }

const silent = (name: string) => Object.assign(new Error(`the name ${name} was not resolved in time`), { code: 'EAI_AGAIN' })

function ofFamily(addresses: readonly LookupAddress[], { family }: LookupOptions): readonly LookupAddress[] {
  const wanted = family === 4 || family === 'IPv4' ? 4 : family === 6 || family === 'IPv6' ? 6 : undefined
  return wanted === undefined ? addresses : addresses.filter(address => address.family === wanted)
}
