// Measures the goodput of a gateway: the one whose URL is given, with the flags of `sluice bench`, or else a demo started for it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const SLUICE = new URL('../dist/cli/main.js', import.meta.url).pathname
const DEMO_LOAD = ['--workload', 'chat', '--rate', '4', '--warmup', '2s', '--duration', '20s', '--cooldown', '2s']

const given = process.argv.slice(2)
const measure = async args => {
  const [code] = await once(spawn(process.execPath, [SLUICE, 'bench', ...args], { stdio: 'inherit' }), 'exit')
  process.exitCode = code ?? 1
}

if (given.some(argument => /^https?:/.test(argument)) || given.includes('--help')) {
  await measure(given)
} else {
  const demo = spawn(process.execPath, [SLUICE, '--demo', '--port', '0', '--admin-port', '0'], { stdio: ['ignore', 'pipe', 'pipe'] })
  const gone = once(demo, 'exit')
  try {
    let text = ''
    const url = await new Promise((resolve, reject) => {
      const read = piece => {
        text += piece
        const found = /data plane +(http\S+)/.exec(text)
        if (found !== null) resolve(found[1])
      }
      demo.stdout.on('data', read)
      demo.stderr.on('data', read)
      gone.then(() => { reject(new Error(`the demo did not start:\n${text}`)) })
    })
    await measure([url, ...DEMO_LOAD, ...given])
  } finally {
    demo.kill()
    await gone
  }
}
