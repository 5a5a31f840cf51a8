// OpenTelemetry over sockets: the whole program, a receiver that is a process of its own, and servers that see what they are sent.
import { spawn } from 'node:child_process'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { serve } from '../helpers/program.js'

interface Value { stringValue?: string, intValue?: number | string, doubleValue?: number }
interface Attribute { key: string, value: Value }
interface Span { name: string, kind: number, traceId: string, spanId: string, parentSpanId?: string, startTimeUnixNano: string, endTimeUnixNano: string, attributes: Attribute[], status: { code: number } }
interface Point { count: number | string, sum: number, explicitBounds: number[], attributes: Attribute[] }
interface Seen {
  traces: { resource: { attributes: Attribute[] }, scopeSpans: { spans: Span[] }[] }[]
  metrics: { scopeMetrics: { metrics: { name: string, unit: string, histogram?: { dataPoints: Point[] } }[] }[] }[]
  faults: string[]
}

const attributesOf = ({ attributes }: { attributes: Attribute[] }) => Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue ?? value.doubleValue)]))

async function receiver(t: Test, ...args: string[]): Promise<{ url: string, seen(): Promise<Seen>, stop(): void }> {
  const child = spawn(process.execPath, ['test/helpers/otlp-receiver.js', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const url = await new Promise<string>((resolve) => { child.stdout.once('data', (chunk) => { resolve(String(chunk).trim()) }) })
  return { url, seen: async () => await (await fetch(url)).json() as Seen, stop: () => { child.kill('SIGKILL') } }
}

/** Two servers that stream three tokens. While `failing` is above zero, a request's connection is cut instead. */
async function upstreams(t: Test) {
  const state = { failing: 0, headers: [] as IncomingHttpHeaders[] }
  const urls = await Promise.all([1, 2].map(async () => {
    const server = createServer((request, response) => {
      request.resume()
      if (request.method === 'GET') return response.end('{"data":[]}')
      state.headers.push(request.headers)
      if (state.failing > 0) {
        state.failing--
        return request.socket.destroy()
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const word of ['a', 'b', 'c']) response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: word } }] })}\n\n`)
      response.end(`data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3 } })}\n\ndata: [DONE]\n\n`)
    })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    t.teardown(() => { server.closeAllConnections(); server.close() })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }))
  return { state, urls }
}

const configOf = (urls: readonly string[], endpoint: string) => ({
  pools: { main: { backends: urls.map((url) => ({ url, models: ['llama'] })) } },
  classes: { chat: { ttft: '30s' } },
  routes: [{ match: {}, class: 'chat' }],
  // A machine that is slow with other tests is not the gateway's saturation.
  limits: { event_loop_lag: '0s' },
  telemetry: { otlp_endpoint: endpoint },
})

async function ask(url: string, headers: Record<string, string> = {}): Promise<number> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'llama', stream: true, messages: [{ role: 'user', content: 'CANARY text of a prompt' }] }),
  })
  await answer.text()
  return answer.status
}

t.test('a request is a span in its caller\'s trace, with its phases and attempts below it', async (t) => {
  const { url: endpoint, seen } = await receiver(t)
  const { state, urls } = await upstreams(t)
  const program = await serve(t, configOf(urls, endpoint))
  const traceId = 'a'.repeat(32), callerId = 'b'.repeat(16)
  state.failing = 1
  t.equal(await ask(program.url, { traceparent: `00-${traceId}-${callerId}-01` }), 200)
  t.equal(await ask(program.url), 200)
  t.equal(await ask(program.url, { traceparent: `00-${'c'.repeat(32)}-${callerId}-00` }), 200)
  t.equal(await program.stop(), 0)

  const { traces, metrics, faults } = await seen()
  t.same(faults, [])
  t.match(attributesOf(traces[0]!.resource), { 'service.name': 'sluice', 'service.version': /\d/ })
  const spans = traces.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans))
  const own = spans.filter((span) => span.traceId === traceId)
  t.same(own.map(({ name }) => name).sort(), ['attempt', 'attempt', 'chat llama', 'decode', 'prefill', 'queue'])
  const root = own.find(({ name }) => name === 'chat llama')!
  t.equal(root.parentSpanId, callerId)
  t.equal(root.kind, 2, 'a server\'s span')
  t.match(attributesOf(root), {
    'gen_ai.operation.name': 'chat', 'gen_ai.system': 'sluice', 'gen_ai.request.model': 'llama', 'gen_ai.usage.input_tokens': 7, 'gen_ai.usage.output_tokens': 3,
    'http.response.status_code': 200, 'sluice.class': 'chat', 'sluice.outcome': 'met', 'sluice.pool': 'main', 'sluice.attempts': 2,
  })
  const attempts = own.filter(({ name }) => name === 'attempt')
  t.same(attempts.map((span) => [span.parentSpanId, attributesOf(span)['sluice.attempt.result']]), [[root.spanId, 'fault'], [root.spanId, 'success']])
  t.same(state.headers.slice(0, 2).map(({ traceparent }) => traceparent), attempts.map(({ spanId }) => `00-${traceId}-${spanId}-01`), 'each backend continues its own attempt')
  for (const name of ['prefill', 'decode']) t.equal(own.find((span) => span.name === name)!.parentSpanId, attempts[1]!.spanId)
  for (const span of own) {
    t.ok(BigInt(span.startTimeUnixNano) >= BigInt(root.startTimeUnixNano) && BigInt(span.endTimeUnixNano) <= BigInt(root.endTimeUnixNano), `${span.name} lies within the request`)
  }
  const fresh = spans.filter((span) => span.traceId !== traceId)
  t.equal(fresh.find(({ name }) => name === 'chat llama')!.parentSpanId ?? '', '', 'without a caller a trace begins')
  t.match(state.headers[2]!.traceparent, new RegExp(`^00-${fresh[0]!.traceId}-[0-9a-f]{16}-01$`))
  t.equal(spans.some((span) => span.traceId === 'c'.repeat(32)), false, 'a caller that is not sampled is not recorded')
  t.match(state.headers[3]!.traceparent, /^00-c{32}-[0-9a-f]{16}-00$/)

  const histograms = new Map(metrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics)).map((metric) => [metric.name, metric]))
  for (const [name, unit, first, count] of [
    ['gen_ai.server.time_to_first_token', 's', 0.001, 16], ['gen_ai.server.time_per_output_token', 's', 0.01, 13],
    ['gen_ai.server.request.duration', 's', 0.01, 14], ['gen_ai.client.token.usage', '{token}', 1, 14],
  ] as const) {
    const metric = histograms.get(name)
    t.equal(metric?.unit, unit, name)
    t.equal(metric?.histogram?.dataPoints[0]?.explicitBounds[0], first)
    t.equal(metric?.histogram?.dataPoints[0]?.explicitBounds.length, count)
    t.equal(Number(metric?.histogram?.dataPoints[0]?.count), 3)
  }
  const usage = histograms.get('gen_ai.client.token.usage')!.histogram!.dataPoints
  t.same(usage.map((point) => [attributesOf(point)['gen_ai.token.type'], point.sum]).sort(), [['input', 21], ['output', 9]])
  t.notMatch(JSON.stringify({ traces, metrics }), /CANARY/, 'no text of a prompt')
})

t.test('a receiver that hangs, and one that is not there, hold nobody up', async (t) => {
  const { urls } = await upstreams(t)
  const hanging = await receiver(t, '--hang')
  await Promise.all([hanging.url, 'http://127.0.0.1:1'].map(async (endpoint) => {
    const program = await serve(t, configOf(urls, endpoint))
    for (let round = 0; round < 10; round++) t.same(await Promise.all(Array.from({ length: 40 }, () => ask(program.url))), Array.from({ length: 40 }, () => 200))
    const failed = async () => /^sluice_otlp_exports_total\{signal="traces",result="failed"\} ([1-9]\d*)$/m.test(await (await fetch(`${program.admin}/metrics`)).text())
    while (!await failed()) await pause(100)
    t.equal(await program.stop(), 0, 'and it ends')
  }))
})
