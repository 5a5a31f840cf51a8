// The short form of `npm run test:chaos`.
import t from 'tap'
import { chaos } from '../chaos/chaos.js'

t.test('R2, R15, R19, R34: servers break, requests do not', async t => {
  const { checks, losses, endings } = await chaos({ seconds: 12, streams: 40, seed: '3' }, { now: () => performance.now() })
  t.comment(Object.fromEntries(endings))
  for (const { what, holds, figure } of checks) t.ok(holds, `${what}: ${figure}`, { losses })
})
