// The short forms of `npm run test:chaos` and `npm run test:aborts`, side by side.
import t from 'tap'
import { aborts, quantile } from '../chaos/aborts.js'
import { chaos } from '../chaos/chaos.js'

const aborted = aborts({ count: 600, seed: '3' })
aborted.catch(() => {})

t.test('R2, R15, R19, R34: servers break, requests do not', async t => {
  const { checks, losses, endings } = await chaos({ seconds: 40, streams: 40, seed: '3' }, { now: () => performance.now() })
  t.comment(Object.fromEntries(endings))
  // The command holds shares to their bars; here, beside other tests on whatever machine, they are held to a part of it.
  for (const { what, holds, figure, share = 1 } of checks) t.ok(holds || (share >= 0.9 && share < 1), `${what}: ${figure}`, { losses })
})

t.test('R1, 19: servers see the clients leave that leave them, in every phase', async t => {
  const { checks, delaysMs } = await aborted
  for (const { what, holds, figure } of checks) t.ok(holds, `${what}: ${figure}`)
  // Not asserted: how soon is a matter of how busy the machine is.
  for (const [phase, sorted] of delaysMs) t.comment(`${phase}: ${sorted.length} seen, p50 ${quantile(sorted, 0.5).toFixed(1)} ms, p99 ${quantile(sorted, 0.99).toFixed(1)} ms`)
})
