import { ConfigError, configFrom, watchConfig, type Config, type ConfigWatch } from '../../config/index.js'
import { Failure } from '../command.js'
import { startDemo, type Demo } from '../serve/demo.js'
import { startGateway, type Gateway } from '../serve/gateway.js'
import { readServeFlags } from '../serve/settings.js'
import type { Io } from '../process.js'
import { version } from '../version.js'

export const name = 'serve'
export const summary = 'run the gateway'
export const help = `Usage: sluice [serve] [--config FILE | --backend URL... | --demo] [flags]

Runs the gateway until SIGTERM or SIGINT: then it refuses new requests, lets running ones finish (timeouts.drain) and ends.
With --config it reloads when the file, or a file that it names, changes, and on SIGHUP; a file that is not valid leaves the
old configuration in force. The log goes to stdout as JSON lines.

  -c, --config FILE      the configuration; see 'sluice check'
  -b, --backend URL      a model server, as often as you like, and no file needed
      --engine NAME      what those servers are: vllm, tgi, sglang, trtllm, llamacpp, ollama, openai
      --demo             in front of an emulated fleet of 3 vLLM and 1 TGI; with --config, that file's classes and routes
      --host HOST        address of the data plane; other than this machine's own needs 'auth' in the file
  -p, --port PORT        port of the data plane; 0 = any free one
      --admin-port PORT  port of the admin plane; 0 = any free one
      --admission MODE   off, observe or enforce
      --log-level LEVEL  silent, error, warn, info, debug or trace
  -h, --help             this page

Flags override the file.

Examples
  sluice --backend http://localhost:8000 --engine vllm
  sluice --config sluice.yaml --admission enforce
`

export const run = async (args: string[], io: Io): Promise<number> => {
  const settings = readServeFlags(args)
  const demo = settings.demo ? await startDemo(io) : undefined
  let following: Following | undefined
  try {
    const overrides = demo === undefined ? settings.overrides : { ...settings.overrides, pools: demo.pools }
    following = settings.file === undefined
      ? { config: demo === undefined ? configFrom(overrides) : configFrom(demo.defaults, { overrides }), reload: async () => { throw new Failure('there is no file to read again: the configuration came from flags') }, close: () => {}, attach: () => {} }
      : await follow(settings.file, overrides, io)
    if (Object.keys(following.config.pools).length === 0) throw new Failure(`${settings.file ?? 'the configuration'} has no pools, so there is nothing to stand in front of; add one, or try --demo`)
    const gateway = await startGateway(following.config, io, await version(), following.reload)
    following.attach(gateway)
    io.err(banner(gateway, demo))
    return await untilStopped(following, gateway, io)
  } finally {
    following?.close()
    await demo?.stop()
  }
}

/** A configuration that may change while the gateway runs. */
interface Following {
  readonly config: Config
  /** Rejects, with a message for people, where the old one stays. */
  readonly reload: () => Promise<void>
  close(): void
  attach(gateway: Gateway): void
}

const follow = async (file: string, overrides: Readonly<Record<string, unknown>>, io: Io): Promise<Following> => {
  let gateway: Gateway | undefined
  let fault: Error | undefined
  const rejected = (error: Error) => {
    fault = error
    gateway?.telemetry.reloaded('rejected')
    gateway?.telemetry.log.error({ problems: error instanceof ConfigError ? error.problems : undefined }, `the configuration in force stays: ${error.message}`)
  }
  const watch: ConfigWatch = await watchConfig(file, {
    environment: io.env,
    overrides,
    onError: rejected,
    onChange (config) {
      try {
        gateway?.configure(config)
        fault = undefined
        gateway?.telemetry.reloaded('applied')
        gateway?.telemetry.log.info({ file }, 'configuration loaded')
      } catch (error) {
        rejected(error as Error)
      }
    },
  })
  return {
    config: watch.config,
    reload: async () => {
      await watch.reload()
      if (fault !== undefined) throw fault
    },
    close: () => { watch.close() },
    attach: started => { gateway = started },
  }
}

/**
 * Resolves with the exit code when the gateway has drained and stopped. From the first signal on, a second one has its
 * default action: the end, at once. An error that nobody caught leaves an unknown state behind: what runs may finish, and
 * then the process ends for its supervisor to start anew.
 */
const untilStopped = async (following: Following, gateway: Gateway, io: Io): Promise<number> => {
  const offs = [io.onSignal('SIGHUP', () => {
    gateway.telemetry.reopen()
    // What goes wrong is in the log already.
    following.reload().catch(() => {})
  })]
  const code = await new Promise<number>(resolve => {
    const stop = () => { resolve(0) }
    offs.push(io.onSignal('SIGTERM', stop), io.onSignal('SIGINT', stop))
    io.onFault(error => {
      gateway.telemetry.log.fatal({ err: error }, 'an error that nobody caught; draining, then ending')
      resolve(1)
    })
  })
  for (const off of offs) off()
  io.err('sluice: draining; once more to end at once\n')
  await gateway.stop()
  return code
}

const banner = (gateway: Gateway, demo: Demo | undefined): string => [
  demo === undefined ? 'Sluice serves.' : `Sluice serves a demo: 3 vLLM and 1 TGI, all emulated, with ${demo.model}.`,
  '',
  `  data plane   ${gateway.dataUrl}`,
  `  admin plane  ${gateway.adminUrl}   / is the dashboard; /metrics, /health/ready, /api/state, /api/requests`,
  ...(demo === undefined ? [] : [
    '',
    'Ask it something:',
    '',
    `  curl -N ${gateway.dataUrl}/v1/chat/completions -H 'content-type: application/json' \\`,
    `    -d '{"model":"${demo.model}","stream":true,"max_tokens":40,"messages":[{"role":"user","content":"Hello"}]}'`,
  ]),
  '', '',
].join('\n')
