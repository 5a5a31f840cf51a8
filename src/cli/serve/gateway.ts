import type { AddressInfo } from 'node:net'
import { isLoopback, type Config } from '../../config/index.js'
import { createRandom } from '../../core/index.js'
import { createFleet } from '../../fleet/index.js'
import { createAdminPlane, createDataPlane, type DataPlane } from '../../gateway/index.js'
import { Runtime } from '../../runtime/index.js'
import { createTelemetry, type Telemetry } from '../../telemetry/index.js'
import { Failure } from '../command.js'
import type { Io } from '../process.js'
import { readListenerTls, renewListenerTls, tlsKind } from './listener-tls.js'

/** A gateway that serves. */
export interface Gateway {
  readonly dataUrl: string
  readonly adminUrl: string
  readonly telemetry: Telemetry
  /** A new configuration, atomically: a fault in it (a certificate that cannot be read) is thrown before anything has changed. */
  configure(config: Config): void
  /** Refuses new requests, lets running ones finish within `timeouts.drain`, then frees everything. */
  stop(): Promise<void>
}

/**
 * Puts the rooms together and opens the listeners. Resolves once each backend has been looked at.
 * @param reload reads the configuration anew, for the admin plane; rejects where it is bad
 * @throws Failure where a listener cannot be had; nothing is left open then
 */
export const startGateway = async (first: Config, io: Io, version: string, reload: () => Promise<void>): Promise<Gateway> => {
  let config = first
  const { clock } = io
  const random = createRandom(io.seed())
  const telemetry = createTelemetry({ config, version, now: () => clock.now(), wallNow: io.wallClock })
  const { log } = telemetry
  const fleet = createFleet({ config, clock, random, onError: error => { log.error({ err: error }, 'a listener of the fleet failed') } })
  const runtime = new Runtime({ config, fleet, telemetry, clock, random })
  const data = createDataPlane({ config, runtime, fleet, telemetry, clock, wallClock: io.wallClock, newId: io.newId, ...tlsOf(config.listen.tls) })
  const admin = createAdminPlane({ fleet, telemetry, runtime, clock, version, config: () => config, reload, ...tlsOf(config.admin.tls) })

  const nameModels = () => {
    const configured = Object.values(config.pools).flatMap(({ backends }) => backends.flatMap(({ models }) => models ?? []))
    telemetry.models([...new Set([...configured, ...fleet.models().map(({ id }) => id)])])
  }
  telemetry.observe({ scheduler: () => runtime.schedulerState(), backends: () => fleet.snapshot() })
  fleet.onChange(change => {
    if (change.type === 'specs') nameModels()
    else if (change.type === 'state') log.info({ backend: change.backend, state: change.state, why: change.why }, 'backend')
  })

  const shut = async () => {
    await Promise.all([data.app.close(), fleet.stop()])
    await runtime.close()
    // Last, so that a probe can see that it is draining.
    await admin.close()
    await telemetry.close()
  }
  let dataUrl: string
  let adminUrl: string
  try {
    adminUrl = await listen(admin, config.admin, '--admin-port')
    dataUrl = await listen(data.app, config.listen, '--port')
    // Without a listener a connection that cannot be taken (no file left for it) would end the process.
    for (const { server } of [admin, data.app]) server.on('error', (error: Error) => { log.error({ err: error }, 'a connection could not be taken') })
    await fleet.start()
    nameModels()
  } catch (error) {
    await shut()
    throw error
  }
  return {
    dataUrl,
    adminUrl,
    telemetry,
    configure (wanted) {
      const next = withListenersOf(first, wanted)
      const listenTls = readListenerTls(next.listen.tls)
      const adminTls = readListenerTls(next.admin.tls)
      fleet.configure(next)
      runtime.configure(next)
      data.configure(next)
      telemetry.configure(next)
      renewListenerTls(data.app.server, listenTls)
      renewListenerTls(admin.server, adminTls)
      if (addresses(wanted) !== addresses(first)) log.warn('listeners have changed in the configuration; that takes effect at the next start')
      config = next
      nameModels()
    },
    async stop () {
      const graceMs = config.timeouts.drain
      const endsAtMs = clock.now() + graceMs
      let over: NodeJS.Timeout | undefined
      const grace = new Promise<void>(resolve => { over = setTimeout(resolve, graceMs) })
      // The listener stays open for as long as anything runs: who comes is told to look elsewhere.
      await Promise.all([runtime.drain(graceMs), Promise.race([data.passedThrough(), grace])])
      clearTimeout(over)
      const cut = setTimeout(() => { data.app.server.closeAllConnections() }, Math.max(LAST_BYTES_MS, endsAtMs - clock.now()))
      await shut()
      clearTimeout(cut)
    },
  }
}

/** After the grace, for the last bytes of what it has cut. */
const LAST_BYTES_MS = 1_000

/** Connections that wait to be accepted. Node's default of 511 resets clients that come at once by the thousand; the system may bound it further. */
const BACKLOG = 16_384

/** Opens a listener and tells its address. @throws Failure that says what to do */
const listen = async (app: DataPlane['app'], { host, port, tls }: Config['listen'], flag: string): Promise<string> => {
  try {
    await app.listen({ host, port, backlog: BACKLOG })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = {
      EADDRINUSE: `port ${port} on ${host} is in use; stop what uses it, or choose another with ${flag} or in the configuration`,
      EACCES: `no permission to listen on port ${port}; ports below 1024 are privileged`,
      EADDRNOTAVAIL: `this machine has no address ${host}`,
      ENOTFOUND: `the host name ${host} is not known`,
    }[code ?? '']
    throw why === undefined ? new Failure(`cannot listen on ${host}:${port}: ${message}`) : new Failure(why)
  }
  const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `${tls === undefined ? 'http' : 'https'}://${shown.includes(':') ? `[${shown}]` : shown}:${(app.server.address() as AddressInfo).port}`
}

/** What cannot change while running. */
const addresses = ({ listen, admin }: Config): string => JSON.stringify([listen, admin].map(({ host, port, tls }) => [host, port, tlsKind(tls)]))

/** A new configuration on listeners that stay as they were opened. @throws Failure where it would open to strangers what they reach */
const withListenersOf = (first: Config, next: Config): Config => {
  const listener = <T extends Config['listen']>(open: T, wanted: T): T =>
    ({ ...wanted, host: open.host, port: open.port, tls: tlsKind(wanted.tls) === tlsKind(open.tls) ? wanted.tls : open.tls })
  if (next.auth === undefined && !isLoopback(first.listen.host)) {
    throw new Failure(`the data plane listens on ${first.listen.host} until the next start, so \`auth\` must be said: \`keys\`, or \`none\` or \`passthrough\` where that is meant`)
  }
  return { ...next, listen: listener(first.listen, next.listen), admin: listener(first.admin, next.admin) }
}

const tlsOf = (files: Config['listen']['tls']) => {
  const tls = readListenerTls(files)
  return tls === undefined ? {} : { tls }
}
