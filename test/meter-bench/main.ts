/**
 * `npm run bench:meter`: what metering costs per event and reading a request costs per body, on one core: medians over
 * repetitions, `--json` for programs.
 */
import { createStreamMeter, endpointOf, readRequestFields, type Dialect } from '../../src/protocol/index.js'

const REPETITIONS = 15
const EVENTS = 50_000

const chat = (delta: object): string => JSON.stringify({
  id: 'chatcmpl-0123456789abcdef0123456789abcdef', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'meta-llama/Llama-3.1-8B-Instruct',
  choices: [{ index: 0, delta, logprobs: null, finish_reason: null }],
})
const event = (data: string, name?: string): Buffer => Buffer.from(`${name === undefined ? '' : `event: ${name}\n`}data: ${data}\n\n`)

const STREAMS: ReadonlyArray<{ name: string, dialect: Dialect, event: Buffer }> = [
  { name: 'vLLM chat', dialect: 'openai-chat', event: event(chat({ content: ' token' })) },
  { name: 'vLLM chat, usage: null', dialect: 'openai-chat', event: event(chat({ content: ' token' }).replace(/}$/, ',"usage":null}')) },
  { name: 'tool call', dialect: 'openai-chat', event: event(chat({ tool_calls: [{ index: 0, function: { arguments: '{"path": "' } }] })) },
  { name: 'TGI', dialect: 'tgi-generate', event: event(JSON.stringify({ index: 7, token: { id: 1234, text: ' token', logprob: -0.12345678, special: false }, generated_text: null, details: null })) },
  { name: 'Anthropic', dialect: 'anthropic-messages', event: event(JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: ' token' } }), 'content_block_delta') },
]

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!
const timed = (work: () => void): number => {
  const startedMs = performance.now()
  work()
  return performance.now() - startedMs
}

const rows = STREAMS.map(({ name, dialect, event }) => {
  const whole: number[] = []
  const cut: number[] = []
  const [head, tail] = [event.subarray(0, 60), event.subarray(60)]
  for (let k = 0; k < REPETITIONS; k++) {
    const meter = createStreamMeter(dialect, { stripUsage: true })
    whole.push(timed(() => { for (let i = 0; i < EVENTS; i++) meter.push(event) }) * 1e6 / EVENTS)
    const other = createStreamMeter(dialect, { stripUsage: false })
    cut.push(timed(() => {
      for (let i = 0; i < EVENTS; i++) {
        other.push(head)
        other.push(tail)
      }
    }) * 1e6 / EVENTS)
  }
  return { name, bytes: event.length, ns_per_event: Math.round(median(whole)), ns_per_cut_event: Math.round(median(cut)) }
})

const sentence = 'The quick brown fox "jumps" over\nthe lazy dog; naïve façade, 12 times. '
const bodies = [1_000, 32_000, 1_000_000].map(bytes => {
  const body = Buffer.from(JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: sentence.repeat(Math.ceil(bytes / sentence.length)) }] }))
  const endpoint = endpointOf('POST', '/v1/chat/completions')!
  const rounds = Math.max(1, Math.round(300_000 / bytes))
  const times: number[] = []
  for (let k = 0; k < 3 * REPETITIONS; k++) times.push(timed(() => { for (let i = 0; i < rounds; i++) readRequestFields(endpoint, body) }) / rounds)
  return { bytes: body.length, ms_per_body: Number(median(times).toFixed(4)) }
})

if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ meter: rows, bodies })}\n`)
else {
  process.stdout.write('Metering, nanoseconds per event (event whole in its chunk; cut in two)\n')
  for (const row of rows) process.stdout.write(`  ${row.name.padEnd(24)} ${String(row.bytes).padStart(4)} bytes ${String(row.ns_per_event).padStart(6)} ${String(row.ns_per_cut_event).padStart(6)}\n`)
  process.stdout.write('Reading a request, milliseconds per body\n')
  for (const row of bodies) process.stdout.write(`  ${String(row.bytes).padStart(8)} bytes ${row.ms_per_body.toFixed(4).padStart(8)}\n`)
}
