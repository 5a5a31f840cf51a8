import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Clock, createRandom } from '../core/index.js'
import { ENGINE_PRESETS, EngineModel, type EngineCounters, type EngineGauges, type EngineLimits, type EnginePreset } from '../simulator/engine/index.js'
import { type AbortRecord, type EngineFace, RequestLedger, type ServerContext, type ServerSettings } from './context.js'
import { EngineDriver, type TokenReceiver } from './engine-driver.js'
import { type FaultPlan, type FaultRule, FaultScript, NO_FAULTS, readFaultPlan } from './faults.js'
import { EmulatedError, readBody, sendJson } from './http.js'
import { hashText, Language } from './language.js'
import { ServerStatistics } from './metrics/statistics.js'
import { tgiFace } from './tgi/face.js'
import { vllmFace } from './vllm/face.js'

export const EMULATED_ENGINES = ['vllm', 'tgi'] as const
export type EmulatedEngine = typeof EMULATED_ENGINES[number]

export interface EmulatorOptions extends Partial<ServerSettings> {
  readonly engine: EmulatedEngine
  readonly clock: Clock
  /** Default `a100-8b`. */
  readonly preset?: EnginePreset
  /** Everything takes 1/speed of the preset's time; default 1. */
  readonly speed?: number
  /** Overrides of the preset's limits. TGI has 128 requests inside by default, vLLM no limit. */
  readonly limits?: Partial<EngineLimits>
  /** Relative standard deviation of step times; default 0. */
  readonly noise?: number
  /** Of noise and fault draws; the words depend on the model's name alone. */
  readonly seed?: number
  /** Default 127.0.0.1. */
  readonly host?: string
  /** Default 0: any free port. */
  readonly port?: number
  readonly faults?: FaultPlan
}

export interface EmulatorState extends EngineGauges {
  readonly engine: EmulatedEngine
  readonly model: string
  /** Generation requests by what became of them; `active` are inside now. */
  readonly requests: { readonly received: number, readonly active: number, readonly completed: number, readonly aborted: number, readonly cut: number, readonly refused: number }
  readonly completedIds: number
  /** Completions under a request id that had completed before. */
  readonly repeatedIds: number
  readonly lastAborts: readonly AbortRecord[]
  readonly counters: Readonly<EngineCounters>
  readonly faultsApplied: Readonly<Record<string, number>>
  readonly openConnections: number
  readonly nowMs: number
}

export interface Emulator {
  readonly url: string
  readonly port: number
  readonly control: {
    state(): EmulatorState
    /** Replaces the plan in force; `{}` = none. */
    setFaults(plan: FaultPlan): Promise<void>
  }
  /** Cuts what is open and frees the port. */
  stop(): Promise<void>
}

/** Starts an emulated model server. */
export async function startEmulator (options: EmulatorOptions): Promise<Emulator> {
  const server = new EmulatorServer(options)
  await server.listen(options.port ?? 0)
  if (options.faults !== undefined) await server.setFaults(options.faults)
  return {
    url: server.url,
    port: server.port,
    control: { state: () => server.state(), setFaults: plan => server.setFaults(plan) },
    stop: () => server.stop()
  }
}

const DEFAULT_MODELS: Readonly<Record<EnginePreset, string>> = { 'a100-8b': 'llama-3.1-8b-instruct', '4xa100-70b': 'llama-3.1-70b-instruct' }

class EmulatorServer {
  readonly #options: EmulatorOptions
  readonly #context: ServerContext
  readonly #face: EngineFace
  readonly #faults: FaultScript
  readonly #speed: number
  readonly #host: string
  readonly #sockets = new Set<Socket>()
  #server: Server
  #plan: FaultPlan = {}
  #reopen: NodeJS.Timeout | undefined
  port = 0

  constructor (options: EmulatorOptions) {
    const preset = options.preset ?? 'a100-8b'
    const profile = ENGINE_PRESETS[preset]
    const maxInflight = options.engine === 'tgi' ? 128 : Infinity
    const seed = options.seed ?? 1
    this.#options = options
    this.#host = options.host ?? '127.0.0.1'
    this.#speed = options.speed ?? 1
    const model = new EngineModel<TokenReceiver>({
      profile: { costs: profile.costs, limits: { ...profile.limits, maxInflight, ...options.limits } },
      speed: this.#speed,
      noise: options.noise ?? 0,
      random: createRandom(`noise ${seed}`)
    })
    const settings: ServerSettings = {
      model: options.model ?? DEFAULT_MODELS[preset],
      maxModelTokens: options.maxModelTokens ?? 131_072,
      metricNames: options.metricNames ?? 'new',
      promptTokensDetails: options.promptTokensDetails ?? false,
      reasoningMember: options.reasoningMember ?? 'reasoning'
    }
    const statistics = new ServerStatistics()
    this.#faults = new FaultScript(createRandom(`faults ${seed}`))
    this.#context = {
      settings,
      driver: new EngineDriver(model, options.clock, report => { statistics.step(report) }),
      language: new Language(hashText(settings.model)),
      clock: options.clock,
      statistics,
      ledger: new RequestLedger()
    }
    this.#face = options.engine === 'tgi' ? tgiFace(this.#context) : vllmFace(this.#context)
    this.#server = this.#makeServer()
  }

  get url (): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.port}`
  }

  state (): EmulatorState {
    const { driver, ledger, settings, clock } = this.#context
    const { received, active, completed, aborted, cut, refused } = ledger
    return {
      engine: this.#options.engine,
      model: settings.model,
      ...driver.model.gauges(),
      requests: { received, active, completed, aborted, cut, refused },
      completedIds: ledger.completedIds,
      repeatedIds: ledger.repeated,
      lastAborts: ledger.lastAborts,
      counters: driver.model.counters,
      faultsApplied: Object.fromEntries(this.#faults.applied),
      openConnections: this.#sockets.size,
      nowMs: clock.now()
    }
  }

  async listen (port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, this.#host, 4096, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
    this.port = (this.#server.address() as AddressInfo).port
  }

  async setFaults (plan: FaultPlan): Promise<void> {
    const wasClosed = this.#plan.refuse?.how === 'closed'
    this.#plan = plan
    this.#faults.setRules(plan.rules ?? [])
    this.#context.driver.model.setSpeed(this.#speed / (plan.slowFactor ?? 1))
    clearTimeout(this.#reopen)
    const isClosed = plan.refuse?.how === 'closed'
    if (isClosed && !wasClosed) this.#close()
    if (!isClosed && wasClosed) {
      this.#server = this.#makeServer()
      await this.listen(this.port)
    }
    const forMs = plan.refuse?.forMs
    if (forMs !== undefined) {
      const { refuse: _over, ...rest } = plan
      this.#reopen = setTimeout(() => { void this.setFaults(rest) }, forMs)
    }
  }

  async stop (): Promise<void> {
    clearTimeout(this.#reopen)
    this.#context.driver.stop()
    const closed = new Promise<void>(resolve => { this.#server.close(() => { resolve() }) })
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Port shut, idle connections gone; answers under way go on. */
  #close (): void {
    this.#server.close()
    this.#server.closeIdleConnections()
  }

  #makeServer (): Server {
    // The keep-alive limit of the servers that this stands for: 5 s.
    const server = createServer({ keepAliveTimeout: 5000, requestTimeout: 0, headersTimeout: 0, noDelay: true }, (req, res) => {
      this.#request(req, res).catch((error: unknown) => { this.#failed(res, error) })
    })
    server.on('connection', socket => {
      if (this.#plan.refuse?.how === 'reset') {
        socket.resetAndDestroy()
        return
      }
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    return server
  }

  async #request (req: IncomingMessage, res: ServerResponse): Promise<void> {
    const [path = '/'] = (req.url ?? '/').split('?')
    const route = this.#face.routes.get(`${req.method} ${path}`)
    const body = req.method === 'GET' ? EMPTY : await readBody(req)
    if (path.startsWith('/emulator/')) {
      await this.#controlRoute(path, req, res, body)
      return
    }
    if (route === undefined) {
      const known = ['GET', 'POST'].some(method => this.#face.routes.has(`${method} ${path}`))
      sendJson(res, known ? 405 : 404, { detail: known ? 'Method Not Allowed' : 'Not Found' })
      return
    }
    if (route.generation) this.#context.ledger.received++
    const faults = this.#plan.rules === undefined
      ? NO_FAULTS
      : this.#faults.choose({ path, generation: route.generation, stream: path === '/generate_stream' || /"stream"\s*:\s*true/.test(body.toString('latin1')), body })
    if (faults.course !== undefined && this.#fellBeforeHead(res, faults.course)) return
    if (route.generation && this.#plan.draining === true) throw new EmulatedError(503, 'ServiceUnavailable', 'The server is shutting down.')
    route.handle({ req, res, body, faults })
  }

  /** Carry out a fault that leaves no answer, or another one. */
  #fellBeforeHead (res: ServerResponse, rule: FaultRule): boolean {
    switch (rule.kind) {
      case 'status': {
        const status = rule.status ?? 500
        const headers: Record<string, string> = rule.retryAfterS === undefined ? {} : { 'retry-after': String(rule.retryAfterS) }
        this.#face.sendError(res, status, STATUS_TYPES[status] ?? 'InternalServerError', rule.message ?? `scripted status ${status}`, headers)
        return true
      }
      case 'reset-before-headers':
        if (rule.cut === 'close') res.socket?.destroy()
        else res.socket?.resetAndDestroy()
        return true
      case 'hang-before-headers':
        return true
      default:
        return false
    }
  }

  #failed (res: ServerResponse, error: unknown): void {
    if (res.headersSent || res.destroyed) {
      res.destroy()
      return
    }
    if (error instanceof EmulatedError) this.#face.sendError(res, error.status, error.type, error.message)
    else this.#face.sendError(res, 500, 'InternalServerError', error instanceof Error ? error.message : String(error))
  }

  async #controlRoute (path: string, req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    if (path === '/emulator/state' && req.method === 'GET') {
      sendJson(res, 200, this.state())
      return
    }
    if (path === '/emulator/faults' && req.method === 'POST') {
      let plan: FaultPlan
      try {
        plan = readFaultPlan(JSON.parse(body.toString('utf8')))
      } catch (error) {
        sendJson(res, 400, { error: (error as Error).message })
        return
      }
      sendJson(res, 200, { plan })
      await this.setFaults(plan)
      return
    }
    sendJson(res, 404, { error: 'GET /emulator/state and POST /emulator/faults are all there is' })
  }
}

const EMPTY = Buffer.alloc(0)

const STATUS_TYPES: Readonly<Record<number, string>> = {
  400: 'BadRequestError', 404: 'NotFoundError', 422: 'UnprocessableEntityError', 424: 'generation', 429: 'overloaded', 500: 'InternalServerError', 503: 'ServiceUnavailable'
}
