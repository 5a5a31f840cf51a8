import type { LookupAddress } from 'node:dns'
import t from 'tap'
import { FRESH_MS, Names, type AskSystem } from '../../src/fleet/names.js'

/** A resolver that answers when the test says so. */
function resolver() {
  let nowMs = 0
  const open: { host: string, done: Parameters<AskSystem>[1] }[] = []
  const asked: string[] = []
  const names = new Names({ now: () => nowMs }, (host, done) => {
    asked.push(host)
    open.push({ host, done })
  })
  const v4 = (address: string): LookupAddress => ({ address, family: 4 })
  return {
    names, asked,
    later: (ms: number) => { nowMs += ms },
    /** Answers the oldest question about this host. */
    answer: (host: string, ...addresses: string[]) => { open.splice(open.findIndex(one => one.host === host), 1)[0]!.done(null, addresses.map(v4)) },
    fail: (host: string, code: string) => { open.splice(open.findIndex(one => one.host === host), 1)[0]!.done(Object.assign(new Error(code), { code }), []) },
    look: (host: string, options: object = {}) => new Promise<unknown>(resolve => {
      names.lookup(host, options, (error, address) => { resolve(error === null ? address : error.code) })
    }),
  }
}

t.test('a host is asked for once, however many wait, and again when the answer is old', async t => {
  const { look, answer, asked, later } = resolver()
  const both = Promise.all([look('a'), look('a'), look('a', { all: true })])
  answer('a', '10.0.0.1', '10.0.0.2')
  t.strictSame(await both, ['10.0.0.1', '10.0.0.1', [{ address: '10.0.0.1', family: 4 }, { address: '10.0.0.2', family: 4 }]])
  later(FRESH_MS - 1)
  t.equal(await look('a'), '10.0.0.1')
  t.strictSame(asked, ['a'])
  later(1)
  const again = look('a')
  answer('a', '10.0.0.9')
  t.equal(await again, '10.0.0.9')
  t.equal(await look('a', { family: 6 }), 'ENOTFOUND', 'it has none of that family')
})

t.test('an address that is the host\'s no more is told as soon as that is known', async t => {
  const { names, look, answer, later } = resolver()
  t.equal(names.holds('a', '10.0.0.1'), true, 'nothing is known')
  const first = look('a')
  answer('a', '10.0.0.1')
  await first
  t.equal(names.holds('a', '10.0.0.1'), true)
  t.equal(names.holds('a', '10.0.0.2'), false)
  later(FRESH_MS)
  t.equal(names.holds('a', '10.0.0.1'), true, 'asks anew, and does not wait for the answer')
  answer('a', '10.0.0.2')
  t.equal(names.holds('a', '10.0.0.1'), false)
})

t.test('while a resolver is silent the last answer holds; where there is none, nobody waits for ever', async t => {
  const { look, answer, fail, later, asked } = resolver()
  const awake = setTimeout(() => {}, 60_000)
  t.teardown(() => { clearTimeout(awake) })
  const first = look('a')
  answer('a', '10.0.0.1')
  await first
  later(FRESH_MS)
  t.equal(await look('a'), '10.0.0.1', 'it hangs')
  fail('a', 'EAI_AGAIN')
  const second = look('a')
  fail('a', 'EAI_AGAIN')
  t.equal(await second, '10.0.0.1', 'it says that it does not know')
  const third = look('a')
  fail('a', 'ENOTFOUND')
  t.equal(await third, 'ENOTFOUND', 'it says that the name is gone: the address may be a stranger\'s by now')
  t.equal(asked.length, 4)
  const dead = look('b')
  fail('b', 'EAI_AGAIN')
  t.equal(await dead, 'EAI_AGAIN')
})

t.test('hosts that may hang take one of the system\'s few threads among them all', async t => {
  const { look, answer, fail, asked } = resolver()
  for (const host of ['x', 'y', 'z']) {
    const failed = look(host)
    fail(host, 'EAI_AGAIN')
    await failed
  }
  asked.length = 0
  const waiting = ['x', 'y', 'z', 'good'].map(host => look(host))
  t.strictSame(asked, ['x', 'good'])
  answer('good', '10.0.0.1')
  t.equal(await waiting[3], '10.0.0.1')
  for (const host of ['x', 'y', 'z']) answer(host, '10.0.0.2')
  t.strictSame(await Promise.all(waiting.slice(0, 3)), ['10.0.0.2', '10.0.0.2', '10.0.0.2'], 'each in its turn')
})
