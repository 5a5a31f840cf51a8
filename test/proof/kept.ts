/** Runs that are done, a file each: a proof that was interrupted goes on where it was, and several in turn make one page. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadRunResult } from '../../src/bench/index.js'
import { Histogram } from '../../src/core/index.js'
import type { RunResult } from '../../src/simulator/index.js'
import type { LiveRun } from './setting.js'

/** One live run and what was predicted for it; undefined where nothing was. */
export interface ProofRun {
  readonly live: LiveRun
  readonly predicted: RunResult | undefined
}

/** What is not plain data is left out, or made again from the requests. */
type Plain = Omit<LoadRunResult, 'intervals' | 'sendLag'>
interface Kept { readonly conditions: object, readonly load: Plain, readonly cpu: LiveRun['cpu'], readonly predicted: RunResult | null }

export class KeptRuns {
  /** `folder`: undefined = nothing is kept beyond this process. */
  constructor(private readonly folder: string | undefined) {
    if (folder !== undefined) mkdirSync(folder, { recursive: true })
  }

  /** The run of that name, if it is there and was made under the same conditions. */
  read (name: string, conditions: object): ProofRun | undefined {
    if (this.folder === undefined) return undefined
    let text: string
    try {
      text = readFileSync(this.#path(name), 'utf8')
    } catch {
      return undefined
    }
    const kept = JSON.parse(text) as Kept
    if (JSON.stringify(kept.conditions) !== JSON.stringify(conditions)) return undefined
    return { live: { load: revived(kept.load), cpu: kept.cpu }, predicted: kept.predicted ?? undefined }
  }

  write (name: string, conditions: object, { live: { load, cpu }, predicted }: ProofRun): void {
    if (this.folder === undefined) return
    const { intervals: _, sendLag: __, ...plain } = load
    const kept: Kept = { conditions, load: plain, cpu, predicted: predicted ?? null }
    writeFileSync(this.#path(name), JSON.stringify(kept))
  }

  #path (name: string): string {
    return join(this.folder!, `${name}.json`)
  }
}

/** The same whether a run was kept or has just been made. */
export function revived (load: Plain): LoadRunResult {
  const sendLag = new Histogram()
  for (const { sent_ms, scheduled_ms } of load.rows) if (sent_ms !== null) sendLag.record(Math.max(0, sent_ms - scheduled_ms))
  return { ...load, intervals: new Map(load.classes.map(({ name }) => [name, new Histogram()])), sendLag }
}
