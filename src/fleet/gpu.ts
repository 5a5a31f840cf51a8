import type { Clock, Ms } from '../core/index.js'
import { MAX_METRICS_BYTES, parseMetrics, type MetricSet } from './prometheus.js'
import { ProbeClient, ProbeError } from './probe.js'

/** NVIDIA's DCGM exporter: the share of time with a kernel running in percent, and, where a GPU is partitioned, the engine's activity as a ratio. */
const UTILIZATION_PERCENT = 'DCGM_FI_DEV_GPU_UTIL'
const ENGINE_ACTIVE_RATIO = 'DCGM_FI_PROF_GR_ENGINE_ACTIVE'
const WANTED: ReadonlySet<string> = new Set([UTILIZATION_PERCENT, ENGINE_ACTIVE_RATIO])

/** Where to read the load of a backend's GPUs. */
export interface GpuSource {
  /** Whole address of the exporter's metrics. */
  readonly url: string
  /** Indices or UUIDs of the backend's own among the GPUs of its machine; undefined = all. */
  readonly gpus?: readonly string[] | undefined
}

/** Mean utilisation, 0 to 1, of the GPUs that are meant; undefined = the exporter says nothing about them. */
export function gpuUtilizationRatio(metrics: MetricSet, gpus: readonly string[] | undefined): number | undefined {
  for (const [name, scale] of [[UTILIZATION_PERCENT, 100], [ENGINE_ACTIVE_RATIO, 1]] as const) {
    const values = metrics.samples(name)
      .filter(({ labels }) => gpus === undefined || gpus.includes(labels.get('gpu') ?? '') || gpus.includes(labels.get('UUID') ?? ''))
      .map(({ value }) => value / scale)
    if (values.length > 0) return Math.min(1, Math.max(0, values.reduce((sum, value) => sum + value, 0) / values.length))
  }
  return undefined
}

/** Reads an exporter every so often. For people to look at: nothing is decided by it, and its failures hurt nobody. */
export class GpuWatch {
  readonly source: GpuSource
  readonly #clock: Clock
  readonly #probe: ProbeClient
  readonly #path: string
  #ratio: number | undefined
  #readAtMs: Ms = -Infinity
  #reading = false

  constructor(source: GpuSource, clock: Clock) {
    const { origin, pathname } = new URL(source.url)
    this.source = source
    this.#clock = clock
    this.#probe = new ProbeClient({ origin, basePath: '', apiKey: undefined, tls: undefined })
    this.#path = pathname
  }

  /** One read; while one is under way another does nothing. */
  async read(timeoutMs: Ms): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    try {
      const { status, body } = await this.#probe.get(this.#path, timeoutMs, MAX_METRICS_BYTES)
      if (status !== 200) return
      this.#ratio = gpuUtilizationRatio(parseMetrics(body, WANTED), this.source.gpus)
      this.#readAtMs = this.#clock.now()
    } catch (error) {
      if (!(error instanceof ProbeError)) throw error
    } finally {
      this.#reading = false
    }
  }

  /** The latest reading; undefined where there is none that is younger than `staleAfterMs`. */
  ratio(staleAfterMs: Ms): number | undefined {
    return this.#clock.now() - this.#readAtMs <= staleAfterMs ? this.#ratio : undefined
  }

  async close(): Promise<void> {
    await this.#probe.close()
  }
}
