import t from 'tap'
import { createRandom } from '../../src/core/index.js'
import { EventHeap } from '../../src/simulator/heap.js'

t.test('events come out by time, ties in the order in which they came in', async t => {
  const random = createRandom(1)
  const heap = new EventHeap()
  const expected: { at: number, subject: number }[] = []
  let next = 0
  let lastTime = -1
  let lastSubject = -1
  let wrong = 0
  for (let round = 0; round < 20_000; round++) {
    if (random.next() < 0.55) {
      const at = Math.max(lastTime, 0) + Math.floor(random.next() * 20)
      heap.push(at, 1, next)
      expected.push({ at, subject: next++ })
    } else if (heap.pop()) {
      if (heap.timeMs < lastTime || (heap.timeMs === lastTime && heap.subject < lastSubject)) wrong++
      if (expected[heap.subject]!.at !== heap.timeMs) wrong++
      lastTime = heap.timeMs
      lastSubject = heap.subject
    }
  }
  const left = heap.size
  let popped = 0
  while (heap.pop()) popped++
  t.equal(wrong, 0)
  t.equal(popped, left)
  t.equal(heap.pop(), false)
})
