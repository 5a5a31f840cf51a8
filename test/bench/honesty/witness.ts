/**
 * A witness of one core in a process of its own: sleeps half a millisecond over and over, ahead of every other program, and notes
 * when it was woken late. It has nothing to do, so when it does not run the machine lets nothing run. On any message it tells what it saw.
 */
import { execFileSync } from 'node:child_process'
import { monotonicMs } from './monotonic.js'

/** From and to, on the machine's monotonic clock, in milliseconds. */
export type Standstill = readonly [number, number]

const SLEEP_MS = 0.5
const LATE_MS = 0.3
const never = new Int32Array(new SharedArrayBuffer(4))
const seen: Standstill[] = []

execFileSync('taskset', ['-acp', process.argv[2]!, String(process.pid)], { stdio: 'ignore' })
// Without the right to go first it would call other programs' work a standstill.
execFileSync('chrt', ['-a', '-r', '-p', '50', String(process.pid)], { stdio: 'ignore' })

function look (): void {
  const beforeMs = performance.now()
  Atomics.wait(never, 0, 0, SLEEP_MS)
  const nowMs = performance.now()
  if (nowMs - beforeMs > SLEEP_MS + LATE_MS) seen.push([monotonicMs(beforeMs + SLEEP_MS), monotonicMs(nowMs)])
  setImmediate(look)
}
look()
process.on('message', () => { process.send!({ seen }, () => { process.exit() }) })
process.on('disconnect', () => { process.exit() })
