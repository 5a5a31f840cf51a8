import t from 'tap'
import { Health, type HealthStatus } from '../../src/fleet/health.js'
import { SLOW_START_MS, stateOf, type StateSigns } from '../../src/fleet/state.js'

t.test('health needs patience in both directions, but not at the start', (t) => {
  const table: readonly (readonly [checks: string, status: HealthStatus])[] = [
    ['', 'unchecked'], ['+', 'up'], ['-', 'down'], ['+-', 'up'], ['+--', 'down'], ['+-+-', 'up'], ['+--+', 'down'], ['+--++', 'up'], ['+--+-+', 'down'], ['-++', 'up'],
  ]
  for (const [checks, status] of table) {
    const health = new Health({ downAfter: 2, upAfter: 2 })
    for (const [i, check] of [...checks].entries()) health.observe(check === '+' ? 'ok' : 'failed', i)
    t.equal(health.status, status, checks)
  }
  const health = new Health({ downAfter: 1, upAfter: 1 })
  health.observe('ok', 1)
  t.equal(health.recoveredAtMs, undefined, 'coming up for the first time is no recovery')
  health.observe('failed', 2)
  health.observe('ok', 3)
  t.equal(health.recoveredAtMs, 3)
  t.equal(health.okAtMs, 3)
  t.end()
})

t.test('one state out of all signs', (t) => {
  const well: StateSigns = { health: 'up', healthError: undefined, operatorDrain: false, breaker: 'closed', stalled: false, slowdown: undefined, recoveredAtMs: undefined }
  const table: readonly (readonly [signs: Partial<StateSigns>, state: string])[] = [
    [{}, 'up'], [{ health: 'unchecked' }, 'down'], [{ health: 'down' }, 'down'], [{ breaker: 'open' }, 'down'], [{ breaker: 'half_open' }, 'degraded'],
    [{ operatorDrain: true }, 'draining'], [{ operatorDrain: true, breaker: 'half_open' }, 'draining'], [{ operatorDrain: true, health: 'down' }, 'down'],
    [{ stalled: true }, 'degraded'], [{ slowdown: 5 }, 'degraded'], [{ slowdown: 5, operatorDrain: true }, 'draining'], [{ recoveredAtMs: 10_000 }, 'degraded'], [{ recoveredAtMs: 10_000 - SLOW_START_MS }, 'up'],
  ]
  for (const [signs, state] of table) t.equal(stateOf({ ...well, ...signs }, 10_000).state, state, JSON.stringify(signs))
  t.match(stateOf({ ...well, health: 'down', healthError: '/health answered 503' }, 0).why, /\/health answered 503/)
  t.end()
})
