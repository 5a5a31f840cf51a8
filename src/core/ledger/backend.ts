import { BackendModel } from '../estimation/backend-model.js'
import type { OutputLengthHistogram } from '../estimation/output-lengths.js'
import { PrefixIndex } from '../estimation/prefix-index.js'
import type { TrackedRequest } from '../request.js'
import type { BackendSpec, BackendState, ClassName, EngineReport, Ms, PoolMode, PoolRole, Tokens } from '../types.js'
import { Backpressure } from './backpressure.js'
import { DecodeSampler } from './decode-sampler.js'
import { ForeignLoad } from './foreign-load.js'
import type { Lease } from './lease.js'
import { PacedStreams } from './paced-streams.js'
import { PrefillClock } from './prefill-clock.js'
import { PrefillSampler } from './prefill-sampler.js'
import { SlackGuard } from './slack-guard.js'

/** Memory for the prefixes of one backend, whatever its cache holds, */
const MAX_PREFIX_BLOCKS = 16_384
/** and the weight of one prompt in the average size of their blocks. */
const BLOCK_GAIN = 0.05

/** One time of a breaker being half open: what is sent then counts, and what the backend had before says nothing. */
export interface Probing {
  readonly limit: number
  inFlight: number
}

interface PacedClass {
  readonly name: ClassName
  readonly tpotMs: Ms
  readonly lengths: OutputLengthHistogram
  count: number
}

/** What the gateway knows of one backend: its own work there to the request, and what it learned of its speed. */
export class Backend {
  spec: BackendSpec
  /** Of its pool; kept by the fleet. */
  poolMode: PoolMode = 'balanced'
  poolRole: PoolRole = 'latency'
  state: BackendState = 'up'
  probing: Probing | undefined
  /** When it was given the latest of the requests that it has answered to the end. */
  provenAtMs: Ms = -Infinity
  /** Requests in flight, every phase. */
  requests = 0
  /** Uncached prompt tokens that were sent and have not answered yet. */
  prefillTokens: Tokens = 0
  /** Context of all requests in flight. */
  contextTokens: Tokens = 0
  /** Dispatched, no first token yet; in order of dispatch. */
  readonly prefills: Lease[] = []
  /** Streams past their first token, in no order. */
  readonly decodes: Lease[] = []
  /** Requests in flight that have a target per token, by class. */
  readonly paced: PacedClass[] = []
  readonly pacedStreams = new PacedStreams()
  readonly model = new BackendModel()
  readonly prefixes = new PrefixIndex(MAX_PREFIX_BLOCKS)
  readonly prefill = new PrefillClock()
  readonly slack = new SlackGuard()
  readonly backpressure = new Backpressure()
  readonly foreign = new ForeignLoad()
  /** Of the prompts that it gets; 0 = none had blocks yet. */
  #tokensPerBlock = 0
  readonly #prefillSamples = new PrefillSampler(this.model)
  readonly #decodeSamples = new DecodeSampler(this.model)

  constructor(spec: BackendSpec) {
    this.spec = spec
  }

  /** Most requests it may be given now; undefined = no bound. One is always allowed. */
  limit(nowMs: Ms): number | undefined {
    const probed = this.probing === undefined ? Infinity : this.requests - this.probing.inFlight + this.probing.limit
    const limit = Math.min(this.backpressure.limit(nowMs) ?? Infinity, this.spec.maxInflight ?? Infinity, probed)
    return limit === Infinity ? undefined : limit
  }

  /** Most probes at once while a breaker is half open; undefined = it is not. */
  probe(limit: number | undefined): void {
    if (limit !== this.probing?.limit) this.probing = limit === undefined ? undefined : { limit, inFlight: 0 }
  }

  /** Prompt tokens of the request that it would have to compute. */
  uncachedTokens(request: TrackedRequest): Tokens {
    const { prefixHashes, prefixBlockBytes, promptBytes } = request.spec
    if (prefixHashes.length === 0 || promptBytes <= 0) return request.promptTokens
    const tokensPerBlock = request.promptTokens * prefixBlockBytes / promptBytes
    return Math.max(1, Math.round(request.promptTokens - this.prefixes.cachedTokens(prefixHashes, tokensPerBlock)))
  }

  /** It came back from a restart: it holds no prefix, and may be faster or slower than before. */
  restarted(): void {
    this.prefixes.clear()
    this.model.distrust()
  }

  /** Its engine said something of itself. */
  reported(report: EngineReport, nowMs: Ms): void {
    this.foreign.reported(report, this.requests, nowMs)
    this.slack.invalidate()
    this.#limitPrefixes()
  }

  /** No more prefixes are cached than the KV cache has room for, as far as that and the size of a block are known. */
  #limitPrefixes(): void {
    const { capacityTokens } = this.foreign
    if (capacityTokens === undefined || this.#tokensPerBlock === 0) return
    this.prefixes.limitTo(Math.min(MAX_PREFIX_BLOCKS, Math.max(1, capacityTokens / this.#tokensPerBlock)))
  }

  /** Time until all prefill outstanding here has answered. */
  backlogMs(nowMs: Ms): Ms {
    return this.prefills.length === 0 ? 0 : this.prefill.leftMs(nowMs)
  }

  /** Streams in a decode step once all prefills are through, other gateways' included. */
  get streams(): number {
    return this.requests + this.foreign.streams
  }

  /** Brings the ledger up to `nowMs`: forgets reports that are too old, and takes answers nobody sees begin as begun when predicted. */
  settle(nowMs: Ms): void {
    this.foreign.age(nowMs)
    for (let first = this.prefills[0]; first !== undefined && !first.request.spec.streamed && first.expectedFirstTokenAtMs <= nowMs && first.request.spec.kind === 'generation'; first = this.prefills[0]) {
      first.firstToken(nowMs)
    }
  }

  /** Only `Lease` calls the following three. */
  charge(lease: Lease, nowMs: Ms): void {
    this.prefill.charge(lease.prefillMs, this.prefills.length === 0 ? this.model.prefillBaseMs : 0, nowMs)
    this.requests++
    if (lease.probing !== undefined) lease.probing.inFlight++
    this.prefillTokens += lease.uncachedTokens
    this.contextTokens += lease.contextTokens
    this.prefills.push(lease)
    this.#pace(lease, 1)
    this.#insertPrefix(lease.request)
    this.slack.invalidate()
  }

  prefillEnds(lease: Lease, nowMs: Ms): void {
    if (lease.request.spec.streamed) this.#prefillSamples.firstToken(lease, nowMs)
    this.#leavePrefill(lease, nowMs)
    lease.position = this.decodes.length
    this.decodes.push(lease)
  }

  release(lease: Lease, nowMs: Ms): void {
    this.requests--
    if (lease.probing !== undefined) lease.probing.inFlight--
    this.#pace(lease, -1)
    this.contextTokens -= lease.contextTokens
    this.slack.invalidate()
    if (lease.phase === 'prefill') {
      this.#leavePrefill(lease, nowMs)
      return
    }
    const last = this.decodes.pop() as Lease
    if (last !== lease) {
      this.decodes[lease.position] = last
      last.position = lease.position
    }
  }

  /** A stream reports `outputTokens`: a decode step can be timed if nothing else happened since its last report. */
  timeDecode(lease: Lease, outputTokens: Tokens, nowMs: Ms): void {
    if (this.prefills.length === 0) this.#decodeSamples.progress(lease, outputTokens, nowMs)
  }

  #insertPrefix({ promptTokens, spec: { prefixHashes, prefixBlockBytes, promptBytes } }: TrackedRequest): void {
    if (prefixHashes.length === 0) return
    if (promptBytes > 0) this.#tokensPerBlock += (this.#tokensPerBlock === 0 ? 1 : BLOCK_GAIN) * (promptTokens * prefixBlockBytes / promptBytes - this.#tokensPerBlock)
    this.prefixes.insert(prefixHashes)
  }

  #pace(lease: Lease, change: 1 | -1): void {
    const { tpotMs, request } = lease
    if (tpotMs === Infinity) return
    if (change > 0) this.pacedStreams.add(lease)
    else this.pacedStreams.remove(lease)
    const { class: { name }, lengths } = request
    const known = this.paced.find((paced) => paced.name === name && paced.tpotMs === tpotMs)
    if (known === undefined) this.paced.push({ name, tpotMs, lengths, count: change })
    else if ((known.count += change) === 0) this.paced.splice(this.paced.indexOf(known), 1)
  }

  #leavePrefill(lease: Lease, nowMs: Ms): void {
    this.prefillTokens -= lease.uncachedTokens
    this.prefills.splice(this.prefills.indexOf(lease), 1)
    let restMs = 0
    for (const other of this.prefills) restMs += other.prefillMs
    this.prefill.answered(lease.prefillMs, restMs, nowMs)
    this.slack.invalidate()
    if (this.prefills.length === 0) this.#decodeSamples.quietSince(nowMs)
  }
}
