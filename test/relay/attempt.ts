import t, { type Test } from 'tap'
import { Attempt } from '../../src/relay/attempt.js'
import { Sweep } from '../../src/relay/sweep.js'
import type { Upstream } from '../../src/relay/upstream.js'
import type { AttemptOwner, ClientSide } from '../../src/relay/types.js'
import { event } from '../helpers/upstream.js'

const EVENT = event({ choices: [{ index: 0, delta: { content: 'a' } }] })
const clock = { now: () => 5 }
/** Takes the request; what is answered the tests say. */
const DEAF = { dispatch: () => {} } as unknown as Upstream
const LIMITS = { connectMs: 1e6, firstTokenMs: 1e6, idleMs: 1e6, writeStallMs: 1e6 }

/** An attempt whose backend answers with a stream, and what client and owner hear of it, in order. `readable`: the client's side makes sense of the bytes. */
function streaming (t: Test, readable: boolean) {
  const heard: string[] = []
  const client: ClientSide = {
    head: () => { heard.push('head') },
    write: () => { heard.push('bytes'); return true },
    hurry: () => { heard.push('hurry') },
    end: () => {}, answer: () => {}, cut: () => {},
    feeder: undefined, stalledForMs: () => 0, goesOn: () => true, garbled: !readable, whole: false,
  }
  const owner: AttemptOwner = {
    connected: () => {}, headers: out => out, progress: () => {}, writeStalled: () => {},
    firstToken: nowMs => { heard.push(`first token at ${nowMs}`) },
    tokens: () => { heard.push('tokens'); return -Infinity },
    attemptEnded: ({ verdict }) => { heard.push(verdict) },
    gaps: { record: () => {} },
  }
  const attempt = new Attempt({ method: 'POST', path: '/v1/chat/completions', headers: [], body: Buffer.alloc(0), dialect: 'openai-chat', stripUsage: false }, client, owner, LIMITS, 1e6, false, clock, new Sweep(clock))
  t.teardown(() => { attempt.abort() })
  attempt.start(DEAF)
  attempt.onConnect({ destroy: () => {} })
  attempt.onHeaders(200, ['content-type', 'text/event-stream'], () => {})
  return { heard, data: (text: string) => attempt.onData(Buffer.from(text), 0, text.length) }
}

t.test('a first token is on its way to the client before anybody else is told of it', async t => {
  const { heard, data } = streaming(t, true)
  data(EVENT)
  t.same(heard, ['head', 'bytes', 'hurry', 'first token at 5', 'tokens'])
  heard.length = 0
  data(EVENT)
  t.same(heard, ['tokens', 'bytes'], 'the next ones leave with those of others')
})

t.test('a first token that the head came before hurries as well', async t => {
  const { heard, data } = streaming(t, true)
  data('data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n')
  t.same(heard, ['head', 'bytes'])
  data(EVENT)
  t.same(heard.slice(2), ['bytes', 'hurry', 'first token at 5', 'tokens'])
})

t.test('an attempt that ends over its first token has none', async t => {
  const { heard, data } = streaming(t, false)
  data(EVENT)
  t.same(heard, ['head', 'bytes', 'fault'])
})
