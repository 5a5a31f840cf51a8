import { execFileSync, spawn } from 'node:child_process'
import { cpus } from 'node:os'

/**
 * Lets no core fall asleep while this process lives: on every one a loop runs that yields to all else. The core of a virtual machine that has
 * nothing to do is given to others, and comes back milliseconds late.
 */
export function keepCoresAwake (): void {
  for (let core = 0; core < cpus().length; core++) {
    const loop = spawn('chrt', ['-i', '0', 'taskset', '-c', String(core), 'sh', '-c', 'while kill -0 $0 2>/dev/null; do :; done', String(process.pid)], { stdio: 'ignore' })
    loop.unref()
    // Where these programs are not, it is as it was.
    loop.on('error', () => {})
    process.once('exit', () => { loop.kill() })
  }
}

/**
 * In front of a command: its main thread goes ahead of other programs. Its helper threads, which compile and collect garbage, do not: at the same
 * right they would keep the main thread from its core until they were done.
 */
export const FIRST = allowed() ? ['chrt', '--reset-on-fork', '-r', '20'] : []

function allowed (): boolean {
  try {
    execFileSync('chrt', ['-r', '20', 'true'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
