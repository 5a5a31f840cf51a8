/** Entry of a worker thread: runs the simulations that it is sent, one after the other. */
import { parentPort, workerData } from 'node:worker_threads'
import { simulate, type RunSpec, type Workload } from '../../simulator/index.js'

export interface Job {
  readonly id: number
  /** The workload, which may be large, came once with the thread. */
  readonly spec: Omit<RunSpec, 'workload'>
}

const { workload } = workerData as { workload: Workload }

parentPort!.on('message', ({ id, spec }: Job) => {
  parentPort!.postMessage({ id, result: simulate({ ...spec, workload }) })
})
