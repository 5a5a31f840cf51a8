import { GoodputLedger, type AttemptVerdict, type BackendId, type ClassName, type Explanation, type Histogram, type Ms, type PoolName, type RequestId, type TenantName, type Work } from '../core/index.js'
import type { Config } from '../config/index.js'
import { Exposition } from './exposition.js'
import { collectGauges } from './gauges.js'
import { LabelNames } from './labels.js'
import { createLogger } from './logger.js'
import { Metrics } from './metrics.js'
import type { Pace } from './pace.js'
import { RecentRequests } from './recent.js'
import { OtlpExport } from './otel/export.js'
import type { RequestRecord } from './record.js'
import { requestLine } from './request-line.js'
import { openFile, openStdout, type FileSink, type Sink } from './sink.js'
import { Turns } from './turns.js'
import type { AdmissionVerdict, AuditEntry, GaugeSources, IntervalRecorder, Telemetry, TelemetryOptions } from './types.js'

export function createTelemetry(options: TelemetryOptions): Telemetry {
  return new Observer(options)
}

interface LogFile {
  readonly path: string
  readonly sink: FileSink
}

class Observer implements Telemetry {
  readonly recent = new RecentRequests()
  readonly ledger = new GoodputLedger()
  readonly log
  readonly #logStream: { write(line: string): void }
  readonly #metrics: Metrics
  readonly #exposition: Exposition
  readonly #turns: Turns
  readonly #labels = new LabelNames()
  readonly #now: () => Ms
  readonly #wallNow: () => Ms
  readonly #stdout: Sink | undefined
  readonly #listeners = new Set<(record: RequestRecord) => void>()
  #config: Config
  #sources: GaugeSources | undefined
  #requestFile: LogFile | undefined
  #auditFile: LogFile | undefined
  #otlp: OtlpExport | undefined
  #text: Promise<Buffer> | undefined
  readonly #version: string

  constructor({ config, version, now, wallNow, logStream }: TelemetryOptions) {
    this.#config = config
    this.#version = version
    this.#now = now
    this.#wallNow = wallNow
    this.#metrics = new Metrics(this.#labels, now)
    this.#exposition = new Exposition(this.#metrics.registry)
    this.#turns = new Turns({ now })
    this.#stdout = logStream === undefined ? openStdout((lines) => this.#dropped('log', lines)) : undefined
    this.#logStream = logStream ?? this.#stdout!
    this.log = createLogger(config.log.level, wallNow, this.#logStream)
    this.#metrics.gauge('sluice_build_info').set(1, version)
    for (const result of ['applied', 'rejected']) this.#metrics.counter('sluice_config_reloads_total').child(result)
    this.#metrics.gauge('sluice_config_last_reload_success').set(1)
    for (const sink of ['log', 'requests', 'audit']) this.#metrics.counter('sluice_log_lines_dropped_total').child(sink)
    this.configure(config)
  }

  get registry() { return this.#metrics.registry }

  configure(config: Config): void {
    this.#config = config
    this.log.level = config.log.level
    this.#labels.configure(config)
    this.#requestFile = this.#openFile(this.#requestFile, config.log.request_file, 'requests')
    this.#auditFile = this.#openFile(this.#auditFile, config.log.audit_file, 'audit')
    this.#configureOtlp(config.telemetry.otlp_endpoint)
  }

  observe(sources: GaugeSources): void { this.#sources = sources }
  models(names: readonly string[]): void { this.#labels.listed(names) }

  offered(route: string, className: ClassName, model: string | undefined): void {
    this.ledger.offered(className, this.#now())
    this.#metrics.offered(route, className, model)
  }

  admission(className: ClassName, verdict: AdmissionVerdict, reason: string): void { this.#metrics.admission(className, verdict, reason) }
  attempt(backend: BackendId, result: AttemptVerdict): void { this.#metrics.attempt(backend, result) }
  attemptLost(className: ClassName, work: Work): void { this.ledger.attemptLost(className, work, this.#now()) }
  intervals(className: ClassName, pool: PoolName, backend: BackendId): IntervalRecorder { return this.#metrics.intervals(className, pool, backend) }
  intervalsOf(className: ClassName): Histogram | undefined { return this.#metrics.intervalsOf(className) }

  firstToken(backend: BackendId, className: ClassName, upstreamMs: Ms, ttftMs: Ms, explanation: Explanation | undefined): void {
    this.#metrics.firstToken(backend, className, upstreamMs, ttftMs, explanation)
  }

  paces(): readonly Pace[] { return this.#metrics.paces() }

  onFinished(listener: (record: RequestRecord) => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  finished(record: RequestRecord): void {
    this.ledger.ended(record.class, record.timeline, record.targets, this.#now())
    this.#metrics.finished(record)
    this.#otlp?.finished(record)
    this.recent.add(record)
    for (const listener of this.#listeners) listener(record)
    const level = record.outcome === 'failed' ? 'warn' : 'info'
    if (this.#config.log.requests && this.log.isLevelEnabled(level)) this.#logStream.write(requestLine(record, level, this.#wallNow()))
    this.#requestFile?.sink.write(`${JSON.stringify(record)}\n`)
  }

  reloaded(result: 'applied' | 'rejected'): void {
    this.#metrics.counter('sluice_config_reloads_total').child(result).add(1)
    this.#metrics.gauge('sluice_config_last_reload_success').set(result === 'applied' ? 1 : 0)
  }

  audit(entry: AuditEntry): void {
    this.log.info(entry, 'audit')
    this.#auditFile?.sink.write(`${JSON.stringify({ time: new Date(this.#wallNow()).toISOString(), ...entry })}\n`)
  }

  refused(id: RequestId, tenant: TenantName, reason: string): void {
    if (this.#auditFile === undefined) return
    const entry: AuditEntry = { action: 'admission', actor: tenant, subject: id, result: 'refused', detail: reason }
    this.#auditFile.sink.write(`${JSON.stringify({ time: new Date(this.#wallNow()).toISOString(), ...entry })}\n`)
  }

  /** One text at a time: a reader that comes meanwhile gets the one that is being made. */
  metricsText(): Promise<Buffer> {
    this.#text ??= this.#makeText().finally(() => { this.#text = undefined })
    return this.#text
  }

  reopen(): void {
    this.#requestFile?.sink.reopen()
    this.#auditFile?.sink.reopen()
  }

  async close(): Promise<void> {
    await Promise.all([this.#otlp?.close(), this.#requestFile?.sink.close(), this.#auditFile?.sink.close(), this.#stdout?.close()])
  }

  async #makeText(): Promise<Buffer> {
    await this.#turns.do(collectGauges({ metrics: this.#metrics, ledger: this.ledger, config: this.#config, sources: this.#sources, nowMs: this.#now() }))
    return this.#exposition.render()
  }

  #configureOtlp(endpoint: string | undefined): void {
    if (this.#otlp?.endpoint === endpoint) return
    void this.#otlp?.close()
    this.#otlp = undefined
    if (endpoint === undefined) return
    const exports = this.#metrics.counter('sluice_otlp_exports_total')
    for (const signal of ['traces', 'metrics']) for (const result of ['done', 'failed']) exports.child(signal, result)
    this.#otlp = new OtlpExport(
      { endpoint, version: this.#version, labels: this.#labels, onExport: (signal, ok) => { exports.child(signal, ok ? 'done' : 'failed').add(1) } },
      (error) => { this.log.error({ err: error }, 'OpenTelemetry cannot be loaded; nothing is exported') })
  }

  /** The file of `path`, left open where it is the same one as before. */
  #openFile(before: LogFile | undefined, path: string | undefined, name: 'requests' | 'audit'): LogFile | undefined {
    if (before?.path === path) return before
    void before?.sink.close()
    if (path === undefined) return undefined
    const sink = openFile(path, () => this.#dropped(name),
      (error) => this.log.error({ file: path, error: error.message }, 'a log file cannot be written; lines are lost until it can and the gateway is told to open it anew'))
    return { path, sink }
  }

  #dropped(sink: 'log' | 'requests' | 'audit', lines = 1): void {
    this.#metrics.counter('sluice_log_lines_dropped_total').child(sink).add(lines)
  }
}
