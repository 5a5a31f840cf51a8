import { EMULATED_ENGINES, METRIC_NAMES, startEmulator, readFaultPlan, type Emulator, type FaultPlan } from '../../emulator/index.js'
import { ENGINE_PRESETS, type EngineLimits, type EnginePreset } from '../../simulator/engine/index.js'
import { Failure, UsageError } from '../command.js'
import { choiceFlag, numberFlag, parseFlags } from '../flags.js'
import type { Io } from '../process.js'

const PRESETS = Object.keys(ENGINE_PRESETS) as EnginePreset[]

export const name = 'emulate'
export const summary = 'a model server that behaves like vLLM or TGI, without a model'
export const help = `Usage: sluice emulate [--engine vllm|tgi] [--port PORT] [flags]

Serves the HTTP interface of a real model server on a timing model of one: continuous batching, chunked prefill, KV memory,
prefix cache, limits, metrics. The words are made up, but the same after the same prompt on every emulated server of a model.
Runs until SIGINT or SIGTERM.

  --engine NAME          ${EMULATED_ENGINES.join(' or ')}; default vllm
  --preset NAME          hardware and model: ${PRESETS.join(' or ')}; default ${PRESETS[0]}
  --model NAME           the model's name; default by preset
  --host HOST            default 127.0.0.1
  --port PORT            default 8000; 0 = any free port
  --count N              so many servers on successive ports; default 1
  --speed FACTOR         everything takes 1/FACTOR of the time; default 1
  --noise RATIO          standard deviation of step times, as a share; default 0
  --seed N               of noise and faults; default a fresh one
  --max-model-len N      context length in tokens; default 131072
  --max-inflight N       refuse what would be more inside; default none for vllm, 128 for tgi
  --max-queued-tokens N  refuse when more prompt tokens would wait; default none
  --kv-tokens N          KV memory; default ${ENGINE_PRESETS['a100-8b'].limits.kvCapacityTokens}
  --metric-names WHICH   ${METRIC_NAMES.join(', ')}: vLLM's names changed in 2025; default new
  --cached-tokens        report cached prompt tokens in usage
  --faults JSON          a fault plan to start with; see POST /emulator/faults
  --json                 {"servers":[{"url","engine","model"}]} once ready
  -h, --help             this page

GET /emulator/state tells what is inside, what was done and what was wasted; POST /emulator/faults replaces the fault plan.

Examples
  sluice emulate --port 8001
  sluice emulate --engine tgi --preset 4xa100-70b --speed 4
  sluice emulate --faults '{"rules":[{"kind":"stall","probability":0.1,"afterTokens":5}]}'
`

const FLAGS = {
  'engine': { type: 'string', default: 'vllm' },
  'preset': { type: 'string', default: PRESETS[0] as string },
  'model': { type: 'string' },
  'host': { type: 'string', default: '127.0.0.1' },
  'port': { type: 'string', default: '8000' },
  'count': { type: 'string', default: '1' },
  'speed': { type: 'string', default: '1' },
  'noise': { type: 'string', default: '0' },
  'seed': { type: 'string' },
  'max-model-len': { type: 'string' },
  'max-inflight': { type: 'string' },
  'max-queued-tokens': { type: 'string' },
  'kv-tokens': { type: 'string' },
  'metric-names': { type: 'string', default: 'new' },
  'cached-tokens': { type: 'boolean', default: false },
  'faults': { type: 'string' },
  'json': { type: 'boolean', default: false }
} as const

export const run = async (args: string[], io: Io): Promise<number> => {
  const { values } = parseFlags(args, FLAGS)
  const optional = (flag: 'max-model-len' | 'max-inflight' | 'max-queued-tokens' | 'kv-tokens'): number | undefined => {
    const text = values[flag]
    return text === undefined ? undefined : numberFlag(flag, text, { min: 1, integer: true })
  }
  const port = numberFlag('port', values.port, { min: 0, max: 65_535, integer: true })
  const count = numberFlag('count', values.count, { min: 1, max: 256, integer: true })
  const seed = values.seed === undefined ? io.seed() : numberFlag('seed', values.seed, { min: 0, integer: true })
  const [maxModelTokens, maxInflight, maxQueuedPromptTokens, kvCapacityTokens] = [optional('max-model-len'), optional('max-inflight'), optional('max-queued-tokens'), optional('kv-tokens')]
  const limits: Partial<EngineLimits> = {
    ...(maxInflight === undefined ? {} : { maxInflight }),
    ...(maxQueuedPromptTokens === undefined ? {} : { maxQueuedPromptTokens }),
    ...(kvCapacityTokens === undefined ? {} : { kvCapacityTokens })
  }
  const options = {
    engine: choiceFlag('engine', values.engine, EMULATED_ENGINES),
    preset: choiceFlag('preset', values.preset, PRESETS),
    clock: io.clock,
    host: values.host,
    speed: numberFlag('speed', values.speed, { min: 0.001 }),
    noise: numberFlag('noise', values.noise, { min: 0, max: 1 }),
    metricNames: choiceFlag('metric-names', values['metric-names'], METRIC_NAMES),
    promptTokensDetails: values['cached-tokens'],
    limits,
    ...(values.model === undefined ? {} : { model: values.model }),
    ...(maxModelTokens === undefined ? {} : { maxModelTokens }),
    ...(values.faults === undefined ? {} : { faults: faultPlan(values.faults) })
  }
  const servers: Emulator[] = []
  try {
    for (let i = 0; i < count; i++) servers.push(await startEmulator({ ...options, seed: seed + i, port: port === 0 ? 0 : port + i }))
    const { model } = servers[0]!.control.state()
    if (values.json) io.out(`${JSON.stringify({ servers: servers.map(({ url }) => ({ url, engine: options.engine, model })) })}\n`)
    else for (const { url } of servers) io.out(`${options.engine} with ${model} (${options.preset}) on ${url}\n`)
    await stopSignal(io)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === 'listen') throw new Failure(`${(error as Error).message}: choose another --port or --host`)
    throw error
  } finally {
    await Promise.all(servers.map(async server => { await server.stop() }))
  }
  return 0
}

const faultPlan = (text: string): FaultPlan => {
  try {
    return readFaultPlan(JSON.parse(text))
  } catch (error) {
    throw new UsageError(`'--faults' takes a fault plan as JSON: ${(error as Error).message}`)
  }
}

const stopSignal = async (io: Io): Promise<void> => {
  await new Promise<void>(resolve => {
    const offs = (['SIGINT', 'SIGTERM'] as const).map(signal => io.onSignal(signal, () => {
      for (const off of offs) off()
      resolve()
    }))
  })
}
