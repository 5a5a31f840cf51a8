import { Worker } from 'node:worker_threads'
import { setImmediate } from 'node:timers/promises'
import { simulate, type RunCell, type RunResult, type RunSpec, type Workload } from '../../simulator/index.js'
import type { Job } from './worker.js'

export interface Runner {
  readonly run: RunCell
  close(): Promise<void>
}

/** Runs in this thread, and lets others have a turn between two simulations. */
export function inlineRunner(): Runner {
  return {
    run: async spec => {
      await setImmediate()
      return simulate(spec)
    },
    close: async () => {},
  }
}

interface Waiting { readonly spec: RunSpec, readonly done: (result: RunResult) => void, readonly failed: (error: Error) => void }

/** Runs on `threads` worker threads, first come, first served. All specs must be of `workload`. */
export function threadedRunner(threads: number, workload: Workload): Runner {
  const queue: Waiting[] = []
  const busy = new Map<Worker, Waiting>()
  const idle: Worker[] = []
  let jobs = 0
  const next = (worker: Worker): void => {
    const waiting = queue.shift()
    if (waiting === undefined) {
      idle.push(worker)
      return
    }
    busy.set(worker, waiting)
    const { workload: _known, ...spec } = waiting.spec
    worker.postMessage({ id: jobs++, spec } satisfies Job)
  }
  const workers = Array.from({ length: threads }, () => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { workload } })
    worker.on('message', ({ result }: { result: RunResult }) => {
      busy.get(worker)?.done(result)
      busy.delete(worker)
      next(worker)
    })
    worker.on('error', error => {
      busy.get(worker)?.failed(error)
      for (const waiting of queue.splice(0)) waiting.failed(error)
    })
    idle.push(worker)
    return worker
  })
  return {
    run: async spec => await new Promise((done, failed) => {
      if (spec.workload !== workload) throw new Error(`these threads run ${workload.name} as they were given it; make others for another workload`)
      queue.push({ spec, done, failed })
      const worker = idle.pop()
      if (worker !== undefined) next(worker)
    }),
    close: async () => {
      await Promise.all(workers.map(async worker => await worker.terminate()))
    },
  }
}
