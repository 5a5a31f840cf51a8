// The rest of an answer that a backend broke off: the client has part of it, so it waits for whoever can go on.
import t from 'tap'
import { Drive } from './support/drive.js'
import { backend, options, serviceClass } from './support/fleet.js'

const NAMES = ['a', 'b', 'c', 'd']
const LATER_MS = 1_000_000

/** A stream that backend `a` has begun. */
function begun(over: Parameters<typeof options>[1] = {}, names = NAMES) {
  const drive = new Drive(options('least-requests', { backends: names.map((id) => backend(id)), ...over }))
  for (const id of names.slice(1)) drive.send({ type: 'backend_state', backend: id, state: 'down' })
  drive.arrive('r')
  for (const id of names.slice(1)) drive.send({ type: 'backend_state', backend: id, state: 'up' })
  drive.at(50).send({ type: 'first_token', id: 'r' })
  const state = (id: string, to: 'up' | 'down' | 'degraded') => drive.send({ type: 'backend_state', backend: id, state: to })
  const breaks = (untilMs = LATER_MS) => drive.send({ type: 'retry', id: 'r', verdict: 'fault', continuesUntilMs: untilMs })
  return { drive, state, breaks }
}

t.test('while every backend is down, the rest of an answer waits for the first that returns', async (t) => {
  const { drive, state, breaks } = begun()
  for (const id of NAMES) state(id, 'down')
  t.same(drive.at(100).arrive('new').map(({ type }) => type), ['reject'], 'what has not begun is refused at once')
  t.same(breaks(), [])
  t.match(drive.at(3000).send({ type: 'backend_state', backend: 'c', state: 'up' }), [{ type: 'dispatch', id: 'r', backend: 'c' }])
})

t.test('where the one that it waits for goes down, it turns to those that failed it before', async (t) => {
  const { drive, state, breaks } = begun({ backends: [backend('a'), backend('b', { maxInflight: 1 })] }, ['a', 'b'])
  state('a', 'down')
  drive.arrive('other')
  state('a', 'up')
  t.same(breaks(), [], 'b has no room')
  t.match(state('b', 'down'), [{ type: 'dispatch', id: 'r', backend: 'a' }])
})

t.test('its wait has an end: the time of its class in the queue, or its own', async (t) => {
  for (const [untilMs, endsAtMs] of [[LATER_MS, 5050], [2000, 2000]] as const) {
    const { drive, state, breaks } = begun({ classes: [serviceClass('default', { maxQueueMs: 5000 })] })
    for (const id of NAMES) state(id, 'down')
    t.same(breaks(untilMs), [])
    t.same(drive.at(endsAtMs - 1).send({ type: 'tick' }), [])
    t.match(drive.at(endsAtMs).send({ type: 'tick' }), [{ type: 'expire', id: 'r', reason: 'queue_expired' }])
  }
})

t.test('it goes to a backend that is whole, if it must wait for a place there, and not to one that is being probed', async (t) => {
  const { drive, state, breaks } = begun({ backends: [backend('a'), backend('b', { maxInflight: 1 }), backend('c')] }, ['a', 'b', 'c'])
  state('a', 'down')
  state('c', 'down')
  drive.arrive('other')
  t.equal(drive.backendOf('other'), 'b')
  state('c', 'degraded')
  t.same(breaks(), [])
  t.match(drive.at(60).arrive('new'), [{ type: 'dispatch', id: 'new', backend: 'c' }], 'others probe')
  drive.send({ type: 'end', id: 'new', verdict: 'fault' })
  t.match(drive.at(70).send({ type: 'end', id: 'other', verdict: 'success' }), [{ type: 'dispatch', id: 'r', backend: 'b' }])
})

t.test('where nobody is whole it is what probes', async (t) => {
  const { state, breaks } = begun()
  for (const id of NAMES) state(id, 'down')
  breaks()
  t.match(state('d', 'degraded'), [{ type: 'dispatch', id: 'r', backend: 'd' }])
})

t.test('who failed it is asked again once it has answered somebody whom it was given since', async (t) => {
  const { drive, breaks } = begun({ backends: [backend('a'), backend('b', { maxInflight: 1 })] }, ['a', 'b'])
  drive.arrive('first')
  drive.arrive('second')
  t.same([drive.backendOf('first'), drive.backendOf('second')], ['b', 'a'])
  drive.at(100)
  t.same(breaks(), [], 'b has no room')
  t.same(drive.at(110).send({ type: 'end', id: 'second', verdict: 'success' }), [], 'what it was given before proves nothing')
  drive.at(120).arrive('third')
  t.equal(drive.backendOf('third'), 'a')
  t.match(drive.at(200).send({ type: 'end', id: 'third', verdict: 'success' }), [{ type: 'dispatch', id: 'r', backend: 'a' }])
})
