import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
/** A full collection of garbage. */
export const collect = runInNewContext('gc') as () => void

/** What is reachable, in MiB. */
export const heapMiB = (): number => {
  collect()
  return process.memoryUsage().heapUsed / 2 ** 20
}
