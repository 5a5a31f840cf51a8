import { spawnSync } from 'node:child_process'

/** Is there such a command on this machine? Says so by its own `--version`. */
export const isInstalled = (command: string): boolean => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
