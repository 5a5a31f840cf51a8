import t from 'tap'
import { bookLater, enterTogether, leaveTogether, settleTurn, type Writer } from '../../src/relay/turn.js'

const writers = (count: number) => {
  const flushed: number[] = []
  const all = Array.from({ length: count }, (_, index): Writer => ({ flush: () => { flushed.push(index) } }))
  return { flushed, all }
}
const turn = () => new Promise<void>(resolve => { setImmediate(resolve) })

t.test('few writers wait for the end of the turn, and no longer', async t => {
  const { flushed, all } = writers(3)
  for (const writer of all) leaveTogether(writer)
  t.same(flushed, [])
  await turn()
  t.same(flushed, [0, 1, 2], 'in the order in which they asked, once each')
  await turn()
  t.equal(flushed.length, 3)
})

t.test('a crowd does not wait for its last', async t => {
  const { flushed, all } = writers(10)
  for (const writer of all) leaveTogether(writer)
  t.same(flushed, [0, 1, 2, 3, 4, 5, 6, 7])
  await turn()
  t.same(flushed.slice(8), [8, 9])
})

t.test('who asks again while it writes is called again', async t => {
  let calls = 0
  const again: Writer = { flush: () => { if (++calls < 3) leaveTogether(again) } }
  leaveTogether(again)
  for (let i = 0; i < 4; i++) await turn()
  t.equal(calls, 3)
})

t.test('who comes is decided upon before the turn\'s writes leave, and the books are written after them', async t => {
  const order: string[] = []
  bookLater({ book: () => { order.push('book') } })
  leaveTogether({ flush: () => { order.push('write') } })
  enterTogether({ enter: () => {
    order.push('enter')
    leaveTogether({ flush: () => { order.push('its write') } })
    bookLater({ book: () => { order.push('its book') } })
  } })
  t.same(order, [])
  await turn()
  t.same(order, ['enter', 'write', 'its write', 'book', 'its book'], 'all within one turn')
})

t.test('what waits for the end of the turn can be done at once, and is then not done again', async t => {
  let booked = 0
  bookLater({ book: () => { booked++ } })
  settleTurn()
  t.equal(booked, 1)
  await turn()
  t.equal(booked, 1)
})

t.test('one that fails takes none of the others along', async t => {
  const { flushed, all } = writers(7)
  t.throws(() => {
    for (const writer of [all[0]!, { flush: () => { throw new Error('broken') } }, ...all.slice(1)]) leaveTogether(writer)
  }, { message: 'broken' })
  t.same(flushed, [0])
  await turn()
  t.same(flushed, [0, 1, 2, 3, 4, 5, 6])
  enterTogether({ enter: () => { throw new Error('broken too') } })
  leaveTogether(all[0]!)
  t.throws(settleTurn, { message: 'broken too' })
  t.same(flushed, [0, 1, 2, 3, 4, 5, 6, 0], 'nor what comes after its kind')
})
