import t from 'tap'
import type { AttemptVerdict } from '../../src/core/index.js'
import { Breaker, type BreakerState } from '../../src/fleet/breaker.js'

type Step =
  | readonly ['ended', AttemptVerdict, dispatchedAtMs: number, nowMs: number]
  | readonly ['progressed', dispatchedAtMs: number, nowMs: number]
  | readonly ['advance', nowMs: number]
  | readonly ['reset', nowMs: number]

const fault = (nowMs: number): Step => ['ended', 'fault', nowMs, nowMs]
const OPENED = [fault(1), fault(2), fault(3)]
const HALF = [...OPENED, ['advance', 1003]] as const

const TABLE: readonly (readonly [name: string, steps: readonly Step[], state: BreakerState])[] = [
  ['fewer faults than allowed', [fault(1), fault(2)], 'closed'],
  ['faults in a row', OPENED, 'open'],
  ['a success in between starts the count anew', [fault(1), fault(2), ['ended', 'success', 3, 3], fault(4), fault(5)], 'closed'],
  ['a bad request shows that the server answers', [fault(1), fault(2), ['ended', 'client_error', 3, 3], fault(4)], 'closed'],
  ['a busy server is not broken, and not proven well either', [fault(1), ['ended', 'backpressure', 2, 2], fault(3), ['ended', 'cancelled', 3, 3], fault(4)], 'open'],
  ['400s and 503s alone never open it', Array.from({ length: 100 }, (_, i): Step => ['ended', i % 2 === 0 ? 'client_error' : 'backpressure', i, i]), 'closed'],
  ['a first token does not wipe out faults: the stream may yet break', [fault(1), fault(2), ['progressed', 3, 3], fault(4)], 'open'],
  ['it stays open until its time has passed', [...OPENED, ['advance', 1002]], 'open'],
  ['then it is half open', HALF, 'half_open'],
  ['a probe that succeeds closes it', [...HALF, ['ended', 'success', 1004, 1010]], 'closed'],
  ['a probe\'s first token closes it', [...HALF, ['progressed', 1004, 1010]], 'closed'],
  ['a probe that faults opens it again', [...HALF, fault(1004)], 'open'],
  ['for the whole time again', [...HALF, fault(1004), ['advance', 2003]], 'open'],
  ['and then half open again', [...HALF, fault(1004), ['advance', 2004]], 'half_open'],
  ['a busy answer to a probe decides nothing', [...HALF, ['ended', 'backpressure', 1004, 1004]], 'half_open'],
  ['late news of attempts from before decide nothing: success', [...HALF, ['ended', 'success', 2, 1004]], 'half_open'],
  ['late news of attempts from before decide nothing: fault', [...HALF, ['ended', 'fault', 2, 1004]], 'half_open'],
  ['late news of attempts from before decide nothing: token', [...HALF, ['progressed', 2, 1004]], 'half_open'],
  ['while open nothing that ends counts', [...OPENED, ['ended', 'success', 4, 4]], 'open'],
  ['a new process starts clean', [...OPENED, ['reset', 4], fault(5), fault(6)], 'closed'],
]

t.test('breaker', (t) => {
  for (const [name, steps, state] of TABLE) {
    const breaker = new Breaker({ faults: 3, openMs: 1000 })
    for (const step of steps) {
      switch (step[0]) {
        case 'ended': breaker.ended(step[1], step[2], step[3]); break
        case 'progressed': breaker.progressed(step[1], step[2]); break
        case 'advance': breaker.advance(step[1]); break
        case 'reset': breaker.reset(step[1]); break
      }
    }
    t.equal(breaker.state, state, name)
  }
  t.end()
})

t.test('breaker says when time alone will change it', (t) => {
  const breaker = new Breaker({ faults: 1, openMs: 1000 })
  t.equal(breaker.dueAtMs, undefined)
  breaker.ended('fault', 5, 7)
  t.equal(breaker.dueAtMs, 1007)
  t.equal(breaker.consecutiveFaults, 1)
  t.end()
})
